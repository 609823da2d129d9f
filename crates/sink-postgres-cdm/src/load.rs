use std::{collections::HashSet, sync::Arc};

use endpoint_api::{
    Batch, Begun, Commit, Counts, Error, ErrorKind, Load, LoadReceipt, Reject, Result, Retry, async_trait,
    batch::SourceHashes,
};
use relational::{
    DROPPED, Judge, Merged, Tally, Turn,
    state::{fenced, kept, receipt, signed, to_json},
    support,
};
use tokio_postgres::types::Type;

use crate::{
    loading::Loading,
    merging::IMMEDIATE,
    outbox,
    place::Keys,
    session::{Microseconds, Session, column},
    store_rejects::{WaitingRejects, store},
};

/// How a load's transaction is set up. A backend whose client is gone looks for it every second, so
/// that it does not hold locks to the end of a long statement (servers on systems that cannot do that
/// refuse the setting, which is why it may fail).
const SETTINGS: &str = "\
set local lock_timeout = '10s';
set local idle_in_transaction_session_timeout = '45s';
set local search_path = '';
do $$ begin perform set_config('client_connection_check_interval', '1s', true);
exception when others then null; end $$;
do $$ begin if current_setting('synchronous_commit') in ('off', 'local') then
perform set_config('synchronous_commit', 'on', true); end if; end $$";

/// The writing of one slice, or the replay of rejects: one transaction on one session.
pub(crate) struct PgLoad<'e> {
    pub(crate) loading: Arc<Loading<'e>>,
    pub(crate) session: Session,
    of: Of,
    pub(crate) observation: u64,
    /// When the transaction began, by the server's clock, in microseconds since the epoch.
    pub(crate) began_at: i64,
    pub(crate) mapper_revision: u32,
    pub(crate) judge: Judge,
    pub(crate) tally: Tally,
    /// What was merged so far.
    pub(crate) merged: Merged,
    /// Of which keys rows have come.
    pub(crate) keys: Keys,
    /// The rejects of a slice, until it is committed.
    rejects: WaitingRejects,
    pub(crate) has_stage: bool,
    pub(crate) has_savepoint: bool,
    turn: Turn,
}

/// What is loaded.
enum Of {
    /// This slice of the run.
    Slice(u64),
    /// The records of rejects, of which some are rejected again.
    Rejects { given: Vec<String>, again: HashSet<String> },
}

impl<'e> PgLoad<'e> {
    /// Begins the transaction and puts the slice into the ledger: when it is there already, its
    /// receipt is the answer.
    pub(crate) async fn begin(loading: &Arc<Loading<'e>>, slice: u64, observation: u64) -> Result<Begun<'e>> {
        let operation = "begin a load";
        let turn = loading.turns.enter(slice).await;
        let session = loading.session().await?;
        let index = signed(slice);
        session.batch(operation, "begin").await?;
        session.batch(operation, &format!("{SETTINGS};\nset local application_name = '{}'", loading.label)).await?;
        let statement = format!(
            "insert into {} (ingestion, run_id, slice, fence, committed_at) values ($1, $2, $3, $4, now()) \
             on conflict do nothing returning committed_at",
            loading.tables.load
        );
        let key = [(&loading.key as _, Type::TEXT), (&loading.run_id() as _, Type::TEXT), (&index as _, Type::INT8)];
        let [ingestion, run_id, place] = key.clone();
        let line = [ingestion, run_id, place, (&loading.fence() as _, Type::INT8)];
        let Some(row) = session.query_opt(operation, &statement, &line).await? else {
            let statement = format!(
                "select receipt::text from {} where ingestion = $1 and run_id = $2 and slice = $3",
                loading.tables.load
            );
            let receipt = receipt(column(&session.query_one(operation, &statement, &key).await?, 0)?)?;
            session.batch(operation, "rollback").await?;
            loading.keep_idle(session);
            return Ok(Begun::Committed(receipt));
        };
        let Microseconds(began_at) = column(&row, 0)?;
        if turn.is_alone() {
            session.batch(operation, IMMEDIATE).await?;
        }
        let load = Self::new(Arc::clone(loading), session, Of::Slice(slice), observation, began_at, turn);
        Ok(Begun::Load(Box::new(load)))
    }

    /// Begins the transaction of a replay.
    pub(crate) async fn replay(loading: Loading<'e>, rejects: Vec<String>, observation: u64) -> Result<Self> {
        let operation = "begin a replay";
        let loading = Arc::new(loading);
        // Set by set, because what is replayed is likely to be refused again.
        let turn = loading.turns.enter_alone().await;
        let session = loading.session().await?;
        session.batch(operation, "begin").await?;
        session.batch(operation, &format!("{SETTINGS};\nset local application_name = '{}'", loading.label)).await?;
        session.batch(operation, IMMEDIATE).await?;
        let Microseconds(began_at) = column(&session.query_one(operation, "select now()", &[]).await?, 0)?;
        let of = Of::Rejects { given: rejects, again: HashSet::new() };
        Ok(Self::new(loading, session, of, observation, began_at, turn))
    }

    fn new(loading: Arc<Loading<'e>>, session: Session, of: Of, observation: u64, began_at: i64, turn: Turn) -> Self {
        Self {
            judge: Judge::new(observation, Arc::clone(&loading.seen), turn.is_alone()),
            loading,
            session,
            of,
            observation,
            began_at,
            mapper_revision: 0,
            tally: Tally::default(),
            merged: Merged::default(),
            keys: Keys::default(),
            has_stage: false,
            rejects: WaitingRejects::default(),
            has_savepoint: false,
            turn,
        }
    }

    /// Whether each set of rows is merged at once, so that a row that the server refuses is found.
    pub(crate) fn is_careful(&self) -> bool {
        self.turn.is_alone()
    }

    /// The load cannot be completed together with others; the next attempt at it will be alone and careful.
    pub(crate) fn repeat_alone(&self, error: Error) -> Error {
        if let Of::Slice(slice) = self.of {
            self.loading.turns.load_alone(slice);
        }
        error.with_retry(Retry::AtOnce)
    }

    /// As [`repeat_alone`](Self::repeat_alone), where the server refuses a row and it is not known which.
    fn repeat_refused(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Data if !self.is_careful() => self.repeat_alone(error),
            _ => error,
        }
    }

