use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use cdm_models::Timestamp;
use endpoint_api::{Error, ErrorKind, Result, Retry};
use object_store::{ObjectStoreExt as _, local::LocalFileSystem, path::Path};
use serde::Serialize;

use crate::{
    error::{blocking, damaged, failed, internal},
    layout,
    manifest::{FORMAT, Manifest},
};

/// How often somebody who waits for the lock asks for it; it is held for milliseconds.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// After so many questions whoever has the lock is no longer believed to be at work.
const PATIENCE: u32 = 12_000;

/// The sink's folder as a store of objects. An object is written as a whole or not at all, and durably.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    objects: OnceLock<LocalFileSystem>,
}

impl Store {
    /// `root` must be absolute; it need not be there.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root, objects: OnceLock::new() }
    }

    pub(crate) fn root(&self) -> &std::path::Path {
        &self.root
    }

    /// Where an object stands.
    pub(crate) fn file(&self, path: &Path) -> PathBuf {
        self.root.join(path.as_ref())
    }

    /// The objects; `None` as long as there is no folder.
    fn objects(&self, operation: &'static str) -> Result<Option<&LocalFileSystem>> {
        if self.objects.get().is_none() && self.root.is_dir() {
            let open = LocalFileSystem::new_with_prefix(&self.root);
            let open = open.map_err(failed(operation, "open the folder", self.root.display()))?;
            let _ = self.objects.set(open.with_fsync(true)); // another one that was set first is the same
        }
        Ok(self.objects.get())
    }

    /// Reads an object; `None` when it is not there.
    pub(crate) async fn read(&self, path: &Path, operation: &'static str) -> Result<Option<Bytes>> {
        let Some(objects) = self.objects(operation)? else { return Ok(None) };
        let found = match objects.get(path).await {
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        match found {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(operation, "read the file", path)(error)),
        }
    }

    /// Reads an object that the manifest names.
    pub(crate) async fn read_named(&self, path: &str, operation: &'static str) -> Result<Bytes> {
        let found = self.read(&Path::from(path), operation).await?;
        found.ok_or_else(|| damaged(operation, path, "it is missing"))
    }

    /// Writes an object in the place of the one that may be there.
    pub(crate) async fn write(&self, path: &Path, bytes: impl Into<Bytes>, operation: &'static str) -> Result<()> {
        let objects = self.objects(operation)?.ok_or_else(|| internal(operation, "the folder was not made"))?;
        let written = objects.put(path, bytes.into().into()).await;
        written.map(drop).map_err(failed(operation, "write the file", path))
    }

    /// The manifest as it now stands.
    pub(crate) async fn manifest(&self, operation: &'static str) -> Result<Manifest> {
        let path = layout::manifest();
        let Some(bytes) = self.read(&path, operation).await? else { return Ok(Manifest::new()) };
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| {
            damaged(operation, &path, "it is no manifest, or one of a newer version").caused_by(error)
        })?;
        if manifest.format != FORMAT {
            let message = format!("the manifest has format {}, expected {FORMAT}", manifest.format);
            return Err(Error::new(ErrorKind::Unsupported, operation, message).with("file", path));
        }
        Ok(manifest)
    }

    /// Makes the folder, waits until nobody else changes the manifest, and reads it.
    pub(crate) async fn lock(self: &Arc<Self>, operation: &'static str) -> Result<Locked> {
        let store = Arc::clone(self);
        let lock = blocking(operation, move || {
            let path = store.file(&layout::lock());
            let folder = path.parent().unwrap_or(store.root());
            fs::create_dir_all(folder).map_err(failed(operation, "make the folder", folder.display()))?;
            open_lock(&path).map_err(failed(operation, "open the lock", path.display()))
        });
        let lock = lock.await?;
        let mut asked = 0;
        while !try_lock(&lock).map_err(failed(operation, "take the lock", layout::lock()))? {
            asked += 1;
            if asked > PATIENCE {
                let message = "another program has held the lock for a minute; look whether it hangs";
                return Err(Error::new(ErrorKind::Unavailable, operation, message).with("file", layout::lock()));
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        Ok(Locked { manifest: self.manifest(operation).await?, store: Arc::clone(self), _lock: lock })
    }
}

/// The right to change the manifest. The operating system takes the lock back when the process has gone,
/// however it went.
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) manifest: Manifest,
    store: Arc<Store>,
    _lock: File,
}

impl Locked {
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The number that the manifest will have.
    pub(crate) fn next(&self) -> u64 {
        self.manifest.sequence + 1
    }

    /// Replaces the manifest: what was changed in it is now committed, and durable.
    ///
    /// # Errors
    ///
    /// With [`Retry::OutcomeUnknown`]: a file system may fail after it has done what it was told.
    pub(crate) async fn publish(mut self, operation: &'static str) -> Result<Self> {
        self.manifest.sequence = self.next();
        let bytes = to_json(&self.manifest, operation)?;
        let published = self.store.write(&layout::manifest(), bytes, operation).await;
        published.map_err(|error| error.with_retry(Retry::OutcomeUnknown))?;
        Ok(self)
    }
}

/// An object of the sink's own as JSON that people can read.
pub(crate) fn to_json(value: &impl Serialize, operation: &'static str) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(value)
        .map_err(|error| internal(operation, "state cannot be written as JSON").caused_by(error))?;
    json.push(b'\n');
    Ok(json)
}

/// Opens a file to lock it. Network file systems lock only what is open for writing.
pub(crate) fn open_lock(path: &std::path::Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// Whether the lock is now held.
pub(crate) fn try_lock(lock: &File) -> std::io::Result<bool> {
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The time by the clock of the machine.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(std::time::SystemTime::now())
}
