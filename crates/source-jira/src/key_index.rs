use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use endpoint_api::{ErrorKind, Result};

use crate::{
    depends, files::ExportFile, fingerprint::FileStat, json::members, parent::IssueRef, pieces::each_text, stop::Stop,
    units::Unit,
};

/// What an entry of an index takes beside its texts: two slots of the table, two allocations.
pub(crate) const ENTRY_BYTES: usize = 96;

/// The ids of issues or projects by their keys, or the keys by the ids, as far as they are known. A key with two ids,
/// or an id with two keys, is ambiguous and is not resolved.
#[derive(Debug, Default)]
pub(crate) struct IdsByKey {
    ids: HashMap<Box<str>, Option<Box<str>>>,
    /// About how much memory they take.
    bytes: usize,
}

impl IdsByKey {
    /// The id of the one record with that key, or the key of the record with that id.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.ids.get(key)?.as_deref()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// A digest of all of them; `None` when there are none.
    pub(crate) fn digest(&self) -> Option<String> {
        let mut all: Vec<[&str; 2]> =
            self.ids.iter().map(|(key, id)| [&**key, id.as_deref().unwrap_or_default()]).collect();
        all.sort_unstable();
        (!all.is_empty()).then(|| depends::digest(all.into_iter().flatten()))
    }

    fn add(&mut self, key: &str, id: &str) {
        match self.ids.get_mut(key) {
            Some(known) if known.as_deref() == Some(id) => {}
            Some(known) => *known = None,
            None => {
                self.bytes += ENTRY_BYTES + key.len() + id.len();
                self.ids.insert(key.into(), Some(id.into()));
            }
        }
    }
}

/// Finds the ids of issues that are named only by key, and the keys of those that are named only by id, in the files of
/// the same export; likewise of projects.
///
/// All keys are read once and kept while they fit into a budget. Where they do not, each question for an id
/// reads the files for the keys that it asks about; a key is only needed for a link, and stays unknown then.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    budget: usize,
    by_key: Mutex<Option<All>>,
    by_id: Mutex<Option<All>>,
}

/// Files and what the file system says of them; `None` of one that cannot be looked at.
pub(crate) type FileStates = Vec<(String, Option<FileStat>)>;

/// Whether a later change of one of the files would show in what the file system says.
pub(crate) fn are_settled(files: &FileStates) -> bool {
    files.iter().all(|(_, stat)| stat.is_some_and(|stat| stat.is_settled()))
}

/// What all issues tell, or that there are too many of them, of files in a certain state.
#[derive(Debug)]
struct All {
    files: FileStates,
    ids: Option<Arc<IdsByKey>>,
}

/// The files of an export in which records are looked up.
pub(crate) struct RecordFiles<'s> {
    files: Vec<ExportFile>,
    limit: usize,
    stop: &'s Stop,
}

impl KeyIndex {
    /// Keeps at most about `budget` bytes of ids by key, and half as many of keys by id.
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget, by_key: Mutex::new(None), by_id: Mutex::new(None) }
    }

    /// The ids of all issues by their keys; `None` when they do not fit.
    pub(crate) fn all(&self, issues: &RecordFiles<'_>) -> Result<Option<Arc<IdsByKey>>> {
        index(&self.by_key, self.budget, issues, |ids, key, id| ids.add(key, id))
    }

    /// The keys of all issues by their ids; `None` when they do not fit.
    pub(crate) fn all_by_id(&self, issues: &RecordFiles<'_>) -> Result<Option<Arc<IdsByKey>>> {
        index(&self.by_id, self.budget / 2, issues, |keys, key, id| keys.add(id, key))
    }

    /// The ids of the issues with these keys.
    pub(crate) fn some(&self, keys: &HashSet<&str>, issues: &RecordFiles<'_>) -> Result<IdsByKey> {
        let mut ids = IdsByKey::default();
        issues.each_keyed(&mut |key, id| {
            if keys.contains(key) {
                ids.add(key, id);
            }
            true
        })?;
        Ok(ids)
    }
}

/// What all issues tell, which is read once; `None` when it does not fit into `budget`.
fn index(
    known: &Mutex<Option<All>>,
    budget: usize,
    issues: &RecordFiles<'_>,
    add: fn(&mut IdsByKey, &str, &str),
) -> Result<Option<Arc<IdsByKey>>> {
    // Held while the files are read: who comes second would only read them again.
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let files = issues.state();
    if let Some(all) = known.as_ref().filter(|all| all.files == files) {
        return Ok(all.ids.clone());
    }
    let mut ids = IdsByKey::default();
    issues.each_keyed(&mut |key, id| {
        add(&mut ids, key, id);
        ids.bytes <= budget
    })?;
    let ids = (ids.bytes <= budget).then(|| Arc::new(ids));
    // A file that may yet change without a trace is not to be remembered.
    *known = are_settled(&files).then(|| All { files, ids: ids.clone() });
    Ok(ids)
}

impl<'s> RecordFiles<'s> {
    /// The files of `unit` among `files`; a record of more than `limit` bytes is not looked at.
    pub(crate) fn among(files: &[ExportFile], unit: Unit, limit: usize, stop: &'s Stop) -> Self {
        Self { files: files.iter().filter(|file| file.unit == unit).cloned().collect(), limit, stop }
    }

    pub(crate) fn state(&self) -> FileStates {
        self.files.iter().map(|file| (file.name.clone(), FileStat::of(&file.path).ok())).collect()
    }

