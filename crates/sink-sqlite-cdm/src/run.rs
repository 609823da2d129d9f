use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use endpoint_api::{
    Begun, Error, ErrorKind, Ingestion, LoadReceipt, Message, Mode, Overlap, Result, Resume, Run, RunEnd, RunId,
    RunReceipt, RunSpec, RunWatch as _, Slice, async_trait,
};
use relational::{
    Naming, Observations, ObservedSlice,
    state::{
        self, Opening, Retention, Standing, fenced, incomplete_run, observed, overlapping, planned_otherwise, receipt,
        resources, signed, status, to_json, unsigned,
    },
    support,
};
use run_lock::RunLock;
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::time::sleep;

use crate::{
    cells,
    database::{Database, During as _, OWNER},
    endpoint::SqliteCdm,
    load::SqliteLoad,
    loading::Loading,
    outbox, retention,
    settle::rows_inserted,
    settled_rejects::{remove_absent, remove_loaded},
    sites,
    stored::json,
    target::Target,
};

const OPEN: &str = "open a run";

/// How long a process that was killed may take to be gone.
const DYING: Duration = Duration::from_secs(1);

/// How often a run that waits for another looks whether that is still alive.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// An open run.
pub(crate) struct SqliteRun {
    loading: Arc<Loading>,
    retention: Retention,
    resume: Resume,
    observations: Observations,
    /// The observation of each slice of the plan.
    observed: Mutex<HashMap<u64, u64>>,
    /// By which others see that the run is alive.
    _alive: RunLock,
}

/// What an attempt to open a run has come to.
enum Attempt {
    Opened(Box<SqliteRun>),
    /// Another run of the ingestion is alive.
    Alive,
}

/// Opens a run. Nothing is held while it waits.
pub(crate) async fn open(endpoint: &SqliteCdm, spec: &RunSpec) -> Result<SqliteRun> {
    if spec.model.is_none() || spec.ingestion.mode != Mode::Cdm {
        return Err(Error::unsupported(OPEN, "loading source-shaped records"));
    }
    let began = Instant::now();
    loop {
        let (database, naming) = (endpoint.database().clone(), endpoint.naming().clone());
        let (retention, spec_now) = (endpoint.retention(), spec.clone());
        match OWNER.blocking(move || attempt(database, &naming, retention, &spec_now)).await? {
            Attempt::Opened(run) => return Ok(*run),
            Attempt::Alive if spec.overlap == Overlap::Fail && began.elapsed() > DYING => {
                let living = endpoint.living(&spec.ingestion).await.unwrap_or_default();
                let error = overlapping(&spec.ingestion);
                return Err(match living.first() {
                    Some(run) => run.describe(error),
                    None => error,
                });
            }
            Attempt::Alive => sleep(LOOK_AGAIN).await,
        }
    }
}

/// The file whose lock says that the run with this fence is alive.
pub(crate) fn lock_file(database: &Database, fence: u64) -> PathBuf {
    let mut path = database.path().as_os_str().to_owned();
    path.push(format!("-run-{fence}"));
    path.into()
}

pub(crate) fn lock_failed(operation: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |error| {
        let message =
            "the file beside the sink's that shows a run to be alive cannot be used; check the rights on the folder";
        Error::new(ErrorKind::Denied, operation, message).caused_by(error)
    }
}

