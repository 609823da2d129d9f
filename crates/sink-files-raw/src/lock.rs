use std::path::Path;

use cdm_models::Timestamp;
use endpoint_api::{Error, ErrorKind, Holder, Result};

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
    pub(crate) fn hold(folder: &Path, fence: u64, holder: Option<&Holder>, operation: &'static str) -> Result<Self> {
        let path = folder.join(format!("{LOCK}{fence}"));
        match run_lock::RunLock::hold(&path).map_err(failed(operation, "take the run's lock", &path))? {
            Some(mut held) => {
                if let Some(holder) = holder {
                    held.sign(&holder.to_string()).map_err(failed(operation, "sign the run's lock", &path))?;
                }
                Ok(Self { _held: held })
            }
            None => {
                let message = "somebody holds the lock of a fence that was just taken; nothing else may lock it";
                Err(Error::new(ErrorKind::Internal, operation, message).with("path", path.display()))
            }
        }
    }

    /// Who works on the run with this fence, and since when, as far as that is on record.
    pub(crate) fn signature(folder: &Path, fence: u64) -> (Option<Holder>, Option<Timestamp>) {
        match run_lock::RunLock::signature(&folder.join(format!("{LOCK}{fence}"))) {
            Some((holder, since)) => (holder.parse().ok(), Some(since.into())),
            None => (None, None),
        }
    }

    /// Whether the run with this fence is alive.
    pub(crate) fn is_held(folder: &Path, fence: u64, operation: &'static str) -> Result<bool> {
        let path = folder.join(format!("{LOCK}{fence}"));
        run_lock::RunLock::is_held(&path).map_err(failed(operation, "look at the run's lock", &path))
    }
}
