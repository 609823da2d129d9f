use std::{fmt, io};

use endpoint_api::{Error, ErrorKind, Result};

/// Turns an error of the file system into one of the contract: `doing` something to the file `name`.
pub(crate) fn failed(operation: &'static str, doing: &'static str, name: impl fmt::Display, error: io::Error) -> Error {
    let (kind, advice) = match error.kind() {
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, "; allow it to the user that this program runs as"),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            (ErrorKind::Config, "; `path` must name the folder or the files of an export")
        }
        // As whoever opens regular files says of others.
        io::ErrorKind::InvalidInput => (ErrorKind::Config, "; `path` must name regular files"),
        io::ErrorKind::OutOfMemory => (ErrorKind::Exhausted, ""),
        _ => (ErrorKind::Unavailable, ""),
    };
    Error::new(kind, operation, format!("cannot {doing}{advice}")).with("file", name).caused_by(error)
}

/// The contents of the file `name` are not what they claim to be.
pub(crate) fn damaged(name: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Data, "read", message).with("file", name)
}

/// The file `name` is not as it was when the plan was made.
pub(crate) fn outdated(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::Outdated, "read", format!("{what} since the plan was made; plan again")).with("file", name)
}

/// Nobody waits for the work any more.
pub(crate) fn stopped() -> Error {
    Error::new(ErrorKind::Interrupted, "read", "the reading was given up")
}

/// What became of work on a thread where it may block.
pub(crate) fn joined<T>(
    operation: &'static str,
    outcome: std::result::Result<Result<T>, tokio::task::JoinError>,
) -> Result<T> {
    match outcome {
        Ok(result) => result,
        // The message of a panic is left out: it could show a record.
        Err(error) if error.is_panic() => Err(Error::new(ErrorKind::Internal, operation, "file work has panicked")),
        Err(_) => Err(Error::new(ErrorKind::Interrupted, operation, "the program is ending")),
    }
}

/// Begins file work on a thread where it may block.
pub(crate) fn spawn<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<tokio::task::JoinHandle<Result<T>>> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => {
            let span = tracing::Span::current();
            Ok(runtime.spawn_blocking(move || span.in_scope(work)))
        }
        Err(error) => {
            let message = "files are read on the threads of a tokio runtime, and there is none";
            Err(Error::new(ErrorKind::Internal, operation, message).caused_by(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_system_says_decides_what_happens_next() {
        let kind = |kind: io::ErrorKind| failed("read", "read the file", "issues.jsonl", kind.into()).kind();
        assert_eq!(kind(io::ErrorKind::PermissionDenied), ErrorKind::Denied);
        assert_eq!(kind(io::ErrorKind::NotFound), ErrorKind::Config);
        assert_eq!(kind(io::ErrorKind::IsADirectory), ErrorKind::Config);
        assert_eq!(kind(io::ErrorKind::OutOfMemory), ErrorKind::Exhausted);
        assert_eq!(kind(io::ErrorKind::TimedOut), ErrorKind::Unavailable);
    }

    #[test]
    fn an_error_names_the_file_and_the_way_out() {
        let error = failed("read", "open the file", "issues.jsonl", io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            error.to_string(),
            "cannot open the file; allow it to the user that this program runs as (file: issues.jsonl): permission denied"
        );
    }

    #[test]
    fn without_a_runtime_there_is_an_error_and_no_panic() {
        assert_eq!(spawn("read", || Ok(())).unwrap_err().kind(), ErrorKind::Internal);
    }
}
