use std::collections::{BTreeSet, HashMap, HashSet};

use endpoint_api::{ErrorKind, Incomplete, Mode, PlanRequest, Result, Slice};

use crate::{
    cuts::Cuts,
    depends::{LookedUp, Neighbours, settings},
    error::{failed, stopped},
    export::Export,
    files::{ExportFile, Form, Listing},
    files_read::{Age, FileRead, FilesRead},
    fingerprint::{FileStat, Fingerprint, LineRange, survey},
    gathered_files::{GatheredFiles, Unnumbered, is_small},
    notes,
    pages::Pages,
    slice_spec::{Records, SliceSpec},
    stop::Stop,
    survey::pages_of,
    units::Unit,
};

/// With more files to read than this, only the last slice says where to resume, because each that says it names every
/// file, and small files are put together into slices.
const RESUMABLE_FILES: usize = 64;

/// A file that is to be read, and into which ranges it falls.
pub(crate) struct Changed {
    pub(crate) name: String,
    pub(crate) records: Records,
    pub(crate) state: Fingerprint,
    pub(crate) ranges: Vec<LineRange>,
    pub(crate) pages: Option<Pages>,
    pub(crate) looked_up: LookedUp,
    /// Whether it may share a slice with others: it is small, and nothing in it keeps the others from being read.
    pub(crate) may_share: bool,
}

impl Changed {
    pub(crate) fn epic_link(&self) -> Option<&str> {
        self.pages.as_ref()?.epic_link.as_deref()
    }

    /// What the checkpoint says of it once it is read.
    fn read_by_then(&self, age: Age, this_round: u32) -> FileRead {
        let round = match age {
            Age::New => Some(this_round),
            Age::Since(round) => Some(round),
            Age::Unknown => None,
        };
        let pages = self.pages.clone().filter(|pages| !pages.is_empty());
        FileRead { state: self.state.clone(), cuts: None, pages, looked_up: self.looked_up.clone(), round }
    }

    /// A slice of each of its ranges.
    fn slices(self, fingerprint: &str, mode: Mode) -> Vec<Unnumbered> {
        let epic_link = self.epic_link().map(str::to_owned);
        let spec = SliceSpec { file: self.name, state: self.state, epic_link, ..SliceSpec::empty(self.records, mode) };
        if self.ranges.is_empty() {
            return vec![(spec, vec![fingerprint.to_owned()])];
        }
        let of_range = |range| (SliceSpec { lines: Some(range), ..spec.clone() }, vec![fingerprint.to_owned()]);
        self.ranges.into_iter().map(of_range).collect()
    }
}

/// Cuts what has changed since the checkpoint into slices: a unit's own files first, then those whose
/// records embed its own, which only CDM mode reads. Before them comes a slice of notes, when something is
/// missing in the export as a whole.
pub(crate) fn plan(
    export: &Export,
    listing: &Listing,
    unit: Unit,
    request: &PlanRequest,
    stop: &Stop,
) -> Result<Vec<Slice>> {
    let slice_bytes = export.slice_bytes;
    let is_mapped = request.mode == Mode::Cdm;
    let settings = if is_mapped { settings(export, unit) } else { None };
    let mut known = request.checkpoint.as_ref().map(FilesRead::read).transpose()?.unwrap_or_default();
    if known.settings != settings {
        known.files.clear();
    }
    // A checkpoint that cannot be read spares no work and is no reason not to read from the beginning.
    let earlier = request.known.as_ref().and_then(|known| FilesRead::read(known).ok()).unwrap_or_default();
    let mut read = FilesRead { settings, ..FilesRead::default() };
    let (mut changed, mut unreadable) = (Vec::new(), Vec::new());
    for (file, records) in files_of(&listing.files, unit, request.mode) {
        if stop.is_set() {
            return Err(stopped());
        }
        let before = known.files.get(&file.name);
        let (state, ranges) = match state_of(file, before, earlier.files.get(&file.name), slice_bytes, stop) {
            Ok(State::Same(before)) => {
                read.files.insert(file.name.clone(), before.clone());
                continue;
            }
            Ok(State::Surveyed(state, ranges)) => (state, ranges),
            // A file that is being written, or work that was given up.
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Interrupted) => return Err(error),
            Err(_) if stop.is_set() => return Err(stopped()),
            Err(_) => {
                unreadable.push(file.name.clone());
                continue;
            }
        };
        if let Some(before) = before.filter(|before| before.state.is_same_content(&state)) {
            read.files.insert(file.name.clone(), FileRead { state, ..before.clone() });
        } else {
            let pages = if has_pages(file, records) { pages_of(file, stop)? } else { None };
            let (name, looked_up) = (file.name.clone(), LookedUp::default());
            changed.push(Changed { name, records, state, ranges, pages, looked_up, may_share: false });
        }
    }
    if changed.len() > RESUMABLE_FILES {
        let_share(listing, &mut changed, stop)?;
    }
    if is_mapped && !changed.is_empty() {
        look_up(export, listing, unit, &earlier, &read, &mut changed, stop)?;
    }
    let unread = notes::of_unread(listing, unit);
    read.unread = notes::digest(&unread);
    let mut notes = vanished(listing, [&known, &earlier], &read, &changed);
    notes.extend(page_notes(listing, unit, &read, &changed, stop)?);
    let is_new = !notes.is_empty() || !changed.is_empty() || read.unread != known.unread;
    if is_new {
        notes.extend(unread);
    }
    let mut slices = slices(notes, changed, read, &earlier, request.mode, slice_bytes)?;
    for file in unreadable {
        let spec = SliceSpec { file, ..SliceSpec::empty(Records::Unreadable, request.mode) };
        slices.push(spec.slice(slices.len(), Vec::new())?);
    }
    Ok(slices)
}

