use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use endpoint_api::{Error, ErrorKind, Ingestion, Result, Retry, RunId};

use crate::{
    error::{damaged, failed, overtaken},
    layout::{Layout, LoadName, manifest_name, manifest_sequence, names},
    manifest::{Created, Entry, Manifest, now},
    mode::FileMode,
    state::State,
};

/// What the names of manifests that are being written begin with; the fence follows.
pub(crate) const TEMPORARY: &str = "tmp-";

/// The log of one ingestion: its manifests, as far as they have been read, and what they add up to.
///
/// Their numbers have no gaps, and each is created only by someone who has read all before it. So
/// whoever creates one knows that nothing came in between.
#[derive(Debug)]
pub(crate) struct Log {
    folder: PathBuf,
    file_mode: FileMode,
    ingestion: Ingestion,
    next: u64,
    state: State,
    loads: HashSet<LoadName>,
    temporaries: u64,
}

impl Log {
    /// The log, of which nothing has been read.
    pub(crate) fn unread(layout: &Layout, ingestion: &Ingestion) -> Self {
        Self {
            folder: layout.state(ingestion),
            file_mode: layout.file_mode(),
            ingestion: ingestion.clone(),
            next: 1,
            state: State::default(),
            loads: HashSet::new(),
            temporaries: 0,
        }
    }

