use std::collections::{HashMap, HashSet, VecDeque};

use endpoint_api::{CdmBatch, Result, batch::SourceHashes};
use relational::{
    Stored, Version, plumbing,
    state::{rank, unsigned},
};
use tokio_postgres::types::Type;

use crate::{
    session::{Microseconds, Session, column},
    state::Target,
};

/// What the table held for some keys when they were looked up.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The keys that were looked up, but for those that are there.
    missing: HashSet<String>,
    rows: HashMap<String, Stored>,
}

/// What was looked up to recognise records and serves again when the rest of them is written. A batch is
/// written at the latest after the next one was looked up.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<Found>);

impl Found {
    /// Looks keys up; it takes no lock.
    pub(crate) async fn look_up(session: &Session, target: &Target, keys: HashSet<&str>) -> Result<Self> {
        let keys: Vec<&str> = keys.into_iter().collect();
        let rows = stored(session, target, &keys).await?;
        let missing = keys.into_iter().filter(|key| !rows.contains_key(*key)).map(str::to_owned).collect();
        Ok(Self { missing, rows })
    }

    /// The keys of a batch's rows.
    pub(crate) fn keys(batch: &CdmBatch) -> HashSet<&str> {
        (0..batch.len()).map(|row| batch.key(row)).collect()
    }

    /// What is there.
    pub(crate) fn rows(&self) -> &HashMap<String, Stored> {
        &self.rows
    }

    /// What is there of the row that each record becomes, with the record's hash.
    pub(crate) fn of<'f>(
        &'f self,
        records: &'f SourceHashes,
    ) -> impl Iterator<Item = Option<(&'f str, &'f Stored, [u8; 16])>> {
        records.iter().map(|(hash, key)| {
            let (key, stored) = self.rows.get_key_value(key?)?;
            Some((key.as_str(), stored, hash))
        })
    }

    fn covers(&self, batch: &CdmBatch) -> bool {
        (0..batch.len()).map(|row| batch.key(row)).all(|key| self.rows.contains_key(key) || self.missing.contains(key))
    }
}

impl Recent {
    pub(crate) fn keep(&mut self, found: Found) {
        self.0.truncate(1);
        self.0.push_front(found);
    }

    /// What was found for all keys of a batch.
    pub(crate) fn take(&mut self, batch: &CdmBatch) -> Option<Found> {
        let place = self.0.iter().position(|found| found.covers(batch))?;
        self.0.remove(place)
    }
}

async fn stored(session: &Session, target: &Target, keys: &[&str]) -> Result<HashMap<String, Stored>> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = format!(
        "select {key}, {rank}, {version_at}, {observation}, {revision}, {hash}, {source_hash}, \
         {deleted_at} is not null from {table} where {key} = any($1)",
        key = target.key,
        table = target.table,
        rank = plumbing::RANK,
        version_at = plumbing::VERSION_AT,
        observation = plumbing::OBSERVATION,
        revision = plumbing::MAPPER_REVISION,
        hash = plumbing::CONTENT_HASH,
        source_hash = plumbing::SOURCE_HASH,
        deleted_at = plumbing::DELETED_AT,
    );
    let rows = session.query("look rows up", &statement, &[(&keys, Type::TEXT_ARRAY)]).await?;
    let mut stored = HashMap::with_capacity(rows.len());
    for row in &rows {
        let observation: i64 = column(row, 3)?;
        let revision: i32 = column(row, 4)?;
        let hash: &[u8] = column(row, 5)?;
        let source_hash: Option<&[u8]> = column(row, 6)?;
        let version = Version {
            rank: rank(column::<i16>(row, 1)?.into()),
            version_at: column::<Option<Microseconds>>(row, 2)?.map(|Microseconds(time)| time),
            observation: unsigned(observation),
            mapper_revision: u32::try_from(revision).unwrap_or(0),
            // A hash of another length is none of ours: the row is written again.
            content_hash: hash.try_into().unwrap_or_default(),
        };
        let source_hash = source_hash.and_then(|hash| hash.try_into().ok());
        stored.insert(column::<String>(row, 0)?, Stored { version, deleted: column(row, 7)?, source_hash });
    }
    Ok(stored)
}
