use std::collections::BTreeMap;

use endpoint_api::{Checkpoint, LoadReceipt, RunId, Slice};

use crate::{
    config::Compression,
    layout::{Content, LoadName},
    manifest::{End, Entry, Manifest, SliceEntry, StoredFile},
};

/// Where an ingestion stands: what its manifests, one after the other, add up to.
#[derive(Debug, Default)]
pub(crate) struct State {
    records: u64,
    checkpoint: Option<Checkpoint>,
    run: Option<RunState>,
}

/// The newest run of an ingestion.
#[derive(Debug)]
pub(crate) struct RunState {
    pub(crate) id: RunId,
    /// Its newest fence.
    pub(crate) fence: u64,
    /// Its first fence.
    pub(crate) observation: u64,
    pub(crate) plan: Option<Vec<Slice>>,
    pub(crate) committed: BTreeMap<u64, CommittedSlice>,
    /// The first slice that is not committed.
    gap: u64,
    /// How it ended, unless it was opened again.
    end: Option<End>,
}

/// What is known of a slice that is committed.
#[derive(Debug)]
pub(crate) struct CommittedSlice {
    pub(crate) receipt: LoadReceipt,
    resume_at: Option<Checkpoint>,
}

impl RunState {
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }
}

impl State {
    /// How many records all committed slices hold.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    pub(crate) fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// The newest run, whether or not it has ended.
    pub(crate) fn run(&self) -> Option<&RunState> {
        self.run.as_ref()
    }

    /// The newest run, when the next one is to continue it.
    pub(crate) fn unfinished(&self) -> Option<&RunState> {
        self.run.as_ref().filter(|run| !matches!(run.end, Some(End::Succeeded | End::Abandoned)))
    }

    /// The newest fence; 0 when there was no run.
    pub(crate) fn fence(&self) -> u64 {
        self.run.as_ref().map_or(0, |run| run.fence)
    }

    /// The slice of the newest run, when it is committed.
    pub(crate) fn committed(&self, slice: u64) -> Option<&CommittedSlice> {
        self.run.as_ref()?.committed.get(&slice)
    }

    /// The checkpoint once `slice` is committed too: that of the last slice before the first gap that
    /// has one.
    pub(crate) fn checkpoint_after(&self, slice: u64, resume_at: Option<&Checkpoint>) -> Option<Checkpoint> {
        let mut checkpoint = self.checkpoint.as_ref();
        let mut next = self.run.as_ref().map_or(0, |run| run.gap);
        loop {
            let step = match self.committed(next) {
                _ if next == slice => resume_at,
                Some(committed) => committed.resume_at.as_ref(),
                None => return checkpoint.cloned(),
            };
            checkpoint = step.or(checkpoint);
            next += 1;
        }
    }

    /// Adds a manifest; the error says why it cannot follow those before it.
    pub(crate) fn apply(&mut self, manifest: &Manifest) -> Result<(), &'static str> {
        match &manifest.entry {
            Entry::Open { observation } => self.open(manifest, *observation),
            Entry::Plan { slices } => {
                let run = self.running(manifest)?;
                if run.plan.is_some() {
                    return Err("its run has a plan already");
                }
                run.plan = Some(slices.clone());
                Ok(())
            }
            Entry::Slice(entry) => self.commit(manifest, entry),
            Entry::End { how } => {
                self.running(manifest)?.end = Some(*how);
                Ok(())
            }
        }
    }

    fn open(&mut self, manifest: &Manifest, observation: u64) -> Result<(), &'static str> {
        if manifest.fence <= self.fence() {
            return Err("its fence is not above those before it");
        }
        if observation == manifest.fence {
            self.run = Some(RunState {
                id: manifest.run_id.clone(),
                fence: manifest.fence,
                observation,
                plan: None,
                committed: BTreeMap::new(),
                gap: 0,
                end: None,
            });
            return Ok(());
        }
        let unfinished = self.unfinished().is_some();
        match &mut self.run {
            Some(run) if unfinished && run.id == manifest.run_id && run.observation == observation => {
                run.fence = manifest.fence;
                run.end = None;
                Ok(())
            }
            _ => Err("it continues a run that is not there"),
        }
    }

    fn commit(&mut self, manifest: &Manifest, entry: &SliceEntry) -> Result<(), &'static str> {
        if !names_its_own_files(manifest, entry) {
            return Err("it names files that its slice cannot have");
        }
        let run = self.running(manifest)?;
        if run.committed.contains_key(&entry.slice) {
            return Err("its slice is committed already");
        }
        let committed = CommittedSlice { receipt: entry.receipt.clone(), resume_at: entry.resume_at.clone() };
        run.committed.insert(entry.slice, committed);
        while run.committed.contains_key(&run.gap) {
            run.gap += 1;
        }
        self.records = self.records.saturating_add(entry.files.records.lines);
        self.checkpoint = entry.checkpoint.clone();
        Ok(())
    }

    /// The run that the manifest belongs to, which must be the newest and must not have ended.
    fn running(&mut self, manifest: &Manifest) -> Result<&mut RunState, &'static str> {
        match &mut self.run {
            Some(run) if run.fence == manifest.fence && run.id == manifest.run_id && run.end.is_none() => Ok(run),
            _ => Err("its run is not the one that was open"),
        }
    }
}

/// No path is ever taken from a file as it is: each must be the one that the layout gives.
fn names_its_own_files(manifest: &Manifest, entry: &SliceEntry) -> bool {
    let name = LoadName { slice: entry.slice, fence: manifest.fence, load: entry.load };
    let fits = |file: &StoredFile, content| {
        [Compression::None, Compression::Zstd]
            .into_iter()
            .any(|compression| file.path == name.path(&manifest.ingestion, &manifest.run_id, content, compression))
    };
    fits(&entry.files.records, Content::Records)
        && fits(&entry.files.envelopes, Content::Envelopes)
        && entry.files.rejects.as_ref().is_none_or(|file| fits(file, Content::Rejects))
}
