use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use endpoint_api::{
    CdmBatch, Error, ErrorKind, Reject, Rejection, Result,
    batch::{Operation, Rank, SourceHashes},
};
use futures::SinkExt as _;
use postgres_client::ServerError;
use relational::{
    BatchColumn, Contended, DROPPED, Recorded, Stored, Verdict, batch_columns, row_columns, state::signed,
};

use crate::{
    copy::{Encoder, cell, int2, timestamp},
    load::PgLoad,
    lookup,
    merge::{AGAIN, DELETE, LOAD_PLUMBING, REVIVE, UPSERT},
    sqlstate::classify,
};

/// A row of a batch and what it is for.
type Purposed = (usize, i16);

/// How rows get where they belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Straight into the table.
    ///
    /// That is safe where the table holds no row of these keys, each of them comes once, and nothing but
    /// the table's own constraints has a say in what is inserted: the unique index of the key refuses what
    /// another load has inserted since the keys were looked up, and then these rows are staged. What is
    /// copied is there or not with all the rest of the transaction.
    Straight,
    /// Into the stage, which is merged before the commit.
    Stage,
    /// Into the stage, and that is merged at once.
    Merge,
}

/// What became of rows that were tried to be placed.
enum Tried {
    /// They are.
    Placed,
    /// The table has dropped rows without an error, of these keys where they are known.
    Dropped(HashSet<String>),
}

/// Why rows were not placed.
enum Refusal {
    Server(Error),
    Dropped(HashSet<String>),
}

impl Refusal {
    /// Whether rows that went straight into the table are to be staged: another load has inserted one of their keys, or
    /// a trigger has dropped some.
    fn is_of_the_way(&self) -> bool {
        match self {
            Self::Server(error) => ServerError::of(error).is_some_and(|error| error.code() == UNIQUE_VIOLATION),
            Self::Dropped(_) => true,
        }
    }
}

/// The keys of which a load has seen rows to store, by hashes that nobody can predict.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    hasher: RandomState,
    /// With whether the row is in the table already.
    seen: HashMap<u64, bool>,
}

impl Keys {
    /// Whether a batch has only keys of which nothing is known yet, each of them once.
    fn are_new(&self, batch: &CdmBatch) -> bool {
        let mut keys: Vec<u64> = (0..batch.len()).map(|row| self.hasher.hash_one(batch.key(row))).collect();
        keys.sort_unstable();
        keys.is_sorted_by(|a, b| a < b) && keys.iter().all(|key| !self.seen.contains_key(key))
    }

    /// Notes a key; says what was known of it.
    fn note(&mut self, key: &str) -> Option<bool> {
        let key = self.hasher.hash_one(key);
        let known = self.seen.get(&key).copied();
        self.seen.entry(key).or_insert(false);
        known
    }

    fn place(&mut self, key: &str) {
        self.seen.insert(self.hasher.hash_one(key), true);
    }
}

