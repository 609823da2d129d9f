//! Carrying a plan out, in nobody's way for longer than its statements say.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use cdm_models::ModelDescriptor;
use endpoint_api::{Change, Error, ErrorKind, Execution, ProvisionPlan, ProvisionReceipt, Result, Retry};
use relational::{Due, Identifier, MARK_ROWS, due, provisioned, support};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::types::Type;

use crate::{
    endpoint::PgCdm,
    holders::{Waiter, is_about_locks, naming_holders, process_of},
    session::{Session, column},
};

const APPLY: &str = "apply";

/// How long to wait for another provisioner.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a transaction goes on that only holds the lock against other provisioners, for as long as it takes; not every
/// server has the second limit. These statements are the last of it, and go without parameters: the portal of one
/// with parameters would stay open and hold its snapshot, for which the building of an index waits.
const HOLD: &str = "set local idle_in_transaction_session_timeout = 0; \
                    select set_config(name, '0', true) from pg_settings where name = 'transaction_timeout'";

/// Carries a plan out. Where others hold a lock that it needs, it lets go of what it has and tries again, as often
/// as the budget allows.
pub(crate) async fn apply(sink: &PgCdm, plan: &ProvisionPlan) -> Result<ProvisionReceipt> {
    let attempts = sink.budget().lock_attempts;
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(5))
        .with_max_times(attempts.saturating_sub(1) as usize)
        .with_jitter()
        .build();
    loop {
        let error = match attempt(sink, plan).await {
            Err(error) if is_about_locks(&error) => error,
            done => return done,
        };
        let Some(pause) = pauses.next() else { return Err(gave_up(attempts, &error)) };
        tracing::info!(%error, ?pause, "others hold a lock that provisioning needs; trying again");
        sleep(pause).await;
    }
}

/// How a transaction begins: the objects that its statements name are the ones that they mean, and none waits for
/// long.
fn begin(sink: &PgCdm) -> String {
    format!("begin; set local search_path = ''; set local lock_timeout = {}", sink.budget().lock_timeout_ms)
}

fn gave_up(attempts: u32, error: &Error) -> Error {
    let message = format!(
        "a lock could not be had in {attempts} attempts, because other sessions hold it; what needs it was not done. \
         Try again when they have ended (`select pg_terminate_backend(PROCESS)` ends one that was forgotten), or let \
         `provisioning.lock_timeout_ms` or `provisioning.lock_attempts` be more"
    );
    let gave_up = Error::new(ErrorKind::Conflict, APPLY, message).with_retry(Retry::Backoff);
    error.context().fold(gave_up, |error, (name, value)| error.with(name, value))
}

async fn attempt(sink: &PgCdm, plan: &ProvisionPlan) -> Result<ProvisionReceipt> {
    let models: Vec<&ModelDescriptor> = plan.models.iter().map(|model| model.descriptor.as_ref()).collect();
    let guard = Session::open(sink.connector()).await?;
    lock(sink, &guard).await?;
    // What comes after the transaction needs the lock for longer than that. Then a session of its own holds it, in
    // a transaction that has seen nothing: an index is built only when all have ended that could see rows without it.
    let apart = if plan.changes().any(Change::is_concurrent) {
        guard.batch(APPLY, HOLD).await?;
        let session = Session::open(sink.connector()).await?;
        session.batch(APPLY, &begin(sink)).await?;
        Some(session)
    } else {
        None
    };
    let session = apart.as_ref().unwrap_or(&guard);

    sink.act_as_owner(session).await?;
    // Under the lock nobody else provisions: what is found now is what the statements meet.
    let fresh = sink.plan_in(session, &models).await?;
    let due = due(plan, fresh)?;
    if due == Due::All {
        carry_out(sink, session, plan).await?;
    }
    session.batch(APPLY, "commit").await?;
    match &due {
        Due::All => build(sink, plan.changes().filter(|change| change.is_concurrent())).await?,
        Due::Rest(changes) => build(sink, changes.iter()).await?,
        Due::Nothing => {}
    }
    sink.look_as_owner(session).await?;
    let after = sink.plan_in(session, &models).await?;
    if apart.is_some() {
        guard.batch(APPLY, "commit").await?;
    }
    provisioned(due != Due::Nothing, after)
}

