use std::cmp::Reverse;

use endpoint_api::{Result, batch::Operation};
use relational::{Identifier, Merged, Stored, Verdict, Version, judge, plumbing, row_columns};
use rusqlite::{Connection, Error, ErrorCode, ffi, params};

use crate::{
    database::{During as _, OWNER},
    stage::{Purpose, STAGE},
    stored::{Lookup, version, version_columns},
    target::Target,
};

const OPERATION: &str = "merge rows";

/// The statements that bring staged rows into the table.
pub(crate) struct Merging {
    candidates: String,
    keys: String,
    store: String,
    mark: String,
}

/// What a load writes beside what is staged.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub(crate) observation: u64,
    pub(crate) mapper_revision: u32,
    pub(crate) run_id: String,
    pub(crate) source: String,
    /// The time of the writing.
    pub(crate) now: String,
}

/// What merging did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) merged: Merged,
    /// The keys of rows that were looked at and not refused.
    pub(crate) keys: Vec<String>,
    /// Rows of the batch that was staged last which the table refuses, and why.
    pub(crate) refused: Vec<(usize, String)>,
}

/// A staged row of a key.
struct Candidate {
    stage_id: i64,
    row: usize,
    version: Version,
}

impl Merging {
    pub(crate) fn of(target: &Target) -> Self {
        let Target { table, key, .. } = target;
        let names: Vec<String> = row_columns(&target.fields)
            .into_iter()
            .map(|(name, _)| name)
            .chain(
                [plumbing::SOURCE_ENDPOINT, plumbing::OBSERVATION, plumbing::MAPPER_REVISION, plumbing::RUN_ID]
                    .map(str::to_owned),
            )
            .chain([plumbing::INGESTED_AT.to_owned()])
            .map(|name| Identifier::derived(&name).to_string())
            .collect();
        let staged = row_columns(&target.fields);
        let staged: Vec<String> = staged.iter().map(|(name, _)| format!("s.{}", Identifier::derived(name))).collect();
        let replaced: Vec<String> = names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
        Self {
            candidates: format!(
                "select s.{key}, s.rowid, s._cdm_row, {version} from {STAGE} s where s._cdm_purpose = ?1 order by s.{key}",
                version = version_columns("s"),
            ),
            keys: format!("select distinct s.{key} from {STAGE} s where s._cdm_purpose = ?1 order by s.{key}"),
            store: format!(
                "insert into {table} as t ({names}) select {staged}, ?2, ?3, ?4, ?5, ?6 from {STAGE} s where s.rowid = ?1 \
                 on conflict ({key}) do update set {replaced}, \
                 {deleted_at} = case when ?7 then t.{deleted_at} end",
                names = names.join(", "),
                staged = staged.join(", "),
                replaced = replaced.join(", "),
                deleted_at = plumbing::DELETED_AT,
            ),
            mark: format!(
                "update {table} set {deleted_at} = ?2, {run_id} = ?3, {ingested_at} = ?4, {observation} = ?5 where {key} = ?1",
                deleted_at = plumbing::DELETED_AT,
                run_id = plumbing::RUN_ID,
                ingested_at = plumbing::INGESTED_AT,
                observation = plumbing::OBSERVATION,
            ),
        }
    }

