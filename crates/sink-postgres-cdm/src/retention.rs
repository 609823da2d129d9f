use endpoint_api::Result;
use relational::state::Retention;
use tokio_postgres::types::Type;

use crate::{session::Session, state::SupportTables};

/// Removes what is older or too much. Of a run that is not ended, or was the last of its ingestion, every
/// line stays: where an ingestion stands is never lost.
pub(crate) async fn clear(retention: Retention, session: &Session, tables: &SupportTables) -> Result<()> {
    let operation = "clear old lines";
    let SupportTables { load, reject, ingestion, .. } = tables;
    let ended = format!("run_id not in (select run_id from {ingestion})");
    let days = i32::try_from(retention.days).unwrap_or(i32::MAX);
    for statement in [
        format!("delete from {load} where {ended} and committed_at < now() - make_interval(days => $1)"),
        format!("delete from {reject} where rejected_at < now() - make_interval(days => $1)"),
    ] {
        session.execute(operation, &statement, &[(&days, Type::INT4)]).await?;
    }
    let Some(rows) = retention.rows.map(i64::from) else { return Ok(()) };
    for statement in [
        format!(
            "delete from {load} where (ingestion, run_id, slice) in (select ingestion, run_id, slice from {load} \
                 where {ended} order by committed_at desc offset $1)"
        ),
        format!("delete from {reject} where id in (select id from {reject} order by rejected_at desc offset $1)"),
    ] {
        session.execute(operation, &statement, &[(&rows, Type::INT8)]).await?;
    }
    Ok(())
}
