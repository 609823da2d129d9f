//! Rejects that are removed because their records were loaded, or because their resource was read without them.

use std::collections::BTreeSet;

use endpoint_api::{Result, batch::Origin};
use relational::plumbing;
use tokio_postgres::types::Type;

use crate::{
    loading::Loading,
    rejects::keeps_records,
    session::{Session, column},
};

const OPERATION: &str = "remove rejects";

/// How many rejects are looked at together.
const PAGE: i64 = 10_000;

/// Removes the rejects for whose key the table holds a row of a newer observation, made of a record that tells as much.
///
/// It depends on what is stored and not on what was stored last, so the order of slices does not matter. The end of a
/// run does it once, whatever the number of its slices. A role that may not remove rejects is refused only when the
/// ingestion has some.
pub(crate) async fn remove_loaded(session: &Session, loading: &Loading<'_>) -> Result<()> {
    let statement =
        format!("select exists (select from {} where ingestion = $1 and row_key is not null)", loading.tables.reject);
    let ingestion = loading.ingestion.to_string();
    let parameters = [(&ingestion as _, Type::TEXT)];
    if !keeps_records(session, &loading.tables.reject).await?
        || !column::<bool>(&session.query_one(OPERATION, &statement, &parameters).await?, 0)?
    {
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
    let removed = session.execute(OPERATION, &statement, &parameters).await?;
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
    let select = format!(
        "select id, origin from {table} where ingestion = $1 and run_id <> $2 and id > $3 order by id limit $4"
    );
    let delete = format!("delete from {table} where id = any($1)");
    let ingestion = loading.ingestion.to_string();
    let (mut after, mut removed) = (String::new(), 0);
    loop {
        let parameters = [
            (&ingestion as _, Type::TEXT),
            (&loading.run_id() as _, Type::TEXT),
            (&after as _, Type::TEXT),
            (&PAGE as _, Type::INT8),
        ];
        let page = session.query(OPERATION, &select, &parameters).await?;
        let Some(last) = page.last() else { break };
        after = column(last, 0)?;
        let mut absent: Vec<String> = Vec::new();
        for row in &page {
            if read.contains(Origin::parse(column(row, 1)?).resource) {
                absent.push(column(row, 0)?);
            }
        }
        if !absent.is_empty() {
            removed += session.execute(OPERATION, &delete, &[(&absent, Type::TEXT_ARRAY)]).await?;
        }
    }
    if removed > 0 {
        tracing::info!(removed, "rejects were removed, because their records were read and not rejected again");
    }
    Ok(())
}