    /// Reads all there is. The effort grows with the number of manifests.
    pub(crate) fn read(layout: &Layout, ingestion: &Ingestion, operation: &'static str) -> Result<Self> {
        let mut log = Self::unread(layout, ingestion);
        log.catch_up(operation)?;
        log.refuse_gap(operation)?;
        Ok(log)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn ingestion(&self) -> &Ingestion {
        &self.ingestion
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Takes the names of all loads whose files are committed, as far as they have been
    /// read since they were last taken.
    pub(crate) fn take_loads(&mut self) -> HashSet<LoadName> {
        std::mem::take(&mut self.loads)
    }

    /// Reads the next manifest; `None` when there is none yet.
    pub(crate) fn advance(&mut self, operation: &'static str) -> Result<Option<Manifest>> {
        let Some(manifest) = Manifest::read(&self.folder, self.next, operation)? else { return Ok(None) };
        if manifest.ingestion != self.ingestion {
            let message = "the folder holds the records of another ingestion; each sink needs a folder of its own, \
                           and a sink that is renamed needs a new one";
            return Err(Error::new(ErrorKind::Config, operation, message)
                .with("found", &manifest.ingestion)
                .with("expected", &self.ingestion)
                .with("path", self.folder.display()));
        }
        self.add(&manifest, operation)?;
        Ok(Some(manifest))
    }

    fn add(&mut self, manifest: &Manifest, operation: &'static str) -> Result<()> {
        let path = || self.folder.join(manifest_name(manifest.sequence));
        self.state.apply(manifest).map_err(|why| damaged(operation, &path(), why))?;
        if let Entry::Slice(entry) = &manifest.entry {
            self.loads.insert(LoadName { slice: entry.slice, fence: manifest.fence, load: entry.load });
        }
        self.next = manifest.sequence + 1;
        Ok(())
    }

    /// Reads what has come since; whether anything has.
    pub(crate) fn catch_up(&mut self, operation: &'static str) -> Result<bool> {
        let known = self.next;
        while self.advance(operation)?.is_some() {}
        Ok(self.next > known)
    }

    /// Fails when a manifest is missing before others: what would be created in its place would
    /// contradict them.
    pub(crate) fn refuse_gap(&self, operation: &'static str) -> Result<()> {
        let names = names(&self.folder).map_err(failed(operation, "list the manifests", &self.folder))?;
        let last = names.iter().filter_map(|name| manifest_sequence(name)).max();
        // One that came after the last look is no gap, hence the second look.
        if last.is_some_and(|last| last >= self.next) && Manifest::read(&self.folder, self.next, operation)?.is_none() {
            return Err(damaged(operation, &self.folder.join(manifest_name(self.next)), "it is missing"));
        }
        Ok(())
    }

    /// Fails unless the run with this fence is the newest and has not ended.
    pub(crate) fn refuse_overtaken(&self, fence: u64, operation: &'static str) -> Result<()> {
        match self.state.run() {
            Some(run) if run.fence == fence && !run.has_ended() => Ok(()),
            Some(run) if run.fence == fence => {
                let message = "the run has ended; open another one";
                Err(Error::new(ErrorKind::Conflict, operation, message).with("ingestion", &self.ingestion))
            }
            _ => Err(overtaken(operation, &self.ingestion)),
        }
    }

    /// Creates the next manifest. When its number was taken, the answer is `false` and what came in
    /// between has been read: the entry may have to be another one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Fenced`] when a newer run was opened, and as [`Manifest::create`].
    pub(crate) fn try_append(
        &mut self,
        fence: u64,
        run_id: &RunId,
        entry: Entry,
        operation: &'static str,
    ) -> Result<bool> {
        match entry {
            Entry::Open { .. } if self.state.fence() < fence => {}
            Entry::Open { .. } => return Err(overtaken(operation, &self.ingestion)),
            _ => self.refuse_overtaken(fence, operation)?,
        }
        let manifest = Manifest {
            ingestion: self.ingestion.clone(),
            sequence: self.next,
            run_id: run_id.clone(),
            fence,
            at: now(),
            entry,
        };
        self.temporaries += 1;
        let temporary = format!("{TEMPORARY}{fence}-{}", self.temporaries);
        match manifest.create(&self.folder, &temporary, self.file_mode, operation)? {
            // It is there now, so whatever fails from here on must not undo what it names.
            Created::Yes => {
                self.add(&manifest, operation).map_err(|error| error.with_retry(Retry::OutcomeUnknown))?;
                Ok(true)
            }
            Created::Taken => {
                self.catch_up(operation)?;
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use endpoint_api::{EndpointId, Mode, UnitId};

    use super::*;
    use crate::{layout::make_folder, manifest::End};

    const RUN: RunId = RunId::from_static("run-1");

    /// A log that is empty, and another reader of the same.
    fn logs(folder: &Path) -> (Log, Log) {
        let ingestion = Ingestion {
            source: EndpointId::from_static("acme"),
            unit: UnitId::from_static("test.things"),
            sink: EndpointId::from_static("archive"),
            mode: Mode::Raw,
        };
        let layout = Layout::below(folder.to_owned());
        make_folder(&layout.state(&ingestion), layout.file_mode()).unwrap();
        let read = || Log::read(&layout, &ingestion, "open").unwrap();
        (read(), read())
    }

    fn open(log: &mut Log, fence: u64) -> Result<bool> {
        log.try_append(fence, &RUN, Entry::Open { observation: fence }, "open")
    }

    #[test]
    fn whoever_comes_second_is_told_what_came_first() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut two) = logs(folder.path());
        assert!(open(&mut one, 1).unwrap());
        assert!(!open(&mut two, 2).unwrap());
        assert_eq!(two.state().fence(), 1);
        assert!(open(&mut two, 2).unwrap());
        assert!(one.catch_up("open").unwrap() && !one.catch_up("open").unwrap());
        assert_eq!(one.state().fence(), 2);
    }

    #[test]
    fn an_older_fence_opens_nothing_behind_a_newer_one() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut two) = logs(folder.path());
        assert!(open(&mut two, 2).unwrap());
        assert!(!open(&mut one, 1).unwrap());
        assert_eq!(open(&mut one, 1).unwrap_err().kind(), ErrorKind::Fenced);
        assert!(!two.catch_up("open").unwrap(), "nothing was added");
    }

    #[test]
    fn nothing_is_added_to_a_run_that_was_overtaken_or_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut two) = logs(folder.path());
        let plan = |log: &mut Log, fence| log.try_append(fence, &RUN, Entry::Plan { slices: Vec::new() }, "plan");
        assert!(open(&mut one, 1).unwrap());
        assert!(!open(&mut two, 2).unwrap() && open(&mut two, 2).unwrap());
        assert!(!plan(&mut one, 1).unwrap());
        assert_eq!(plan(&mut one, 1).unwrap_err().kind(), ErrorKind::Fenced);
        assert!(two.try_append(2, &RUN, Entry::End { how: End::Abandoned }, "end").unwrap());
        assert_eq!(plan(&mut two, 2).unwrap_err().kind(), ErrorKind::Conflict);
        assert!(one.catch_up("open").unwrap());
        assert_eq!((one.next, two.next), (4, 4));
    }
}