    /// Brings what is staged into the table, within a write transaction: of each key the greatest row, or the
    /// greatest of those that the table does not refuse.
    pub(crate) fn merge(&self, connection: &Connection, lookup: &Lookup, stamp: &Stamp) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        if !has_stage(connection)? {
            return Ok(outcome);
        }
        self.merge_rows(connection, lookup, stamp, &mut outcome)?;
        for purpose in [Purpose::Revive, Purpose::Delete] {
            for key in self.keys(connection, purpose)? {
                let stored = lookup.one(connection, &key)?;
                if self.mark(connection, &key, purpose, stored.as_ref(), stamp)? {
                    outcome.merged.records.updated += 1;
                }
                outcome.merged.records.distinct += 1;
                outcome.keys.push(key);
            }
        }
        connection.execute_batch(&format!("delete from {STAGE}")).during(OPERATION)?;
        Ok(outcome)
    }

    fn merge_rows(&self, connection: &Connection, lookup: &Lookup, stamp: &Stamp, outcome: &mut Outcome) -> Result<()> {
        let mut statement = connection.prepare_cached(&self.candidates).during(OPERATION)?;
        let mut rows = statement.query([Purpose::Upsert as i64]).during(OPERATION)?;
        let mut of_key: Option<(String, Vec<Candidate>)> = None;
        while let Some(row) = rows.next().during(OPERATION)? {
            let read = || -> rusqlite::Result<(String, Candidate)> {
                let (version, _) = version(row, 3, stamp.observation, stamp.mapper_revision)?;
                let place: i64 = row.get(2)?;
                let row_index = usize::try_from(place).unwrap_or(usize::MAX);
                Ok((row.get(0)?, Candidate { stage_id: row.get(1)?, row: row_index, version }))
            };
            let (key, candidate) = read().during(OPERATION)?;
            match &mut of_key {
                Some((known, candidates)) if *known == key => candidates.push(candidate),
                _ => {
                    if let Some((done, candidates)) = of_key.replace((key, vec![candidate])) {
                        self.merge_key(connection, lookup, stamp, done, candidates, outcome)?;
                    }
                }
            }
        }
        if let Some((key, candidates)) = of_key {
            self.merge_key(connection, lookup, stamp, key, candidates, outcome)?;
        }
        Ok(())
    }

    fn merge_key(
        &self,
        connection: &Connection,
        lookup: &Lookup,
        stamp: &Stamp,
        key: String,
        mut candidates: Vec<Candidate>,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let stored = lookup.one(connection, &key)?;
        candidates.sort_by_key(|candidate| Reverse(candidate.version));
        for candidate in candidates {
            let rank = candidate.version.rank;
            let verdict = judge(Operation::Upsert, &candidate.version, stored.as_ref());
            match verdict {
                Verdict::Store => match self.store(connection, &candidate, stored.as_ref(), stamp)? {
                    None if stored.is_some() => outcome.merged.of(rank).updated += 1,
                    None => outcome.merged.of(rank).inserted += 1,
                    Some(reason) => {
                        outcome.refused.push((candidate.row, reason));
                        continue;
                    }
                },
                Verdict::Revive => {
                    self.mark(connection, &key, Purpose::Revive, stored.as_ref(), stamp)?;
                    outcome.merged.of(rank).updated += 1;
                }
                Verdict::Unchanged => outcome.merged.of(rank).unchanged += 1,
                Verdict::Stale | Verdict::Delete => {}
            }
            outcome.merged.of(rank).distinct += 1;
            outcome.keys.push(key);
            return Ok(());
        }
        Ok(())
    }

    /// Stores a row; says why the table refuses it, if it does.
    fn store(
        &self,
        connection: &Connection,
        candidate: &Candidate,
        stored: Option<&Stored>,
        stamp: &Stamp,
    ) -> Result<Option<String>> {
        let Version { observation, mapper_revision, .. } = candidate.version;
        let newest = stored.map_or(observation, |stored| stored.version.observation.max(observation));
        let stays_deleted = stored.is_some_and(|stored| !candidate.version.revives(&stored.version));
        let mut statement = connection.prepare_cached(&self.store).during(OPERATION)?;
        let done = statement.execute(params![
            candidate.stage_id,
            stamp.source,
            relational::state::signed(newest),
            mapper_revision,
            stamp.run_id,
            stamp.now,
            stays_deleted,
        ]);
        match done {
            Ok(_) => Ok(None),
            Err(error) => refusal(&error).map(Some).ok_or_else(|| OWNER.classify(OPERATION, error)),
        }
    }

    /// Marks a record as deleted or live; says whether it was otherwise.
    fn mark(
        &self,
        connection: &Connection,
        key: &str,
        purpose: Purpose,
        stored: Option<&Stored>,
        stamp: &Stamp,
    ) -> Result<bool> {
        let Some(stored) = stored else { return Ok(false) };
        let seen = stored.version.observation;
        let is_due = match purpose {
            Purpose::Delete => !stored.deleted && seen <= stamp.observation,
            _ => stored.deleted && seen < stamp.observation,
        };
        if is_due {
            let deleted_at = (purpose == Purpose::Delete).then_some(stamp.now.as_str());
            let newest = relational::state::signed(seen.max(stamp.observation));
            let mut statement = connection.prepare_cached(&self.mark).during(OPERATION)?;
            statement.execute(params![key, deleted_at, stamp.run_id, stamp.now, newest]).during(OPERATION)?;
        }
        Ok(is_due)
    }

    fn keys(&self, connection: &Connection, purpose: Purpose) -> Result<Vec<String>> {
        let mut statement = connection.prepare_cached(&self.keys).during(OPERATION)?;
        let keys = statement.query_map([purpose as i64], |row| row.get(0)).during(OPERATION)?;
        keys.collect::<rusqlite::Result<_>>().during(OPERATION)
    }
}

/// Whether anything was ever staged on this connection.
fn has_stage(connection: &Connection) -> Result<bool> {
    let statement = "select exists (select 1 from sqlite_temp_schema where name = '_cdm_stage')";
    connection.query_row(statement, [], |row| row.get(0)).during(OPERATION)
}

/// Why a table refuses a row, without a value of it; `None` for any other failure. A trigger's own words may
/// show one.
fn refusal(error: &Error) -> Option<String> {
    let Error::SqliteFailure(failure, message) = error else { return None };
    let what = match failure.code {
        ErrorCode::TooBig => "the row is larger than SQLite takes",
        ErrorCode::ConstraintViolation => match failure.extended_code {
            ffi::SQLITE_CONSTRAINT_TRIGGER => "a trigger of the table refuses the row",
            ffi::SQLITE_CONSTRAINT_CHECK => "the row breaks a rule of the table",
            _ => return Some(message.clone().unwrap_or_else(|| "the row breaks a rule of the table".to_owned())),
        },
        _ => return None,
    };
    Some(what.to_owned())
}
