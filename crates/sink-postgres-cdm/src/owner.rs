//! The role that tables belong to. Nobody logs in as it: who provisions becomes it for one transaction.

use endpoint_api::{Error, ErrorKind, Result};
use relational::Identifier;
use tokio_postgres::types::Type;

use crate::{
    endpoint::PgCdm,
    session::{Session, column},
};

/// By which right one may become a role, in the words of the server: `SET` since 16, before that every member may.
pub(crate) const MAY_BECOME: &str =
    "case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end";

impl PgCdm {
    /// Makes the session the owner of the tables for the rest of its transaction, where the configuration names
    /// one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Denied`] when the session's role may not become it.
    pub(crate) async fn act_as_owner(&self, session: &Session) -> Result<()> {
        let Some(owner) = self.owner() else { return Ok(()) };
        if become_owner(session, owner).await? {
            return Ok(());
        }
        let message = format!(
            "the role may not become `{}`, which `owner_role` names; the statements of `cdm grants {}` allow it",
            owner.as_str(),
            self.id()
        );
        Err(Error::new(ErrorKind::Denied, "become the owner", message))
    }

    /// Begins a transaction that changes nothing, as the owner of the tables where the configuration names one and
    /// the session's role may become it: who provisions may read nothing as itself, and who loads may not become
    /// the owner.
    pub(crate) async fn look_as_owner(&self, session: &Session) -> Result<()> {
        if let Some(owner) = self.owner() {
            session.batch("look at the tables", "begin read only").await?;
            become_owner(session, owner).await?;
        }
        Ok(())
    }
}

/// Says whether the session may become the owner, and is it now.
async fn become_owner(session: &Session, owner: &Identifier) -> Result<bool> {
    let statement = format!(
        "select count(set_config('role', r.rolname::text, true)) = 1 from pg_roles r \
         where r.rolname = $1 and pg_has_role(r.oid, {MAY_BECOME})"
    );
    column(&session.query_one("become the owner", &statement, &[(&owner.as_str(), Type::TEXT)]).await?, 0)
}
