//! How we open SQLite files, and what its errors mean in terms of the contract.

use std::{path::Path, time::Duration};

use endpoint_api::{Error, ErrorKind, Result, Retry};
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read it; it must be there.
    Read,
    /// To read and write it; it must be there.
    Write,
    /// To read and write it; it is made when it is missing.
    Create,
}

/// Whose file it is: what stands in messages.
#[derive(Debug, Clone, Copy)]
pub struct Owner(pub &'static str);

impl Owner {
    /// Opens a file. A statement waits up to `patience` for other processes. A file that is made is its owner's alone,
    /// and so are those that SQLite makes beside it, which have its mode.
    ///
    /// # Errors
    ///
    /// When it is no file that can be opened so; a missing folder and what is no regular file are
    /// [`ErrorKind::Config`].
    pub fn open(self, path: &Path, access: Access, patience: Duration) -> Result<Connection> {
        let operation = "open the file";
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let message = format!("the folder of the {}'s file does not exist; make it, or name another file", self.0);
            return Err(Error::new(ErrorKind::Config, operation, message));
        }
        if local_files::refuse_special(path).is_err() {
            let message =
                format!("the {}'s file is not a regular file, but a device, a pipe or the like; name another", self.0);
            return Err(Error::new(ErrorKind::Config, operation, message));
        }
        if access == Access::Create {
            // An empty file is an empty database. What is in the way of making it, SQLite says best.
            let _ = local_files::create_private(path);
        }
        let flags = match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Access::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        };
        let opened = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
        let opened = opened.and_then(|connection| connection.busy_timeout(patience).map(|()| connection));
        opened.map_err(|error| self.classify(operation, error))
    }

    /// Turns an error of SQLite into one of the contract. It carries no data: see [`own_text`].
    pub fn classify(self, operation: &'static str, error: rusqlite::Error) -> Error {
        let Self(owner) = self;
        let (kind, retry, message) = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                let message = format!("another process has held the {owner}'s file for too long");
                (ErrorKind::Conflict, Retry::Backoff, message)
            }
            Some(ErrorCode::NotADatabase) => {
                let message = "the file is no SQLite database; name another file, and it is made there".to_owned();
                (ErrorKind::Config, Retry::Never, message)
            }
            Some(ErrorCode::DatabaseCorrupt) => {
                let message = format!("the {owner}'s file is damaged; restore it from a backup");
                (ErrorKind::Data, Retry::AfterOperator, message)
            }
            Some(ErrorCode::CannotOpen) => {
                let message = format!(
                    "the {owner}'s file cannot be opened; check that it is a file, and the rights on it and its folder"
                );
                (ErrorKind::Denied, Retry::AfterOperator, message)
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
                let message = format!("the {owner}'s file cannot be written; check the rights on it and its folder");
                (ErrorKind::Denied, Retry::AfterOperator, message)
            }
            Some(ErrorCode::DiskFull) => {
                let message = format!("the disk of the {owner}'s file is full");
                (ErrorKind::Exhausted, Retry::AfterOperator, message)
            }
            Some(ErrorCode::OutOfMemory) => {
                (ErrorKind::Exhausted, Retry::Backoff, "there is not enough memory".to_owned())
            }
            Some(ErrorCode::SystemIoFailure) => {
                let message = format!("the {owner}'s file cannot be read or written");
                (ErrorKind::Unavailable, Retry::Backoff, message)
            }
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
                (ErrorKind::Data, Retry::Never, "a row does not fit its table".to_owned())
            }
            Some(_) => (ErrorKind::Internal, Retry::Never, format!("SQLite refuses a statement of the {owner}")),
            // The library's own: a value of another type than its column's.
            None => (ErrorKind::Data, Retry::AfterOperator, format!("an entry of the {owner} is damaged")),
        };
        Error::new(kind, operation, message).with_retry(retry).caused_by(own_text(&error))
    }

    /// Runs what may block on a thread that may.
    ///
    /// # Errors
    ///
    /// As `work` does; [`ErrorKind::Internal`] when it panics.
    pub async fn blocking<T: Send + 'static>(self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let cut_short = |error| {
            let message = format!("a statement of the {} was cut short", self.0);
            Error::new(ErrorKind::Internal, "use the file", message).caused_by(error)
        };
        // What is logged there is of the same run.
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || span.in_scope(work)).await.map_err(cut_short)?
    }
}

/// Messages of SQLite's that are always these words.
const FIXED: &[&str] = &[
    "attempt to write a readonly database",
    "database disk image is malformed",
    "database is locked",
    "database or disk is full",
    "database table is locked",
    "disk I/O error",
    "file is not a database",
    "locking protocol",
    "not authorized",
    "out of memory",
    "string or blob too big",
    "unable to open database file",
];