    /// Shows `look` the key and the id of each record until it has seen enough and says `false`.
    fn each_keyed(&self, look: &mut dyn FnMut(&str, &str) -> bool) -> Result<()> {
        self.each(&mut |json| {
            let Some([id, key]) = members(json, ["id", "key"]) else { return true };
            match IssueRef::of_members(id, key) {
                // No id and no key holds a character that parts lines of an envelope.
                IssueRef { id: Some(id), key: Some(key) }
                    if !key.contains(['\t', '\n']) && !id.contains(['\t', '\n']) =>
                {
                    look(&key, &id)
                }
                _ => true,
            }
        })
        .map(drop)
    }

    /// Shows `look` each record until it has seen enough and says `false`. A file that cannot be read costs its own
    /// records only, and whoever reads these says what is wrong; the answer is the first such file.
    pub(crate) fn each(&self, look: &mut dyn FnMut(&str) -> bool) -> Result<Option<&str>> {
        let mut unreadable = None;
        for file in &self.files {
            match each_text(file, self.limit, self.stop, look) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if matches!(error.kind(), ErrorKind::Data | ErrorKind::Denied | ErrorKind::Config) => {
                    unreadable = unreadable.or(Some(file.name.as_str()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(unreadable)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::{config::ConfiguredPath, files};

    const ISSUES: &str = r#"{"id":"1","key":"A-1","fields":{"parent":{"id":"9","key":"A-9"}}}
no record
{"key":"A-2","id":2}
{"id":"3","key":"B-1"}
{"id":"4","key":"B-1"}
{"id":"3","key":"B-1"}
{"id":"5"}
{"key":"C-1"}
{"id":"6","key":"D-1"}
{"id":"6","key":"D-1"}
"#;

    fn export(files: &[(&str, &str)]) -> (TempDir, Vec<ExportFile>) {
        let root = TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(root.path().join(name), text).unwrap();
        }
        let path = ConfiguredPath { given: ".".into(), path: root.path().to_owned() };
        let files = files::find(&[path]).unwrap();
        (root, files)
    }

    fn expected() -> Vec<(&'static str, Option<&'static str>)> {
        let found = [("A-1", Some("1")), ("A-2", Some("2")), ("D-1", Some("6")), ("Z-1", Some("77"))];
        let lost = ["A-9", "B-1", "C-1", "X-1", ""].map(|key| (key, None));
        found.into_iter().chain(lost).collect()
    }

    #[test]
    fn both_ways_find_the_same_ids() {
        let more = r#"[{"id":"77","key":"Z-1"},{"id":"1","key":"A-1"}]"#;
        let comments = r#"{"id":"8","key":"X-1"}"#;
        let (_root, files) = export(&[("issues.jsonl", ISSUES), ("issues-2.json", more), ("comments.jsonl", comments)]);
        let stop = Stop::default();
        let issues = RecordFiles::among(&files, Unit::Issues, 1024, &stop);
        let all = KeyIndex::new(1 << 20).all(&issues).unwrap().unwrap();
        let keys = expected().into_iter().map(|(key, _)| key).collect();
        let some = KeyIndex::new(1 << 20).some(&keys, &issues).unwrap();
        for (key, id) in expected() {
            assert_eq!(all.get(key), id, "{key}");
            assert_eq!(some.get(key), id, "{key}");
        }
        assert_eq!(some.ids.len(), 5, "only what was asked for is kept");
    }

    #[test]
    fn keys_that_do_not_fit_the_budget_are_not_kept() {
        let issues: String = (0..1000).map(|id| format!("{{\"id\":\"{id}\",\"key\":\"LONG-{id}\"}}\n")).collect();
        let (_root, files) = export(&[("issues.jsonl", &issues)]);
        let stop = Stop::default();
        let issues = RecordFiles::among(&files, Unit::Issues, 1024, &stop);
        assert!(KeyIndex::new(1000 * ENTRY_BYTES).all(&issues).unwrap().is_none());
        let keys = KeyIndex::new(2000 * ENTRY_BYTES);
        assert_eq!(keys.all(&issues).unwrap().unwrap().get("LONG-999"), Some("999"));
    }

    #[test]
    fn what_was_read_serves_until_a_file_changes() {
        let (root, files) = export(&[("issues.jsonl", "{\"id\":\"1\",\"key\":\"A-1\"}\n")]);
        let path = root.path().join("issues.jsonl");
        let age = |hours: u64| {
            let modified = std::time::SystemTime::now() - std::time::Duration::from_secs(hours * 3600);
            fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        };
        let stop = Stop::default();
        let issues = RecordFiles::among(&files, Unit::Issues, 1024, &stop);
        let keys = KeyIndex::new(1 << 20);
        let read = || keys.all(&issues).unwrap().unwrap();
        assert!(!Arc::ptr_eq(&read(), &read()), "a file that was just written may change unseen");
        age(2);
        let first = read();
        assert!(Arc::ptr_eq(&first, &read()));
        fs::write(&path, "{\"id\":\"2\",\"key\":\"A-1\"}\n").unwrap();
        age(1);
        assert_eq!(read().get("A-1"), Some("2"));
    }

    #[test]
    fn an_issue_above_the_limit_is_not_held_in_memory_to_find_its_key() {
        let long = format!(
            "{{\"id\":\"1\",\"key\":\"A-1\",\"x\":\"{}\"}}\n{{\"id\":\"2\",\"key\":\"A-2\"}}",
            "x".repeat(2000)
        );
        let (_root, files) = export(&[("issues.jsonl", &long)]);
        let stop = Stop::default();
        let ids = KeyIndex::new(1 << 20).all(&RecordFiles::among(&files, Unit::Issues, 1024, &stop)).unwrap().unwrap();
        assert_eq!((ids.get("A-1"), ids.get("A-2")), (None, Some("2")));
    }
}
