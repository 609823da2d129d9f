//! How rejects are stored: those of a slice at its commit, those of a replay at once.

use std::collections::HashMap;

use endpoint_api::{Reject, Result};
use relational::{
    state::{kept, signed, without_nul},
    support,
};
use tokio_postgres::types::Type;

use crate::{
    loading::Loading,
    rejects::{ids, keeps_records},
    session::{Parameter, Session, column},
};

const OPERATION: &str = "store rejects";

/// The bytes of rejects above which they are put into a temporary table.
const HELD_BYTES: usize = 4 * 1024 * 1024;

/// The columns of a reject, of which the last two may be missing in the table of rejects.
const COLUMNS: &str =
    "id, stage, reason, field, origin, key, raw, raw_length, raw_hash, parent_id, parent_key, rank, aliases, row_key";

/// The arrays of [`Arrays`].
const ARRAYS: &str = "unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

/// The parameters of a [`Stamp`], alone and behind [`ARRAYS`].
const STAMP: &str = "$1, $2, $3";
const STAMP_BEHIND_ARRAYS: &str = "$15, $16, $17";

const CREATE: &str = "create temporary table _cdm_stage_reject (id text, stage text, reason text, field text, \
     origin text, key text, raw bytea, raw_length int8, raw_hash text, parent_id text, parent_key text, rank int2, \
     aliases text, row_key text) on commit drop";

/// What is staged, the last one of each id.
const STAGED: &str = "(select distinct on (id) * from _cdm_stage_reject order by id, ctid desc)";

/// The rejects of a slice until its commit. The table of rejects is only written then, behind the lock of the ingestion,
/// so that no other load waits for a program that is frozen. What is too much to be held waits in a temporary table.
#[derive(Default)]
pub(crate) struct WaitingRejects {
    held: Vec<Reject>,
    bytes: usize,
    is_staged: bool,
}

impl WaitingRejects {
    /// Takes rejects. No savepoint may be rolled back to that is older.
    pub(crate) async fn take(&mut self, session: &Session, loading: &Loading<'_>, rejects: Vec<Reject>) -> Result<()> {
        self.bytes += rejects.iter().map(Reject::bytes).sum::<usize>();
        self.held.extend(rejects);
        if self.bytes > HELD_BYTES { self.stage(session, loading).await } else { Ok(()) }
    }

    async fn stage(&mut self, session: &Session, loading: &Loading<'_>) -> Result<()> {
        if !self.is_staged {
            session.batch(OPERATION, CREATE).await?;
            self.is_staged = true;
        }
        let (rejects, bytes) = (std::mem::take(&mut self.held), std::mem::take(&mut self.bytes));
        tracing::debug!(rejects = rejects.len(), bytes, "rejects wait in a temporary table");
        let ids = ids(session, &loading.tables, &loading.ingestion, &rejects).await?;
        let statement = format!("insert into _cdm_stage_reject select r.* from {ARRAYS} as r");
        session.execute(OPERATION, &statement, &Arrays::of(&rejects, &ids).parameters()).await.map(drop)
    }

    /// Stores all of them.
    pub(crate) async fn store(&mut self, session: &Session, loading: &Loading<'_>, observation: u64) -> Result<()> {
        if !self.is_staged {
            let rejects = std::mem::take(&mut self.held);
            return store(session, loading, observation, &rejects).await.map(drop);
        }
        self.stage(session, loading).await?;
        let stamp = Stamp::of(loading, observation);
        let statement = upsert(session, loading, STAGED, STAMP).await?;
        let written = session.execute(OPERATION, &statement, &stamp.parameters()).await?;
        let statement = format!(
            "select count(*), count(*) filter (where exists (select from {} t where t.id = s.id)) from {STAGED} s",
            loading.tables.reject
        );
        let row = session.query_one(OPERATION, &statement, &[]).await?;
        let (all, there): (i64, i64) = (column(&row, 0)?, column(&row, 1)?);
        tracing::debug!(all, written, "staged rejects were stored");
        kept(all == there, OPERATION, support::REJECT)
    }
}

/// Stores rejects. One that is there already is only touched when it now says something else or is of another run.
/// Returns the ids under which they are kept.
pub(crate) async fn store(
    session: &Session,
    loading: &Loading<'_>,
    observation: u64,
    rejects: &[Reject],
) -> Result<Vec<String>> {
    if rejects.is_empty() {
        return Ok(Vec::new());
    }
    let ids = ids(session, &loading.tables, &loading.ingestion, rejects).await?;
    let arrays = Arrays::of(rejects, &ids);
    let stamp = Stamp::of(loading, observation);
    let statement = upsert(session, loading, ARRAYS, STAMP_BEHIND_ARRAYS).await?;
    let parameters = [arrays.parameters().as_slice(), &stamp.parameters()].concat();
    let written = session.execute(OPERATION, &statement, &parameters).await?;
    if usize::try_from(written).is_ok_and(|written| written == arrays.ids.len()) {
        return Ok(ids);
    }
    // Those that were there and say the same were not written.
    let statement = format!("select count(*) from {} where id = any($1)", loading.tables.reject);
    let there = session.query_one(OPERATION, &statement, &[(&arrays.ids, Type::TEXT_ARRAY)]).await?;
    let there: i64 = column(&there, 0)?;
    kept(usize::try_from(there).is_ok_and(|there| there == arrays.ids.len()), OPERATION, support::REJECT)?;
    Ok(ids)
}