    /// Takes rejects, which are stored in the load's transaction. Those of a slice wait for its commit.
    pub(crate) async fn take_rejects(&mut self, rejects: Vec<Reject>) -> Result<()> {
        let loading = &self.loading;
        match &mut self.of {
            Of::Slice(_) => self.rejects.take(&self.session, loading, rejects).await,
            Of::Rejects { again, .. } => {
                again.extend(store(&self.session, loading, self.observation, &rejects).await?);
                Ok(())
            }
        }
    }

    /// Removes the rejects whose records were loaded.
    async fn remove_rejects(&self, given: &[String], again: &HashSet<String>) -> Result<()> {
        let done: Vec<&str> = given.iter().filter(|id| !again.contains(*id)).map(String::as_str).collect();
        let statement = format!("delete from {} where id = any($1)", self.loading.tables.reject);
        self.session.execute("remove rejects", &statement, &[(&done, Type::TEXT_ARRAY)]).await.map(drop)
    }

    /// Counts the rows that a replay has inserted to those of the ingestion.
    async fn count_inserted(&self, receipt: &LoadReceipt) -> Result<()> {
        let statement = format!(
            "update {} set rows_inserted = rows_inserted + $2 where ingestion = $1",
            self.loading.tables.ingestion
        );
        let inserted = signed(receipt.counts.inserted);
        let parameters = [(&self.loading.key as _, Type::TEXT), (&inserted as _, Type::INT8)];
        self.session.execute("count rows", &statement, &parameters).await.map(drop)
    }

