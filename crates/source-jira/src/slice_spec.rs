//! What a slice is, in this driver's own words.

use endpoint_api::{Checkpoint, Error, ErrorKind, Incomplete, Mode, Resource, Result, Slice};
use serde::{Deserialize, Serialize};

use crate::{
    files_read::unwritable,
    fingerprint::{Fingerprint, LineRange},
    json_lines,
};

/// What a slice is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SliceSpec {
    /// The name of the file; empty in a slice of notes.
    pub(crate) file: String,
    pub(crate) records: Records,
    pub(crate) mode: Mode,
    /// The file when the plan was made.
    pub(crate) state: Fingerprint,
    /// Which lines of it; all of the file when it has no ranges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lines: Option<LineRange>,
    /// Further files, all of which are read.
    #[serde(default, with = "json_lines", skip_serializing_if = "Vec::is_empty")]
    pub(crate) more: Vec<PlannedFile>,
    /// From where to resume when this slice and all before it are committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resume_at: Option<Checkpoint>,
    /// The field of the epic link, as the file's pages tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) epic_link: Option<String>,
    /// What is missing in the export as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<Incomplete>,
}

/// A file when the plan was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlannedFile {
    pub(crate) file: String,
    #[serde(flatten)]
    pub(crate) state: Fingerprint,
}

/// Which records of a file are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Records {
    /// Those that the file is of.
    Own,
    /// Those that these embed.
    Embedded,
    /// None: the slice only says what is missing in the export.
    Notes,
    /// None: the file could not be read when the plan was made. Reading the slice fails, so that the run does, after
    /// it has loaded the other files.
    Unreadable,
}

impl SliceSpec {
    /// What `slice` says.
    pub(crate) fn read(slice: &Slice) -> Result<Self> {
        Self::deserialize(&slice.spec).map_err(|error| {
            let message = "the slice was planned by another version of the driver; plan again";
            Error::new(ErrorKind::Outdated, "read", message).with("slice", slice.index).caused_by(error)
        })
    }

    /// A slice without records.
    pub(crate) fn empty(records: Records, mode: Mode) -> Self {
        let state = Fingerprint { bytes: 0, xxh3: String::new(), modified_ns: None };
        Self {
            file: String::new(),
            records,
            mode,
            state,
            lines: None,
            more: Vec::new(),
            resume_at: None,
            epic_link: None,
            notes: Vec::new(),
        }
    }

    /// A slice of files with these fingerprints.
    pub(crate) fn slice(&self, index: usize, fingerprints: Vec<String>) -> Result<Slice> {
        let spec = serde_json::to_value(self).map_err(|error| unwritable("the plan", error))?;
        let slice = Slice::new(u64::try_from(index).unwrap_or(u64::MAX), spec);
        let resource = |(name, fingerprint): (&str, String)| Resource { name: name.to_owned(), fingerprint };
        let names = self.files().map(|(name, _)| name);
        Ok(names.zip(fingerprints).map(resource).fold(slice, Slice::of))
    }

    /// The names of its files, and how they were when the plan was made.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &Fingerprint)> {
        let more = self.more.iter().map(|more| (more.file.as_str(), &more.state));
        std::iter::once((self.file.as_str(), &self.state)).chain(more)
    }
}