/// Begins a transaction that is alone in provisioning this schema.
///
/// The lock is asked for again and again, each time in a transaction of its own, and not waited
/// for: a session that waits for it would hold a snapshot that a concurrent index build waits for.
async fn lock(sink: &PgCdm, session: &Session) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let key = format!("cdm provision {}", sink.schema().as_str());
    loop {
        session.batch(APPLY, &begin(sink)).await?;
        let statement = "select pg_try_advisory_xact_lock(hashtextextended($1, 0))";
        if column(&session.query_one(APPLY, statement, &[(&key, Type::TEXT)]).await?, 0)? {
            return Ok(());
        }
        session.batch(APPLY, "rollback").await?;
        if Instant::now() > deadline {
            let message = "another session has been provisioning this schema for a minute; try again when it is done";
            return Err(Error::new(ErrorKind::Conflict, APPLY, message).with("schema", sink.schema().as_str()));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// What the transaction does: the plan's changes, and the record of it.
async fn carry_out(sink: &PgCdm, session: &Session, plan: &ProvisionPlan) -> Result<()> {
    // When the first lock was asked for that others can be waiting behind. They wait until the commit, and so all
    // statements together have the time that one of them has.
    let mut since: Option<Instant> = None;
    let process = process_of(session).await?;
    // Rows are marked before the first lock is taken that keeps readers out.
    let mut changes: Vec<&Change> = plan.changes().filter(|change| !change.is_concurrent()).collect();
    changes.sort_by_key(|change| change.action != MARK_ROWS);
    for change in changes {
        let (Some(sql), Some(execution)) = (&change.sql, &change.execution) else { continue };
        tracing::info!(action = %change.action, object = %change.object, "provisioning");
        let spent = match &execution.lock {
            Some(_) => since.get_or_insert_with(Instant::now).elapsed(),
            None => Duration::ZERO,
        };
        let patience = patience(execution, spent);
        let statements = format!("{}{sql}", limits(execution, patience));
        let waiter = Waiter { process, statement: None, patience };
        let done = naming_holders(sink.connector(), &waiter, session.batch(APPLY, &statements)).await;
        done.map_err(|error| at(error, change))?;
    }
    let patience = Duration::from_millis(sink.budget().lock_timeout_ms.into());
    let waiter = Waiter { process, statement: None, patience };
    naming_holders(sink.connector(), &waiter, record(sink, session, plan)).await
}

/// For how long a statement waits for a lock, when so much of the time for that is `spent`; zero is without an end.
fn patience(execution: &Execution, spent: Duration) -> Duration {
    let least = Duration::from_millis(1);
    let limit = execution.lock_timeout_ms.map(Duration::from_millis);
    limit.map_or(Duration::ZERO, |limit| limit.saturating_sub(spent).max(least))
}

/// Settings that keep a statement to its limits.
fn limits(execution: &Execution, patience: Duration) -> String {
    let lock = patience.as_millis();
    let statement = execution.statement_timeout_ms.unwrap_or(0);
    format!("set local lock_timeout = {lock}; set local statement_timeout = {statement};\n")
}

fn at(error: Error, change: &Change) -> Error {
    let error = error.with("action", &change.action).with("object", &change.object);
    match change.execution.as_ref().and_then(|execution| execution.lock.as_ref()) {
        Some(lock) => error.with("lock", format!("{} on {}", lock.mode, lock.on)),
        None => error,
    }
}

async fn record(sink: &PgCdm, session: &Session, plan: &ProvisionPlan) -> Result<()> {
    let hash = plan.hash();
    let statement = format!(
        "insert into {}.{} (table_name, model, version, plan_hash, provisioned_at) values ($1, $2, $3, $4, now()) \
         on conflict (table_name) do update set model = excluded.model, version = excluded.version, \
         plan_hash = excluded.plan_hash, provisioned_at = excluded.provisioned_at",
        sink.schema(),
        Identifier::derived(support::MODEL),
    );
    for model in plan.models.iter().filter(|model| !model.changes.is_empty()) {
        let table = sink.naming().table(&model.descriptor)?;
        let (id, version) = (model.descriptor.id.as_str(), model.descriptor.version.to_string());
        session
            .execute(
                APPLY,
                &statement,
                &[(&table.as_str(), Type::TEXT), (&id, Type::TEXT), (&version, Type::TEXT), (&hash, Type::TEXT)],
            )
            .await?;
    }
    Ok(())
}

/// Carries out what comes after the transaction, each on a session of its own.
async fn build(sink: &PgCdm, changes: impl Iterator<Item = &Change>) -> Result<()> {
    for change in changes {
        let (Some(sql), Some(execution)) = (&change.sql, &change.execution) else { continue };
        tracing::info!(action = %change.action, object = %change.object, "provisioning");
        let limit = |limit: Option<u64>| limit.unwrap_or(0).to_string();
        let settings = [
            ("lock_timeout", limit(execution.lock_timeout_ms)),
            ("statement_timeout", limit(execution.statement_timeout_ms)),
        ];
        let session = sink.open_as_owner(&settings).await.map_err(|error| at(error, change))?;
        let process = process_of(&session).await.map_err(|error| at(error, change))?;
        let waiter = Waiter { process, statement: Some(sql), patience: patience(execution, Duration::ZERO) };
        let building = naming_holders(sink.connector(), &waiter, session.batch(APPLY, sql));
        // A pooler may have kept the settings from the server.
        let limit = execution.statement_timeout_ms.map_or(Duration::MAX, Duration::from_millis);
        let limit = limit.saturating_add(Duration::from_secs(5));
        let done = match timeout(limit, building).await {
            Ok(done) => done,
            Err(_) => Err(Error::new(ErrorKind::Unavailable, APPLY, "the server did not do it in time")),
        };
        done.map_err(|error| at(error, change))?;
    }
    Ok(())
}