/// What a file is like now.
enum State<'k> {
    /// Unchanged since the checkpoint, by the length and the modification time that the file system reports.
    Same(&'k FileRead),
    Surveyed(Fingerprint, Vec<LineRange>),
}

fn state_of<'k>(
    file: &ExportFile,
    before: Option<&'k FileRead>,
    earlier: Option<&FileRead>,
    slice_bytes: u64,
    stop: &Stop,
) -> Result<State<'k>> {
    let stat = FileStat::of(&file.path).map_err(|error| failed("plan", "look at the file", &file.name, error))?;
    if let Some(before) = before.filter(|before| before.state.is_told_by(&stat)) {
        return Ok(State::Same(before));
    }
    let surveyed = earlier.and_then(|earlier| earlier.survey(file, &stat, slice_bytes));
    let (state, ranges) = surveyed.map_or_else(|| survey(file, slice_bytes, stop), Ok)?;
    Ok(State::Surveyed(state, ranges))
}

/// Finds out what the records of the changed files look up in other files.
fn look_up(
    export: &Export,
    listing: &Listing,
    unit: Unit,
    earlier: &FilesRead,
    read: &FilesRead,
    changed: &mut [Changed],
    stop: &Stop,
) -> Result<()> {
    let is_of_issues = |name: &str| listing.file(name).is_some_and(|file| file.unit == Unit::Issues);
    let states = read.files.iter().map(|(name, file)| (name.as_str(), &file.state));
    let states = states.chain(changed.iter().map(|file| (file.name.as_str(), &file.state)));
    let issue_files = states.filter(|(name, _)| is_of_issues(name)).map(|(name, state)| (name, state.xxh3.as_str()));
    let neighbours = Neighbours::new(export, unit, &issue_files.collect(), stop)?;
    for changed in changed {
        let Some(file) = listing.file(&changed.name) else { continue };
        let epic_link = changed.epic_link();
        let before = earlier.files.get(&changed.name).filter(|before| before.state.is_same_content(&changed.state));
        changed.looked_up = neighbours.of(file, changed.records, epic_link, before.map(|before| &before.looked_up))?;
    }
    Ok(())
}

/// Finds out which files may share a slice with others.
fn let_share(listing: &Listing, changed: &mut [Changed], stop: &Stop) -> Result<()> {
    for changed in changed.iter_mut().filter(|changed| is_small(&changed.state)) {
        let Some(file) = listing.file(&changed.name) else { continue };
        // Bad lines are rejects; any other file has to be read to its end to know that it can be.
        changed.may_share = file.has_ranges()
            || changed.pages.is_some()
            || (!has_pages(file, changed.records) && pages_of(file, stop)?.is_some());
    }
    Ok(())
}

