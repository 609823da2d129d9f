use std::{
    collections::HashMap,
    fs::{self, Metadata},
    io::{self, Read},
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use endpoint_api::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use crate::{
    error::{failed, outdated},
    files::ExportFile,
    stop::Stop,
};

/// A file that was written so recently may be written again without another modification time: the
/// clocks of file systems tick in up to 2 seconds.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// How often a file is read anew that changes while it is read.
const ATTEMPTS: usize = 3;

/// So much is read at once.
const CHUNK_BYTES: u64 = 256 * 1024;

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    /// The length of the file.
    pub(crate) bytes: u64,
    /// XXH3 of its contents, 128 bits in hexadecimal, as `xxh128sum` prints them: nothing else of a run can begin
    /// before it is known, and a file is told from what it was, not from what somebody made to look like it.
    #[serde(alias = "blake3")]
    pub(crate) xxh3: String,
    /// When it was modified, in nanoseconds since 1970, where a later change would show in that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) modified_ns: Option<i64>,
}

/// A part of a file of lines: whole lines, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineRange {
    /// The byte at which its first line begins.
    pub(crate) start: u64,
    /// The byte after its last line.
    pub(crate) end: u64,
    /// The number of its first line, from 1.
    pub(crate) first_line: u64,
}

/// What the file system tells of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileStat {
    bytes: u64,
    modified_ns: Option<i64>,
    /// Whether a later change would show in the modification time.
    settled: bool,
}

impl Fingerprint {
    /// Whether the contents are the same.
    pub(crate) fn is_same_content(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.xxh3 == other.xxh3
    }

    /// Whether the file system already tells that the file is in this state.
    pub(crate) fn is_told_by(&self, stat: &FileStat) -> bool {
        self.bytes == stat.bytes && self.modified_ns.is_some() && self.modified_ns == stat.modified_ns
    }
}

impl FileStat {
    /// Looks at the file as it is now.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        // The clock is read first, so that a change in between makes the file look younger, not older.
        let now = SystemTime::now();
        Ok(Self::new(&fs::metadata(path)?, now))
    }

    fn new(metadata: &Metadata, now: SystemTime) -> Self {
        let modified = metadata.modified().ok();
        let age = modified.and_then(|modified| now.duration_since(modified).ok());
        Self {
            bytes: metadata.len(),
            modified_ns: modified.and_then(nanoseconds),
            settled: age.is_some_and(|age| age >= SETTLED_AFTER),
        }
    }

    /// Whether a later change would show.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled && self.modified_ns.is_some()
    }

    /// Whether both have the same length and modification time.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.bytes, self.modified_ns) == (other.bytes, other.modified_ns)
    }
}

fn nanoseconds(time: SystemTime) -> Option<i64> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).ok(),
        Err(before) => i64::try_from(before.duration().as_nanos()).ok().map(|nanoseconds| -nanoseconds),
    }
}

/// Reads a whole file: what state it is in, and into which ranges of about `slice_bytes` it falls,
/// should it be one of which ranges can be read.
pub(crate) fn survey(file: &ExportFile, slice_bytes: u64, stop: &Stop) -> Result<(Fingerprint, Vec<LineRange>)> {
    let unreadable = |error| failed("plan", "read the file", &file.name, error);
    for _ in 0..ATTEMPTS {
        let before = FileStat::of(&file.path).map_err(unreadable)?;
        let mut cutter = file.has_ranges().then(|| Cutter::new(slice_bytes));
        let (bytes, xxh3) = hash(&file.path, stop, |chunk| {
            if let Some(cutter) = &mut cutter {
                cutter.push(chunk);
            }
        })
        .map_err(unreadable)?;
        let after = FileStat::of(&file.path).map_err(unreadable)?;
        if bytes == before.bytes && before.is_same(&after) {
            let modified_ns = before.modified_ns.filter(|_| before.is_settled());
            let ranges = cutter.map(Cutter::finish).unwrap_or_default();
            return Ok((Fingerprint { bytes, xxh3, modified_ns }, ranges));
        }
    }
    let message = "the file changes while it is read; run again when the export is complete";
    Err(Error::new(ErrorKind::Conflict, "plan", message).with("file", &file.name))
}

