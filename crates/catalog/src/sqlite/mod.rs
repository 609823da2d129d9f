//! The embedded store: one SQLite file, or a database in memory.

mod layout;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use endpoint_api::{Error, ErrorKind, Result};
use rusqlite::{Connection, Statement, types::ValueRef};
use sqlite_client::{Access, Owner};

use crate::sql::{Cell, Engine, Parameter, Row};

const OWNER: Owner = Owner("catalog");

/// How long a statement waits for other processes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the database is.
#[derive(Debug, Clone)]
pub(crate) enum Location {
    File(PathBuf),
    Memory,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Memory => f.write_str(":memory:"),
        }
    }
}

/// An open SQLite database. Statements run one after the other, on threads that may block.
pub(crate) struct Sqlite {
    location: Location,
    /// `None` once it is closed.
    connection: Arc<Mutex<Option<Connection>>>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("location", &self.location).finish_non_exhaustive()
    }
}

impl Sqlite {
    /// Opens the database, and makes it when it is not there.
    pub(crate) async fn open(location: Location) -> Result<Self> {
        let place = location.clone();
        let opened = OWNER.blocking(move || {
            let mut connection = connect(&place)?;
            layout::make(&mut connection)?;
            Ok(connection)
        });
        let connection = opened.await.map_err(|error| error.with("file", &location))?;
        Ok(Self { location, connection: Arc::new(Mutex::new(Some(connection))) })
    }

    /// Runs `work` on the connection.
    async fn on_connection<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = Arc::clone(&self.connection);
        let done = OWNER.blocking(move || {
            // A statement that panicked has left the connection as it was.
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = connection
                .as_ref()
                .ok_or_else(|| Error::new(ErrorKind::Internal, operation, "the catalog is closed"))?;
            work(connection).map_err(|error| OWNER.classify(operation, error))
        });
        done.await.map_err(|error| error.with("file", &self.location))
    }
}

fn connect(location: &Location) -> Result<Connection> {
    match location {
        Location::Memory => Connection::open_in_memory().map_err(|error| OWNER.classify("open the catalog", error)),
        Location::File(path) => OWNER.open(path, Access::Create, PATIENCE),
    }
}

impl Engine for Sqlite {
    const SCHEMA: &'static str = "";

    async fn query(&self, operation: &'static str, statement: String, parameters: Vec<Parameter>) -> Result<Vec<Row>> {
        let work = move |connection: &Connection| {
            let mut statement = connection.prepare(&statement)?;
            bind(&mut statement, &parameters)?;
            let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
            let mut rows = statement.raw_query();
            let mut answer = Vec::new();
            while let Some(row) = rows.next()? {
                let cells =
                    names.iter().enumerate().map(|(index, name)| Ok((name.clone(), cell(row.get_ref(index)?)?)));
                answer.push(Row::new(cells.collect::<rusqlite::Result<Vec<_>>>()?));
            }
            Ok(answer)
        };
        self.on_connection(operation, work).await
    }

    async fn execute(&self, operation: &'static str, statement: String, parameters: Vec<Parameter>) -> Result<u64> {
        let work = move |connection: &Connection| {
            let mut statement = connection.prepare(&statement)?;
            bind(&mut statement, &parameters)?;
            statement.raw_execute()
        };
        let written = self.on_connection(operation, work).await?;
        Ok(u64::try_from(written).unwrap_or(u64::MAX))
    }

    async fn close(&self) -> Result<()> {
        let connection = Arc::clone(&self.connection);
        let closed = OWNER.blocking(move || {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner).take();
            let closed = connection.map_or(Ok(()), |connection| connection.close().map_err(|(_, error)| error));
            closed.map_err(|error| OWNER.classify("close the catalog", error))
        });
        closed.await.map_err(|error| error.with("file", &self.location))
    }
}

fn bind(statement: &mut Statement<'_>, parameters: &[Parameter]) -> rusqlite::Result<()> {
    for (index, parameter) in parameters.iter().enumerate() {
        // SQLite numbers `$n` by where it is met first, so it is found by its name.
        let name = format!("${}", index + 1);
        let place = statement.parameter_index(&name)?.ok_or(rusqlite::Error::InvalidParameterName(name))?;
        match parameter {
            Parameter::Text(text) | Parameter::Json(text) => statement.raw_bind_parameter(place, text)?,
            Parameter::Integer(integer) => statement.raw_bind_parameter(place, integer)?,
            Parameter::Time(time) => statement.raw_bind_parameter(place, time.map(|time| time.as_microsecond()))?,
        }
    }
    Ok(())
}

fn cell(value: ValueRef<'_>) -> rusqlite::Result<Cell> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(integer) => Cell::Integer(integer),
        other => Cell::Text(other.as_str()?.to_owned()),
    })
}