/// Whether what the pages of a file say is of interest.
fn has_pages(file: &ExportFile, records: Records) -> bool {
    records == Records::Own && file.form == Form::Values
}

/// The files of the checkpoints that are gone, unless the same contents are there under another name.
fn vanished(listing: &Listing, checkpoints: [&FilesRead; 2], read: &FilesRead, changed: &[Changed]) -> Vec<Incomplete> {
    let unread: HashSet<&str> = listing.unread.iter().map(|file| file.name.as_str()).collect();
    let is_there = |name: &str| listing.file(name).is_some() || unread.contains(name);
    let states = read.files.values().map(|file| &file.state).chain(changed.iter().map(|file| &file.state));
    let contents: HashSet<(u64, &str)> = states.map(|state| (state.bytes, state.xxh3.as_str())).collect();
    let known = checkpoints.into_iter().flat_map(|checkpoint| &checkpoint.files);
    let gone: BTreeSet<&str> = known
        .filter(|(name, file)| !is_there(name) && !contents.contains(&(file.state.bytes, file.state.xxh3.as_str())))
        .map(|(name, _)| name.as_str())
        .collect();
    gone.into_iter().map(notes::of_vanished).collect()
}

/// What the pages of the unit's files announce and do not give, when one of the files is to be read.
fn page_notes(
    listing: &Listing,
    unit: Unit,
    read: &FilesRead,
    changed: &[Changed],
    stop: &Stop,
) -> Result<Vec<Incomplete>> {
    if !changed.iter().any(|file| file.pages.is_some()) {
        return Ok(Vec::new());
    }
    let changed: HashMap<&str, &Changed> = changed.iter().map(|file| (file.name.as_str(), file)).collect();
    let mut all = Vec::new();
    for file in listing.files.iter().filter(|file| file.unit == unit && has_pages(file, Records::Own)) {
        let of_changed = changed.get(file.name.as_str()).map(|changed| changed.pages.clone());
        let of_read = || read.files.get(&file.name).and_then(|file| file.pages.clone());
        // Of a file that an earlier version of the driver has read nothing is known.
        let pages = match of_changed {
            Some(pages) => pages,
            None => of_read().map_or_else(|| pages_of(file, stop), |pages| Ok(Some(pages)))?,
        };
        all.extend(pages.map(|pages| (file.name.clone(), pages)));
    }
    Ok(notes::of_pages(unit, &all))
}

/// The files that a unit reads in a mode.
pub(crate) fn files_of(files: &[ExportFile], unit: Unit, mode: Mode) -> impl Iterator<Item = (&ExportFile, Records)> {
    let embedding = match mode {
        Mode::Cdm => unit.embedded_in(),
        Mode::Raw => &[],
    };
    let own = files.iter().filter(move |file| file.unit == unit).map(|file| (file, Records::Own));
    let embedded = files.iter().filter(|file| embedding.contains(&file.unit)).map(|file| (file, Records::Embedded));
    own.chain(embedded)
}

/// The slice of the notes and those of the changed files; `read` are the files that have not changed, and `earlier` is how
/// far the ingestion has come.
fn slices(
    notes: Vec<Incomplete>,
    changed: Vec<Changed>,
    mut read: FilesRead,
    earlier: &FilesRead,
    mode: Mode,
    slice_bytes: u64,
) -> Result<Vec<Slice>> {
    let are_few = changed.len() <= RESUMABLE_FILES;
    let this_round = 1 + earlier.last_round().max(read.last_round());
    let mut planned: Vec<Unnumbered> = Vec::new();
    if !notes.is_empty() {
        planned.push((SliceSpec { notes, ..SliceSpec::empty(Records::Notes, mode) }, Vec::new()));
    }
    let (mut gathered, mut cuts) = (GatheredFiles::new(mode, slice_bytes), Vec::new());
    for file in changed {
        let fingerprint = file.looked_up.fingerprint(&file.state.xxh3, read.settings.as_deref());
        let age = earlier.age_of(&file.name, &fingerprint);
        cuts.extend(Cuts::of(&file.ranges, slice_bytes).map(|cuts| (file.name.clone(), cuts)));
        read.files.insert(file.name.clone(), file.read_by_then(age, this_round));
        if !are_few && gathered.takes(&file, age) {
            planned.extend(gathered.add(file, fingerprint, age));
            continue;
        }
        if mode == Mode::Raw {
            // Records are written in the order of the files.
            planned.extend(gathered.finish());
        }
        planned.extend(file.slices(&fingerprint, mode));
        if let Some((last, _)) = planned.last_mut().filter(|_| are_few) {
            last.resume_at = Some(read.checkpoint()?);
        }
    }
    planned.extend(gathered.finish());
    // Only the end of a plan has the cuts: the plan would grow with the square of their number.
    for (name, cuts) in cuts {
        read.files.entry(name).and_modify(|file| file.cuts = Some(cuts));
    }
    if let Some((last, _)) = planned.last_mut() {
        last.resume_at = Some(read.checkpoint()?);
    }
    planned.into_iter().enumerate().map(|(index, (spec, fingerprints))| spec.slice(index, fingerprints)).collect()
}

