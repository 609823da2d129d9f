use std::cmp::Reverse;

use endpoint_api::{Result, batch::Operation};
use relational::{DROPPED, Identifier, Merged, Stored, Verdict, Version, judge, plumbing, row_columns};
use rusqlite::{Connection, Error, params};

use crate::{
    database::{During as _, OWNER},
    guard::{Guard, refusal},
    stage::{Purpose, STAGE},
    stored::{Lookup, version, version_columns},
    target::Target,
};

const OPERATION: &str = "merge rows";

/// The statements that bring staged rows into the table.
pub(crate) struct Merging {
    candidates: String,
    keys: String,
    /// The table, in whose triggers rows may be lost.
    table: Identifier,
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
            keys: format!("select s.{key}, s._cdm_row from {STAGE} s where s._cdm_purpose = ?1 order by s.{key}"),
            table: table.clone(),
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
        let guard = Guard::new(connection, &self.table)?;
        self.merge_rows(&guard, lookup, stamp, &mut outcome)?;
        for purpose in [Purpose::Revive, Purpose::Delete] {
            for (key, rows) in self.keys(connection, purpose)? {
                let stored = lookup.one(connection, &key)?;
                match self.mark(&guard, lookup, &key, purpose, stored.as_ref(), stamp)? {
                    Marked::Refused(reason) => {
                        outcome.refused.extend(rows.into_iter().map(|row| (row, reason.clone())));
                        continue;
                    }
                    Marked::Done => outcome.merged.records.updated += 1,
                    Marked::NotDue => {}
                }
                outcome.merged.records.distinct += 1;
                outcome.keys.push(key);
            }
        }
        connection.execute_batch(&format!("delete from {STAGE}")).during(OPERATION)?;
        Ok(outcome)
    }

    fn merge_rows(&self, guard: &Guard<'_>, lookup: &Lookup, stamp: &Stamp, outcome: &mut Outcome) -> Result<()> {
        let mut statement = guard.connection().prepare_cached(&self.candidates).during(OPERATION)?;
        let mut rows = statement.query([Purpose::Upsert as i64]).during(OPERATION)?;
        let mut of_key: Option<(String, Vec<Candidate>)> = None;
        // Where a row may be rolled back, nothing can be read meanwhile.
        let mut later = Vec::new();
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
                _ => match of_key.replace((key, vec![candidate])) {
                    Some(done) if guard.rolls_rows_back() => later.push(done),
                    Some(done) => self.merge_key(guard, lookup, stamp, done, outcome)?,
                    None => {}
                },
            }
        }
        drop(rows);
        drop(statement);
        later.into_iter().chain(of_key).try_for_each(|done| self.merge_key(guard, lookup, stamp, done, outcome))
    }

    fn merge_key(
        &self,
        guard: &Guard<'_>,
        lookup: &Lookup,
        stamp: &Stamp,
        (key, mut candidates): (String, Vec<Candidate>),
        outcome: &mut Outcome,
    ) -> Result<()> {
        let stored = lookup.one(guard.connection(), &key)?;
        candidates.sort_by_key(|candidate| Reverse(candidate.version));
        for candidate in candidates {
            let rank = candidate.version.rank;
            let verdict = judge(Operation::Upsert, &candidate.version, stored.as_ref());
            match verdict {
                Verdict::Store => match self.store(guard, lookup, &key, &candidate, stored.as_ref(), stamp)? {
                    None if stored.is_some() => outcome.merged.of(rank).updated += 1,
                    None => outcome.merged.of(rank).inserted += 1,
                    Some(reason) => {
                        outcome.refused.push((candidate.row, reason));
                        continue;
                    }
                },
                Verdict::Revive => match self.mark(guard, lookup, &key, Purpose::Revive, stored.as_ref(), stamp)? {
                    Marked::Refused(reason) => {
                        outcome.refused.push((candidate.row, reason));
                        continue;
                    }
                    Marked::Done | Marked::NotDue => outcome.merged.of(rank).updated += 1,
                },
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
        guard: &Guard<'_>,
        lookup: &Lookup,
        key: &str,
        candidate: &Candidate,
        stored: Option<&Stored>,
        stamp: &Stamp,
    ) -> Result<Option<String>> {
        let Version { observation, mapper_revision, .. } = candidate.version;
        let newest = stored.map_or(observation, |stored| stored.version.observation.max(observation));
        let stays_deleted = stored.is_some_and(|stored| !candidate.version.revives(&stored.version));
        let connection = guard.connection();
        let write = || {
            let mut statement = connection.prepare_cached(&self.store).during(OPERATION)?;
            refused(statement.execute(params![
                candidate.stage_id,
                stamp.source,
                relational::state::signed(newest),
                mapper_revision,
                stamp.run_id,
                stamp.now,
                stays_deleted,
            ]))
        };
        let is_kept = || {
            let now = lookup.one(connection, key)?;
            Ok(judge(Operation::Upsert, &candidate.version, now.as_ref()) != Verdict::Store)
        };
        guard.write(write, is_kept)
    }

    /// Marks a record as deleted or live, where it is otherwise.
    fn mark(
        &self,
        guard: &Guard<'_>,
        lookup: &Lookup,
        key: &str,
        purpose: Purpose,
        stored: Option<&Stored>,
        stamp: &Stamp,
    ) -> Result<Marked> {
        let Some(stored) = stored else { return Ok(Marked::NotDue) };
        let seen = stored.version.observation;
        let deletes = purpose == Purpose::Delete;
        let is_due = match deletes {
            true => !stored.deleted && seen <= stamp.observation,
            false => stored.deleted && seen < stamp.observation,
        };
        if !is_due {
            return Ok(Marked::NotDue);
        }
        let deleted_at = deletes.then_some(stamp.now.as_str());
        let newest = relational::state::signed(seen.max(stamp.observation));
        let connection = guard.connection();
        let write = || {
            let mut statement = connection.prepare_cached(&self.mark).during(OPERATION)?;
            refused(statement.execute(params![key, deleted_at, stamp.run_id, stamp.now, newest]))
        };
        let is_kept = || Ok(lookup.one(connection, key)?.map_or(deletes, |now| now.deleted == deletes));
        Ok(guard.write(write, is_kept)?.map_or(Marked::Done, Marked::Refused))
    }

    /// The keys of staged rows in their order, with the rows' places in their batch.
    fn keys(&self, connection: &Connection, purpose: Purpose) -> Result<Vec<(String, Vec<usize>)>> {
        let mut statement = connection.prepare_cached(&self.keys).during(OPERATION)?;
        let staged = statement.query_map([purpose as i64], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)));
        let mut keys: Vec<(String, Vec<usize>)> = Vec::new();
        for row in staged.during(OPERATION)? {
            let (key, place) = row.during(OPERATION)?;
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            match keys.last_mut() {
                Some((known, rows)) if *known == key => rows.push(place),
                _ => keys.push((key, vec![place])),
            }
        }
        Ok(keys)
    }
}

/// What became of a record that was to be marked.
enum Marked {
    /// It is marked.
    Done,
    /// It is so already, or somebody newer knows better.
    NotDue,
    /// The table refuses it.
    Refused(String),
}

/// Why a statement that writes one row did not, if the row is at fault.
fn refused(done: std::result::Result<usize, Error>) -> Result<Option<String>> {
    match done {
        Ok(0) => Ok(Some(DROPPED.to_owned())),
        Ok(_) => Ok(None),
        Err(error) => refusal(&error).map(Some).ok_or_else(|| OWNER.classify(OPERATION, error)),
    }
}

/// Whether anything was ever staged on this connection.
fn has_stage(connection: &Connection) -> Result<bool> {
    let statement = "select exists (select 1 from sqlite_temp_schema where name = '_cdm_stage')";
    connection.query_row(statement, [], |row| row.get(0)).during(OPERATION)
}
