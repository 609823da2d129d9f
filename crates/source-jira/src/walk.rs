use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use endpoint_api::Result;

use crate::{error::failed, names};

/// Folders deeper than this are not looked into.
const DEEPEST: usize = 32;

/// So many entries of a folder whose name begins with a dot are looked at.
const HIDDEN_ENTRIES: usize = 256;

/// What a folder holds, at any depth.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Data files: their paths within the folder, with `/`, and where they are.
    pub(crate) files: Vec<(String, PathBuf)>,
    /// What looks like a data file and is not to be read, and why.
    pub(crate) passed_over: Vec<(String, Reason)>,
}

/// Why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A link out of the export.
    LinkOut,
    /// A name that is not UTF-8.
    NotUtf8,
    /// A name that begins with a dot.
    Hidden,
    /// A folder whose name begins with a dot, with data files in it.
    HiddenFolder,
    /// Another ending, such as `.jsonl.bz2`.
    Ending,
    /// A device, a pipe or the like.
    Special,
    /// Too many folders in one another.
    TooDeep,
    /// Its contents tell no unit.
    NoUnit,
    /// It cannot be looked into.
    Unreadable(String),
    /// It holds no JSON text.
    NoText(String),
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LinkOut => {
                f.write_str("is not read: the link leads out of the export; set `follow_links = true` to read it")
            }
            Self::NotUtf8 => f.write_str("is not read: its name is not UTF-8; rename it"),
            Self::Hidden => {
                f.write_str("is not read: its name begins with a dot; rename it if it belongs to the export")
            }
            Self::HiddenFolder => f.write_str(
                "is not looked into: the folder's name begins with a dot; rename it if its data files belong to the export",
            ),
            Self::Ending => f.write_str(
                "is not read: a data file ends in `.json`, `.jsonl` or `.ndjson`, and after that only `.gz` or `.zst`",
            ),
            Self::Special => f.write_str("is not read: it is not a regular file, but a device, a pipe or the like"),
            Self::TooDeep => write!(f, "is not looked into: it is a folder more than {DEEPEST} folders deep"),
            Self::NoUnit => f.write_str(
                "is not read: neither its name nor its first record tells whether it holds issues, comments, worklogs, \
                 projects or users; if it does, call it `issues-….json` or the like",
            ),
            Self::Unreadable(error) => write!(f, "is not read: {error}"),
            Self::NoText(what) => write!(f, "is not read: it is {what}"),
        }
    }
}

/// Walks through a folder. Links to files and folders outside of all `roots` are followed only when `follow_links`
/// says so; what is reached on several ways is found once, on a way without links if there is one.
pub(crate) fn walk(root: &Path, given: &str, roots: &[PathBuf], follow_links: bool) -> Result<Found> {
    let mut walk =
        Walk { given, roots, follow_links, seen: BTreeSet::new(), links: Vec::new(), found: Found::default() };
    walk.folder(root, "", 0)?;
    let mut at = 0;
    // Links to folders may add further ones.
    while let Some((path, name, depth)) = walk.links.get(at).cloned() {
        walk.link(&path, name, depth)?;
        at += 1;
    }
    walk.found.files.sort();
    walk.found.passed_over.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(walk.found)
}

struct Walk<'w> {
    given: &'w str,
    roots: &'w [PathBuf],
    follow_links: bool,
    /// Where what was found really is.
    seen: BTreeSet<PathBuf>,
    links: Vec<(PathBuf, String, usize)>,
    found: Found,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<()> {
        let unlisted = |error| failed("find files", "list the folder", format!("{}/{prefix}", self.given), error);
        if !self.seen.insert(fs::canonicalize(folder).map_err(unlisted)?) {
            return Ok(());
        }
        if depth > DEEPEST {
            self.found.passed_over.push((prefix.to_owned(), Reason::TooDeep));
            return Ok(());
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(unlisted)? {
            let entry = entry.map_err(unlisted)?;
            entries.push((entry.file_name(), entry.path(), entry.file_type().map_err(unlisted)?));
        }
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        for (name, path, kind) in entries {
            let whole = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            let Some(text) = name.to_str() else {
                let lossy = name.to_string_lossy();
                if kind.is_dir() || is_data(&lossy) {
                    self.found.passed_over.push((whole(&lossy), Reason::NotUtf8));
                }
                continue;
            };
            let name = whole(text);
            if kind.is_symlink() {
                self.links.push((path, name, depth + 1));
            } else if kind.is_dir() {
                if !text.starts_with('.') {
                    self.folder(&path, &name, depth + 1)?;
                } else if holds_data(&path) {
                    self.found.passed_over.push((name, Reason::HiddenFolder));
                }
            } else if kind.is_file() || is_data(text) {
                self.file(path, name);
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, name: String) {
        let text = name.rsplit('/').next().unwrap_or_default();
        if names::read(text).is_none() {
            if names::is_like_data(text) {
                self.found.passed_over.push((name, Reason::Ending));
            }
        } else if text.starts_with('.') {
            self.found.passed_over.push((name, Reason::Hidden));
        } else if local_files::refuse_special(&path).is_err() {
            self.found.passed_over.push((name, Reason::Special));
        } else {
            // A file that cannot be looked at is found, so that whoever reads it says why.
            if self.seen.insert(fs::canonicalize(&path).unwrap_or_else(|_| path.clone())) {
                self.found.files.push((name, path));
            }
        }
    }

    fn link(&mut self, path: &Path, name: String, depth: usize) -> Result<()> {
        let text = name.rsplit('/').next().unwrap_or_default();
        if text.starts_with('.') && !is_data(text) {
            return Ok(());
        }
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            // What it should lead to is missing in the export.
            Err(_) => {
                self.file(path.to_owned(), name);
                return Ok(());
            }
        };
        let is_folder = real.is_dir();
        if !is_folder && !is_data(text) {
            return Ok(());
        }
        if !self.follow_links && !self.roots.iter().any(|root| real.starts_with(root)) {
            self.found.passed_over.push((name, Reason::LinkOut));
            return Ok(());
        }
        if is_folder {
            return self.folder(path, &name, depth);
        }
        self.file(path.to_owned(), name);
        Ok(())
    }
}

/// Whether a folder, or one directly in it, holds data files, as far as its first entries tell.
fn holds_data(folder: &Path) -> bool {
    let entries = |folder: &Path| {
        let found = fs::read_dir(folder).map(|entries| entries.take(HIDDEN_ENTRIES).flatten().collect::<Vec<_>>());
        found.unwrap_or_default()
    };
    let is_data = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| names::read(name).is_some());
    entries(folder).iter().any(|entry| {
        is_data(entry)
            || (entry.file_type().is_ok_and(|kind| kind.is_dir()) && entries(&entry.path()).iter().any(is_data))
    })
}

fn is_data(name: &str) -> bool {
    names::read(name).is_some() || names::is_like_data(name)
}