#[cfg(test)]
mod tests {
    use endpoint_api::Checkpoint;
    use serde_json::json;

    use super::*;

    fn state(hash: &str) -> Fingerprint {
        Fingerprint { bytes: 10, xxh3: hash.into(), modified_ns: None }
    }

    fn file_read(hash: &str) -> FileRead {
        FileRead { state: state(hash), cuts: None, pages: None, looked_up: LookedUp::default(), round: None }
    }

    fn changed(name: &str, ranges: &[(u64, u64)]) -> Changed {
        let ranges = ranges.iter().map(|&(start, end)| LineRange { start, end, first_line: 1 });
        let (ranges, looked_up) = (ranges.collect(), LookedUp::default());
        let (name, state) = (name.to_owned(), state(name));
        Changed { name, records: Records::Own, state, ranges, pages: None, looked_up, may_share: true }
    }

    fn resume_points(slices: &[Slice]) -> Vec<Option<Vec<String>>> {
        let files = |spec: SliceSpec| {
            let checkpoint = FilesRead::read(&spec.resume_at?).unwrap();
            Some(checkpoint.files.into_keys().collect())
        };
        slices.iter().map(|slice| files(SliceSpec::read(slice).unwrap())).collect()
    }

    #[test]
    fn the_last_slice_of_each_file_says_what_has_been_read_by_then() {
        let read = FilesRead { files: [("z".to_owned(), file_read("z"))].into(), ..FilesRead::default() };
        let files = vec![changed("a", &[(0, 5), (5, 10)]), changed("b", &[]), changed("c", &[(0, 0)])];
        let slices = slices(Vec::new(), files, read, &FilesRead::default(), Mode::Raw, 5).unwrap();
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            resume_points(&slices),
            [None, names(&["a", "z"]), names(&["a", "b", "z"]), names(&["a", "b", "c", "z"])]
        );
        assert_eq!(slices.iter().map(|slice| slice.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let resource = &slices[2].resources[0];
        assert_eq!((resource.name.as_str(), resource.fingerprint.as_str()), ("b", "b"));
    }

    #[test]
    fn a_plan_of_many_files_says_only_at_its_end_from_where_to_resume() {
        let plan = |count: usize| {
            let files = (0..count).map(|number| changed(&format!("issues-{number:03}.jsonl"), &[(0, 10)]));
            let files = files.map(|file| Changed { may_share: false, ..file }).collect();
            resume_points(
                &slices(Vec::new(), files, FilesRead::default(), &FilesRead::default(), Mode::Raw, 5).unwrap(),
            )
        };
        assert!(plan(RESUMABLE_FILES).iter().all(Option::is_some));
        let many = plan(RESUMABLE_FILES + 1);
        assert!(many[..RESUMABLE_FILES].iter().all(Option::is_none));
        assert_eq!(many[RESUMABLE_FILES].as_ref().unwrap().len(), RESUMABLE_FILES + 1);
    }

    #[test]
    fn what_another_driver_wrote_is_refused() {
        let error = FilesRead::read(&Checkpoint(json!({ "since": 5 }))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let error = SliceSpec::read(&Slice::new(3, json!({ "page": 2 }))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Outdated);
        assert_eq!(error.context().next(), Some(("slice", "3")));
    }
}