impl PgLoad<'_> {
    /// Takes the rows of a batch as far as they say something new.
    pub(crate) async fn write_rows(&mut self, batch: &CdmBatch) -> Result<()> {
        if batch.model().id != self.loading.target.model.id {
            return Err(Error::unsupported("load", "a batch of another model than the run's"));
        }
        self.mapper_revision = batch.mapper_revision();
        if self.writes_new_rows(batch).await? {
            return Ok(());
        }
        let stored = lookup::stored(&self.session, &self.loading.target, batch).await?;
        self.loading.found(stored.len());
        let (fresh, mut staged) = self.judge_rows(batch, &stored)?;
        if !fresh.is_empty() {
            let refused = self.place(batch, fresh, Way::Straight).await?;
            staged.extend(refused);
        }
        if !staged.is_empty() {
            if !self.has_stage {
                self.session.batch("make the stage", &self.loading.statements.create_stage).await?;
                self.has_stage = true;
            }
            let way = if self.is_careful() { Way::Merge } else { Way::Stage };
            self.place(batch, staged, way).await?;
        }
        Ok(())
    }

    /// Which records were stored exactly so before, so that nothing is to be done for them.
    pub(crate) async fn recognize_records(&mut self, records: &SourceHashes) -> Result<Vec<bool>> {
        // A careful load must see each row in its turn.
        let tells_keys = records.iter().any(|(_, key)| key.is_some());
        if self.is_careful() || self.loading.expects_new_rows() || !tells_keys {
            return Ok(vec![false; records.len()]);
        }
        let recorded = lookup::recorded(&self.session, &self.loading.target, records, self.observation).await?;
        self.loading.found(recorded.iter().filter(|found| **found != Recorded::Missing).count());
        let found = records.iter().zip(recorded.iter().copied()).map(|((_, key), recorded)| Some((key?, recorded)));
        let recognized = self.judge.recognize_found(found).map_err(|contended| self.repeat_contended(contended))?;
        for (_, recorded) in recognized.iter().zip(recorded).filter(|(is_known, _)| **is_known) {
            let rank = if recorded == Recorded::ExactlyMention { Rank::Part } else { Rank::Whole };
            self.tally.judge(Verdict::Unchanged, rank);
        }
        Ok(recognized)
    }

    fn repeat_contended(&self, _: Contended) -> Error {
        let message = "two slices that are loaded at once have different records of one key";
        self.repeat_alone(Error::new(ErrorKind::Conflict, "load", message))
    }

    /// Where the last batch had no key that was there already, this one will not have one either: all of it
    /// goes straight into the table, and is looked up only when the server refuses that. Says whether it did.
    async fn writes_new_rows(&mut self, batch: &CdmBatch) -> Result<bool> {
        let is_upsert = |row| batch.operation(row) == Operation::Upsert;
        if !self.loading.expects_new_rows()
            || self.is_careful()
            || !(0..batch.len()).all(is_upsert)
            || !self.keys.are_new(batch)
        {
            return Ok(false);
        }
        let rows: Vec<Purposed> = (0..batch.len()).map(|row| (row, UPSERT)).collect();
        match self.attempt(batch, &rows, Way::Straight).await {
            Ok(Tried::Placed) => {
                self.tally.insert(number(rows.len()));
                return Ok(true);
            }
            Ok(Tried::Dropped(_)) => {}
            Err(error) if error.kind() == ErrorKind::Data => {}
            Err(error) => return Err(error),
        }
        self.session.batch("take rows back", ROLL_BACK).await?;
        Ok(false)
    }

    /// The rows that go straight into the table, and those that are staged.
    fn judge_rows(
        &mut self,
        batch: &CdmBatch,
        stored: &HashMap<String, Stored>,
    ) -> Result<(Vec<Purposed>, Vec<Purposed>)> {
        let verdicts = self.judge.verdicts(batch, stored).map_err(|contended| self.repeat_contended(contended))?;
        let mut is_straight = self.loading.goes_straight() && !self.is_careful();
        let (mut fresh, mut staged) = (Vec::new(), Vec::new());
        for (row, verdict) in verdicts.into_iter().enumerate() {
            if !self.tally.judge(verdict, batch.rank(row)) {
                continue;
            }
            let key = batch.key(row);
            match verdict {
                Verdict::Revive => staged.push((row, REVIVE)),
                Verdict::Delete => staged.push((row, DELETE)),
                _ => match self.keys.note(key) {
                    None if stored.contains_key(key) => staged.push((row, UPSERT)),
                    None => fresh.push((row, UPSERT)),
                    // Where sets of rows are merged one by one, the first of a key comes before this one.
                    Some(is_placed) if is_placed || self.is_careful() => {
                        self.tally.repeat_staged(batch.rank(row));
                        staged.push((row, AGAIN));
                    }
                    Some(_) => {
                        is_straight = false;
                        staged.push((row, UPSERT));
                    }
                },
            }
        }
        if !is_straight {
            staged.append(&mut fresh);
            staged.sort_unstable();
        }
        Ok((fresh, staged))
    }

    /// Places rows, and rejects those that the server refuses or drops: what is refused is halved until the rows are
    /// found, with at most 2k (log₂ n + 1) attempts for k of n rows. Answers with the rows of which another
    /// load has inserted the keys.
    async fn place(&mut self, batch: &CdmBatch, rows: Vec<Purposed>, way: Way) -> Result<Vec<Purposed>> {
        let (mut open, mut contested, mut rejected) = (vec![rows], Vec::new(), Vec::new());
        while let Some(mut rows) = open.pop() {
            let refusal = match self.attempt(batch, &rows, way).await {
                Ok(Tried::Placed) => {
                    if way == Way::Straight {
                        rows.iter().for_each(|(row, _)| self.tally.insert_staged(batch.rank(*row)));
                    }
                    continue;
                }
                Ok(Tried::Dropped(keys)) => Refusal::Dropped(keys),
                Err(error) if error.kind() == ErrorKind::Data => Refusal::Server(error),
                Err(error) => {
                    if ServerError::of(&error).is_some_and(|error| error.code() == DEADLOCK) {
                        self.loading.meets_others();
                    }
                    return Err(error);
                }
            };
            self.session.batch("take rows back", ROLL_BACK).await?;
            if way == Way::Straight && refusal.is_of_the_way() {
                self.loading.meets_others();
                contested.extend(rows);
            } else if let [row] = *rows.as_slice() {
                rejected.extend(self.reject(batch, row, &refusal));
            } else if let Refusal::Dropped(keys) = &refusal
                && rows.iter().any(|(row, _)| keys.contains(batch.key(*row)))
            {
                let (dropped, rest): (Vec<Purposed>, Vec<Purposed>) =
                    rows.into_iter().partition(|(row, _)| keys.contains(batch.key(*row)));
                let mut rows_of_key: HashMap<&str, usize> = HashMap::new();
                dropped.iter().for_each(|(row, _)| *rows_of_key.entry(batch.key(*row)).or_default() += 1);
                // The last one is tried first.
                for row in dropped.into_iter().rev() {
                    match rows_of_key.get(batch.key(row.0)) {
                        // Another row of the key may be kept.
                        Some(2..) => open.push(vec![row]),
                        _ => rejected.extend(self.reject(batch, row, &refusal)),
                    }
                }
                open.extend(Some(rest).filter(|rest| !rest.is_empty()));
            } else {
                let rest = rows.split_off(rows.len() / 2);
                open.extend([rest, rows]);
            }
        }
        if !contested.is_empty() {
            self.judge.contest();
        }
        if !rejected.is_empty() {
            self.take_rejects(rejected).await?;
        }
        Ok(contested)
    }

    /// Counts a row as rejected.
    fn reject(&mut self, batch: &CdmBatch, (row, purpose): Purposed, refusal: &Refusal) -> Option<Reject> {
        match purpose {
            AGAIN => self.tally.reject_repeated(batch.rank(row)),
            UPSERT => self.tally.reject_staged(batch.rank(row)),
            _ => self.tally.reject_staged(Rank::Whole),
        }
        batch.reject(row, rejection(refusal))
    }

    /// Tries to place rows; unless all are placed, the transaction is to be rolled back to its savepoint.
    async fn attempt(&mut self, batch: &CdmBatch, rows: &[Purposed], way: Way) -> Result<Tried> {
        if way != Way::Straight {
            let encoder = Encoder::new(self.columns(batch)?, 1)?;
            let purposed: Vec<([u8; 6], usize)> = rows.iter().map(|(row, purpose)| (int2(*purpose), *row)).collect();
            let encoded = purposed.iter().map(|(purpose, row)| (purpose.as_slice(), *row, &[][..]));
            self.copy(&Arc::clone(&self.loading).statements.copy, encoder, encoded).await?;
            if way == Way::Merge {
                let dropped = self.merge().await?;
                if !dropped.is_empty() {
                    return Ok(Tried::Dropped(dropped));
                }
                self.session.batch("clear the stage", &self.loading.statements.clear_stage).await?;
                rows.iter().for_each(|(row, _)| self.keys.place(batch.key(*row)));
            }
            return Ok(Tried::Placed);
        }
        // In the order of their keys, so that loads of the same keys wait for each other and never in a circle.
        let mut rows = rows.to_vec();
        rows.sort_unstable_by_key(|(row, _)| batch.key(*row));
        let same_for_all = self.load_plumbing()?;
        let encoder = Encoder::new(self.columns(batch)?, LOAD_PLUMBING.len())?;
        let encoded = rows.iter().map(|(row, _)| (&[][..], *row, same_for_all.as_slice()));
        let copied = self.copy(&Arc::clone(&self.loading).statements.copy_straight, encoder, encoded).await?;
        if copied != number(rows.len()) {
            // A trigger that was made since the run was opened: from now on it is looked for.
            self.loading.meets_triggers();
            return Ok(Tried::Dropped(HashSet::new()));
        }
        rows.iter().for_each(|(row, _)| self.keys.place(batch.key(*row)));
        Ok(Tried::Placed)
    }

    /// Copies rows within a new savepoint; says how many there were.
    async fn copy<'c>(
        &mut self,
        statement: &str,
        mut encoder: Encoder<'_>,
        mut rows: impl Iterator<Item = (&'c [u8], usize, &'c [u8])>,
    ) -> Result<u64> {
        let savepoint = match self.has_savepoint {
            true => "release savepoint _cdm_rows; savepoint _cdm_rows",
            false => "savepoint _cdm_rows",
        };
        self.has_savepoint = true;
        let refused = |error: tokio_postgres::Error| classify("copy rows", &error);
        let client = self.session.client();
        // Both are on their way before the first is answered.
        let (begun, copying) = futures::join!(client.batch_execute(savepoint), client.copy_in(statement));
        // The second fails with the first, and does not say why.
        begun.map_err(refused)?;
        let mut sink = std::pin::pin!(copying.map_err(refused)?);
        while let Some(piece) = encoder.piece(&mut rows)? {
            sink.feed(piece).await.map_err(refused)?;
        }
        sink.finish().await.map_err(refused)
    }

    /// The cells that are the same for all rows which go straight into the table, in the order of
    /// [`LOAD_PLUMBING`].
    fn load_plumbing(&self) -> Result<Vec<u8>> {
        let cells = [
            cell(&signed(self.observation).to_be_bytes())?,
            cell(&i32::try_from(self.mapper_revision).unwrap_or(i32::MAX).to_be_bytes())?,
            cell(self.loading.run_id().as_bytes())?,
            cell(self.loading.ingestion.source.as_str().as_bytes())?,
            cell(&timestamp(self.began_at))?,
        ];
        Ok(cells.concat())
    }

    /// The columns of a batch as the table has them.
    fn columns<'b>(&self, batch: &'b CdmBatch) -> Result<Vec<BatchColumn<'b>>> {
        batch_columns(batch, &row_columns(&self.loading.target.fields))
    }
}

const ROLL_BACK: &str = "rollback to savepoint _cdm_rows";
const DEADLOCK: &str = "40P01";
const UNIQUE_VIOLATION: &str = "23505";

fn number(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// Why a row is not stored; without its values.
fn rejection(refusal: &Refusal) -> Rejection {
    let Refusal::Server(refusal) = refusal else { return Rejection::new(DROPPED) };
    let context = |wanted: &str| refusal.context().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    let mut reason = match ServerError::of(refusal) {
        Some(error) => format!("the server refuses the row: {error}"),
        None => "the server refuses the row".to_owned(),
    };
    if let Some(constraint) = context("constraint") {
        reason.push_str(&format!("; constraint `{constraint}`"));
    }
    let rejection = Rejection::new(reason);
    match context("column") {
        Some(column) => rejection.field(column),
        None => rejection,
    }
}
