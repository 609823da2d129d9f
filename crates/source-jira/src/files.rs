use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use endpoint_api::{Error, ErrorKind, Result};

use crate::{config::ConfiguredPath, error::failed, units::Unit};

/// A file of the export.
#[derive(Debug, Clone)]
pub(crate) struct ExportFile {
    /// What it is called in origins, slices and checkpoints; no two files share it.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Whose records stand in it.
    pub(crate) unit: Unit,
    pub(crate) form: Form,
    pub(crate) compression: Compression,
}

/// How the records stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One a line: `.jsonl`.
    Lines,
    /// In arrays or pages: `.json`.
    Values,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl ExportFile {
    /// Whether a range of its bytes can be read without what stands before it.
    pub(crate) fn has_ranges(&self) -> bool {
        (self.form, self.compression) == (Form::Lines, Compression::None)
    }

    fn at(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (unit, form, compression) = read_name(name)?;
        Some(Self { name: name.to_owned(), path: path.to_owned(), unit, form, compression })
    }
}

/// What the name of a file says about it; `None` when it is no file of an export.
fn read_name(name: &str) -> Option<(Unit, Form, Compression)> {
    let (name, compression) = match (name.strip_suffix(".gz"), name.strip_suffix(".zst")) {
        (Some(plain), _) => (plain, Compression::Gzip),
        (_, Some(plain)) => (plain, Compression::Zstd),
        _ => (name, Compression::None),
    };
    let (name, form) = match (name.strip_suffix(".jsonl"), name.strip_suffix(".json")) {
        (Some(stem), _) => (stem, Form::Lines),
        (_, Some(stem)) => (stem, Form::Values),
        _ => return None,
    };
    let unit = Unit::ALL.into_iter().find(|unit| {
        name.strip_prefix(unit.name()).is_some_and(|rest| {
            let number = rest.strip_prefix(['-', '_', '.']);
            rest.is_empty() || number.is_some_and(|number| !number.is_empty() && is_digits(number))
        })
    })?;
    Some((unit, form, compression))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The files of an export, sorted by name.
///
/// A file is called by its file name. Where several of the configured paths have a file of the same
/// name, each of these is called by the path as configured. A file that is reached in two ways is
/// one file.
pub(crate) fn find(paths: &[ConfiguredPath]) -> Result<Vec<ExportFile>> {
    let mut found: BTreeMap<PathBuf, (ExportFile, String)> = BTreeMap::new();
    for configured in paths {
        let prefix = configured.given.trim_end_matches('/').trim_start_matches("./");
        for file in find_at(configured)? {
            let identity = fs::canonicalize(&file.path).map_err(|error| unseen(&file.path, error))?;
            let is_folder = file.path != configured.path;
            let long_name = if is_folder { format!("{prefix}/{}", file.name) } else { prefix.to_owned() };
            found.entry(identity).or_insert((file, long_name));
        }
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (file, _) in found.values() {
        *times.entry(file.name.clone()).or_default() += 1;
    }
    let mut files: Vec<ExportFile> = found
        .into_values()
        .map(|(file, long_name)| match times.get(&file.name) {
            Some(2..) => ExportFile { name: long_name, ..file },
            _ => file,
        })
        .collect();
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

/// The files of an export at one configured path, sorted by name.
pub(crate) fn find_at(configured: &ConfiguredPath) -> Result<Vec<ExportFile>> {
    let ConfiguredPath { given, path } = configured;
    let kind = fs::metadata(path).map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => "the path does not exist",
            _ => "the path cannot be looked at",
        };
        wrong_path(message, given).caused_by(error)
    })?;
    if kind.is_file() {
        let file = ExportFile::at(path).ok_or_else(|| {
            wrong_path("a file of an export is called `issues.jsonl`, `comments-0001.json.gz` or the like", given)
        })?;
        return Ok(vec![file]);
    }
    if !kind.is_dir() {
        return Err(wrong_path("the path is neither a folder nor a file", given));
    }
    let mut files = Vec::new();
    let entries = fs::read_dir(path).map_err(|error| failed("find files", "list the folder", given, error))?;
    for entry in entries {
        let path = entry.map_err(|error| failed("find files", "list the folder", given, error))?.path();
        match ExportFile::at(&path) {
            Some(file) if fs::metadata(&path).map_err(|error| unseen(&path, error))?.is_file() => files.push(file),
            Some(_) => {
                tracing::warn!(path = %path.display(), "has the name of a file of the export, and is none; it is not read");
            }
            None => tracing::debug!(path = %path.display(), "not a file of the export"),
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn unseen(path: &Path, error: std::io::Error) -> Error {
    failed("find files", "look at the file", path.display(), error)
}

fn wrong_path(message: &str, given: &str) -> Error {
    Error::new(ErrorKind::Config, "find files", message).with("key", "path").with("path", given)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn configured(root: &TempDir, given: &[&str]) -> Vec<ConfiguredPath> {
        given.iter().map(|given| ConfiguredPath { given: (*given).into(), path: root.path().join(given) }).collect()
    }

    fn folder(files: &[&str]) -> TempDir {
        let root = TempDir::new().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    fn names(root: &TempDir, given: &[&str]) -> Vec<String> {
        find(&configured(root, given)).unwrap().into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn a_name_tells_the_unit_the_form_and_the_compression() {
        let read = |name| read_name(name).unwrap();
        assert_eq!(read("issues.jsonl"), (Unit::Issues, Form::Lines, Compression::None));
        assert_eq!(read("issues-0001.jsonl.gz"), (Unit::Issues, Form::Lines, Compression::Gzip));
        assert_eq!(read("comments_2.json.zst"), (Unit::Comments, Form::Values, Compression::Zstd));
        assert_eq!(read("worklogs.2024.json"), (Unit::Worklogs, Form::Values, Compression::None));
        assert_eq!(read("users.json.gz"), (Unit::Users, Form::Values, Compression::Gzip));
        assert_eq!(read("projects.jsonl.zst"), (Unit::Projects, Form::Lines, Compression::Zstd));
        for other in [
            "comments_embedded.jsonl",
            "issues",
            "issues.csv",
            "issues.jsonl.bz2",
            "issues-.jsonl",
            "issues1.jsonl",
            "issues-1-2.jsonl",
            "Issues.jsonl",
            "my-issues.jsonl",
            ".jsonl",
            "issues.jsonl.gz.zst",
        ] {
            assert_eq!(read_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_folder_gives_the_files_of_the_export_and_nothing_else() {
        let root = folder(&[
            "export/users.json",
            "export/issues-2.jsonl",
            "export/issues-1.jsonl.gz",
            "export/comments_embedded.jsonl",
            "export/README.md",
            "export/deeper/issues.jsonl",
            "export/projects.jsonl/inside",
        ]);
        let expected = ["issues-1.jsonl.gz", "issues-2.jsonl", "users.json"];
        assert_eq!(names(&root, &["export"]), expected);
        assert_eq!(names(&root, &["export", "./export/", "export/users.json"]), expected);
        assert_eq!(names(&root, &["export/users.json"]), ["users.json"]);
    }

    #[test]
    fn files_of_one_name_are_told_apart_by_their_paths() {
        let root = folder(&["a/issues.jsonl", "a/users.jsonl", "b/issues.jsonl", "issues.jsonl"]);
        assert_eq!(names(&root, &["./a/", "b"]), ["a/issues.jsonl", "b/issues.jsonl", "users.jsonl"]);
        assert_eq!(names(&root, &["b", "./a"]), ["a/issues.jsonl", "b/issues.jsonl", "users.jsonl"]);
        assert_eq!(names(&root, &["issues.jsonl", "b/issues.jsonl"]), ["b/issues.jsonl", "issues.jsonl"]);
        assert_eq!(names(&root, &[".", "a"]), ["./issues.jsonl", "a/issues.jsonl", "users.jsonl"]);
    }

    #[test]
    fn a_path_that_is_no_export_is_named_with_what_was_expected() {
        let root = folder(&["notes.txt"]);
        for (given, expected) in [
            ("nowhere", "the path does not exist (key: path, path: nowhere)"),
            ("notes.txt", "a file of an export is called `issues.jsonl`"),
        ] {
            let error = find(&configured(&root, &[given])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().starts_with(expected), "{error}");
            assert!(error.to_string().contains(&format!("path: {given}")), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nothing_is_an_error_that_names_it() {
        let root = folder(&["users.jsonl"]);
        std::os::unix::fs::symlink("gone", root.path().join("issues.jsonl")).unwrap();
        let error = find(&configured(&root, &["."])).unwrap_err();
        assert!(error.to_string().contains("issues.jsonl"), "{error}");
    }
}
