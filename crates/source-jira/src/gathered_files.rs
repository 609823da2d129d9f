//! Small files are put together into slices: each slice costs a commit, whatever is in it.

use std::collections::BTreeMap;

use endpoint_api::Mode;

use crate::{
    files_read::Age,
    fingerprint::Fingerprint,
    plan::Changed,
    slice_spec::{PlannedFile, Records, SliceSpec},
};

/// The maximum number of bytes of a file that may be read in one slice with others.
const SMALL_BYTES: u64 = 1024 * 1024;

/// The maximum number of files of a slice.
const MOST_FILES: usize = 4000;

/// What files of one slice have in common. A sink takes the files of a slice for as old as each other.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    records: Records,
    epic_link: Option<String>,
    age: Age,
}

/// Files that become one slice.
#[derive(Debug, Default)]
struct Gathered {
    bytes: u64,
    files: Vec<PlannedFile>,
    fingerprints: Vec<String>,
}

/// The small files that are not in a slice yet.
#[derive(Debug)]
pub(crate) struct GatheredFiles {
    mode: Mode,
    slice_bytes: u64,
    open: BTreeMap<Kind, Gathered>,
}

/// A slice without its place in the plan, and the fingerprints of its files.
pub(crate) type Unnumbered = (SliceSpec, Vec<String>);

impl GatheredFiles {
    /// For slices of about `slice_bytes`.
    pub(crate) fn new(mode: Mode, slice_bytes: u64) -> Self {
        Self { mode, slice_bytes, open: BTreeMap::new() }
    }

    /// Whether a file may share its slice with others.
    pub(crate) fn takes(&self, file: &Changed, age: Age) -> bool {
        let is_of_known_age = age != Age::Unknown || self.mode == Mode::Raw;
        file.may_share && file.ranges.len() <= 1 && is_of_known_age
    }

    /// Adds a file; gives the slice that is full with it.
    pub(crate) fn add(&mut self, file: Changed, fingerprint: String, age: Age) -> Option<Unnumbered> {
        let (age, epic_link) = match self.mode {
            Mode::Cdm => (age, file.epic_link().map(str::to_owned)),
            // No row depends on them.
            Mode::Raw => (Age::New, None),
        };
        let kind = Kind { records: file.records, epic_link, age };
        let mut gathered = self.open.remove(&kind).unwrap_or_default();
        gathered.bytes += file.state.bytes;
        gathered.files.push(PlannedFile { file: file.name, state: file.state });
        gathered.fingerprints.push(fingerprint);
        if gathered.bytes < self.slice_bytes && gathered.files.len() < MOST_FILES {
            self.open.insert(kind, gathered);
            return None;
        }
        gathered.slice(kind, self.mode)
    }

    /// The slices of all files that are left.
    pub(crate) fn finish(&mut self) -> Vec<Unnumbered> {
        std::mem::take(&mut self.open).into_iter().filter_map(|(kind, files)| files.slice(kind, self.mode)).collect()
    }
}

/// Whether a file in this state is small enough to be read in one slice with others.
pub(crate) fn is_small(state: &Fingerprint) -> bool {
    state.bytes <= SMALL_BYTES
}

impl Gathered {
    fn slice(self, kind: Kind, mode: Mode) -> Option<Unnumbered> {
        let Kind { records, epic_link, .. } = kind;
        let mut files = self.files.into_iter();
        let PlannedFile { file, state } = files.next()?;
        let spec = SliceSpec { file, state, more: files.collect(), epic_link, ..SliceSpec::empty(records, mode) };
        Some((spec, self.fingerprints))
    }
}
