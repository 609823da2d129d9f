use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use endpoint_api::{
    Begun, Error, ErrorKind, Holder, Ingestion, LoadReceipt, Message, Mode, Overlap, Result, Resume, Retry, Run,
    RunEnd, RunId, RunReceipt, RunSpec, Slice, async_trait,
};
use relational::{
    Identifier, Observations, ObservedSlice,
    state::{
        self, Opening, Standing, fenced, from_json, incomplete_run, observed, overlapping, planned_otherwise,
        resources, signed, status, to_json, unsigned,
    },
};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Row, types::Type};

use crate::{
    endpoint::PgCdm,
    heartbeat::Heartbeat,
    load::PgLoad,
    loading::Loading,
    outbox, retention,
    session::{SHORT_TRANSACTION, Session, column},
    settled_rejects::{remove_absent, remove_loaded},
    sites,
    state::{SupportTables, Target},
    watch,
};

/// How long the backend of a process that was killed may take to notice it.
const DYING: Duration = Duration::from_secs(3);

/// An open run.
pub(crate) struct PgRun<'e> {
    /// Kept open as long as the run is: by its backend others see that the run is alive.
    session: Arc<Session>,
    /// Behind a pooler, what shows them instead.
    heartbeat: Option<Heartbeat>,
    loading: Arc<Loading<'e>>,
    resume: Resume,
    observations: Observations,
    /// The observation of each slice of the plan.
    observed: Mutex<HashMap<u64, u64>>,
}

/// What the sessions call themselves that load for the holder of a fence.
pub(crate) fn label(schema: &Identifier, fence: u64) -> String {
    // The server cuts longer names off, and other characters out.
    let schema: String = schema.as_str().chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    format!("cdm {schema} fence {fence}")
}

/// Ends the sessions that load for a run that was overtaken and wait for more of a COPY. They would commit
/// nothing, and one whose client is out of reach would hold what it has inserted for as long as its connection
/// lasts: the time-out of an idle transaction does not count in the midst of a COPY.
async fn end_sessions(session: &Session, label: &str) {
    let statement = "select pg_terminate_backend(pid) from pg_stat_activity \
                     where application_name = $1 and datname = current_database() and pid <> pg_backend_pid() \
                     and state = 'active' and wait_event = 'ClientRead'";
    if let Err(error) = session.query("end sessions", statement, &[(&label, Type::TEXT)]).await {
        tracing::debug!(%error, "the sessions of a run that was overtaken could not be ended");
    }
}

/// Opens a run.
pub(crate) async fn open<'e>(endpoint: &'e PgCdm, spec: &RunSpec) -> Result<PgRun<'e>> {
    let model = match (&spec.model, spec.ingestion.mode) {
        (Some(model), Mode::Cdm) => model.clone(),
        _ => return Err(Error::unsupported("open a run", "loading source-shaped records")),
    };
    let (session, is_direct) = Session::open_telling(endpoint.connector()).await?;
    let target = endpoint.target(&session, model).await?;
    let tables = SupportTables::of(endpoint.schema());
    let key = line(&session, &tables, &target, &spec.ingestion).await?;
    let (standing, fence) = take_fence(&session, &tables, spec, &key).await?;
    if let Some(site) = &spec.site {
        sites::claim(endpoint, &session, &spec.ingestion, site).await?;
    }

    let overtaken = standing.as_ref().filter(|standing| standing.status == "running").map(|standing| standing.fence);
    let mut opening = Opening::new(spec, fence, standing)?;
    let mut confirmed = Vec::new();
    if opening.continues {
        let receipts;
        (receipts, confirmed) = committed(&session, &tables, &key, &opening.resume.run_id).await?;
        opening = opening.committed(receipts);
    }
    let Opening { resume, continues, observations, observed } = opening;
    let holder = spec.holder.as_ref();
    store_opening(&session, &tables, &key, &resume, Opener { continues, is_direct, holder }).await?;
    session.batch("open a run", "commit").await?;
    if let Some(fence) = overtaken {
        end_sessions(&session, &label(endpoint.schema(), fence)).await;
    }
    let loading = Loading::new(endpoint, target, spec.ingestion.clone(), key, resume.run_id.clone(), resume.fence);
    confirmed.iter().for_each(|confirmed: &Vec<u8>| loading.seen.remember(confirmed));
    let session = Arc::new(session);
    Ok(PgRun {
        heartbeat: (!is_direct).then(|| Heartbeat::start(&session, &loading)),
        session,
        loading: Arc::new(loading),
        resume,
        observations,
        observed: Mutex::new(observed),
    })
}

