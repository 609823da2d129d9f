use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use endpoint_api::{EndpointId, Ingestion, RunId, UnitId};

use crate::{config::Compression, mode::FileMode};

/// The folder of the sink's own files. No endpoint can be called so.
const STATE: &str = "_cdm";

/// Where everything stands below the sink's folder. Paths are built from validated ids and numbers
/// alone.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
    file_mode: FileMode,
}

impl Layout {
    /// `root` must be absolute, so that every folder has a parent.
    pub(crate) fn below(root: PathBuf) -> Self {
        Self { root, file_mode: FileMode::UMASK }
    }

    /// Sets who may read the records and the manifests.
    #[must_use]
    pub(crate) fn readable_by(mut self, file_mode: FileMode) -> Self {
        self.file_mode = file_mode;
        self
    }

    /// Who may read the records and the manifests.
    pub(crate) fn file_mode(&self) -> FileMode {
        self.file_mode
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the state of all ingestions.
    pub(crate) fn states(&self) -> PathBuf {
        self.root.join(STATE)
    }

    /// The folder of one ingestion's manifests.
    pub(crate) fn state(&self, ingestion: &Ingestion) -> PathBuf {
        self.states().join(format!("{}.{}", ingestion.source, ingestion.unit))
    }

    pub(crate) fn fences(&self) -> PathBuf {
        self.states().join("fences")
    }

    /// The folder of the records of all runs of one ingestion.
    pub(crate) fn records(&self, ingestion: &Ingestion) -> PathBuf {
        self.root.join(ingestion.source.as_str()).join(ingestion.unit.as_str())
    }

    /// A file by the path that stands in a manifest.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

/// Whether a folder among the states is one ingestion's.
pub(crate) fn is_state(name: &str) -> bool {
    let parts = name.split_once('.');
    parts.is_some_and(|(source, unit)| source.parse::<EndpointId>().is_ok() && unit.parse::<UnitId>().is_ok())
}

/// What is in a file of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Records,
    Envelopes,
    Rejects,
}

/// What the files of one load have in common in their names. Fence and load make them unique: a slice
/// that is begun again never meets the files of an earlier attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LoadName {
    pub(crate) slice: u64,
    pub(crate) fence: u64,
    /// The place of the load among those of its run that have the same fence, from 1.
    pub(crate) load: u64,
}

impl LoadName {
    /// `000012-7-3.envelope.jsonl.zst`.
    fn file_name(self, content: Content, compression: Compression) -> String {
        let Self { slice, fence, load } = self;
        let content = match content {
            Content::Records => "",
            Content::Envelopes => ".envelope",
            Content::Rejects => ".rejects",
        };
        let compression = match compression {
            Compression::None => "",
            Compression::Zstd => ".zst",
        };
        format!("{slice:06}-{fence}-{load}{content}.jsonl{compression}")
    }

    /// Reads the name of a file; `None` when no load would have called it so.
    pub(crate) fn parse(file_name: &str) -> Option<Self> {
        let (numbers, _) = file_name.split_once('.')?;
        let mut numbers = numbers.split('-');
        let mut next = || numbers.next().and_then(number);
        let name = Self { slice: next()?, fence: next()?, load: next()? };
        let names_of_the_load =
            |content| [Compression::None, Compression::Zstd].map(|compression| name.file_name(content, compression));
        let contents = [Content::Records, Content::Envelopes, Content::Rejects];
        contents.into_iter().flat_map(names_of_the_load).any(|known| known == file_name).then_some(name)
    }

    /// The path from the sink's folder, as it stands in a manifest.
    pub(crate) fn path(self, ingestion: &Ingestion, run: &RunId, content: Content, compression: Compression) -> String {
        let Ingestion { source, unit, .. } = ingestion;
        format!("{source}/{unit}/{run}/{}", self.file_name(content, compression))
    }
}

/// The name of a manifest.
pub(crate) fn manifest_name(sequence: u64) -> String {
    format!("{sequence:012}.json")
}

/// The number of the manifest that has this name.
pub(crate) fn manifest_sequence(file_name: &str) -> Option<u64> {
    let sequence = number(file_name.strip_suffix(".json")?)?;
    (manifest_name(sequence) == file_name).then_some(sequence)
}

/// A number in decimal digits.
pub(crate) fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// The names in a folder that are UTF-8, as all of the sink's own are; none when it is not there.
pub(crate) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries.filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose()).collect()
}

/// Makes a folder and those above it, durably, for those who may read files of this mode.
pub(crate) fn make_folder(folder: &Path, mode: FileMode) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().ok_or(io::ErrorKind::NotFound)?;
    make_folder(parent, mode)?;
    match mode.create_folder(folder) {
        Ok(()) => sync_folder(parent),
        // Somebody else has made it in the meantime, or it is no folder.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes durable which files are in a folder.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file that may be gone already.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_load_are_read_back_and_no_others() {
        let name = LoadName { slice: 12, fence: 7, load: 3 };
        let file = name.file_name(Content::Envelopes, Compression::Zstd);
        assert_eq!(file, "000012-7-3.envelope.jsonl.zst");
        assert_eq!(LoadName::parse(&file), Some(name));
        let large = LoadName { slice: 12_345_678, fence: 1, load: 1 };
        assert_eq!(LoadName::parse("12345678-1-1.rejects.jsonl"), Some(large));
        for other in
            ["12-7-3.jsonl", "000012-7.jsonl", "000012-7-3.json", "000012-07-3.jsonl", "000012-7-3-1.jsonl", "a.jsonl"]
        {
            assert_eq!(LoadName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_manifest_has_one_name() {
        assert_eq!(manifest_name(7), "000000000007.json");
        assert_eq!(manifest_sequence("000000000007.json"), Some(7));
        for other in ["7.json", "000000000007.json.tmp", "+00000000007.json", "lock-7", ".json"] {
            assert_eq!(manifest_sequence(other), None, "{other}");
        }
    }

    #[test]
    fn the_state_of_an_ingestion_is_told_from_other_folders() {
        assert!(is_state("acme_jira.jira.issues"));
        for other in ["fences", "acme_jira", ".jira.issues", "acme_jira.issues", "Acme.jira.issues"] {
            assert!(!is_state(other), "{other}");
        }
    }

    #[test]
    fn a_folder_is_made_with_those_above_it_and_never_in_place_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        let make = |folder: &Path| make_folder(folder, FileMode::UMASK);
        make(&deep).unwrap();
        make(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(folder.path().join("file"), "").unwrap();
        make(&folder.path().join("file")).unwrap_err();
        make(&folder.path().join("file/below")).unwrap_err();
    }
}
