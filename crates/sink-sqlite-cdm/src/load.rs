use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use endpoint_api::{
    Batch, Begun, CdmBatch, Commit, Error, ErrorKind, Load, LoadReceipt, Reject, Rejection, Result, Retry, async_trait,
    batch::{Rank, SourceHashes},
};
use relational::{Contended, Judge, Merged, Stored, Tally, Turn, Verdict};

use crate::{
    cells,
    database::{During as _, Session},
    loading::Loading,
    merge::{Outcome, Stamp},
    rejects, settle,
    stage::Purpose,
};

/// The writing of one slice, or the replay of rejects, on a connection of its own.
pub(crate) struct SqliteLoad {
    loading: Arc<Loading>,
    session: Session,
    of: Of,
    observation: u64,
    mapper_revision: u32,
    judge: Judge,
    tally: Tally,
    /// What was merged so far, by a load that writes as it goes.
    merged: Merged,
    /// The keys of that.
    placed: HashSet<String>,
    turn: Turn,
}

/// What is loaded.
enum Of {
    /// This slice of the run.
    Slice(u64),
    /// The records of rejects, of which some are rejected again.
    Rejects { given: Vec<String>, again: HashSet<String> },
}

/// How a commit ended.
enum Committed {
    Now(LoadReceipt),
    /// By somebody else, before.
    Before(LoadReceipt),
    /// Not: the table refuses a row.
    Refused(String),
}

const OPERATION: &str = "load";

impl SqliteLoad {
    /// Begins to load a slice: when it is in the ledger, its receipt is the answer.
    pub(crate) async fn begin(loading: &Arc<Loading>, slice: u64, observation: u64) -> Result<Begun<'static>> {
        let turn = loading.turns.enter(slice).await;
        let mut session = Session::open(&loading.database).await?;
        let (shared, is_alone) = (Arc::clone(loading), turn.is_alone());
        let committed = session.run(move |connection| {
            if is_alone {
                connection.execute_batch("begin immediate").during(OPERATION)?;
            }
            settle::committed(connection, &shared, slice)
        });
        if let Some(receipt) = committed.await? {
            return Ok(Begun::Committed(receipt));
        }
        Ok(Begun::Load(Box::new(Self::new(loading, session, Of::Slice(slice), observation, turn))))
    }

    /// Begins to load records that were rejected.
    pub(crate) async fn replay(loading: Loading, given: Vec<String>, observation: u64) -> Result<Self> {
        let loading = Arc::new(loading);
        // Row by row, because what is replayed is likely to be refused again.
        let turn = loading.turns.enter_alone().await;
        let mut session = Session::open(&loading.database).await?;
        session.run(|connection| connection.execute_batch("begin immediate").during(OPERATION)).await?;
        let of = Of::Rejects { given, again: HashSet::new() };
        Ok(Self::new(&loading, session, of, observation, turn))
    }

    fn new(loading: &Arc<Loading>, session: Session, of: Of, observation: u64, turn: Turn) -> Self {
        Self {
            judge: Judge::new(observation, Arc::clone(&loading.seen), turn.is_alone()),
            loading: Arc::clone(loading),
            session,
            of,
            observation,
            mapper_revision: 0,
            tally: Tally::default(),
            merged: Merged::default(),
            placed: HashSet::new(),
            turn,
        }
    }

    /// Whether it writes as it goes, so that a row which the table refuses is found.
    fn is_careful(&self) -> bool {
        self.turn.is_alone()
    }

    fn stamp(&self) -> Result<Stamp> {
        Ok(Stamp {
            observation: self.observation,
            mapper_revision: self.mapper_revision,
            run_id: self.loading.run_id.as_str().to_owned(),
            source: self.loading.ingestion.source.as_str().to_owned(),
            now: cells::now()?,
        })
    }

    /// The load cannot be completed so; the next attempt at it will be alone and careful.
    fn repeat_alone(&self, error: Error) -> Error {
        if let Of::Slice(slice) = self.of {
            self.loading.turns.load_alone(slice);
        }
        error.with_retry(Retry::AtOnce)
    }

    fn repeat_contended(&self, _: Contended) -> Error {
        let message = "two slices that are loaded at once have different records of one key";
        self.repeat_alone(Error::new(ErrorKind::Conflict, OPERATION, message))
    }

    async fn look_up(&mut self, keys: HashSet<String>) -> Result<HashMap<String, Stored>> {
        let loading = Arc::clone(&self.loading);
        self.session.run(move |connection| loading.lookup.many(connection, &keys)).await
    }

    /// Takes the rows of a batch as far as they say something new.
    async fn write_rows(&mut self, batch: CdmBatch) -> Result<()> {
        if batch.model().id != self.loading.target.model.id {
            return Err(Error::unsupported(OPERATION, "a batch of another model than the run's"));
        }
        self.mapper_revision = batch.mapper_revision();
        let stored = self.look_up((0..batch.len()).map(|row| batch.key(row).to_owned()).collect()).await?;
        let verdicts = self.judge.verdicts(&batch, &stored).map_err(|contended| self.repeat_contended(contended))?;
        let (mut staged, mut again) = (Vec::new(), Vec::new());
        for (row, verdict) in verdicts.into_iter().enumerate() {
            if !self.tally.judge(verdict, batch.rank(row)) {
                continue;
            }
            let purpose = match verdict {
                Verdict::Revive => Purpose::Revive,
                Verdict::Delete => Purpose::Delete,
                _ => Purpose::Upsert,
            };
            if self.placed.contains(batch.key(row)) {
                self.tally.repeat_staged(Tally::counted_rank(verdict, batch.rank(row)));
                again.push((row, purpose));
            } else {
                staged.push((row, purpose));
            }
        }
        let batch = Arc::new(batch);
        self.stage(&batch, staged, true).await?;
        self.stage(&batch, again, false).await
    }

    /// Stages rows, and merges them when the load is careful. Those of keys that were merged before do not count.
    async fn stage(&mut self, batch: &Arc<CdmBatch>, rows: Vec<(usize, Purpose)>, counts: bool) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let (loading, staged) = (Arc::clone(&self.loading), Arc::clone(batch));
        let of_presence: HashSet<usize> =
            rows.iter().filter(|(_, purpose)| *purpose != Purpose::Upsert).map(|(row, _)| *row).collect();
        let (stamp, is_careful) = (self.stamp()?, self.is_careful());
        let work = self.session.run(move |connection| {
            let mut unfit = loading.staging.fill(connection, &staged, &rows)?;
            let mut outcome = Outcome::default();
            if is_careful {
                outcome = loading.merging.merge(connection, &loading.lookup, &stamp)?;
                unfit.append(&mut outcome.refused);
            }
            Ok((unfit, outcome))
        });
        let (unfit, Outcome { merged, keys, .. }) = work.await?;
        if counts {
            self.merged += merged;
        }
        self.placed.extend(keys);
        let mut rejects = Vec::with_capacity(unfit.len());
        for (row, reason) in unfit {
            let rank = if of_presence.contains(&row) { Rank::Whole } else { batch.rank(row) };
            if counts {
                self.tally.reject_staged(rank);
            } else {
                self.tally.reject_repeated(rank);
            }
            rejects.extend(batch.reject(row, Rejection::new(reason)));
        }
        self.stage_rejects(rejects).await
    }

    async fn stage_rejects(&mut self, rejects: Vec<Reject>) -> Result<()> {
        if rejects.is_empty() {
            return Ok(());
        }
        let loading = Arc::clone(&self.loading);
        let work = self.session.run(move |connection| rejects::stage_rejects(connection, &loading.ingestion, &rejects));
        let ids = work.await?;
        if let Of::Rejects { again, .. } = &mut self.of {
            again.extend(ids);
        }
        Ok(())
    }
}

