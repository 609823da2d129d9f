use endpoint_api::{Commit, LoadReceipt, Result};
use relational::{
    state::{fenced, kept, receipt, signed, to_json, unsigned},
    support,
};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{database::During as _, loading::Loading, outbox};

const OPERATION: &str = "commit";

/// The receipt of a slice that was committed before, if it was.
pub(crate) fn committed(connection: &Connection, loading: &Loading, slice: u64) -> Result<Option<LoadReceipt>> {
    let statement =
        format!("select receipt from {} where ingestion = ?1 and run_id = ?2 and slice = ?3", support::LOAD);
    let parameters = params![loading.key, loading.run_id.as_str(), signed(slice)];
    let found = connection.query_row(&statement, parameters, |row| row.get::<_, Option<String>>(0));
    found.optional().during("begin a load")?.map(|json| receipt(json.as_deref())).transpose()
}

/// Whether the run still holds the newest fence of its ingestion.
///
/// # Errors
///
/// [`fenced`] when it does not.
pub(crate) fn compare_fence(connection: &Connection, loading: &Loading) -> Result<()> {
    let statement = format!("select exists (select 1 from {} where ingestion = ?1 and fence = ?2)", support::INGESTION);
    let parameters = params![loading.key, signed(loading.fence)];
    let is_mine = connection.query_row(&statement, parameters, |row| row.get(0)).during(OPERATION)?;
    if is_mine { Ok(()) } else { Err(fenced(&loading.ingestion)) }
}

/// Puts a slice into the ledger and moves the checkpoint over the gap-free prefix of committed ones.
pub(crate) fn settle(
    connection: &Connection,
    loading: &Loading,
    slice: u64,
    receipt: &LoadReceipt,
    commit: &Commit,
    confirmed: Option<Vec<u8>>,
    now: &str,
) -> Result<()> {
    let resume_at = commit.resume_at.as_ref().map(to_json).transpose()?;
    let (key, run_id) = (&loading.key, loading.run_id.as_str());
    let statement = format!(
        "insert into {} (ingestion, run_id, slice, fence, receipt, resume_at, committed_at, confirmed) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        support::LOAD
    );
    let line = params![key, run_id, signed(slice), signed(loading.fence), to_json(receipt)?, resume_at, now, confirmed];
    kept(connection.execute(&statement, line).during(OPERATION)? == 1, OPERATION, support::LOAD)?;

    let statement = format!("select prefix from {} where ingestion = ?1", support::INGESTION);
    let before: i64 = connection.query_row(&statement, [key], |row| row.get(0)).during(OPERATION)?;
    let statement = format!(
        "select slice, resume_at from {} where ingestion = ?1 and run_id = ?2 and slice >= ?3 order by slice",
        support::LOAD
    );
    let mut statement = connection.prepare_cached(&statement).during(OPERATION)?;
    let mut lines = statement.query(params![key, run_id, before]).during(OPERATION)?;
    let (mut prefix, mut checkpoint) = (before, None);
    while let Some(line) = lines.next().during(OPERATION)? {
        let (slice, resume_at): (i64, Option<String>) =
            line.get(0).and_then(|slice| Ok((slice, line.get(1)?))).during(OPERATION)?;
        if slice != prefix {
            break;
        }
        prefix += 1;
        checkpoint = resume_at.or(checkpoint);
    }
    let statement = format!(
        "update {} set rows_inserted = rows_inserted + ?2, prefix = ?3, checkpoint = coalesce(?4, checkpoint) \
         where ingestion = ?1",
        support::INGESTION
    );
    let parameters = params![key, signed(receipt.counts.inserted), prefix, checkpoint];
    kept(connection.execute(&statement, parameters).during(OPERATION)? == 1, OPERATION, support::INGESTION)?;
    outbox::put(connection, &commit.messages, now)
}

/// Counts the rows that a replay has inserted.
pub(crate) fn count_inserted(connection: &Connection, loading: &Loading, receipt: &LoadReceipt) -> Result<()> {
    let statement =
        format!("update {} set rows_inserted = rows_inserted + ?2 where ingestion = ?1", support::INGESTION);
    let inserted = signed(receipt.counts.inserted);
    connection.execute(&statement, params![loading.key, inserted]).during(OPERATION).map(drop)
}

/// How many rows all ingestions have inserted into a table.
pub(crate) fn rows_inserted(connection: &Connection, table: &str) -> Result<u64> {
    let statement = format!("select coalesce(sum(rows_inserted), 0) from {} where table_name = ?1", support::INGESTION);
    connection.query_row(&statement, [table], |row| row.get(0)).during("count rows").map(unsigned)
}
