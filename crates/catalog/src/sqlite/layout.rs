use std::{
    thread,
    time::{Duration, Instant},
};

use endpoint_api::{Error, ErrorKind, Result};
use refinery_core::{
    Migrate, Migration, Runner,
    traits::sync::{Query, Transaction},
};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::{OWNER, PATIENCE};
use crate::migrations::{self, Failed, explain, keep, taken, up_to_date};

const OPERATION: &str = "open the catalog";

/// What a catalog has in the header of its file, where other programs have 0 or a number of their own.
const APPLICATION_ID: i64 = 1_667_525_987;

/// Makes the tables of the catalog where they are not as this program needs them. Any number of
/// processes may do so at once.
pub(super) fn make(connection: &mut Connection) -> Result<()> {
    let runner = migrations::sqlite()?;
    {
        // One state is looked at: between two statements of their own another may make the tables.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(refused)?;
        if is_made(&transaction, &runner)? {
            return Ok(());
        }
    }
    write_ahead(connection)?;
    // Only one process at a time is past this line; the others wait, and then find all done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refused)?;
    if !is_made(&transaction, &runner)? {
        let mut session = InTransaction { connection: &transaction, failure: None };
        runner.run(&mut session).map_err(|error| explain(&runner, error, session.failure.take()))?;
    }
    transaction.commit().map_err(refused)
}

/// Whether all tables are there; `false` for a new file.
///
/// # Errors
///
/// When the file is another program's, or the catalog is newer than this program.
fn is_made(connection: &Connection, runner: &Runner) -> Result<bool> {
    let number = |statement: &str| connection.query_row(statement, [], |row| row.get::<_, i64>(0)).map_err(refused);
    let application = number("pragma application_id")?;
    if application == APPLICATION_ID {
        let mut session = InTransaction { connection, failure: None };
        let last = runner.get_last_applied_migration(&mut session);
        let last = last.map_err(|error| explain(runner, error, session.failure.take()))?;
        return up_to_date(runner, last.as_ref());
    }
    if application != 0 || number("select count(*) from sqlite_schema")? != 0 {
        let message = "the file is another program's database; name another file, and the catalog is made there";
        return Err(Error::new(ErrorKind::Config, OPERATION, message));
    }
    Ok(false)
}

/// Turns the write-ahead log on, so that nobody who reads waits for one who writes. A file that cannot
/// have one, as in memory and on some network drives, does without.
fn write_ahead(connection: &Connection) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mode = connection.query_row("pragma journal_mode = wal", [], |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) => {
                tracing::debug!(mode, "the catalog's journal");
                return Ok(());
            }
            // SQLite itself does not wait here for others who do the same.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(refused(error)),
        }
    }
}

fn refused(error: rusqlite::Error) -> Error {
    OWNER.classify(OPERATION, error)
}

/// A connection for refinery, inside a transaction that is not refinery's.
struct InTransaction<'c> {
    connection: &'c Connection,
    failure: Option<Error>,
}

impl Transaction for InTransaction<'_> {
    type Error = Failed;

    fn execute<'a, T: Iterator<Item = &'a str>>(&mut self, statements: T) -> Result<usize, Failed> {
        let mut done = 0;
        for statement in statements {
            keep(&mut self.failure, self.connection.execute_batch(statement).map_err(refused))?;
            done += 1;
        }
        Ok(done)
    }
}

impl Query<Vec<Migration>> for InTransaction<'_> {
    fn query(&mut self, statement: &str) -> Result<Vec<Migration>, Failed> {
        let rows = || -> rusqlite::Result<Vec<(i32, String, String)>> {
            let mut statement = self.connection.prepare(statement)?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(3)?)))?.collect()
        };
        let rows = keep(&mut self.failure, rows().map_err(refused))?;
        let steps = rows.into_iter().map(|(version, name, checksum)| taken(version, name, &checksum)).collect();
        keep(&mut self.failure, steps)
    }
}

impl Migrate for InTransaction<'_> {}
