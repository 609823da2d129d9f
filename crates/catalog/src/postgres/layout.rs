use std::time::Duration;

use endpoint_api::{Error, ErrorKind, Result, Retry};
use refinery_core::{
    AsyncMigrate, Migration, Runner,
    traits::r#async::{AsyncQuery, AsyncTransaction},
};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, error::SqlState};

use super::{session::query, sqlstate::classify};
use crate::migrations::{self, Failed, explain, keep, taken, up_to_date};

const OPERATION: &str = "open the catalog";

/// How long to wait for another process that makes the tables.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the tables of the catalog where they are not as this program needs them. Any number of
/// processes may do so at once.
///
/// Where they are, nothing is asked of the role but that it may read them.
pub(super) async fn make(client: &Client) -> Result<()> {
    let runner = migrations::postgres()?;
    if is_made(client, &runner).await? {
        return Ok(());
    }
    lock(client).await?;
    // Under the lock nobody else makes tables: what is found now is what the steps meet.
    let made = match is_made(client, &runner).await {
        Ok(false) => take_steps(client, &runner).await,
        other => other.map(|_| ()),
    };
    let end = if made.is_ok() { "commit" } else { "rollback" };
    let ended = client.batch_execute(end).await.map_err(|error| classify(OPERATION, &error));
    made.and(ended)
}

/// Whether all tables are there.
///
/// # Errors
///
/// When the catalog is newer than this program.
async fn is_made(client: &Client, runner: &Runner) -> Result<bool> {
    let history = "select c.relname::text as relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                   where n.nspname = 'cdm_metadata' and c.relname = 'migration'";
    if query(client, OPERATION, history, &[]).await?.is_empty() {
        return Ok(false);
    }
    let mut session = InTransaction { client, failure: None };
    let last = runner.get_last_applied_migration_async(&mut session).await;
    let last = last.map_err(|error| explain(runner, error, session.failure.take()))?;
    up_to_date(runner, last.as_ref())
}

/// Begins a transaction that is alone in making this database's catalog.
///
/// The lock is asked for again and again, each time in a transaction of its own: a session that waits
/// inside one would stand in the way of others for as long.
async fn lock(client: &Client) -> Result<()> {
    let run = async |statement| client.batch_execute(statement).await.map_err(|error| classify(OPERATION, &error));
    let deadline = Instant::now() + PATIENCE;
    loop {
        run("begin; set local search_path = ''; set local lock_timeout = '10s'").await?;
        let ask = "select 'mine' where pg_catalog.pg_try_advisory_xact_lock(
                       pg_catalog.hashtextextended('cdm catalog cdm_metadata', 0))";
        let asked = query(client, OPERATION, ask, &[]).await;
        if asked.as_ref().is_ok_and(|mine| !mine.is_empty()) {
            return Ok(());
        }
        run("rollback").await?;
        asked?;
        if Instant::now() >= deadline {
            let message = "another process has been making the catalog's tables for 30 seconds; \
                           try again when it is done";
            return Err(Error::new(ErrorKind::Conflict, OPERATION, message).with_retry(Retry::Backoff));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn take_steps(client: &Client, runner: &Runner) -> Result<()> {
    let schema = "select nspname::text from pg_catalog.pg_namespace where nspname = 'cdm_metadata'";
    if query(client, OPERATION, schema, &[]).await?.is_empty() {
        // `if not exists` would ask for the right to make schemas even where nothing has to be made.
        client.batch_execute("create schema cdm_metadata").await.map_err(|error| match error.code() {
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                let message = "the role may not make the schema cdm_metadata; make it, and grant the role \
                               USAGE and CREATE on it";
                Error::new(ErrorKind::Denied, OPERATION, message)
            }
            _ => classify(OPERATION, &error),
        })?;
    }
    let mut session = InTransaction { client, failure: None };
    let taken = runner.run_async(&mut session).await;
    taken.map(|_| ()).map_err(|error| explain(runner, error, session.failure.take()))
}

/// A connection for refinery, inside a transaction that is not refinery's.
struct InTransaction<'c> {
    client: &'c Client,
    failure: Option<Error>,
}

impl AsyncTransaction for InTransaction<'_> {
    type Error = Failed;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        statements: T,
    ) -> Result<usize, Failed> {
        let mut done = 0;
        for statement in statements {
            let run = self.client.batch_execute(statement).await;
            keep(&mut self.failure, run.map_err(|error| classify(OPERATION, &error)))?;
            done += 1;
        }
        Ok(done)
    }
}

impl AsyncQuery<Vec<Migration>> for InTransaction<'_> {
    async fn query<'a>(&'a mut self, statement: &'a str) -> Result<Vec<Migration>, Failed> {
        let rows = keep(&mut self.failure, query(self.client, OPERATION, statement, &[]).await)?;
        let steps = rows.iter().map(|row| {
            let version = row.count("version")?;
            taken(i32::try_from(version).unwrap_or(i32::MAX), row.text("name")?.to_owned(), row.text("checksum")?)
        });
        keep(&mut self.failure, steps.collect())
    }
}

impl AsyncMigrate for InTransaction<'_> {}
