use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use endpoint_api::{EndpointId, Error, ErrorKind, Result};
use rusqlite::Connection;
use sqlite_client::{Access, Owner};

pub(crate) const OWNER: Owner = Owner("sink");

/// How long a statement waits for other processes and other loads to be done with writing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A commit is on the disk when it is answered; nothing in the file is run as code.
const SETTINGS: &str = "pragma synchronous = full; pragma trusted_schema = off";

/// Where the file is.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    id: EndpointId,
    path: Arc<PathBuf>,
}

impl Database {
    pub(crate) fn new(id: EndpointId, path: PathBuf) -> Self {
        Self { id, path: Arc::new(path) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn id(&self) -> &EndpointId {
        &self.id
    }

    /// Opens the file as it is; `None` when there is none. It may block.
    pub(crate) fn open_if_there(&self, access: Access) -> Result<Option<Connection>> {
        // Where nobody can say whether it is there, opening it says best what is wrong.
        if matches!(self.path.try_exists(), Ok(false)) {
            return Ok(None);
        }
        self.connect(access).map(Some)
    }

    /// Opens the file to load into it.
    pub(crate) fn open(&self) -> Result<Connection> {
        self.open_if_there(Access::Write)?.ok_or_else(|| {
            let message = "the sink's file does not exist yet";
            self.unprovisioned(Error::new(ErrorKind::NotProvisioned, "open the file", message))
                .with("path", self.shown())
        })
    }

    /// Opens the file, and makes it when it is missing.
    pub(crate) fn open_or_make(&self) -> Result<Connection> {
        let connection = self.connect(Access::Create)?;
        // The mode stays with the file.
        let mode = connection.query_row("pragma journal_mode = wal", [], |row| row.get::<_, String>(0));
        match mode.map_err(|error| OWNER.classify("open the file", error))?.as_str() {
            "wal" => Ok(connection),
            _ => {
                let message = "the file cannot be put into WAL mode; put it on a disk of this machine";
                Err(Error::new(ErrorKind::Denied, "open the file", message).with("path", self.shown()))
            }
        }
    }

    fn connect(&self, access: Access) -> Result<Connection> {
        let connection = OWNER.open(&self.path, access, PATIENCE);
        let connection = connection.map_err(|error| error.with("path", self.shown()))?;
        let set = connection.execute_batch(SETTINGS).map_err(|error| OWNER.classify("open the file", error));
        set.map(|()| connection).map_err(|error| error.with("path", self.shown()))
    }

    /// Adds to an error what makes what is missing.
    pub(crate) fn unprovisioned(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::NotProvisioned => error.with("run", format!("cdm provision {}", self.id)),
            _ => error,
        }
    }

    pub(crate) fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

/// Names what was done when SQLite refuses.
pub(crate) trait During<T> {
    fn during(self, operation: &'static str) -> Result<T>;
}

impl<T> During<T> for rusqlite::Result<T> {
    fn during(self, operation: &'static str) -> Result<T> {
        self.map_err(|error| OWNER.classify(operation, error))
    }
}

/// A connection that is used from threads that may block. Dropping it rolls back what is open.
#[derive(Debug)]
pub(crate) struct Session(Option<Connection>);

impl Session {
    pub(crate) async fn open(database: &Database) -> Result<Self> {
        let database = database.clone();
        OWNER.blocking(move || database.open()).await.map(|connection| Self(Some(connection)))
    }

    /// Runs `work` on the connection.
    pub(crate) async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = self.0.take().ok_or_else(|| {
            Error::new(ErrorKind::Internal, "use the file", "a call that was given up has taken the connection along")
        })?;
        let (connection, done) = OWNER
            .blocking(move || {
                let done = work(&connection);
                Ok((connection, done))
            })
            .await?;
        self.0 = Some(connection);
        done
    }
}