#[async_trait]
impl Load for SqliteLoad {
    async fn recognize(&mut self, records: &SourceHashes) -> Result<Vec<bool>> {
        // A careful load must see each row in its turn.
        if self.is_careful() {
            return Ok(vec![false; records.len()]);
        }
        let stored = self.look_up(records.iter().filter_map(|(_, key)| key.map(str::to_owned)).collect()).await?;
        let found = records.iter().map(|(hash, key)| {
            let (key, stored) = stored.get_key_value(key?)?;
            Some((key.as_str(), stored, hash))
        });
        let recognized = self.judge.recognize(found).map_err(|contended| self.repeat_contended(contended))?;
        for (_, (_, key)) in recognized.iter().zip(records.iter()).filter(|(is_known, _)| **is_known) {
            let rank = key.and_then(|key| stored.get(key)).map_or(Rank::Whole, |stored| stored.version.rank);
            self.tally.judge(Verdict::Unchanged, rank);
        }
        Ok(recognized)
    }

    async fn write(&mut self, batch: Batch) -> Result<()> {
        match batch {
            Batch::Cdm(batch) => self.write_rows(*batch).await,
            Batch::Raw(_) => Err(Error::unsupported(OPERATION, "loading source-shaped records")),
        }
    }

    async fn reject(&mut self, rejects: Vec<Reject>) -> Result<()> {
        self.tally.reject(u64::try_from(rejects.len()).unwrap_or(u64::MAX));
        self.stage_rejects(rejects).await
    }

    async fn commit(mut self: Box<Self>, commit: Commit) -> Result<LoadReceipt> {
        let (stamp, is_careful) = (self.stamp()?, self.is_careful());
        let (tally, before, confirmed) = (std::mem::take(&mut self.tally), self.merged, self.judge.confirmed());
        let loading = Arc::clone(&self.loading);
        let of = std::mem::replace(&mut self.of, Of::Slice(0));
        if let Of::Slice(slice) = of {
            self.of = Of::Slice(slice);
        }
        let work = self.session.run(move |connection| {
            if !is_careful {
                connection.execute_batch("begin immediate").during("commit")?;
            }
            if let Of::Slice(slice) = of {
                settle::compare_fence(connection, &loading)?;
                if let Some(receipt) = settle::committed(connection, &loading, slice)? {
                    return Ok(Committed::Before(receipt));
                }
            }
            let Outcome { merged, refused, .. } = loading.merging.merge(connection, &loading.lookup, &stamp)?;
            if let Some((_, reason)) = refused.into_iter().next() {
                return Ok(Committed::Refused(reason));
            }
            let mut all = before;
            all += merged;
            let receipt = LoadReceipt::new(tally.settle(all), commit.incomplete.clone());
            rejects::store(connection, &loading.ingestion, &stamp.run_id, stamp.observation, &stamp.now)?;
            match &of {
                Of::Slice(slice) => {
                    settle::settle(connection, &loading, *slice, &receipt, &commit, confirmed, &stamp.now)?;
                }
                Of::Rejects { given, again } => {
                    settle::count_inserted(connection, &loading, &receipt)?;
                    let loaded = given.iter().filter(|id| !again.contains(*id)).map(String::as_str);
                    rejects::remove(connection, loaded)?;
                }
            }
            connection.execute_batch("commit").during("commit")?;
            Ok(Committed::Now(receipt))
        });
        match work.await? {
            Committed::Now(receipt) => {
                self.judge.keep();
                Ok(receipt)
            }
            Committed::Before(receipt) => Ok(receipt),
            Committed::Refused(reason) => Err(self.repeat_alone(Error::new(ErrorKind::Data, "commit", reason))),
        }
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        // Whatever it has written goes with its connection.
        Ok(())
    }
}
