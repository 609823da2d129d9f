use endpoint_api::{
    Batch, Begun, CdmBatch, Commit, Counts, Error, ErrorKind, Load, LoadReceipt, Reject, Result, Retry, async_trait,
};
use futures::SinkExt as _;
use relational::{Judge, Merged, Tally, Verdict};
use tokio_postgres::types::Type;

use crate::{
    copy::{CopyColumn, encode},
    lookup::stored,
    merge::{DELETE, REVIVE, UPSERT, copied_columns},
    rejects,
    run::{PgRun, fenced, signed, to_json},
    session::{Session, column},
    sqlstate::classify,
};

/// How a load's transaction is set up. A backend whose client is gone looks for it every second, so
/// that it does not hold locks to the end of a long statement (servers on systems that cannot do that
/// refuse the setting, which is why it may fail).
const SETTINGS: &str = "\
set local lock_timeout = '10s';
set local idle_in_transaction_session_timeout = '60s';
set local search_path = '';
do $$ begin perform set_config('client_connection_check_interval', '1s', true);
exception when others then null; end $$;
do $$ begin if current_setting('synchronous_commit') in ('off', 'local') then
perform set_config('synchronous_commit', 'on', true); end if; end $$";

/// The writing of one slice: one transaction on one session.
pub(crate) struct PgLoad<'r> {
    run: &'r PgRun<'r>,
    session: Session,
    slice: i64,
    observation: u64,
    mapper_revision: u32,
    judge: Judge<'r>,
    tally: Tally,
    has_stage: bool,
}