/// The statement that stores the rejects of `source`, which has [`COLUMNS`]; `stamp` are the parameters of a [`Stamp`].
async fn upsert(session: &Session, loading: &Loading<'_>, source: &str, stamp: &str) -> Result<String> {
    let table = &loading.tables.reject;
    let (columns, replaced) = match keeps_records(session, table).await? {
        true => (COLUMNS, ", aliases = excluded.aliases, row_key = excluded.row_key"),
        false => (COLUMNS.trim_end_matches(", aliases, row_key"), ""),
    };
    Ok(format!(
        "insert into {table} as t ({columns}, ingestion, run_id, observation, rejected_at) \
         select {columns}, {stamp}, now() from {source} as r ({COLUMNS}) \
         on conflict (id) do update set stage = excluded.stage, reason = excluded.reason, field = excluded.field, \
         key = excluded.key, run_id = excluded.run_id, observation = excluded.observation, origin = excluded.origin, \
         parent_id = excluded.parent_id, parent_key = excluded.parent_key, rank = excluded.rank{replaced} \
         where (t.stage, t.reason, t.field, t.key, t.origin, t.run_id) is distinct from \
         (excluded.stage, excluded.reason, excluded.field, excluded.key, excluded.origin, excluded.run_id)"
    ))
}

/// What all rejects of a load have in common.
struct Stamp<'l> {
    ingestion: String,
    run_id: &'l str,
    observation: i64,
}

impl<'l> Stamp<'l> {
    fn of(loading: &'l Loading<'_>, observation: u64) -> Self {
        Self { ingestion: loading.ingestion.to_string(), run_id: loading.run_id(), observation: signed(observation) }
    }

    fn parameters(&self) -> [Parameter<'_>; 3] {
        [(&self.ingestion, Type::TEXT), (&self.run_id, Type::TEXT), (&self.observation, Type::INT8)]
    }
}

/// Rejects as one array for each column. The same reject twice is one.
struct Arrays<'r> {
    ids: Vec<&'r str>,
    stages: Vec<String>,
    reasons: Vec<Option<String>>,
    fields: Vec<Option<String>>,
    origins: Vec<Option<String>>,
    keys: Vec<Option<String>>,
    raws: Vec<&'r [u8]>,
    lengths: Vec<i64>,
    hashes: Vec<&'r str>,
    parent_ids: Vec<Option<String>>,
    parent_keys: Vec<Option<String>>,
    ranks: Vec<i16>,
    aliases: Vec<Option<String>>,
    row_keys: Vec<Option<String>>,
}

impl<'r> Arrays<'r> {
    fn of(rejects: &'r [Reject], ids: &'r [String]) -> Self {
        let distinct: HashMap<&str, &Reject> = ids.iter().map(String::as_str).zip(rejects).collect();
        let (ids, rejects): (Vec<&str>, Vec<&Reject>) = distinct.into_iter().unzip();
        let texts = |of: fn(&Reject) -> Option<&str>| -> Vec<Option<String>> {
            rejects.iter().map(|reject| of(reject).map(without_nul)).collect()
        };
        Self {
            stages: rejects.iter().map(|reject| reject.stage.to_string()).collect(),
            reasons: texts(|reject| Some(&reject.reason)),
            fields: texts(|reject| reject.field.as_deref()),
            origins: texts(|reject| Some(&reject.origin)),
            keys: texts(|reject| reject.key.as_deref()),
            raws: rejects.iter().map(|reject| reject.raw.as_slice()).collect(),
            lengths: rejects.iter().map(|reject| signed(reject.raw_length)).collect(),
            hashes: rejects.iter().map(|reject| reject.raw_hash.as_str()).collect(),
            parent_ids: texts(|reject| reject.envelope.parent_id.as_deref()),
            parent_keys: texts(|reject| reject.envelope.parent_key.as_deref()),
            ranks: rejects.iter().map(|reject| reject.envelope.rank.number()).collect(),
            aliases: texts(|reject| reject.envelope.aliases.as_deref()),
            row_keys: texts(|reject| reject.envelope.row_key.as_deref()),
            ids,
        }
    }

    /// The parameters of [`ARRAYS`].
    fn parameters(&self) -> [Parameter<'_>; 14] {
        [
            (&self.ids as _, Type::TEXT_ARRAY),
            (&self.stages as _, Type::TEXT_ARRAY),
            (&self.reasons as _, Type::TEXT_ARRAY),
            (&self.fields as _, Type::TEXT_ARRAY),
            (&self.origins as _, Type::TEXT_ARRAY),
            (&self.keys as _, Type::TEXT_ARRAY),
            (&self.raws as _, Type::BYTEA_ARRAY),
            (&self.lengths as _, Type::INT8_ARRAY),
            (&self.hashes as _, Type::TEXT_ARRAY),
            (&self.parent_ids as _, Type::TEXT_ARRAY),
            (&self.parent_keys as _, Type::TEXT_ARRAY),
            (&self.ranks as _, Type::INT2_ARRAY),
            (&self.aliases as _, Type::TEXT_ARRAY),
            (&self.row_keys as _, Type::TEXT_ARRAY),
        ]
    }
}