/// What SQLite says, as far as it holds no value of a cell.
///
/// Values are bound, but triggers and expressions of a table see them: `raise(fail, …)` and functions such as
/// `json_extract` put them into messages. So a message is shown where it holds names only, and else what its code means.
pub fn own_text(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            let message = message.as_deref().filter(|message| match failure.extended_code {
                ffi::SQLITE_CONSTRAINT_DATATYPE
                | ffi::SQLITE_CONSTRAINT_FOREIGNKEY
                | ffi::SQLITE_CONSTRAINT_NOTNULL
                | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                | ffi::SQLITE_CONSTRAINT_ROWID
                | ffi::SQLITE_CONSTRAINT_UNIQUE => true,
                ffi::SQLITE_CONSTRAINT_TRIGGER => false,
                _ => message.starts_with("no such table: ") || FIXED.contains(message),
            });
            message.map_or_else(|| failure.to_string(), str::to_owned)
        }
        // A statement of ours that cannot be read: it has no value in it.
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::InvalidColumnType(_, name, found) => {
            format!("the column {name} holds a value of type {found}")
        }
        rusqlite::Error::QueryReturnedNoRows | rusqlite::Error::ExecuteReturnedResults => error.to_string(),
        _ => "a value cannot be read as what its column should hold".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_cannot_be_opened_says_why_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner("catalog");
        let open = |name: &str, access| owner.open(&folder.path().join(name), access, Duration::ZERO);
        let missing = open("none/a.db", Access::Create).unwrap_err();
        assert_eq!(
            (missing.kind(), missing.message()),
            (ErrorKind::Config, "the folder of the catalog's file does not exist; make it, or name another file")
        );
        assert_eq!(open("a.db", Access::Write).unwrap_err().kind(), ErrorKind::Denied);
        std::fs::write(folder.path().join("text"), "no database at all, but long enough to look like one").unwrap();
        let text = open("text", Access::Write).unwrap();
        let error = text.execute_batch("create table t (a)").unwrap_err();
        assert_eq!(owner.classify("test", error).kind(), ErrorKind::Config);
    }

    #[cfg(unix)]
    #[test]
    fn a_database_that_is_made_is_its_owners_alone_with_the_files_beside_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            let connection = Owner("catalog").open(&folder.path().join(name), Access::Create, Duration::ZERO).unwrap();
            connection.pragma_update(None, "journal_mode", "wal").unwrap();
            connection.execute_batch("create table if not exists t (a); insert into t values (1)").unwrap();
            connection
        };
        let modes = |name: &str| {
            ["", "-wal", "-shm"].map(|ending| {
                let path = folder.path().join(format!("{name}{ending}"));
                std::fs::metadata(path).unwrap().permissions().mode() & 0o777
            })
        };
        let _made = open("made.db");
        assert_eq!(modes("made.db"), [0o600; 3]);
        let shared = folder.path().join("shared.db");
        std::fs::write(&shared, "").unwrap();
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o660)).unwrap();
        let _shared = open("shared.db");
        assert_eq!(modes("shared.db"), [0o660; 3], "a file that was there keeps its mode");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_no_database() {
        let error = Owner("catalog").open(Path::new("/dev/zero"), Access::Write, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().starts_with("the catalog's file is not a regular file"), "{error}");
    }

    #[test]
    fn no_value_of_a_cell_is_in_an_error() {
        const CELL: &str = "canary-of-a-cell";
        let base = Connection::open_in_memory().unwrap();
        base.execute_batch(
            "create table t (a text unique, b text check (json_valid(b)), c text not null default '') strict;
             create virtual table f using fts5 (a);",
        )
        .unwrap_or_else(|_| base.execute_batch("create table if not exists t (a text)").unwrap());
        for body in [
            "raise(abort, 'bad ' || new.a)",
            "raise(fail, new.a)",
            "raise(rollback, 'no such table: ' || new.a)",
            "json_extract('{}', new.a)",
            "json_extract('{}', '$.' || new.a || '[')",
            "json(new.a)",
            "abs(-9223372036854775808) || new.a",
            "(select a from f where f match new.a || ': x')",
            "(select a from f where f match '\"' || new.a)",
        ] {
            let made = base.execute_batch(&format!(
                "drop trigger if exists refuse; create trigger refuse before insert on t begin select {body}; end"
            ));
            let failed = made.and_then(|()| base.execute("insert into t (a) values (?1)", [CELL]));
            let Err(error) = failed else { continue };
            let told = Owner("sink").classify("test", error).to_string();
            assert!(!told.contains("canary"), "{body}: {told}");
        }
        base.execute_batch("drop trigger if exists refuse; delete from t").unwrap();
        base.execute("insert into t (a) values (?1)", [CELL]).unwrap();
        for statement in
            ["insert into t (a) values (?1)", "insert into t (b) values (?1)", "insert into t (x) values (?1)"]
        {
            let error = base.execute(statement, [CELL]).unwrap_err();
            let told = Owner("sink").classify("test", error).to_string();
            assert!(!told.contains("canary"), "{statement}: {told}");
        }
    }
}
