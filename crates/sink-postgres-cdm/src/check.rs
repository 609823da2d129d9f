use endpoint_api::{CheckReport, ErrorKind, Result};

use crate::{
    endpoint::PgCdm,
    introspect, rights,
    session::{Session, column},
};

/// The oldest version that is supported, as the server counts: 14.0.
const OLDEST: i32 = 140_000;

const ANSWERING: &str = "\
select case when inet_server_addr() is null then ''
       else format('; %s:%s answered', host(inet_server_addr()), inet_server_port()) end";

const SERVER: &str = "\
select current_setting('server_version'), current_setting('server_version_num')::int,
       current_setting('server_encoding'), pg_is_in_recovery() or current_setting('transaction_read_only')::bool";

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
    let server = endpoint.connector().server();
    // Of several hosts one has answered.
    let which = match server.contains(',') {
        true => column(&session.query_one("check", ANSWERING, &[]).await?, 0)?,
        false => String::new(),
    };
    report.add("connect", true, format!("connected to {server}{which}"));
    look(endpoint, &session, &mut report).await?;
    Ok(report)
}

async fn look(endpoint: &PgCdm, session: &Session, report: &mut CheckReport) -> Result<()> {
    let server = session.query_one("check", SERVER, &[]).await?;
    let (version, number): (String, i32) = (column(&server, 0)?, column(&server, 1)?);
    let encoding: String = column(&server, 2)?;
    let read_only: bool = column(&server, 3)?;

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

    let provisioning = rights::provisioning(endpoint, session).await?;
    let (name, role) = (endpoint.schema().as_str(), provisioning.role());
    let is_there = introspect::schema_exists(session, endpoint.schema()).await?;
    let detail = match (is_there, provisioning.nothing()) {
        (true, _) => format!("schema {name} is there"),
        (false, true) => format!("schema {name} is not there yet; role {role} may make it"),
        (false, false) => format!(
            "schema {name} is not there, and role {role} may not make it; make it or grant CREATE on the database"
        ),
    };
    report.add("schema", is_there || provisioning.nothing(), detail);

    // One role may provision and another load: what this one is not for is no fault of it.
    let loading = rights::loading(endpoint, session).await?;
    let is_provisioner = endpoint.owner().is_some() && provisioning.nothing();
    let hint = format!("`cdm grants {}` says what gives it", endpoint.id());
    report.add("provisioning", provisioning.nothing() || loading.nothing(), provisioning.told(&hint));
    report.add("loading", loading.nothing() || is_provisioner, loading.told(&hint));
    report.server_version = Some(version);
    Ok(())
}