fn attempt(database: Database, naming: &Naming, retention: Retention, spec: &RunSpec) -> Result<Attempt> {
    let connection = database.open()?;
    let model = spec.model.clone().ok_or_else(|| Error::unsupported(OPEN, "loading source-shaped records"))?;
    let target = Target::find(&connection, naming, model).map_err(|error| database.unprovisioned(error))?;
    connection.execute_batch("begin immediate").during(OPEN)?;
    let key = line(&connection, &target, &spec.ingestion)?;
    let standing = standing(&connection, &database, &key)?;
    if spec.overlap != Overlap::Takeover && standing.as_ref().is_some_and(Standing::is_alive) {
        return Ok(Attempt::Alive); // the connection takes its transaction along
    }
    let statement = format!(
        "insert into {} as f (name, value) values ('fence', 1) \
         on conflict (name) do update set value = f.value + 1 returning value",
        support::FENCE
    );
    let fence = unsigned(connection.query_row(&statement, [], |row| row.get(0)).during(OPEN)?);
    if let Some(site) = &spec.site {
        sites::claim(&connection, naming, &spec.ingestion, site)?;
    }
    let Some(mut alive) = RunLock::hold(lock_file(&database, fence)).map_err(lock_failed(OPEN))? else {
        let message = "somebody holds the lock of a fence that was just taken; nothing else may lock it";
        return Err(Error::new(ErrorKind::Internal, OPEN, message));
    };
    if let Some(holder) = &spec.holder {
        alive.sign(&holder.to_string()).map_err(lock_failed(OPEN))?;
    }
    let mut opening = Opening::new(spec, fence, standing)?;
    let mut confirmed = Vec::new();
    if opening.continues {
        let receipts;
        (receipts, confirmed) = committed(&connection, &key, &opening.resume.run_id)?;
        opening = opening.committed(receipts);
    }
    let Opening { resume, continues, observations, observed } = opening;
    let statement = format!(
        "update {} set fence = ?2, run_id = ?3, status = 'running', observation = ?4, opened_at = ?6, ended_at = null, \
         plan = case when ?5 then plan end, prefix = case when ?5 then prefix else 0 end, \
         started_at = case when ?5 then started_at else ?6 end, holder = 'lock' where ingestion = ?1",
        support::INGESTION
    );
    let line =
        params![key, signed(fence), resume.run_id.as_str(), signed(resume.observation), continues, cells::now()?];
    connection.execute(&statement, line).during(OPEN)?;
    connection.execute_batch("commit").during(OPEN)?;
    let loading = Loading::new(database, target, spec.ingestion.clone(), key, resume.run_id.clone(), fence);
    confirmed.iter().for_each(|confirmed| loading.seen.remember(confirmed));
    Ok(Attempt::Opened(Box::new(SqliteRun {
        loading: Arc::new(loading),
        retention,
        resume,
        observations,
        observed: Mutex::new(observed),
        _alive: alive,
    })))
}

/// The name under which the ingestion stands with the table, whose line is made when it is missing.
///
/// The line of the ingestion's own name is of the table that it was loaded into first.
pub(crate) fn line(connection: &Connection, target: &Target, ingestion: &Ingestion) -> Result<String> {
    let insert = format!(
        "insert into {} (ingestion, model, table_name, fence, run_id, status, observation, prefix, rows_inserted, \
         started_at, opened_at) values (?1, ?2, ?3, 0, '', 'abandoned', 0, 0, 0, ?4, ?4) on conflict do nothing",
        support::INGESTION
    );
    let select = format!("select table_name = ?2 from {} where ingestion = ?1", support::INGESTION);
    let (model, table) = (target.model.id.as_str(), target.table.as_str());
    for key in state::keys(ingestion, &target.model, table) {
        connection.execute(&insert, params![key, model, table, cells::now()?]).during(OPEN)?;
        if connection.query_row(&select, [&*key, table], |row| row.get(0)).during(OPEN)? {
            return Ok(key);
        }
    }
    let message = "the line that is called after the table is another's";
    Err(Error::new(ErrorKind::Internal, OPEN, message).with("ingestion", ingestion))
}

/// Where an ingestion stands; `None` when it never had a run.
fn standing(connection: &Connection, database: &Database, key: &str) -> Result<Option<Standing>> {
    let statement = format!(
        "select status, run_id, observation, plan, resources, checkpoint, fence from {} where ingestion = ?1",
        support::INGESTION
    );
    let read = connection.query_row(&statement, [key], |row| {
        let numbers: (i64, i64) = (row.get(2)?, row.get(6)?);
        let texts: [Option<String>; 3] = [row.get(3)?, row.get(4)?, row.get(5)?];
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, numbers, texts))
    });
    let (status, run_id, (observation, fence), [plan, resources, checkpoint]) = read.during(OPEN)?;
    if run_id.is_empty() {
        return Ok(None);
    }
    let fence = unsigned(fence);
    Ok(Some(Standing {
        is_held: RunLock::is_held(&lock_file(database, fence)).map_err(lock_failed(OPEN))?,
        status,
        fence,
        run_id,
        observation: unsigned(observation),
        plan: json("plan", plan)?,
        observations: json("list of resources", resources)?.unwrap_or_default(),
        checkpoint: json("checkpoint", checkpoint)?,
    }))
}

/// The receipts of the slices that a run has committed, and what it has seen in them.
type Committed = (BTreeMap<u64, LoadReceipt>, Vec<Vec<u8>>);