/// The length and the hash of a file, which is read in chunks; each is shown to `look`.
fn hash(path: &Path, stop: &Stop, mut look: impl FnMut(&[u8])) -> io::Result<(u64, String)> {
    let mut input = stop.over(local_files::open_regular(path)?);
    let mut hasher = XxHash3_128::new();
    let mut bytes = 0;
    let mut chunk = Vec::new();
    loop {
        chunk.clear();
        let read = (&mut input).take(CHUNK_BYTES).read_to_end(&mut chunk)?;
        if read == 0 {
            return Ok((bytes, format!("{:032x}", hasher.finish_128())));
        }
        hasher.write(&chunk);
        look(&chunk);
        bytes += u64::try_from(read).unwrap_or(u64::MAX);
    }
}

/// Cuts a file into ranges of whole lines while it goes by.
struct Cutter {
    slice_bytes: u64,
    ranges: Vec<LineRange>,
    /// The range that is being filled; its end is not known yet.
    start: u64,
    first_line: u64,
    /// How much has gone by.
    bytes: u64,
    line: u64,
}

impl Cutter {
    fn new(slice_bytes: u64) -> Self {
        Self { slice_bytes, ranges: Vec::new(), start: 0, first_line: 1, bytes: 0, line: 1 }
    }

    fn push(&mut self, chunk: &[u8]) {
        for newline in memchr::memchr_iter(b'\n', chunk) {
            self.line += 1;
            let end = self.bytes + u64::try_from(newline).unwrap_or(u64::MAX) + 1;
            if end - self.start >= self.slice_bytes {
                self.ranges.push(LineRange { start: self.start, end, first_line: self.first_line });
                self.start = end;
                self.first_line = self.line;
            }
        }
        self.bytes += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
    }

    fn finish(mut self) -> Vec<LineRange> {
        // A file without lines is still one range, so that the plan covers it.
        if self.start < self.bytes || self.ranges.is_empty() {
            self.ranges.push(LineRange { start: self.start, end: self.bytes, first_line: self.first_line });
        }
        self.ranges
    }
}

/// What is known of files that were read only to see whether they are still in the planned state, so
/// that not each slice of a file reads all of it.
#[derive(Debug, Default)]
pub(crate) struct Confirmations(Mutex<HashMap<String, (FileStat, String)>>);

