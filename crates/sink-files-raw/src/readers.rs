use std::{
    io::BufRead,
    path::{Path, PathBuf},
};

use endpoint_api::{Error, ErrorKind, Ingestion, Result, RunId};

use crate::{
    layout::Layout,
    lines::open_lines,
    log::Log,
    manifest::{Entry, StoredFile},
};

const READ: &str = "read the manifests";

/// A slice that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommittedSlice {
    /// The run that committed it.
    pub run_id: RunId,
    /// The fence under which it was committed; a run that was continued has several.
    pub fence: u64,
    /// Its place in the run's plan, from 0.
    pub slice: u64,
    /// The records: one JSON object a line, as the source has it.
    pub records: CommittedFile,
    /// The envelopes of the records: one JSON object a line, in the same order. Its members are
    /// `origin`, `line`, `part`, `parent_id`, `parent_key`, `key`, `observed_at` and `rank` (1 for a
    /// record, 0 for one that was seen only as a part of another), as far as they are known.
    pub envelopes: CommittedFile,
    /// What could not be read as records, one JSON object a line; `None` when there is nothing. Its
    /// members are `id`, `stage`, `reason`, `field`, `origin`, `key`, `raw_length`, `raw_hash`, and the
    /// bytes as `raw`, or as `raw_base64` where they are no text.
    pub rejects: Option<CommittedFile>,
}

/// A file of JSON lines that was committed. It is never changed and never removed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommittedFile {
    /// Where it is. The name ends with `.zst` when it is compressed.
    pub path: PathBuf,
    /// Its size in bytes, as it is stored.
    pub bytes: u64,
    /// How many lines there are in it.
    pub lines: u64,
    /// BLAKE3 of the file as it is stored, in hexadecimal.
    pub blake3: String,
}

impl CommittedFile {
    fn of(layout: &Layout, file: StoredFile) -> Self {
        let StoredFile { path, bytes, lines, blake3 } = file;
        Self { path: layout.file(&path), bytes, lines, blake3 }
    }

    /// Opens the file and decompresses it where that is needed. It blocks.
    pub fn open(&self) -> Result<Box<dyn BufRead + Send>> {
        open_lines(&self.path, READ)
    }
}

/// Follows the manifests of an ingestion. See [`committed_slices`].
#[derive(Debug)]
pub struct CommittedSlices {
    layout: Layout,
    log: Log,
    has_failed: bool,
}

/// The slices of an ingestion that are committed in the sink in `folder`, in the order in which they
/// were committed.
///
/// What is not among them is not there: files may be in the folder that were never committed. A run
/// that was given up for a new one keeps what it had committed; from a source that reads the same
/// again, a record can therefore come once in each of the two.
///
/// The iterator changes nothing and can be used while runs are loading. It blocks.
///
/// # Errors
///
/// [`ErrorKind::Config`] when there is no such folder or it belongs to another sink, and
/// [`ErrorKind::Data`], naming the file, when a manifest is damaged or missing.
pub fn committed_slices(folder: impl AsRef<Path>, ingestion: &Ingestion) -> Result<CommittedSlices> {
    let folder = folder.as_ref();
    if !folder.is_dir() {
        let message = "there is no such folder; name the `path` of a sink of the driver `raw.files`";
        return Err(Error::new(ErrorKind::Config, READ, message).with("path", folder.display()));
    }
    let layout = Layout::below(folder.to_owned());
    Ok(CommittedSlices { log: Log::unread(&layout, ingestion), layout, has_failed: false })
}

impl CommittedSlices {
    fn advance(&mut self) -> Result<Option<CommittedSlice>> {
        while let Some(manifest) = self.log.advance(READ)? {
            let Entry::Slice(entry) = manifest.entry else { continue };
            let file = |file| CommittedFile::of(&self.layout, file);
            return Ok(Some(CommittedSlice {
                run_id: manifest.run_id,
                fence: manifest.fence,
                slice: entry.slice,
                records: file(entry.files.records),
                envelopes: file(entry.files.envelopes),
                rejects: entry.files.rejects.map(file),
            }));
        }
        self.log.refuse_gap(READ)?;
        Ok(None)
    }
}

impl Iterator for CommittedSlices {
    type Item = Result<CommittedSlice>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let next = self.advance().transpose();
        self.has_failed = matches!(next, Some(Err(_)));
        next
    }
}
