//! Rejects that are removed because their records were loaded, or because their resource was read without them.

use std::collections::BTreeSet;

use endpoint_api::{Result, batch::Origin};
use relational::{plumbing, support};
use rusqlite::{Connection, params};

use crate::{database::During as _, loading::Loading, rejects::keeps_records};

const OPERATION: &str = "remove rejects";

/// How many rejects are looked at together.
const PAGE: u32 = 10_000;

/// Removes the rejects for whose key the table holds a row of a newer observation, made of a record that tells as much.
///
/// It depends on what is stored and not on what was stored last, so the order of slices does not matter. The end of a
/// run does it once, whatever the number of its slices.
pub(crate) fn remove_loaded(connection: &Connection, loading: &Loading) -> Result<()> {
    if !keeps_records(connection)? {
        return Ok(());
    }
    let statement = format!(
        "delete from {reject} as r where r.ingestion = ?1 and r.row_key is not null and r.observation < coalesce(\
         (select t.{observation} from {table} t where t.{key} = r.row_key and t.{rank} >= coalesce(r.rank, 1)), -1)",
        reject = support::REJECT,
        table = loading.target.table,
        key = loading.target.key,
        observation = plumbing::OBSERVATION,
        rank = plumbing::RANK,
    );
    let removed = connection.execute(&statement, [loading.ingestion.to_string()]).during(OPERATION)?;
    if removed > 0 {
        tracing::info!(removed, "rejects were removed, because their records are loaded now");
    }
    Ok(())
}

/// Removes the rejects of resources of which the run has committed every slice without meeting them.
pub(crate) fn remove_absent(connection: &Connection, loading: &Loading, read: &BTreeSet<&str>) -> Result<()> {
    if read.is_empty() {
        return Ok(());
    }
    let table = support::REJECT;
    let select = format!(
        "select id, origin from {table} where ingestion = ?1 and run_id <> ?2 and id > ?3 order by id limit {PAGE}"
    );
    let mut select = connection.prepare(&select).during(OPERATION)?;
    let mut delete = connection.prepare(&format!("delete from {table} where id = ?1")).during(OPERATION)?;
    let ingestion = loading.ingestion.to_string();
    let (mut after, mut removed) = (String::new(), 0);
    loop {
        let parameters = params![ingestion, loading.run_id.as_str(), after];
        let page = select.query_map(parameters, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        let page = page.during(OPERATION)?.collect::<rusqlite::Result<Vec<_>>>().during(OPERATION)?;
        for (id, _) in page.iter().filter(|(_, origin)| read.contains(Origin::parse(origin).resource)) {
            removed += delete.execute([id]).during(OPERATION)?;
        }
        match page.into_iter().next_back() {
            Some((last, _)) => after = last,
            None => break,
        }
    }
    if removed > 0 {
        tracing::info!(removed, "rejects were removed, because their records were read and not rejected again");
    }
    Ok(())
}
