use std::{error::Error as StdError, future::Future, io};

use endpoint_api::{Error, ErrorKind, Result};

/// Turns an error of the file system or of the object store into one of the contract: `doing` something to
/// `path`. Both name the path in their own message; neither knows what is in a file.
pub(crate) fn failed<E: StdError + Send + Sync + 'static>(
    operation: &'static str,
    doing: &'static str,
    path: impl std::fmt::Display,
) -> impl FnOnce(E) -> Error {
    move |error| {
        let (kind, advice) = meaning(&error);
        Error::new(kind, operation, format!("cannot {doing}{advice}")).with("path", path).caused_by(error)
    }
}

/// The one table of what an error means for what happens next, and what a person can do.
fn meaning(error: &(dyn StdError + 'static)) -> (ErrorKind, &'static str) {
    let mut below = Some(error);
    let mut kind = None;
    while let Some(error) = below.filter(|_| kind.is_none()) {
        kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        below = error.source();
    }
    match kind {
        Some(io::ErrorKind::PermissionDenied) => {
            (ErrorKind::Denied, "; allow it to the user that this program runs as")
        }
        Some(io::ErrorKind::ReadOnlyFilesystem) => (ErrorKind::Denied, "; name a folder that can be written"),
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge) => {
            (ErrorKind::Exhausted, "; make room")
        }
        Some(
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::Unsupported,
        ) => (ErrorKind::Config, "; `path` must name a folder in which nothing else makes or removes files"),
        _ => (ErrorKind::Unavailable, ""),
    }
}

/// A file of the sink's own that is not what it should be.
pub(crate) fn damaged(operation: &'static str, path: impl std::fmt::Display, why: &str) -> Error {
    let message = format!("a file of the sink is damaged: {why}; restore it from a copy");
    Error::new(ErrorKind::Data, operation, message).with("file", path)
}

/// A fault of this crate.
pub(crate) fn internal(operation: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::Internal, operation, message)
}

/// Does work to its end, also when whoever waits for it goes away: what holds the lock of the store must not
/// let go of it while a file is on its way.
pub(crate) async fn carry_through<T: Send + 'static>(
    operation: &'static str,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    ended(operation, tokio::spawn(work).await)
}

/// Does work that takes the processor or the disk for a while on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    ended(operation, tokio::task::spawn_blocking(work).await)
}

fn ended<T>(operation: &'static str, done: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    match done {
        Ok(result) => result,
        // The message of a panic is left out: it could show a cell.
        Err(error) if error.is_panic() => Err(internal(operation, "the work has panicked")),
        Err(_) => Err(Error::new(ErrorKind::Interrupted, operation, "the program is ending")),
    }
}
