//! What a session's role may do, and what it lacks.

use endpoint_api::Result;
use relational::{plumbing, support};
use tokio_postgres::types::Type;

use crate::{
    endpoint::PgCdm,
    owner::MAY_BECOME,
    session::{Session, column},
};

const OPERATION: &str = "check";

/// What a role lacks, each with what needs it; nothing when it may do all that is needed.
#[derive(Debug)]
pub(crate) struct Lacks {
    role: String,
    /// To do what: `load`, `provision`.
    purpose: &'static str,
    missing: Vec<String>,
}

impl Lacks {
    /// Whether it may do what it is for.
    pub(crate) fn nothing(&self) -> bool {
        self.missing.is_empty()
    }

    /// The session's role.
    pub(crate) fn role(&self) -> &str {
        &self.role
    }

    /// What people are told; `hint` is what gives the rights.
    pub(crate) fn told(&self, hint: &str) -> String {
        let Self { role, purpose, missing } = self;
        match missing.is_empty() {
            true => format!("role {role} may {purpose}"),
            false => format!("role {role} may not {purpose}; it lacks {}; {hint}", missing.join(", ")),
        }
    }
}

/// The tables of the sink: its own, and those that have the plumbing of a model table.
fn tables() -> String {
    format!(
        "from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where n.nspname = $1 and c.relkind in ('r', 'p') and (c.relname = any($2) or exists \
         (select from pg_attribute a where a.attrelid = c.oid and a.attname = '{}' and not a.attisdropped))",
        plumbing::CONTENT_HASH
    )
}

/// What the session's role lacks to make and extend tables, itself or as their owner.
pub(crate) async fn provisioning(endpoint: &PgCdm, session: &Session) -> Result<Lacks> {
    let statement = format!(
        "with acting as (select r.oid from pg_roles r where r.rolname = coalesce($3, current_user)) \
         select current_user::text, \
         coalesce((select $3 is null or pg_has_role(oid, {MAY_BECOME}) from acting), false), \
         coalesce((select has_database_privilege(oid, current_database(), 'CREATE') from acting), false), \
         (select has_schema_privilege(acting.oid, n.oid, 'CREATE') and has_schema_privilege(acting.oid, n.oid, 'USAGE') \
          from acting, pg_namespace n where n.nspname = $1), \
         array(select c.relname::text {tables} and not (select pg_has_role(oid, c.relowner, 'USAGE') from acting) \
         order by 1)",
        tables = tables()
    );
    let schema = endpoint.schema().as_str();
    let owner = endpoint.owner().map(|owner| owner.as_str());
    let parameters = [(&schema as _, Type::TEXT), (&support::NAMES as _, Type::TEXT_ARRAY), (&owner as _, Type::TEXT)];
    let row = session.query_one(OPERATION, &statement, &parameters).await?;
    let (may_act, may_make_schema): (bool, bool) = (column(&row, 1)?, column(&row, 2)?);
    let may_make_tables: Option<bool> = column(&row, 3)?;
    let foreign: Vec<String> = column(&row, 4)?;

    let mut missing = Vec::new();
    match owner {
        Some(owner) if !may_act => {
            missing.push(format!("the right to become {owner}, which `owner_role` names and tables belong to"));
        }
        _ => {
            let acting = owner.map(|owner| format!(" for {owner}")).unwrap_or_default();
            match may_make_tables {
                Some(true) => {}
                Some(false) => missing.push(format!("USAGE and CREATE on schema {schema}{acting} (tables go there)")),
                None if may_make_schema => {}
                None => missing.push(format!("CREATE on the database{acting} (schema {schema} is not there)")),
            }
            if !foreign.is_empty() {
                missing.push(format!("the ownership of {} (only an owner may extend a table)", foreign.join(", ")));
            }
        }
    }
    Ok(Lacks { role: column(&row, 0)?, purpose: "provision", missing })
}

/// What the session's role lacks to load into the tables that are there.
pub(crate) async fn loading(endpoint: &PgCdm, session: &Session) -> Result<Lacks> {
    let statement = "select current_user::text, has_database_privilege(current_database(), 'TEMPORARY'), \
                     coalesce((select has_schema_privilege(n.oid, 'USAGE') from pg_namespace n where n.nspname = $1), true)";
    let schema = endpoint.schema().as_str();
    let row = session.query_one(OPERATION, statement, &[(&schema, Type::TEXT)]).await?;
    let mut missing = Vec::new();
    if !column::<bool>(&row, 1)? {
        missing.push("TEMPORARY on the database (rows that have changed are staged)".to_owned());
    }
    if !column::<bool>(&row, 2)? {
        missing.push(format!("USAGE on schema {schema}"));
    }
    let statement = format!(
        "select c.relname::text, array(select p from unnest($3) p where not has_table_privilege(c.oid, p)) {tables} \
         order by 1",
        tables = tables()
    );
    let parameters =
        [(&schema as _, Type::TEXT), (&support::NAMES as _, Type::TEXT_ARRAY), (&CLEAR as _, Type::TEXT_ARRAY)];
    for table in session.query(OPERATION, &statement, &parameters).await? {
        let name: &str = column(&table, 0)?;
        let needed = loader_needs(name);
        let lacks: Vec<&str> =
            column::<Vec<&str>>(&table, 1)?.into_iter().filter(|lacks| needed.contains(lacks)).collect();
        if !lacks.is_empty() {
            missing.push(format!("{} on {name}{}", lacks.join(", "), reason(name, &lacks)));
        }
    }
    Ok(Lacks { role: column(&row, 0)?, purpose: "load", missing })
}

const LOOK: &[&str] = &["SELECT"];
const MERGE: &[&str] = &["SELECT", "INSERT", "UPDATE"];
const CLEAR: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];

/// What loading needs of a table of the sink.
pub(crate) fn loader_needs(table: &str) -> &'static [&'static str] {
    match table {
        support::MODEL => LOOK,
        support::LOAD | support::REJECT => CLEAR,
        _ => MERGE,
    }
}

/// What needs a right that surprises.
fn reason(table: &str, lacks: &[&str]) -> &'static str {
    match (table, lacks.contains(&"DELETE")) {
        (support::REJECT, true) => " (rejects go when they are replayed, and when they are old)",
        (support::LOAD, true) => " (old lines of the ledger go)",
        _ => "",
    }
}
