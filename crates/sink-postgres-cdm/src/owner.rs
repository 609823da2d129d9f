//! The role that tables belong to. Nobody logs in as it: who provisions becomes it for one transaction, or for a
//! session that builds an index, which no transaction can do.

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

const BECOME: &str = "become the owner";

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
        Err(Error::new(ErrorKind::Denied, BECOME, message))
    }

    /// Opens a session with settings of its own, see [`Session::open_with`], which is the owner of the tables from
    /// its beginning where the configuration names one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] behind a pooler: whoever became the owner there for longer than a transaction would
    /// leave a session of the pooler's as the owner to others.
    pub(crate) async fn open_as_owner(&self, settings: &[(&str, String)]) -> Result<Session> {
        let Some(owner) = self.owner() else { return Session::open_with(self.connector(), settings).await };
        let mut settings = settings.to_vec();
        settings.push(("role", owner.as_str().to_owned()));
        let session = Session::open_with(self.connector(), &settings).await?;
        let statement = "select current_user::text = $1";
        let is_owner = session.query_one(BECOME, statement, &[(&owner.as_str(), Type::TEXT)]).await?;
        if column(&is_owner, 0)? {
            return Ok(session);
        }
        let message = format!(
            "there is a pooler in between, through which no session can be `{}`, which `owner_role` names, for as long \
             as an index is built; what comes before is done. Connect to the server itself and provision again, or \
             let the owner run the statement",
            owner.as_str()
        );
        Err(Error::new(ErrorKind::Unsupported, BECOME, message))
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
    column(&session.query_one(BECOME, &statement, &[(&owner.as_str(), Type::TEXT)]).await?, 0)
}
