use std::collections::{HashMap, HashSet};

use endpoint_api::{CdmBatch, Result, batch::Rank};
use relational::{Stored, Version, plumbing};
use tokio_postgres::types::Type;

use crate::{
    session::{Microseconds, Session, column},
    state::Target,
};

/// What the table holds for the keys of a batch. It takes no lock.
pub(crate) async fn stored(session: &Session, target: &Target, batch: &CdmBatch) -> Result<HashMap<String, Stored>> {
    let keys: HashSet<&str> = (0..batch.len()).map(|row| batch.key(row)).collect();
    let keys: Vec<&str> = keys.into_iter().collect();
    let statement = format!(
        "select {key}, {rank}, {version_at}, {observation}, {revision}, {hash}, \
         {deleted_at} is not null from {table} where {key} = any($1)",
        key = target.key,
        table = target.table,
        rank = plumbing::RANK,
        version_at = plumbing::VERSION_AT,
        observation = plumbing::OBSERVATION,
        revision = plumbing::MAPPER_REVISION,
        hash = plumbing::CONTENT_HASH,
        deleted_at = plumbing::DELETED_AT,
    );
    let rows = session.query("look rows up", &statement, &[(&keys, Type::TEXT_ARRAY)]).await?;
    let mut stored = HashMap::with_capacity(rows.len());
    for row in &rows {
        let observation: i64 = column(row, 3)?;
        let revision: i32 = column(row, 4)?;
        let hash: &[u8] = column(row, 5)?;
        let version = Version {
            rank: if column::<i16>(row, 1)? == 0 { Rank::Part } else { Rank::Whole },
            version_at: column::<Option<Microseconds>>(row, 2)?.map(|Microseconds(time)| time),
            observation: u64::try_from(observation).unwrap_or(0),
            mapper_revision: u32::try_from(revision).unwrap_or(0),
            // A hash of another length is none of ours: the row is written again.
            content_hash: hash.try_into().unwrap_or_default(),
        };
        stored.insert(column::<String>(row, 0)?, Stored { version, deleted: column(row, 6)? });
    }
    Ok(stored)
}