impl<'r> PgLoad<'r> {
    /// Begins the transaction and puts the slice into the ledger: when it is there already, its
    /// receipt is the answer.
    pub(crate) async fn begin(run: &'r PgRun<'_>, session: Session, slice: u64, observation: u64) -> Result<Begun<'r>> {
        let operation = "begin a load";
        let slice = signed(slice);
        session.batch(operation, "begin").await?;
        session.batch(operation, SETTINGS).await?;
        let statement = format!(
            "insert into {} (ingestion, run_id, slice, fence, committed_at) values ($1, $2, $3, $4, now()) \
             on conflict do nothing",
            run.tables.load
        );
        let key = [(&run.key as _, Type::TEXT), (&run.run_id() as _, Type::TEXT), (&slice as _, Type::INT8)];
        let [ingestion, run_id, index] = key.clone();
        let line = [ingestion, run_id, index, (&run.fence() as _, Type::INT8)];
        if session.execute(operation, &statement, &line).await? == 0 {
            let statement = format!(
                "select receipt::text from {} where ingestion = $1 and run_id = $2 and slice = $3",
                run.tables.load
            );
            let receipt = PgRun::receipt(&session.query_one(operation, &statement, &key).await?)?;
            session.batch(operation, "rollback").await?;
            run.keep_idle(session);
            return Ok(Begun::Committed(receipt));
        }
        Ok(Begun::Load(Box::new(Self {
            run,
            session,
            slice,
            observation,
            mapper_revision: 0,
            judge: Judge::new(observation, &run.confirmed),
            tally: Tally::default(),
            has_stage: false,
        })))
    }

    async fn write_rows(&mut self, batch: &CdmBatch) -> Result<()> {
        if batch.model().id != self.run.target.model.id {
            return Err(Error::unsupported("load", "a batch of another model than the run's"));
        }
        self.mapper_revision = batch.mapper_revision();
        let stored = stored(&self.session, &self.run.target, batch).await?;
        let mut staged = Vec::new();
        for (row, verdict) in self.judge.verdicts(batch, &stored).into_iter().enumerate() {
            if self.tally.judge(verdict) {
                let purpose = match verdict {
                    Verdict::Revive => REVIVE,
                    Verdict::Delete => DELETE,
                    _ => UPSERT,
                };
                staged.push((row, purpose));
            }
        }
        if staged.is_empty() {
            return Ok(());
        }
        if !self.has_stage {
            self.session.batch("make the stage", &self.run.statements.create_stage).await?;
            self.has_stage = true;
        }
        self.copy(batch, &staged).await
    }

    async fn copy(&self, batch: &CdmBatch, staged: &[(usize, i16)]) -> Result<()> {
        let operation = "copy rows";
        let rows = batch.rows();
        let columns = copied_columns(&self.run.target);
        let columns = columns
            .iter()
            .map(|(name, column_type)| {
                let array = rows.column_by_name(name).ok_or_else(|| {
                    Error::new(ErrorKind::Internal, operation, "a column of the batch is missing").with("column", name)
                })?;
                CopyColumn::new(array, *column_type)
            })
            .collect::<Result<Vec<_>>>()?;
        let data = encode(&columns, staged)?;
        let failed = |error: tokio_postgres::Error| classify(operation, &error);
        let sink = self.session.client().copy_in(&self.run.statements.copy).await.map_err(failed)?;
        let mut sink = std::pin::pin!(sink);
        sink.send(data).await.map_err(failed)?;
        sink.finish().await.map_err(failed)?;
        Ok(())
    }

    /// Merges what is staged; says what that did.
    async fn merge(&self) -> Result<Merged> {
        let mut merged = Merged::default();
        if !self.has_stage {
            return Ok(merged);
        }
        let operation = "merge rows";
        let statements = &self.run.statements;
        let counted = self.session.query_one(operation, &statements.count, &[]).await?;
        let [upserts, revivals, deletions]: [i64; 3] =
            [column(&counted, 0)?, column(&counted, 1)?, column(&counted, 2)?];
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        merged.distinct = count(upserts) + count(revivals) + count(deletions);
        let observation = signed(self.observation);
        let revision = i32::try_from(self.mapper_revision).unwrap_or(i32::MAX);
        let run_id = self.run.run_id();
        if upserts > 0 {
            let contested = self.judge.stages_stored_rows();
            if contested {
                let parameters = [(&observation as _, Type::INT8), (&revision as _, Type::INT4)];
                let row = self.session.query_one(operation, &statements.count_unchanged, &parameters).await?;
                merged.unchanged = count(column(&row, 0)?);
            }
            let statement = if contested { &statements.merge_contested } else { &statements.merge };
            let source = self.run.ingestion.source.as_str();
            let row = self
                .session
                .query_one(
                    operation,
                    statement,
                    &[
                        (&observation, Type::INT8),
                        (&revision, Type::INT4),
                        (&run_id, Type::TEXT),
                        (&source, Type::TEXT),
                    ],
                )
                .await?;
            merged.inserted = count(column(&row, 0)?);
            merged.updated = count(column(&row, 1)?);
        }
        for (needed, statement) in [(revivals, &statements.revive), (deletions, &statements.delete)] {
            if needed > 0 {
                let parameters = [(&observation as _, Type::INT8), (&run_id as _, Type::TEXT)];
                merged.updated += self.session.execute(operation, statement, &parameters).await?;
            }
        }
        Ok(merged)
    }

    /// Completes the ledger's line, compares the fence and moves the checkpoint.
    async fn settle(&self, receipt: &LoadReceipt, commit: &Commit) -> Result<()> {
        let operation = "commit";
        let run = self.run;
        let resume_at = commit.resume_at.as_ref().map(to_json).transpose()?;
        let statement = format!(
            "update {} set receipt = $4::text::json, resume_at = $5::text::json, committed_at = now() \
             where ingestion = $1 and run_id = $2 and slice = $3",
            run.tables.load
        );
        self.session
            .execute(
                operation,
                &statement,
                &[
                    (&run.key, Type::TEXT),
                    (&run.run_id(), Type::TEXT),
                    (&self.slice, Type::INT8),
                    (&to_json(receipt)?, Type::TEXT),
                    (&resume_at, Type::TEXT),
                ],
            )
            .await?;
        // Two statements: the second must see what a load that held the lock before has committed.
        let mine = [(&run.key as _, Type::TEXT), (&run.fence() as _, Type::INT8)];
        let statement = format!("select from {} where ingestion = $1 and fence = $2 for update", run.tables.ingestion);
        if self.session.query_opt(operation, &statement, &mine).await?.is_none() {
            return Err(fenced(&run.ingestion));
        }
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
        self.session.execute(operation, &statement, &parameters).await?;
        Ok(())
    }
}

#[async_trait]
impl Load for PgLoad<'_> {
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
        let run = self.run;
        let observation = signed(self.observation);
        rejects::store(&self.session, &run.tables, &run.ingestion, run.run_id(), observation, &rejects).await
    }

    async fn commit(mut self: Box<Self>, commit: Commit) -> Result<LoadReceipt> {
        let merged = self.merge().await?;
        let counts: Counts = std::mem::take(&mut self.tally).settle(merged);
        let receipt = LoadReceipt::new(counts, commit.incomplete.clone());
        self.settle(&receipt, &commit).await?;
        match self.session.batch("commit", "commit").await {
            Ok(()) => {
                let Self { run, session, .. } = *self;
                run.keep_idle(session);
                Ok(receipt)
            }
            // The server may have committed and only its answer got lost.
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(error.with_retry(Retry::OutcomeUnknown)),
            Err(error) => Err(error),
        }
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let Self { run, session, .. } = *self;
        session.batch("abort", "rollback").await?;
        run.keep_idle(session);
        Ok(())
    }
}
