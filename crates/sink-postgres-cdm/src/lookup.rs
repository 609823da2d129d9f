use std::collections::{HashMap, HashSet};

use endpoint_api::{
    CdmBatch, Error, ErrorKind, Result,
    batch::{Rank, SourceHashes},
};
use relational::{
    Recorded, Stored, Version, plumbing,
    state::{signed, unsigned},
};
use tokio_postgres::types::Type;

use crate::{
    session::{Microseconds, Session, column},
    state::Target,
};

/// What the table holds for the keys of a batch's rows. It takes no lock.
pub(crate) async fn stored(session: &Session, target: &Target, batch: &CdmBatch) -> Result<HashMap<String, Stored>> {
    let keys: HashSet<&str> = (0..batch.len()).map(|row| batch.key(row)).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<&str> = keys.into_iter().collect();
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
            rank: Rank::of_number(column::<i16>(row, 1)?.into()),
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

/// What the table holds of the row that each record becomes, as an observation sees it. The server compares the
/// hashes itself and answers with one character a record: for what is stored already, which may be all there is,
/// nothing else is to be known. It takes no lock.
pub(crate) async fn recorded(
    session: &Session,
    target: &Target,
    records: &SourceHashes,
    observation: u64,
) -> Result<Vec<Recorded>> {
    let operation = "look records up";
    let statement = format!(
        "select string_agg(case when t.{key} is null then 'm' \
         when t.{source_hash} is distinct from k.hash or t.{deleted_at} is not null then 'o' \
         when t.{rank} = 0 then 'p' when t.{observation} < $3 then 'b' else 'e' end, '' order by k.place) \
         from unnest($1, $2) with ordinality as k (key, hash, place) \
         left join {table} t on t.{key} = k.key",
        key = target.key,
        table = target.table,
        rank = plumbing::RANK,
        observation = plumbing::OBSERVATION,
        source_hash = plumbing::SOURCE_HASH,
        deleted_at = plumbing::DELETED_AT,
    );
    let (hashes, keys): (Vec<[u8; 16]>, Vec<Option<&str>>) = records.iter().unzip();
    let hashes: Vec<&[u8]> = hashes.iter().map(<[u8; 16]>::as_slice).collect();
    let observation = signed(observation);
    let parameters =
        [(&keys as _, Type::TEXT_ARRAY), (&hashes as _, Type::BYTEA_ARRAY), (&observation as _, Type::INT8)];
    let row = session.query_one(operation, &statement, &parameters).await?;
    let answer: &str = column(&row, 0)?;
    let strange = || Error::new(ErrorKind::Internal, operation, "the server answered for other records");
    let recorded: Vec<Recorded> = answer
        .bytes()
        .map(|found| match found {
            b'm' => Ok(Recorded::Missing),
            b'o' => Ok(Recorded::Otherwise),
            b'e' => Ok(Recorded::Exactly),
            b'p' => Ok(Recorded::ExactlyMention),
            b'b' => Ok(Recorded::ExactlyBefore),
            _ => Err(strange()),
        })
        .collect::<Result<_>>()?;
    if recorded.len() == records.len() { Ok(recorded) } else { Err(strange()) }
}