impl Confirmations {
    /// Makes sure that a file still has the contents that were planned.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Outdated`] when it has others or is gone.
    pub(crate) fn confirm(&self, file: &ExportFile, planned: &Fingerprint, stop: &Stop) -> Result<()> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => outdated(&file.name, "the file has been removed"),
            _ => failed("read", "read the file", &file.name, error),
        };
        let stat = FileStat::of(&file.path).map_err(unreadable)?;
        if planned.is_told_by(&stat) {
            return Ok(());
        }
        let is_planned = stat.bytes == planned.bytes && {
            let xxh3 = match self.known(&file.name, &stat) {
                Some(xxh3) => xxh3,
                None => {
                    let (_, xxh3) = hash(&file.path, stop, |_| {}).map_err(unreadable)?;
                    self.remember(&file.name, stat, &xxh3);
                    xxh3
                }
            };
            xxh3 == planned.xxh3
        };
        if is_planned { Ok(()) } else { Err(outdated(&file.name, "the file has changed")) }
    }

    fn known(&self, name: &str, stat: &FileStat) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(name).filter(|(known, _)| known.is_same(stat)).map(|(_, xxh3)| xxh3.clone())
    }

    fn remember(&self, name: &str, stat: FileStat, xxh3: &str) {
        if stat.is_settled() {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(name.to_owned(), (stat, xxh3.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};

    use tempfile::TempDir;

    use super::*;
    use crate::{config::ConfiguredPath, files};

    fn export(contents: &[u8]) -> (TempDir, ExportFile) {
        let root = TempDir::new().unwrap();
        fs::write(root.path().join("issues.jsonl"), contents).unwrap();
        let path = ConfiguredPath { given: ".".into(), path: root.path().to_owned() };
        let file = files::find(&[path]).unwrap().remove(0);
        (root, file)
    }

    fn touch(file: &ExportFile, ago: Duration) {
        let times = FileTimes::new().set_modified(SystemTime::now() - ago);
        File::options().write(true).open(&file.path).unwrap().set_times(times).unwrap();
    }

    const LONG_AGO: Duration = Duration::from_secs(3600);

    #[test]
    fn a_file_falls_into_ranges_of_whole_lines_that_know_their_line_numbers() {
        let (_root, file) = export(b"aaaa\nbb\n\ncccccccccc\nd");
        let ranges = |slice_bytes| {
            let ranges = survey(&file, slice_bytes, &Stop::default()).unwrap().1;
            ranges.iter().map(|range| (range.start, range.end, range.first_line)).collect::<Vec<_>>()
        };
        assert_eq!(ranges(1), [(0, 5, 1), (5, 8, 2), (8, 9, 3), (9, 20, 4), (20, 21, 5)]);
        assert_eq!(ranges(6), [(0, 8, 1), (8, 20, 3), (20, 21, 5)]);
        assert_eq!(ranges(20), [(0, 20, 1), (20, 21, 5)]);
        assert_eq!(ranges(100), [(0, 21, 1)]);
        let (_root, empty) = export(b"");
        assert_eq!(survey(&empty, 1, &Stop::default()).unwrap().1, [LineRange { start: 0, end: 0, first_line: 1 }]);
        let (_root, closed) = export(b"a\n");
        assert_eq!(survey(&closed, 1, &Stop::default()).unwrap().1, [LineRange { start: 0, end: 2, first_line: 1 }]);
    }

    #[test]
    fn lines_that_cross_chunks_are_cut_like_any_other() {
        let line = "x".repeat(usize::try_from(CHUNK_BYTES).unwrap() - 2) + "\n";
        let (_root, file) = export(line.repeat(5).as_bytes());
        let (fingerprint, ranges) = survey(&file, 1, &Stop::default()).unwrap();
        assert_eq!(fingerprint.bytes, 5 * line.len() as u64);
        let lines: Vec<u64> = ranges.iter().map(|range| range.first_line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5]);
        assert!(ranges.iter().all(|range| range.end - range.start == line.len() as u64));
    }

    #[test]
    fn a_modification_time_counts_only_when_a_later_change_would_show_in_it() {
        let (_root, file) = export(b"{}\n");
        let modified = |file| survey(file, 1, &Stop::default()).unwrap().0.modified_ns;
        assert_eq!(modified(&file), None, "just written");
        touch(&file, LONG_AGO);
        let recorded = modified(&file);
        assert!(recorded.is_some());
        assert_eq!(recorded, FileStat::of(&file.path).unwrap().modified_ns);
        let ahead = FileTimes::new().set_modified(SystemTime::now() + LONG_AGO);
        File::options().write(true).open(&file.path).unwrap().set_times(ahead).unwrap();
        assert_eq!(modified(&file), None, "in the future");
    }

    #[test]
    fn only_other_contents_are_outdated() {
        let (_root, file) = export(b"{\"a\":1}\n");
        touch(&file, LONG_AGO);
        let (planned, _) = survey(&file, 1, &Stop::default()).unwrap();
        let confirmations = Confirmations::default();
        let confirm = || confirmations.confirm(&file, &planned, &Stop::default());
        confirm().unwrap();
        touch(&file, Duration::ZERO);
        confirm().unwrap();
        touch(&file, LONG_AGO * 2);
        confirm().unwrap();

        fs::write(&file.path, "{\"a\":2}\n").unwrap();
        assert_eq!(confirm().unwrap_err().kind(), ErrorKind::Outdated, "same length");
        fs::write(&file.path, "{\"a\":1}").unwrap();
        assert_eq!(confirm().unwrap_err().kind(), ErrorKind::Outdated, "another length");
        fs::remove_file(&file.path).unwrap();
        let error = confirm().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the file has been removed since the plan was made; plan again (file: issues.jsonl)"
        );
    }

    #[test]
    fn what_was_read_to_confirm_is_remembered_once_its_time_has_settled() {
        let (_root, file) = export(b"{\"a\":1}\n");
        let (planned, _) = survey(&file, 1, &Stop::default()).unwrap();
        let confirmations = Confirmations::default();
        let known = || confirmations.known(&file.name, &FileStat::of(&file.path).unwrap());
        confirmations.confirm(&file, &planned, &Stop::default()).unwrap();
        assert_eq!(known(), None, "just written");
        touch(&file, LONG_AGO);
        confirmations.confirm(&file, &planned, &Stop::default()).unwrap();
        assert_eq!(known(), Some(planned.xxh3.clone()));
        touch(&file, LONG_AGO * 2);
        assert_eq!(known(), None, "another state");
    }

    #[test]
    fn nothing_is_hashed_for_nobody() {
        let (_root, file) = export(b"{}\n");
        let stop = Stop::default();
        drop(stop.on_drop());
        assert!(survey(&file, 1, &stop).is_err());
    }
}