    /// Completes the ledger's line, compares the fence and moves the checkpoint.
    async fn settle(&mut self, slice: u64, receipt: &LoadReceipt, commit: &Commit) -> Result<()> {
        let operation = "commit";
        let run = &self.loading;
        let resume_at = commit.resume_at.as_ref().map(to_json).transpose()?;
        let statement = format!(
            "update {} set receipt = $4::text::json, resume_at = $5::text::json, confirmed = $6, committed_at = now() \
             where ingestion = $1 and run_id = $2 and slice = $3",
            run.tables.load
        );
        let written = self
            .session
            .execute(
                operation,
                &statement,
                &[
                    (&run.key, Type::TEXT),
                    (&run.run_id(), Type::TEXT),
                    (&signed(slice), Type::INT8),
                    (&to_json(receipt)?, Type::TEXT),
                    (&resume_at, Type::TEXT),
                    (&self.judge.confirmed(), Type::BYTEA),
                ],
            )
            .await?;
        kept(written == 1, operation, support::LOAD)?;
        // Two statements: the second must see what a load that held the lock before has committed. And a program
        // that is frozen with the lock holds up nobody for longer than one that opens or ends a run.
        let mine = [(&run.key as _, Type::TEXT), (&run.fence() as _, Type::INT8)];
        let statement = format!(
            "select set_config('idle_in_transaction_session_timeout', '10s', true) from {} \
             where ingestion = $1 and fence = $2 for update",
            run.tables.ingestion
        );
        if self.session.query_opt(operation, &statement, &mine).await?.is_none() {
            return Err(fenced(&run.ingestion));
        }
        self.rejects.store(&self.session, &self.loading, self.observation).await?;
        let run = &self.loading;
        let statement = format!(
            "update {ingestion} i set rows_inserted = i.rows_inserted + $3, prefix = done.prefix, \
             checkpoint = coalesce((select l.resume_at from {load} l where l.ingestion = $1 and l.run_id = $2 \
             and l.slice >= i.prefix and l.slice < done.prefix and l.resume_at is not null \
             order by l.slice desc limit 1), i.checkpoint) \
             from (select coalesce(max(c.slice) + 1, p.prefix) as prefix \
             from {ingestion} p left join lateral (select l.slice, p.prefix - 1 + row_number() over (order by l.slice) as place \
             from {load} l where l.ingestion = $1 and l.run_id = $2 and l.slice >= p.prefix) c on c.slice = c.place \
             where p.ingestion = $1 group by p.prefix) done \
             where i.ingestion = $1",
            ingestion = run.tables.ingestion,
            load = run.tables.load,
        );
        let inserted = signed(receipt.counts.inserted);
        let parameters = [(&run.key as _, Type::TEXT), (&run.run_id() as _, Type::TEXT), (&inserted as _, Type::INT8)];
        let written = self.session.execute(operation, &statement, &parameters).await?;
        kept(written == 1, operation, support::INGESTION)?;
        outbox::put(&self.session, &run.tables, &commit.messages).await
    }
}

#[async_trait]
impl Load for PgLoad<'_> {
    async fn recognize(&mut self, records: &SourceHashes) -> Result<Vec<bool>> {
        self.recognize_records(records).await
    }

    async fn write(&mut self, batch: Batch) -> Result<()> {
        match batch {
            Batch::Cdm(batch) => self.write_rows(&batch).await,
            Batch::Raw(_) => Err(Error::unsupported("load", "loading source-shaped records")),
        }
    }

    async fn reject(&mut self, rejects: Vec<Reject>) -> Result<()> {
        if rejects.is_empty() {
            return Ok(());
        }
        self.tally.reject(u64::try_from(rejects.len()).unwrap_or(u64::MAX));
        self.take_rejects(rejects).await
    }

    async fn commit(mut self: Box<Self>, commit: Commit) -> Result<LoadReceipt> {
        if !self.is_careful() {
            let merged = self.merge().await;
            let dropped = merged.map_err(|error| self.repeat_refused(error))?;
            if !dropped.is_empty() {
                let error = Error::new(ErrorKind::Data, "commit", DROPPED).with("rows", dropped.len());
                return Err(self.repeat_alone(error));
            }
        }
        let counts: Counts = std::mem::take(&mut self.tally).settle(self.merged);
        let receipt = LoadReceipt::new(counts, commit.incomplete.clone());
        match &self.of {
            Of::Slice(slice) => {
                let slice = *slice;
                self.settle(slice, &receipt, &commit).await?;
            }
            Of::Rejects { given, again } => {
                self.count_inserted(&receipt).await?;
                self.remove_rejects(given, again).await?;
            }
        }
        self.judge.keep();
        match self.session.batch("commit", "commit").await {
            Ok(()) => {
                let Self { loading, session, .. } = *self;
                loading.keep_idle(session);
                Ok(receipt)
            }
            // The server may have committed and only its answer got lost.
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(error.with_retry(Retry::OutcomeUnknown)),
            // By a constraint or a trigger that is deferred to the commit.
            Err(error) => Err(self.repeat_refused(error)),
        }
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let Self { loading, session, .. } = *self;
        session.batch("abort", "rollback").await?;
        loading.keep_idle(session);
        Ok(())
    }
}
