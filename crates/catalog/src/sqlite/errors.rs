use endpoint_api::{Error, ErrorKind, Retry};
use rusqlite::ErrorCode;

/// Turns an error of SQLite into one of the contract. Values are bound, so that its text holds none.
pub(super) fn classify(operation: &'static str, error: rusqlite::Error) -> Error {
    let (kind, retry, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            (ErrorKind::Conflict, Retry::Backoff, "another process has held the catalog's file for too long")
        }
        Some(ErrorCode::NotADatabase) => (
            ErrorKind::Config,
            Retry::Never,
            "the file is no SQLite database; name another file, and the catalog is made there",
        ),
        Some(ErrorCode::DatabaseCorrupt) => {
            (ErrorKind::Data, Retry::AfterOperator, "the catalog's file is damaged; restore it from a backup")
        }
        Some(ErrorCode::CannotOpen) => (
            ErrorKind::Denied,
            Retry::AfterOperator,
            "the catalog's file cannot be opened; check that it is a file, and the rights on it and its folder",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => (
            ErrorKind::Denied,
            Retry::AfterOperator,
            "the catalog's file cannot be written; check the rights on it and its folder",
        ),
        Some(ErrorCode::DiskFull) => {
            (ErrorKind::Exhausted, Retry::AfterOperator, "the disk of the catalog's file is full")
        }
        Some(ErrorCode::OutOfMemory) => (ErrorKind::Exhausted, Retry::Backoff, "there is not enough memory"),
        Some(ErrorCode::SystemIoFailure) => {
            (ErrorKind::Unavailable, Retry::Backoff, "the catalog's file cannot be read or written")
        }
        Some(_) => (ErrorKind::Internal, Retry::Never, "SQLite refuses a statement of the catalog"),
        // The library's own: a value of another type than its column's.
        None => (ErrorKind::Data, Retry::AfterOperator, "an entry of the catalog is damaged"),
    };
    Error::new(kind, operation, message).with_retry(retry).caused_by(error)
}