fn committed(connection: &Connection, key: &str, run_id: &RunId) -> Result<Committed> {
    let statement =
        format!("select slice, receipt, confirmed from {} where ingestion = ?1 and run_id = ?2", support::LOAD);
    let mut statement = connection.prepare(&statement).during(OPEN)?;
    let lines = statement.query_map(params![key, run_id.as_str()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, Option<Vec<u8>>>(2)?))
    });
    let (mut receipts, mut confirmed) = (BTreeMap::new(), Vec::new());
    for line in lines.during(OPEN)? {
        let (slice, json, seen) = line.during(OPEN)?;
        receipts.insert(unsigned(slice), receipt(json.as_deref())?);
        confirmed.extend(seen);
    }
    Ok((receipts, confirmed))
}

#[async_trait]
impl Run for SqliteRun {
    fn resume(&self) -> &Resume {
        &self.resume
    }

    async fn record_plan(&self, plan: &[Slice]) -> Result<()> {
        let plan = self.observations.observe(plan, self.resume.observation);
        let observed = observed(&plan);
        let loading = Arc::clone(&self.loading);
        OWNER.blocking(move || record_plan(&loading, &plan)).await?;
        *self.observed.lock().unwrap_or_else(PoisonError::into_inner) = observed;
        Ok(())
    }

    async fn begin(&self, slice: &Slice) -> Result<Begun<'_>> {
        let observation = {
            let observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
            observed.get(&slice.index).copied().unwrap_or(self.resume.observation)
        };
        SqliteLoad::begin(&self.loading, slice.index, observation).await
    }

    async fn finish(self: Box<Self>, end: RunEnd, messages: &[Message]) -> Result<RunReceipt> {
        let (loading, observations, retention) = (Arc::clone(&self.loading), self.observations.clone(), self.retention);
        let messages = messages.to_vec();
        OWNER.blocking(move || finish(&loading, observations, retention, end, &messages)).await
    }
}

fn record_plan(loading: &Loading, plan: &[ObservedSlice]) -> Result<()> {
    const OPERATION: &str = "store the plan";
    let connection = loading.database.open()?;
    let json = to_json(&plan)?;
    let statement = format!(
        "update {} set plan = coalesce(plan, ?3) where ingestion = ?1 and fence = ?2 returning plan = ?3",
        support::INGESTION
    );
    let parameters = params![loading.key, signed(loading.fence), json];
    let is_stored = connection.query_row(&statement, parameters, |row| row.get::<_, bool>(0));
    match is_stored.optional().during(OPERATION)? {
        Some(true) => Ok(()),
        Some(false) => Err(planned_otherwise()),
        None => Err(fenced(&loading.ingestion)),
    }
}

fn finish(
    loading: &Loading,
    mut observations: Observations,
    retention: Retention,
    end: RunEnd,
    messages: &[Message],
) -> Result<RunReceipt> {
    const OPERATION: &str = "end the run";
    let connection = loading.database.open()?;
    connection.execute_batch("begin immediate").during(OPERATION)?;
    let statement =
        format!("select plan, checkpoint, prefix from {} where ingestion = ?1 and fence = ?2", support::INGESTION);
    let mine = connection.query_row(&statement, params![loading.key, signed(loading.fence)], |row| {
        Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, i64>(2)?))
    });
    let Some((plan, checkpoint, prefix)) = mine.optional().during(OPERATION)? else {
        return Err(fenced(&loading.ingestion));
    };
    remove_loaded(&connection, loading)?;
    if end == RunEnd::Succeeded {
        let plan: Vec<ObservedSlice> = json("plan", plan)?.unwrap_or_default();
        if unsigned(prefix) < u64::try_from(plan.len()).unwrap_or(u64::MAX) {
            return Err(incomplete_run(&loading.ingestion));
        }
        observations.remember(&plan);
        remove_absent(&connection, loading, &resources(&plan))?;
        let statement = format!(
            "update {} set confirmed = null where ingestion = ?1 and run_id = ?2 and confirmed is not null",
            support::LOAD
        );
        connection.execute(&statement, params![loading.key, loading.run_id.as_str()]).during(OPERATION)?;
    }
    let statement = format!(
        "update {} set status = ?2, resources = ?3, ended_at = ?4, holder = null where ingestion = ?1",
        support::INGESTION
    );
    let now = cells::now()?;
    let parameters = params![loading.key, status(end), to_json(&observations)?, now];
    connection.execute(&statement, parameters).during(OPERATION)?;
    outbox::put(&connection, messages, &now)?;
    let rows = rows_inserted(&connection, loading.target.table.as_str())?;
    connection.execute_batch("commit").during(OPERATION)?;
    if let Err(error) = retention::clear(retention, &connection) {
        tracing::warn!(%error, "old lines of the ledger and old rejects could not be removed");
    }
    Ok(RunReceipt::new(Some(rows), json("checkpoint", checkpoint)?))
}