/// Begins a transaction, locks the ingestion's line, settles what to do about a run that is alive, and
/// takes a fence.
async fn take_fence(
    session: &Session,
    tables: &SupportTables,
    spec: &RunSpec,
    key: &str,
) -> Result<(Option<Standing>, u64)> {
    let operation = "open a run";
    let began = Instant::now();
    loop {
        session.batch(operation, "begin").await?;
        session.batch(operation, SHORT_TRANSACTION).await?;
        let standing = standing(session, tables, &spec.ingestion, key).await?;
        let alive = standing.as_ref().is_some_and(Standing::is_alive);
        if !alive || spec.overlap == Overlap::Takeover {
            let statement = format!(
                "insert into {table} as f (name, value) values ('fence', 1) \
                 on conflict (name) do update set value = f.value + 1 returning value",
                table = tables.fence
            );
            let fence: i64 = column(&session.query_one(operation, &statement, &[]).await?, 0)?;
            return Ok((standing, unsigned(fence)));
        }
        session.batch(operation, "rollback").await?;
        if spec.overlap == Overlap::Fail && began.elapsed() > DYING {
            let living = watch::living(session, tables, &spec.ingestion).await.unwrap_or_default();
            let error = overlapping(&spec.ingestion);
            return Err(match living.first() {
                Some(run) => run.describe(error),
                None => error,
            });
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The name under which the ingestion stands with the table, whose line is made when it is missing.
///
/// The line of the ingestion's own name is of the table that it was loaded into first.
///
/// # Errors
///
/// As the server says.
pub(crate) async fn line(
    session: &Session,
    tables: &SupportTables,
    target: &Target,
    ingestion: &Ingestion,
) -> Result<String> {
    let operation = "look where the ingestion stands";
    let insert = format!(
        "insert into {} (ingestion, model, table_name, fence, run_id, status, observation, prefix, rows_inserted, \
         started_at, opened_at) values ($1, $2, $3, 0, '', 'abandoned', 0, 0, 0, now(), now()) on conflict do nothing",
        tables.ingestion
    );
    let select = format!("select table_name = $2 from {} where ingestion = $1", tables.ingestion);
    let (model, table) = (target.model.id.as_str(), target.name.as_str());
    for key in state::keys(ingestion, &target.model, table) {
        let line = [(&key as _, Type::TEXT), (&model as _, Type::TEXT), (&table as _, Type::TEXT)];
        session.execute(operation, &insert, &line).await?;
        let of_table = session.query_one(operation, &select, &[(&key, Type::TEXT), (&table, Type::TEXT)]).await?;
        if column(&of_table, 0)? {
            return Ok(key);
        }
    }
    let message = "the line that is called after the table is another's";
    Err(Error::new(ErrorKind::Internal, operation, message).with("ingestion", ingestion))
}

/// Locks the ingestion's line; `None` when it never had a run.
async fn standing(
    session: &Session,
    tables: &SupportTables,
    ingestion: &Ingestion,
    key: &str,
) -> Result<Option<Standing>> {
    let operation = "open a run";
    let statement = format!(
        "select i.status, i.run_id, i.observation, i.plan::text, i.resources::text, i.checkpoint::text, \
         {}, i.fence from {} i where i.ingestion = $1 for update",
        watch::IS_HELD,
        tables.ingestion
    );
    let row: Row = session.query_one(operation, &statement, &[(&key, Type::TEXT)]).await?;
    let run_id: String = column(&row, 1)?;
    if run_id.is_empty() {
        return Ok(None);
    }
    let standing = Standing {
        status: column(&row, 0)?,
        run_id,
        observation: unsigned(column(&row, 2)?),
        plan: from_json("plan", column(&row, 3)?)?,
        observations: from_json("list of resources", column(&row, 4)?)?.unwrap_or_default(),
        checkpoint: from_json("checkpoint", column(&row, 5)?)?,
        is_held: column(&row, 6)?,
        fence: unsigned(column(&row, 7)?),
    };
    tracing::debug!(%ingestion, status = %standing.status, held = standing.is_held, "where the ingestion stands");
    Ok(Some(standing))
}

/// The receipts of the slices that a run has committed, and what it has seen in them.
async fn committed(
    session: &Session,
    tables: &SupportTables,
    key: &str,
    run_id: &RunId,
) -> Result<(BTreeMap<u64, LoadReceipt>, Vec<Vec<u8>>)> {
    let statement =
        format!("select slice, receipt::text, confirmed from {} where ingestion = $1 and run_id = $2", tables.load);
    let parameters = [(&key as _, Type::TEXT), (&run_id.as_str() as _, Type::TEXT)];
    let (mut receipts, mut confirmed) = (BTreeMap::new(), Vec::new());
    for row in session.query("open a run", &statement, &parameters).await? {
        let receipt = from_json("receipt", column(&row, 1)?)?.unwrap_or_default();
        receipts.insert(unsigned(column(&row, 0)?), receipt);
        confirmed.extend(column::<Option<Vec<u8>>>(&row, 2)?);
    }
    Ok((receipts, confirmed))
}

/// How a run is opened, and by whom.
struct Opener<'a> {
    continues: bool,
    /// Whether a backend of the server is the run's own.
    is_direct: bool,
    holder: Option<&'a Holder>,
}

/// Writes down whose the ingestion now is.
async fn store_opening(
    session: &Session,
    tables: &SupportTables,
    key: &str,
    resume: &Resume,
    opener: Opener<'_>,
) -> Result<()> {
    let Opener { continues, is_direct, holder } = opener;
    let statement = format!(
        "update {} set fence = $2, run_id = $3, status = 'running', observation = $4, opened_at = now(), ended_at = null, \
         plan = case when $5 then plan end, prefix = case when $5 then prefix else 0 end, \
         started_at = case when $5 then started_at else now() end, \
         beat_at = clock_timestamp(), holder = case when $6 then (select concat_ws(' ', pid, extract(epoch from backend_start), $7::text) \
         from pg_stat_activity where pid = pg_backend_pid()) else concat_ws(' ', 'heartbeat', $7::text) end \
         where ingestion = $1",
        tables.ingestion
    );
    session
        .execute(
            "open a run",
            &statement,
            &[
                (&key, Type::TEXT),
                (&signed(resume.fence), Type::INT8),
                (&resume.run_id.as_str(), Type::TEXT),
                (&signed(resume.observation), Type::INT8),
                (&continues, Type::BOOL),
                (&is_direct, Type::BOOL),
                (&holder.map(ToString::to_string), Type::TEXT),
            ],
        )
        .await?;
    Ok(())
}

#[async_trait]
impl Run for PgRun<'_> {
    fn resume(&self) -> &Resume {
        &self.resume
    }

    async fn record_plan(&self, plan: &[Slice]) -> Result<()> {
        let operation = "store the plan";
        let plan = self.observations.observe(plan, self.resume.observation);
        let json = to_json(&plan)?;
        let statement = format!(
            "update {} set plan = coalesce(plan, $3::text::json) where ingestion = $1 and fence = $2 \
             returning plan::text = $3::text",
            self.loading.tables.ingestion
        );
        let parameters = [
            (&self.loading.key as _, Type::TEXT),
            (&signed(self.resume.fence) as _, Type::INT8),
            (&json as _, Type::TEXT),
        ];
        let row = self.session.query_opt(operation, &statement, &parameters).await?;
        let is_stored: bool = column(row.as_ref().ok_or_else(|| fenced(&self.loading.ingestion))?, 0)?;
        if !is_stored {
            return Err(planned_otherwise());
        }
        *self.observed.lock().unwrap_or_else(PoisonError::into_inner) = observed(&plan);
        Ok(())
    }

    async fn begin(&self, slice: &Slice) -> Result<Begun<'_>> {
        let observation = {
            let observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
            observed.get(&slice.index).copied().unwrap_or(self.resume.observation)
        };
        PgLoad::begin(&self.loading, slice.index, observation).await
    }

    async fn finish(mut self: Box<Self>, end: RunEnd, messages: &[Message]) -> Result<RunReceipt> {
        // It would beat in the midst of what follows on the same session.
        self.heartbeat = None;
        let ended = match self.session.is_closed() {
            false => self.end(&self.session, end, messages).await,
            // A server that was started anew has ended the session, and the slices are committed all the same.
            true => Err(Error::new(ErrorKind::Unavailable, END, "the session is closed")),
        };
        match ended {
            // Where it was ended in the midst of this, the end may be written down or not: doing it again is the same.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                tracing::debug!(%error, "the run is ended on another session");
                let again = self.end(&Session::open(self.loading.connector).await?, end, messages).await;
                match again {
                    // It may have been written down before the newer run began.
                    Err(again) if again.kind() == ErrorKind::Fenced && error.retry() == Retry::OutcomeUnknown => {
                        Err(error)
                    }
                    again => again,
                }
            }
            ended => ended,
        }
    }
}

