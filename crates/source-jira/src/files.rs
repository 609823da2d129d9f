use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use endpoint_api::{Error, ErrorKind, Result};

use crate::{
    config::ConfiguredPath,
    content::{self, LOOKED_AT_BYTES, Seen},
    decode,
    fingerprint::FileStat,
    names::{self, Named, NamedUnit},
    units::Unit,
    walk::{Found, Reason, walk},
};

/// A file of the export.
#[derive(Debug, Clone)]
pub(crate) struct ExportFile {
    /// What it is called in origins, slices and checkpoints: its path within the folder. No two files share it.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Whose records stand in it.
    pub(crate) unit: Unit,
    pub(crate) form: Form,
    pub(crate) compression: Compression,
    /// The issue that its name speaks of.
    pub(crate) issue_key: Option<String>,
}

/// A data file that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) name: String,
    pub(crate) reason: Reason,
    /// The unit that its name speaks of.
    pub(crate) unit: Option<Unit>,
}

/// All data files at the configured paths, sorted by name.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<ExportFile>,
    pub(crate) unread: Vec<Unread>,
}

impl Listing {
    /// The file with that name.
    pub(crate) fn file(&self, name: &str) -> Option<&ExportFile> {
        find_by_name(&self.files, name)
    }
}

/// The file with that name among `files`, which are sorted by their names.
pub(crate) fn find_by_name<'f>(files: &'f [ExportFile], name: &str) -> Option<&'f ExportFile> {
    files.get(files.binary_search_by(|file| file.name.as_str().cmp(name)).ok()?)
}

/// How the records stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One a line.
    Lines,
    /// As values of any number of lines: records, arrays and pages.
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
}

/// What was seen in files, by their paths, so that not each listing looks into them again.
#[derive(Debug, Default)]
pub(crate) struct Looks(Mutex<HashMap<PathBuf, (FileStat, Look)>>);

/// What was seen in a file.
#[derive(Debug, Clone)]
enum Look {
    Text { content: content::Content, compression: Compression },
    NoText(String),
    Unreadable(String),
}

/// The data files at the configured paths.
///
/// A file is called by its path within the configured folder. Where several of the configured paths have a file of
/// the same name, each of these is called by the path as configured. A file that is reached in two ways is one file.
pub(crate) fn list(paths: &[ConfiguredPath], follow_links: bool, looks: &Looks) -> Result<Listing> {
    let roots: Vec<PathBuf> = paths.iter().filter_map(|configured| fs::canonicalize(&configured.path).ok()).collect();
    let mut found: BTreeMap<PathBuf, (String, String, PathBuf)> = BTreeMap::new();
    let mut unread = Vec::new();
    for configured in paths {
        let prefix = configured.given.trim_end_matches('/').trim_start_matches("./");
        let found_here = find_at(configured, &roots, follow_links)?;
        for (name, path) in found_here.files {
            let identity = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            let is_folder = path != configured.path;
            let long_name = if is_folder { format!("{prefix}/{name}") } else { prefix.to_owned() };
            found.entry(identity).or_insert((name, long_name, path));
        }
        unread.extend(found_here.passed_over.into_iter().map(|(name, reason)| {
            let unit = names::read(&name).and_then(|named| named.unit).map(|named| named.unit);
            Unread { name, reason, unit }
        }));
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (name, ..) in found.values() {
        *times.entry(name.clone()).or_default() += 1;
    }
    let mut files = Vec::new();
    for (name, long_name, path) in found.into_values() {
        let Some(named) = names::read(&name) else { continue };
        let name = if times.get(&name).is_some_and(|times| *times > 1) { long_name } else { name };
        let is_given = paths.iter().any(|configured| configured.path == path);
        match looks.file(&name, path, named, is_given) {
            Ok(file) => files.push(file),
            Err(passed_over) => unread.push(passed_over),
        }
    }
    files.sort_by(|one: &ExportFile, other| one.name.cmp(&other.name));
    unread.sort_by(|one, other| one.name.cmp(&other.name));
    unread.dedup();
    Ok(Listing { files, unread })
}

impl Looks {
    /// The file at `path`, if its name or its contents tell of which unit it is.
    fn file(&self, name: &str, path: PathBuf, named: Named, is_given: bool) -> Result<ExportFile, Unread> {
        let look = self.look(&path, &named);
        let Named { form, compression, unit, issue_key } = named;
        let named_unit = unit.map(|named| named.unit);
        let unread = |reason| Unread { name: name.to_owned(), reason, unit: named_unit };
        let (unit, form, compression) = match look {
            Look::Text { content, compression } => {
                let Some(unit) = unit_of(unit, content.unit, is_given) else { return Err(unread(Reason::NoUnit)) };
                (unit, content.form.unwrap_or(form), compression)
            }
            // Whoever reads it says what is wrong.
            Look::NoText(what) => {
                let Some(unit) = named_unit else { return Err(unread(Reason::NoText(what))) };
                (unit, form, compression)
            }
            Look::Unreadable(error) => {
                let Some(unit) = named_unit else { return Err(unread(Reason::Unreadable(error))) };
                (unit, form, compression)
            }
        };
        Ok(ExportFile { name: name.to_owned(), path, unit, form, compression, issue_key })
    }

    fn look(&self, path: &Path, named: &Named) -> Look {
        let stat = FileStat::of(path).ok();
        let known = |known: &HashMap<PathBuf, (FileStat, Look)>| {
            known
                .get(path)
                .filter(|(seen, _)| stat.is_some_and(|stat| stat.is_same(seen)))
                .map(|(_, look)| look.clone())
        };
        if let Some(look) = known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return look;
        }
        let look = match decode::beginning(path, named.compression, LOOKED_AT_BYTES) {
            Ok((head, compression)) => match decode::no_text(&head) {
                Some(what) => Look::NoText(what),
                None => Look::Text { content: content::look(&head, named.form), compression },
            },
            Err(error) => Look::Unreadable(error.to_string()),
        };
        // What keeps a file from being read may pass without a trace in its times.
        let is_read = !matches!(look, Look::Unreadable(_));
        if let Some(stat) = stat.filter(|stat| is_read && stat.is_settled()) {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(path.to_owned(), (stat, look.clone()));
        }
        look
    }
}

