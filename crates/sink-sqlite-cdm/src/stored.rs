use std::collections::{HashMap, HashSet};

use endpoint_api::{Result, batch::Rank};
use relational::{
    Stored, Version, plumbing,
    state::{from_json, to_json, unsigned},
};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::{
    cells::time,
    database::{During as _, OWNER},
    target::Target,
};

const OPERATION: &str = "look rows up";

/// The columns of which a [`Version`] is made, in the order in which [`version`] reads them.
pub(crate) fn version_columns(row: &str) -> String {
    let columns = [plumbing::RANK, plumbing::VERSION_AT, plumbing::CONTENT_HASH, plumbing::SOURCE_HASH];
    columns.map(|column| format!("{row}.{column}")).join(", ")
}

/// Reads [`version_columns`] from the column at `first`.
pub(crate) fn version(
    row: &Row<'_>,
    first: usize,
    observation: u64,
    mapper_revision: u32,
) -> rusqlite::Result<(Version, Option<[u8; 16]>)> {
    let version_at: Option<String> = row.get(first + 1)?;
    let hash = |index: usize| -> rusqlite::Result<Option<[u8; 16]>> {
        let hash: Option<Vec<u8>> = row.get(index)?;
        Ok(hash.and_then(|hash| hash.try_into().ok()))
    };
    let version = Version {
        rank: Rank::of_number(row.get(first)?),
        version_at: version_at.as_deref().and_then(time),
        observation,
        mapper_revision,
        // A hash of another length is none of ours: the row is written again.
        content_hash: hash(first + 2)?.unwrap_or_default(),
    };
    Ok((version, hash(first + 3)?))
}

/// Finds what is stored.
pub(crate) struct Lookup {
    many: String,
    one: String,
}

impl Lookup {
    pub(crate) fn of(target: &Target) -> Self {
        let columns = format!(
            "t.{key}, t.{observation}, t.{revision}, t.{deleted} is not null, {version}",
            key = target.key,
            observation = plumbing::OBSERVATION,
            revision = plumbing::MAPPER_REVISION,
            deleted = plumbing::DELETED_AT,
            version = version_columns("t"),
        );
        let Target { table, key, .. } = target;
        Self {
            many: format!("select {columns} from {table} t where t.{key} in (select value from json_each(?1))"),
            one: format!("select {columns} from {table} t where t.{key} = ?1"),
        }
    }

    /// What is stored for these keys.
    pub(crate) fn many(&self, connection: &Connection, keys: &HashSet<String>) -> Result<HashMap<String, Stored>> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let mut statement = connection.prepare_cached(&self.many).during(OPERATION)?;
        let rows = statement.query_map([to_json(keys)?], read).during(OPERATION)?;
        rows.map(|row| row.map_err(|error| OWNER.classify(OPERATION, error))).collect()
    }

    /// What is stored for a key.
    pub(crate) fn one(&self, connection: &Connection, key: &str) -> Result<Option<Stored>> {
        let mut statement = connection.prepare_cached(&self.one).during(OPERATION)?;
        let row = statement.query_row([key], read).optional().during(OPERATION)?;
        Ok(row.map(|(_, stored)| stored))
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<(String, Stored)> {
    let revision: i64 = row.get(2)?;
    let (version, source_hash) = version(row, 4, unsigned(row.get(1)?), u32::try_from(revision).unwrap_or(0))?;
    Ok((row.get(0)?, Stored { version, deleted: row.get(3)?, source_hash }))
}

/// JSON of a column.
pub(crate) fn json<T: serde::de::DeserializeOwned>(what: &str, text: Option<String>) -> Result<Option<T>> {
    from_json(what, text.as_deref())
}
