use std::{io, path::Path};

use endpoint_api::{Error, ErrorKind, Ingestion, Result};
use rustix::io::Errno;

/// Turns an error of the file system into one of the contract: `doing` something to `path`.
pub(crate) fn failed<'a>(
    operation: &'static str,
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> Error + 'a {
    move |error| {
        let (kind, advice) = meaning(&error);
        Error::new(kind, operation, format!("cannot {doing}{advice}")).with("path", path.display()).caused_by(error)
    }
}

/// What an error of the file system means for what happens next, and what a person can do.
fn meaning(error: &io::Error) -> (ErrorKind, &'static str) {
    if matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE)) {
        return (ErrorKind::Exhausted, "; allow more open files");
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, "; allow it to the user that this program runs as"),
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::Denied, "; name a folder that can be written"),
        io::ErrorKind::NotFound
        | io::ErrorKind::AlreadyExists
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidFilename => {
            (ErrorKind::Config, "; `path` must name a folder in which nothing else makes or removes files")
        }
        io::ErrorKind::InvalidInput => (ErrorKind::Config, "; move away what is in its place"),
        io::ErrorKind::Unsupported => {
            (ErrorKind::Config, "; `path` must be on a file system with hard links and file locks")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            (ErrorKind::Exhausted, "; make room")
        }
        io::ErrorKind::OutOfMemory => (ErrorKind::Exhausted, ""),
        _ => (ErrorKind::Unavailable, ""),
    }
}

/// A file of the sink's own that is not what it should be.
pub(crate) fn damaged(operation: &'static str, path: &Path, why: impl std::fmt::Display) -> Error {
    let message = format!("a file of the sink is damaged: {why}; restore it from a copy");
    Error::new(ErrorKind::Data, operation, message).with("file", path.display())
}

/// The run may commit nothing more.
pub(crate) fn overtaken(operation: &'static str, ingestion: &Ingestion) -> Error {
    let message = "a newer run has taken over; this one can commit nothing more";
    Error::new(ErrorKind::Fenced, operation, message).with("ingestion", ingestion)
}

/// Does file work on a thread where it may block.
///
/// When the future is dropped, the work still goes on to its end.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    // What is logged there is of the same run.
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(result) => result,
        // The message of a panic is left out: it could show a record.
        Err(error) if error.is_panic() => Err(Error::new(ErrorKind::Internal, operation, "file work has panicked")),
        Err(_) => Err(Error::new(ErrorKind::Interrupted, operation, "the program is ending")),
    }
}

#[cfg(test)]
mod tests {
    use endpoint_api::Retry;

    use super::*;

    #[test]
    fn what_the_file_system_says_decides_what_happens_next() {
        let kind = |kind: io::ErrorKind| meaning(&kind.into()).0;
        assert_eq!(kind(io::ErrorKind::PermissionDenied), ErrorKind::Denied);
        assert_eq!(kind(io::ErrorKind::ReadOnlyFilesystem), ErrorKind::Denied);
        assert_eq!(kind(io::ErrorKind::NotFound), ErrorKind::Config);
        assert_eq!(kind(io::ErrorKind::NotADirectory), ErrorKind::Config);
        assert_eq!(kind(io::ErrorKind::StorageFull), ErrorKind::Exhausted);
        assert_eq!(kind(io::ErrorKind::QuotaExceeded), ErrorKind::Exhausted);
        assert_eq!(kind(io::ErrorKind::TimedOut), ErrorKind::Unavailable);
        assert_eq!(meaning(&Errno::MFILE.into()).0, ErrorKind::Exhausted);
    }

    #[test]
    fn an_error_names_the_file_and_the_way_out() {
        let error = failed("write", "write the file", Path::new("/raw/x"))(io::ErrorKind::StorageFull.into());
        assert_eq!(error.to_string(), "cannot write the file; make room (path: /raw/x): no storage space");
        assert_eq!((error.operation(), error.retry()), ("write", Retry::AfterOperator));
    }
}