/// Whose records a file has. Contents that are certain win over the name; a name that is more than that of the unit
/// (`issue-types.json`) must be borne out by the contents.
fn unit_of(named: Option<NamedUnit>, seen: Seen, is_given: bool) -> Option<Unit> {
    match (named, seen) {
        (_, Seen::Certain(unit)) => Some(unit),
        (Some(named), _) if named.is_plain || is_given => Some(named.unit),
        (Some(named), Seen::Nothing) => Some(named.unit),
        (Some(named), Seen::Possible(units)) if units.contains(&named.unit) => Some(named.unit),
        _ => None,
    }
}

/// What there is at one configured path.
pub(crate) fn find_at(configured: &ConfiguredPath, roots: &[PathBuf], follow_links: bool) -> Result<Found> {
    let ConfiguredPath { given, path } = configured;
    let kind = fs::metadata(path).map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => "the path does not exist",
            _ => "the path cannot be looked at",
        };
        wrong_path(message, given).caused_by(error)
    })?;
    if kind.is_dir() {
        return walk(path, given, roots, follow_links);
    }
    if !kind.is_file() {
        return Err(wrong_path("the path is neither a folder nor a file", given));
    }
    let name = path.file_name().and_then(|name| name.to_str()).filter(|name| names::read(name).is_some());
    let Some(name) = name else {
        let message = "a file of an export ends in `.json`, `.jsonl` or `.ndjson`, and after that only `.gz` or `.zst`";
        return Err(wrong_path(message, given));
    };
    Ok(Found { files: vec![(name.to_owned(), path.clone())], passed_over: Vec::new() })
}

fn wrong_path(message: &str, given: &str) -> Error {
    Error::new(ErrorKind::Config, "find files", message).with("key", "path").with("path", given)
}

