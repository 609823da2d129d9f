use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use endpoint_api::{Error, ErrorKind, Result};

use crate::{error::failed, fence::open_lock, layout::remove_file};

/// What the names of these locks begin with; the fence follows.
pub(crate) const LOCK: &str = "lock-";

/// The sign that the run with a fence is alive: a lock that the operating system takes back when the
/// process has gone, however it went. Dropping it ends it.
///
/// Every fence has a lock of its own, so that a run that takes over is alive from its first moment,
/// while the overtaken one still holds its lock.
#[derive(Debug)]
pub(crate) struct RunLock {
    path: PathBuf,
    _lock: File,
}

impl RunLock {
    /// Holds the lock of a fence that was just taken.
    pub(crate) fn hold(folder: &Path, fence: u64, operation: &'static str) -> Result<Self> {
        let path = folder.join(format!("{LOCK}{fence}"));
        let lock = open_lock(&path).map_err(failed(operation, "open the run's lock", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                let message = "somebody holds the lock of a fence that was just taken; nothing else may lock it";
                Err(Error::new(ErrorKind::Conflict, operation, message).with("path", path.display()))
            }
            Err(TryLockError::Error(error)) => Err(failed(operation, "take the run's lock", &path)(error)),
        }
    }

    /// Whether the run with this fence is alive.
    pub(crate) fn is_held(folder: &Path, fence: u64, operation: &'static str) -> Result<bool> {
        let path = folder.join(format!("{LOCK}{fence}"));
        let lock = match File::open(&path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(operation, "open the run's lock", &path)(error)),
        };
        // A shared one, so that two who ask do not take each other for the run.
        match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(failed(operation, "look at the run's lock", &path)(error)),
        }
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // What stays behind here is free, and the next run sweeps it.
        let _ = remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_alive_as_long_as_its_lock_and_whoever_asks_is_not_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let is_held = || RunLock::is_held(folder.path(), 7, "open").unwrap();
        assert!(!is_held());
        let lock = RunLock::hold(folder.path(), 7, "open").unwrap();
        assert!(is_held());
        RunLock::hold(folder.path(), 7, "open").unwrap_err();
        drop(lock);
        assert!(!is_held());
        std::fs::write(folder.path().join("lock-7"), "").unwrap();
        let asking = File::open(folder.path().join("lock-7")).unwrap();
        asking.try_lock_shared().unwrap();
        assert!(!is_held());
    }
}