/// What the ending of a run is called in errors.
const END: &str = "end the run";

impl PgRun<'_> {
    /// Writes down how the run has ended, in one transaction; done twice it comes to the same.
    async fn end(&self, session: &Session, end: RunEnd, messages: &[Message]) -> Result<RunReceipt> {
        let operation = END;
        session.batch(operation, "begin").await?;
        session.batch(operation, SHORT_TRANSACTION).await?;
        let statement = format!(
            "select plan::text, checkpoint::text, prefix from {} where ingestion = $1 and fence = $2 for update",
            self.loading.tables.ingestion
        );
        let mine = [(&self.loading.key as _, Type::TEXT), (&signed(self.resume.fence) as _, Type::INT8)];
        let Some(row) = session.query_opt(operation, &statement, &mine).await? else {
            return Err(fenced(&self.loading.ingestion));
        };
        remove_loaded(session, &self.loading).await?;
        let mut observations = self.observations.clone();
        if end == RunEnd::Succeeded {
            let plan: Vec<ObservedSlice> = from_json("plan", column(&row, 0)?)?.unwrap_or_default();
            if unsigned(column(&row, 2)?) < u64::try_from(plan.len()).unwrap_or(u64::MAX) {
                session.batch(operation, "rollback").await?;
                return Err(incomplete_run(&self.loading.ingestion));
            }
            observations.remember(&plan);
            remove_absent(session, &self.loading, &resources(&plan)).await?;
            let statement = format!(
                "update {} set confirmed = null where ingestion = $1 and run_id = $2 and confirmed is not null",
                self.loading.tables.load
            );
            let parameters = [(&self.loading.key as _, Type::TEXT), (&self.loading.run_id() as _, Type::TEXT)];
            session.execute(operation, &statement, &parameters).await?;
        }
        let checkpoint = from_json("checkpoint", column(&row, 1)?)?;
        let statement = format!(
            "update {} set status = $2, resources = $3::text::json, ended_at = now(), holder = null where ingestion = $1",
            self.loading.tables.ingestion
        );
        let parameters = [
            (&self.loading.key as _, Type::TEXT),
            (&status(end) as _, Type::TEXT),
            (&to_json(&observations)? as _, Type::TEXT),
        ];
        session.execute(operation, &statement, &parameters).await?;
        outbox::put(session, &self.loading.tables, messages).await?;
        let statement =
            format!("select sum(rows_inserted)::bigint from {} where table_name = $1", self.loading.tables.ingestion);
        let table = self.loading.target.name.as_str();
        let rows: i64 = column(&session.query_one(operation, &statement, &[(&table, Type::TEXT)]).await?, 0)?;
        session.batch(operation, "commit").await.map_err(|error| match error.kind() {
            ErrorKind::Unavailable => error.with_retry(Retry::OutcomeUnknown),
            _ => error,
        })?;
        if let Err(error) = retention::clear(self.loading.retention, session, &self.loading.tables).await {
            tracing::warn!(%error, "old lines of the ledger and old rejects could not be removed");
        }
        Ok(RunReceipt::new(Some(unsigned(rows)), checkpoint))
    }
}