/// The files at the configured paths, for tests.
#[cfg(test)]
pub(crate) fn find(paths: &[ConfiguredPath]) -> Result<Vec<ExportFile>> {
    list(paths, false, &Looks::default()).map(|listing| listing.files)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn configured(root: &TempDir, given: &[&str]) -> Vec<ConfiguredPath> {
        given.iter().map(|given| ConfiguredPath { given: (*given).into(), path: root.path().join(given) }).collect()
    }

    fn folder<T: AsRef<[u8]>>(files: &[(&str, T)]) -> TempDir {
        let root = TempDir::new().unwrap();
        for (file, contents) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
        root
    }

    fn empty(files: &[&str]) -> TempDir {
        folder(&files.iter().map(|file| (*file, "")).collect::<Vec<_>>())
    }

    fn listing(root: &TempDir, given: &[&str]) -> Listing {
        list(&configured(root, given), false, &Looks::default()).unwrap()
    }

    fn names(root: &TempDir, given: &[&str]) -> Vec<String> {
        listing(root, given).files.into_iter().map(|file| file.name).collect()
    }

    fn unread(listing: &Listing) -> Vec<(&str, &Reason, Option<Unit>)> {
        listing.unread.iter().map(|file| (file.name.as_str(), &file.reason, file.unit)).collect()
    }

    const ISSUE: &str = r#"{"id":"1","key":"AB-1","fields":{"summary":"s"}}"#;

    #[test]
    fn a_folder_gives_its_data_files_at_any_depth_and_names_the_others() {
        let root = folder(&[
            ("export/users.json", ""),
            ("export/issues-2.jsonl", ISSUE),
            ("export/issues_ACME.ndjson", ISSUE),
            ("export/AB-1.json", ISSUE),
            ("export/README.md", ""),
            ("export/issue-types.json", r#"[{"id":"1","name":"Bug"}]"#),
            ("export/package.json", "{}"),
            ("export/issues-3.jsonl.bz2", "BZh"),
            ("export/._issues.json", ""),
            ("export/.git/issues.json", ""),
            ("export/.cache/readme.txt", ""),
            ("export/deeper/0001.json", ISSUE),
            ("export/projects.jsonl/inside", ""),
            ("export/archive.json", "PK\u{3}\u{4}"),
        ]);
        let listing = listing(&root, &["export"]);
        let found: Vec<_> = listing.files.iter().map(|file| (file.name.as_str(), file.unit)).collect();
        let issues = ["AB-1.json", "deeper/0001.json", "issues-2.jsonl", "issues_ACME.ndjson"];
        let expected = issues.map(|name| (name, Unit::Issues)).into_iter().chain([("users.json", Unit::Users)]);
        assert_eq!(found, expected.collect::<Vec<_>>());
        let zip = "a zip archive, not JSON; unpack it, or compress its text with gzip or zstd";
        assert_eq!(
            unread(&listing),
            [
                ("._issues.json", &Reason::Hidden, Some(Unit::Issues)),
                (".git", &Reason::HiddenFolder, None),
                ("archive.json", &Reason::NoText(zip.into()), None),
                ("issue-types.json", &Reason::NoUnit, Some(Unit::Issues)),
                ("issues-3.jsonl.bz2", &Reason::Ending, None),
                ("package.json", &Reason::NoUnit, None),
            ]
        );
        let all = names(&root, &["export"]);
        assert_eq!(names(&root, &["export", "./export/", "export/users.json"]), all);
        assert_eq!(names(&root, &["export/users.json"]), ["users.json"]);
    }

    #[test]
    fn contents_that_are_certain_win_over_the_name() {
        let gzip = {
            use std::io::Write as _;
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(ISSUE.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let root = folder(&[
            ("projects.jsonl", ISSUE.as_bytes()),
            ("comments.json", format!("{ISSUE}\n{ISSUE}").as_bytes()),
            ("users.jsonl", br#"{"values":[{"id":"1","projectTypeKey":"x"}]}"#),
            ("worklogs.jsonl", &gzip),
            ("issues.jsonl.gz", ISSUE.as_bytes()),
        ]);
        let found: Vec<_> = listing(&root, &["."])
            .files
            .into_iter()
            .map(|file| (file.name, file.unit, file.form, file.compression))
            .collect();
        let expected = [
            ("comments.json", Unit::Issues, Form::Lines, Compression::None),
            ("issues.jsonl.gz", Unit::Issues, Form::Lines, Compression::None),
            ("projects.jsonl", Unit::Issues, Form::Lines, Compression::None),
            ("users.jsonl", Unit::Projects, Form::Values, Compression::None),
            ("worklogs.jsonl", Unit::Issues, Form::Lines, Compression::Gzip),
        ];
        assert_eq!(found, expected.map(|(name, unit, form, compression)| (name.to_owned(), unit, form, compression)));
    }

    #[test]
    fn files_of_one_name_are_told_apart_by_their_paths() {
        let root = empty(&["a/issues.jsonl", "a/users.jsonl", "b/issues.jsonl", "issues.jsonl"]);
        assert_eq!(names(&root, &["./a/", "b"]), ["a/issues.jsonl", "b/issues.jsonl", "users.jsonl"]);
        assert_eq!(names(&root, &["b", "./a"]), ["a/issues.jsonl", "b/issues.jsonl", "users.jsonl"]);
        assert_eq!(names(&root, &["issues.jsonl", "b/issues.jsonl"]), ["b/issues.jsonl", "issues.jsonl"]);
        let all = ["a/issues.jsonl", "a/users.jsonl", "b/issues.jsonl", "issues.jsonl"];
        assert_eq!(names(&root, &["."]), all);
        assert_eq!(names(&root, &[".", "a"]), all);
    }

    #[test]
    fn a_path_that_is_no_export_is_named_with_what_was_expected() {
        let root = empty(&["notes.txt"]);
        for (given, expected) in [
            ("nowhere", "the path does not exist (key: path, path: nowhere)"),
            ("notes.txt", "a file of an export ends in `.json`"),
        ] {
            let error = find(&configured(&root, &[given])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().starts_with(expected), "{error}");
            assert!(error.to_string().contains(&format!("path: {given}")), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_within_the_export_unless_they_may_lead_out() {
        use std::os::unix::fs::symlink;

        let root = folder(&[("export/a/issues.jsonl", ISSUE), ("other/issues-2.jsonl", ISSUE), ("users.jsonl", "")]);
        let at = |name: &str| root.path().join("export").join(name);
        symlink("a/issues.jsonl", at("0-link.jsonl")).unwrap();
        symlink("..", at("a/loop")).unwrap();
        symlink("../other", at("out")).unwrap();
        symlink("../users.jsonl", at("users.jsonl")).unwrap();
        symlink("gone", at("notes")).unwrap();
        let inside = listing(&root, &["export"]);
        assert_eq!(inside.files.iter().map(|file| &file.name).collect::<Vec<_>>(), ["a/issues.jsonl"]);
        let expected = [("out", &Reason::LinkOut, None), ("users.jsonl", &Reason::LinkOut, Some(Unit::Users))];
        assert_eq!(unread(&inside), expected);
        let all = list(&configured(&root, &["export"]), true, &Looks::default()).unwrap();
        let names: Vec<_> = all.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a/issues.jsonl", "out/issues-2.jsonl", "users.jsonl"]);
        assert_eq!(unread(&all), []);

        symlink("gone", at("projects.jsonl")).unwrap();
        symlink("gone", at("AB-1.json")).unwrap();
        symlink("gone", at("notes.txt")).unwrap();
        let broken = listing(&root, &["export"]);
        assert_eq!(broken.files.last().map(|file| file.name.as_str()), Some("projects.jsonl"));
        assert!(
            matches!(broken.unread[0], Unread { ref name, reason: Reason::Unreadable(_), .. } if name == "AB-1.json")
        );
        assert_eq!(broken.unread.len(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_named_and_neither_read_nor_waited_for() {
        use std::os::unix::{fs::symlink, net::UnixListener};

        let root = folder(&[("issues.jsonl", ISSUE)]);
        let _socket = UnixListener::bind(root.path().join("comments.jsonl")).unwrap();
        symlink("/dev/zero", root.path().join("users.jsonl")).unwrap();
        let all = list(&configured(&root, &["."]), true, &Looks::default()).unwrap();
        assert_eq!(all.files.len(), 1);
        let expected = [
            ("comments.jsonl", &Reason::Special, Some(Unit::Comments)),
            ("users.jsonl", &Reason::Special, Some(Unit::Users)),
        ];
        assert_eq!(unread(&all), expected);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_the_kernel_makes_up_is_not_read() {
        let root = folder(&[("issues.jsonl", ISSUE)]);
        std::os::unix::fs::symlink("/proc/self/status", root.path().join("worklogs.jsonl")).unwrap();
        let all = list(&configured(&root, &["."]), true, &Looks::default()).unwrap();
        let worklogs = all.file("worklogs.jsonl").unwrap();
        let error = decode::open(worklogs, None, &crate::stop::Stop::default()).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("it is not a regular file"), "{error}");
    }
}
