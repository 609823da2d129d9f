use endpoint_api::{CheckReport, ErrorKind, Result};
use tokio_postgres::types::Type;

use crate::{
    endpoint::PgCdm,
    session::{Session, column},
};

/// The oldest version that is supported, as the server counts: 14.0.
const OLDEST: i32 = 140_000;

const SERVER: &str = "\
select current_setting('server_version'), current_setting('server_version_num')::int,
       current_setting('server_encoding'), pg_is_in_recovery() or current_setting('transaction_read_only')::bool,
       has_database_privilege(current_database(), 'TEMPORARY'),
       has_database_privilege(current_database(), 'CREATE'),
       current_user::text";

const SCHEMA: &str = "\
select has_schema_privilege(n.oid, 'USAGE'), has_schema_privilege(n.oid, 'CREATE')
from pg_namespace n where n.nspname = $1";

/// Looks whether the server can be used.
pub(crate) async fn check(endpoint: &PgCdm) -> Result<CheckReport> {
    let mut report = CheckReport::new();
    let session = match Session::open(endpoint.connector()).await {
        Ok(session) => session,
        Err(error) if error.kind() == ErrorKind::Internal => return Err(error),
        Err(error) => {
            report.add("connect", false, error.to_string());
            return Ok(report);
        }
    };
    report.add("connect", true, format!("connected to {}", endpoint.connector().server()));
    look(endpoint, &session, &mut report).await?;
    Ok(report)
}

async fn look(endpoint: &PgCdm, session: &Session, report: &mut CheckReport) -> Result<()> {
    let server = session.query_one("check", SERVER, &[]).await?;
    let (version, number): (String, i32) = (column(&server, 0)?, column(&server, 1)?);
    let encoding: String = column(&server, 2)?;
    let read_only: bool = column(&server, 3)?;
    let (may_make_temporary, may_make_schema): (bool, bool) = (column(&server, 4)?, column(&server, 5)?);
    let role: String = column(&server, 6)?;

    let is_known = number >= OLDEST;
    report.add(
        "version",
        is_known,
        format!("PostgreSQL {version}{}", if is_known { "" } else { "; 14 or newer is needed" }),
    );
    let is_utf8 = encoding == "UTF8";
    let advice = if is_utf8 { "" } else { "; a database in UTF8 is needed" };
    report.add("encoding", is_utf8, format!("the database is in {encoding}{advice}"));
    let writable =
        if read_only { "the server is read-only; connect to the primary" } else { "the server takes writes" };
    report.add("writable", !read_only, writable);
    let temporary = if may_make_temporary {
        format!("role {role} may make temporary tables")
    } else {
        format!("role {role} may not make temporary tables; grant TEMPORARY on the database")
    };
    report.add("temporary tables", may_make_temporary, temporary);

    let name = endpoint.schema().as_str();
    let (ok, detail) = match session.query_opt("check", SCHEMA, &[(&name, Type::TEXT)]).await? {
        Some(schema) => match (column(&schema, 0)?, column(&schema, 1)?) {
            (true, true) => (true, format!("schema {name} is there; role {role} may make tables in it")),
            (true, false) => (true, format!("schema {name} is there; role {role} may use it but make no tables in it")),
            (false, _) => (false, format!("role {role} may not use schema {name}; grant USAGE on it")),
        },
        None if may_make_schema => (true, format!("schema {name} is not there yet; role {role} may make it")),
        None => (
            false,
            format!(
                "schema {name} is not there, and role {role} may not make it; make it or grant CREATE on the database"
            ),
        ),
    };
    report.add("schema", ok, detail);
    report.server_version = Some(version);
    Ok(())
}
