use std::path::Path;

use endpoint_api::{Error, ErrorKind, Result};

use crate::error::failed;

/// What the names of these locks begin with; the fence follows.
pub(crate) const LOCK: &str = "lock-";

/// The sign that the run with a fence is alive.
#[derive(Debug)]
pub(crate) struct RunLock {
    _held: run_lock::RunLock,
}

impl RunLock {
    /// Holds the lock of a fence that was just taken.
    pub(crate) fn hold(folder: &Path, fence: u64, operation: &'static str) -> Result<Self> {
        let path = folder.join(format!("{LOCK}{fence}"));
        match run_lock::RunLock::hold(&path).map_err(failed(operation, "take the run's lock", &path))? {
            Some(held) => Ok(Self { _held: held }),
            None => {
                let message = "somebody holds the lock of a fence that was just taken; nothing else may lock it";
                Err(Error::new(ErrorKind::Conflict, operation, message).with("path", path.display()))
            }
        }
    }

    /// Whether the run with this fence is alive.
    pub(crate) fn is_held(folder: &Path, fence: u64, operation: &'static str) -> Result<bool> {
        let path = folder.join(format!("{LOCK}{fence}"));
        run_lock::RunLock::is_held(&path).map_err(failed(operation, "look at the run's lock", &path))
    }
}
