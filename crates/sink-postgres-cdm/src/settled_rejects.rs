//! Rejects that are removed because their records were loaded, or because their resource was read without them.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
};

use endpoint_api::{Result, batch::Origin};
use relational::plumbing;
use tokio::sync::OnceCell;
use tokio_postgres::types::Type;

use crate::{
    loading::Loading,
    rejects::keeps_records,
    session::{Session, column},
};

const OPERATION: &str = "remove rejects";

/// Whether the ingestion has rejects of which the key of the row is known, so that a load without any does no work.
#[derive(Debug, Default)]
pub(crate) struct KeyedRejects {
    /// Whether there were some at the first commit; `None` where the table does not keep the keys.
    at_first: OnceCell<Option<bool>>,
    /// Whether a load of the run has stored rejects.
    stored: AtomicBool,
}

impl KeyedRejects {
    /// A load has stored rejects.
    pub(crate) fn note(&self) {
        self.stored.store(true, Ordering::Relaxed);
    }

    async fn exist(&self, session: &Session, loading: &Loading<'_>) -> Result<bool> {
        let table = &loading.tables.reject;
        let look = async || {
            if !keeps_records(session, table).await? {
                return Ok(None);
            }
            let statement = format!("select exists (select from {table} where ingestion = $1 and row_key is not null)");
            let parameters = [(&loading.ingestion.to_string() as _, Type::TEXT)];
            column(&session.query_one(OPERATION, &statement, &parameters).await?, 0).map(Some)
        };
        let at_first = self.at_first.get_or_try_init(look).await?;
        Ok(at_first.is_some_and(|found| found || self.stored.load(Ordering::Relaxed)))
    }
}

/// Removes the rejects for whose key the table holds a row of a newer observation, made of a record that tells as much.
///
/// It depends on what is stored and not on what was stored last, so the order of slices does not matter. The caller
/// holds the lock of the ingestion: of two loads at once the second sees what the first has committed.
pub(crate) async fn remove_loaded(session: &Session, loading: &Loading<'_>) -> Result<()> {
    if !loading.rejects.exist(session, loading).await? {
        return Ok(());
    }
    let statement = format!(
        "delete from {reject} r where r.ingestion = $1 and r.row_key is not null and r.observation < coalesce(\
         (select t.{observation} from {table} t where t.{key} = r.row_key and t.{rank} >= coalesce(r.rank, 1)), -1)",
        reject = loading.tables.reject,
        table = loading.target.table,
        key = loading.target.key,
        observation = plumbing::OBSERVATION,
        rank = plumbing::RANK,
    );
    let removed = session.execute(OPERATION, &statement, &[(&loading.ingestion.to_string(), Type::TEXT)]).await?;
    if removed > 0 {
        tracing::info!(removed, "rejects were removed, because their records are loaded now");
    }
    Ok(())
}

/// Removes the rejects of resources of which the run has committed every slice without meeting them.
pub(crate) async fn remove_absent(session: &Session, loading: &Loading<'_>, read: &BTreeSet<&str>) -> Result<()> {
    if read.is_empty() {
        return Ok(());
    }
    let table = &loading.tables.reject;
    let statement = format!("select id, origin from {table} where ingestion = $1 and run_id <> $2");
    let parameters = [(&loading.ingestion.to_string() as _, Type::TEXT), (&loading.run_id() as _, Type::TEXT)];
    let mut absent: Vec<String> = Vec::new();
    for row in session.query(OPERATION, &statement, &parameters).await? {
        if read.contains(Origin::parse(column(&row, 1)?).resource) {
            absent.push(column(&row, 0)?);
        }
    }
    if !absent.is_empty() {
        let statement = format!("delete from {table} where id = any($1)");
        let removed = session.execute(OPERATION, &statement, &[(&absent, Type::TEXT_ARRAY)]).await?;
        tracing::info!(removed, "rejects were removed, because their records were read and not rejected again");
    }
    Ok(())
}
