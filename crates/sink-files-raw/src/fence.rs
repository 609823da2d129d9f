use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use endpoint_api::{Ingestion, Result};

use crate::{
    error::{damaged, failed},
    layout::{Layout, names, number, remove_file, sync_folder},
};

/// The fences of a sink, in the hands of one opener at a time: what it reads of an ingestion while it
/// holds them, no other opener changes.
///
/// A fence is a file that is named after it. Of these files only the last one has to stay.
#[derive(Debug)]
pub(crate) struct Fences {
    folder: PathBuf,
    _lock: File,
}

impl Fences {
    /// Takes hold of the fences until the value is dropped; `None` when another opener has them.
    pub(crate) fn try_lock(layout: &Layout, operation: &'static str) -> Result<Option<Self>> {
        let folder = layout.fences();
        let path = folder.join("lock");
        let lock = open_lock(&path).map_err(failed(operation, "open the lock", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { folder, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(operation, "take the lock", &path)(error)),
        }
    }

    /// A new fence above all that were ever given out and above `known`.
    pub(crate) fn take(&self, known: u64, ingestion: &Ingestion, operation: &'static str) -> Result<u64> {
        let listed = names(&self.folder).map_err(failed(operation, "list the fences", &self.folder))?;
        let older: Vec<u64> = listed.iter().filter_map(|name| number(name)).collect();
        let last = older.iter().copied().max().unwrap_or(0).max(known);
        let fence = last.checked_add(1).ok_or_else(|| damaged(operation, &self.file(last), "no fence is above it"))?;
        let path = self.file(fence);
        create(&path, ingestion).map_err(failed(operation, "create the fence", &path))?;
        // Without this a power failure could give the fence out a second time.
        sync_folder(&self.folder).map_err(failed(operation, "make the fence durable", &self.folder))?;
        for old in older {
            let path = self.file(old);
            remove_file(&path).map_err(failed(operation, "remove an old fence", &path))?;
        }
        Ok(fence)
    }

    fn file(&self, fence: u64) -> PathBuf {
        self.folder.join(format!("{fence:012}"))
    }
}

/// The key in it is for people who look around.
fn create(path: &Path, ingestion: &Ingestion) -> io::Result<()> {
    let mut file = local_files::create_private(path)?;
    writeln!(file, "{ingestion}")
}

/// Opens a file to lock it. Network file systems lock only what is open for writing.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    local_files::open_private(path, OpenOptions::new().write(true))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use endpoint_api::{EndpointId, Mode, UnitId};

    use super::*;
    use crate::{layout::make_folder, mode::FileMode};

    fn ingestion() -> Ingestion {
        Ingestion {
            source: EndpointId::from_static("acme"),
            unit: UnitId::from_static("test.things"),
            sink: EndpointId::from_static("archive"),
            mode: Mode::Raw,
        }
    }

    #[test]
    fn a_fence_is_above_every_other_and_only_the_last_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path().to_owned());
        make_folder(&layout.fences(), FileMode::OWNER).unwrap();
        let fences = Fences::try_lock(&layout, "open").unwrap().unwrap();
        assert!(Fences::try_lock(&layout, "open").unwrap().is_none(), "one opener at a time");
        let take = |known| fences.take(known, &ingestion(), "open").unwrap();
        assert_eq!([take(0), take(0), take(1), take(9)], [1, 2, 3, 10]);
        let kept: Vec<_> = names(&layout.fences()).unwrap().into_iter().filter(|name| name != "lock").collect();
        assert_eq!(kept, ["000000000010"]);
        let content = fs::read_to_string(layout.fences().join("000000000010")).unwrap();
        assert_eq!(content, "acme/test.things/archive/raw\n");
        fences.take(u64::MAX, &ingestion(), "open").unwrap_err();
        drop(fences);
        assert!(Fences::try_lock(&layout, "open").unwrap().is_some());
    }
}
