//! The sign that a run is alive: a lock on a file, which the operating system takes back when the process
//! has gone, however it went.
//!
//! Every run has a file of its own, named by its fence, so that a run that takes over is alive from its
//! first moment, while the overtaken one still holds its lock.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A lock that is held until it is dropped; then its file goes too.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    lock: File,
}

impl RunLock {
    /// Holds the lock on a file, which is made for its owner alone when it is missing; `None` when somebody else does.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or locked.
    pub fn hold(path: impl Into<PathBuf>) -> io::Result<Option<Self>> {
        let path = path.into();
        let lock = local_files::open_private(&path, OpenOptions::new().read(true).write(true))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path, lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Writes into the file who holds the lock, for [`signature`](Self::signature).
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn sign(&mut self, holder: &str) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.write_all(holder.as_bytes())
    }

    /// What the holder of the lock has written into the file, and when; `None` when that is nothing or cannot be read.
    pub fn signature(path: &Path) -> Option<(String, SystemTime)> {
        let text = local_files::read_small_text(path).ok().filter(|text| !text.is_empty())?;
        Some((text, fs::metadata(path).ok()?.modified().ok()?))
    }

    /// Whether somebody holds the lock.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be opened or locked.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let lock = match local_files::open_regular(path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        // A shared one, so that two who ask do not take each other for the run.
        match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // A file that stays behind is free, which says the same.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_run_is_alive_as_long_as_its_lock_and_whoever_asks_is_not_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock-7");
        assert!(!RunLock::is_held(&path).unwrap());
        let mut lock = RunLock::hold(&path).unwrap().unwrap();
        assert!(RunLock::is_held(&path).unwrap());
        assert!(RunLock::signature(&path).is_none());
        lock.sign("web-3:4711").unwrap();
        assert_eq!(RunLock::signature(&path).unwrap().0, "web-3:4711");
        assert!(RunLock::hold(&path).unwrap().is_none());
        drop(lock);
        assert!(!RunLock::is_held(&path).unwrap() && !path.exists());
        fs::write(&path, "").unwrap();
        let asking = File::open(&path).unwrap();
        asking.try_lock_shared().unwrap();
        assert!(!RunLock::is_held(&path).unwrap());
    }
}
