use std::time::{Duration, SystemTime};

use cdm_models::Timestamp;
use endpoint_api::Result;
use relational::{state::Retention, support};
use rusqlite::{Connection, params};

use crate::{cells, database::During as _};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes what is older or too much. Of a run that is not ended, or was the last of its ingestion, every line
/// stays: where an ingestion stands is never lost.
pub(crate) fn clear(retention: Retention, connection: &Connection) -> Result<()> {
    const OPERATION: &str = "clear old lines";
    let (load, reject) = (support::LOAD, support::REJECT);
    let ended = format!("run_id not in (select run_id from {})", support::INGESTION);
    let kept = SystemTime::now().checked_sub(DAY.saturating_mul(retention.days)).unwrap_or(SystemTime::UNIX_EPOCH);
    let oldest = cells::time_text(Timestamp::from(kept).as_microsecond())?;
    for statement in [
        format!("delete from {load} where {ended} and committed_at < ?1"),
        format!("delete from {reject} where rejected_at < ?1"),
    ] {
        connection.execute(&statement, params![oldest]).during(OPERATION)?;
    }
    let Some(rows) = retention.rows else { return Ok(()) };
    for statement in [
        format!(
            "delete from {load} where rowid in \
             (select rowid from {load} where {ended} order by committed_at desc limit -1 offset ?1)"
        ),
        format!(
            "delete from {reject} where rowid in \
             (select rowid from {reject} order by rejected_at desc limit -1 offset ?1)"
        ),
    ] {
        connection.execute(&statement, params![rows]).during(OPERATION)?;
    }
    Ok(())
}
