use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::Path,
};

use cdm_models::Timestamp;
use endpoint_api::{Checkpoint, Error, ErrorKind, Ingestion, LoadReceipt, Result, Retry, RunEnd, RunId, Slice};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    error::{damaged, failed},
    layout::{manifest_name, remove_file, sync_folder},
    mode::FileMode,
};

/// The version of the manifests that are written, and the only one that is read.
const FORMAT: u32 = 1;

/// One line of an ingestion's log. It is never changed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) ingestion: Ingestion,
    /// Its place in the log, from 1.
    pub(crate) sequence: u64,
    pub(crate) run_id: RunId,
    /// The fence of who wrote it.
    pub(crate) fence: u64,
    /// When it was written, by the clock of the machine: RFC 3339.
    pub(crate) at: String,
    #[serde(flatten)]
    pub(crate) entry: Entry,
}

/// What a manifest says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A run was opened: a new one when the observation is its fence, otherwise one that is continued.
    Open { observation: u64 },
    /// The run's plan.
    Plan { slices: Vec<Slice> },
    /// A slice was committed.
    Slice(Box<SliceEntry>),
    /// The run ended.
    End { how: End },
}

/// A committed slice.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SliceEntry {
    pub(crate) slice: u64,
    /// The number of the load in the names of its files.
    pub(crate) load: u64,
    pub(crate) receipt: LoadReceipt,
    pub(crate) files: Files,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resume_at: Option<Checkpoint>,
    /// The ingestion's checkpoint from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// The files of a committed slice.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Files {
    pub(crate) records: StoredFile,
    /// One line a record, in the same order.
    pub(crate) envelopes: StoredFile,
    /// Absent when nothing was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rejects: Option<StoredFile>,
}

/// A file of JSON lines.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredFile {
    /// From the sink's folder, with `/`.
    pub(crate) path: String,
    /// The size of the file as it is stored.
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    /// BLAKE3 of the file as it is stored, in hexadecimal.
    pub(crate) blake3: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    Succeeded,
    Failed,
    Interrupted,
    Abandoned,
}

impl End {
    pub(crate) fn of(end: RunEnd) -> Result<Self> {
        Ok(match end {
            RunEnd::Succeeded => Self::Succeeded,
            RunEnd::Failed => Self::Failed,
            RunEnd::Interrupted => Self::Interrupted,
            RunEnd::Abandoned => Self::Abandoned,
            _ => return Err(Error::unsupported("finish", "this end of a run")),
        })
    }
}

/// What a file is read as before anything else.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// A manifest as it stands in its file.
#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    format: u32,
    /// BLAKE3 of the bytes of `manifest`, in hexadecimal.
    checksum: String,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

/// Whether a manifest could be created.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Created {
    Yes,
    /// Another one has its number.
    Taken,
}

impl Manifest {
    /// Reads the manifest with this number; `None` when there is none.
    pub(crate) fn read(folder: &Path, sequence: u64, operation: &'static str) -> Result<Option<Self>> {
        let path = folder.join(manifest_name(sequence));
        let bytes = match read_whole(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(operation, "read the manifest", &path)(error)),
        };
        let damaged = |why: &str| damaged(operation, &path, why);
        let Ok(Format { format }) = serde_json::from_slice(&bytes) else {
            return Err(damaged("it is no manifest"));
        };
        if format != FORMAT {
            let message = format!("the manifest has format {format}, expected {FORMAT}; use the version that wrote it");
            return Err(Error::new(ErrorKind::Unsupported, operation, message).with("file", path.display()));
        }
        let Ok(sealed) = serde_json::from_slice::<Sealed<'_>>(&bytes) else {
            return Err(damaged("it is no manifest"));
        };
        if blake3::hash(sealed.manifest.get().as_bytes()).to_hex().as_str() != sealed.checksum {
            return Err(damaged("its checksum does not fit"));
        }
        let Ok(manifest) = serde_json::from_str::<Self>(sealed.manifest.get()) else {
            return Err(damaged("it lacks something or has something of another type"));
        };
        if manifest.sequence != sequence {
            return Err(damaged("it is not the one that its name says"));
        }
        Ok(Some(manifest))
    }

    /// The manifest as the bytes of its file.
    fn seal(&self) -> serde_json::Result<Vec<u8>> {
        let manifest = serde_json::value::to_raw_value(self)?;
        let checksum = blake3::hash(manifest.get().as_bytes()).to_hex().to_string();
        let mut bytes = serde_json::to_vec(&Sealed { format: FORMAT, checksum, manifest: &manifest })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Creates the manifest's file, unless its number is taken: all of it at once and durably, by way
    /// of a file with the name `temporary`, which must be new.
    ///
    /// # Errors
    ///
    /// With [`Retry::OutcomeUnknown`], the manifest may be there or may come to be there; with any
    /// other, it is not.
    pub(crate) fn create(
        &self,
        folder: &Path,
        temporary: &str,
        mode: FileMode,
        operation: &'static str,
    ) -> Result<Created> {
        let bytes = self.seal().map_err(|error| {
            Error::new(ErrorKind::Internal, operation, "the manifest cannot be written as JSON").caused_by(error)
        })?;
        let temporary = folder.join(temporary);
        let path = folder.join(manifest_name(self.sequence));
        let linked = write_whole(&temporary, &bytes, mode)
            .map_err(failed(operation, "write the manifest", &temporary))
            .map(|()| fs::hard_link(&temporary, &path));
        // What stays behind here, the next run sweeps.
        let _ = fs::remove_file(&temporary);
        if let Err(error) = linked? {
            // A network file system may report a failure of what it did: only the file itself tells.
            match read_whole(&path) {
                Ok(found) if found == bytes => {}
                Ok(_) => return Ok(Created::Taken),
                Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                    return Err(failed(operation, "create the manifest", &path)(error));
                }
                Err(unreadable) => return Err(unsettled(operation, &path, unreadable)),
            }
        }
        match sync_folder(folder) {
            Ok(()) => Ok(Created::Yes),
            Err(error) => Err(unsettled(operation, &path, error)),
        }
    }
}

fn unsettled(operation: &'static str, path: &Path, error: io::Error) -> Error {
    failed(operation, "make sure of the manifest", path)(error).with_retry(Retry::OutcomeUnknown)
}

fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    local_files::open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write_whole(path: &Path, bytes: &[u8], mode: FileMode) -> io::Result<()> {
    let mut file = mode.create_new(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        remove_file(path)?;
    }
    written
}

/// The time, for people: RFC 3339.
pub(crate) fn now() -> String {
    let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let microseconds = i64::try_from(since_epoch.as_micros()).unwrap_or_default();
    Timestamp::from_microsecond(microseconds).map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use endpoint_api::{EndpointId, Mode, UnitId};

    use super::*;

    fn manifest(sequence: u64, fence: u64) -> Manifest {
        let ingestion = Ingestion {
            source: EndpointId::from_static("acme"),
            unit: UnitId::from_static("test.things"),
            sink: EndpointId::from_static("archive"),
            mode: Mode::Raw,
        };
        let entry = Entry::Open { observation: fence };
        Manifest { ingestion, sequence, run_id: RunId::from_static("run-1"), fence, at: now(), entry }
    }

    #[test]
    fn a_number_is_given_once_and_its_manifest_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(manifest(1, 4).create(folder.path(), "tmp-4-1", FileMode::UMASK, "open").unwrap(), Created::Yes);
        assert_eq!(manifest(1, 5).create(folder.path(), "tmp-5-1", FileMode::UMASK, "open").unwrap(), Created::Taken);
        assert_eq!(Manifest::read(folder.path(), 1, "open").unwrap().unwrap().fence, 4);
        assert!(Manifest::read(folder.path(), 2, "open").unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "temporary files are gone");
    }

    #[test]
    fn a_manifest_that_is_there_already_to_the_byte_is_the_one_that_was_to_be_created() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = manifest(1, 4);
        assert_eq!(manifest.create(folder.path(), "tmp-4-1", FileMode::UMASK, "open").unwrap(), Created::Yes);
        assert_eq!(manifest.create(folder.path(), "tmp-4-2", FileMode::UMASK, "open").unwrap(), Created::Yes);
    }

    #[test]
    fn a_manifest_of_another_format_is_not_called_damaged() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(manifest_name(1)), r#"{"format":2,"anything":"else"}"#).unwrap();
        let error = Manifest::read(folder.path(), 1, "open").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("has format 2, expected 1"), "{error}");
    }

    #[test]
    fn any_changed_byte_of_a_manifest_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        manifest(1, 4).create(folder.path(), "tmp-4-1", FileMode::UMASK, "open").unwrap();
        let path = folder.path().join(manifest_name(1));
        let good = fs::read(&path).unwrap();
        // The line break at the end is no part of the manifest.
        for index in 0..good.len() - 1 {
            let mut bad = good.clone();
            bad[index] ^= 1;
            fs::write(&path, &bad).unwrap();
            let error = Manifest::read(folder.path(), 1, "open").unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Data | ErrorKind::Unsupported), "byte {index}: {error}");
        }
        for length in 0..good.len() - 1 {
            fs::write(&path, &good[..length]).unwrap();
            let error = Manifest::read(folder.path(), 1, "open").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data, "length {length}: {error}");
        }
    }
}
