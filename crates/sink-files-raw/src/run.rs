use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use endpoint_api::{
    Begun, Commit, Error, ErrorKind, Ingestion, LoadReceipt, Message, Result, Resume, Retry, Run, RunEnd, RunId,
    RunReceipt, Slice, async_trait,
};

use crate::{
    config::Compression,
    error::{blocking, failed},
    layout::{Layout, LoadName, sync_folder},
    load::{FilesLoad, Home, LoadFiles},
    lock::RunLock,
    log::Log,
    manifest::{End, Entry, SliceEntry},
};

/// A run that was opened. It is alive until it is dropped.
#[derive(Debug)]
pub(crate) struct FilesRun {
    run: Arc<OpenRun>,
    resume: Resume,
    _lock: RunLock,
}

impl FilesRun {
    pub(crate) fn new(run: OpenRun, resume: Resume, lock: RunLock) -> Self {
        Self { run: Arc::new(run), resume, _lock: lock }
    }
}

#[async_trait]
impl Run for FilesRun {
    fn resume(&self) -> &Resume {
        &self.resume
    }

    async fn record_plan(&self, plan: &[Slice]) -> Result<()> {
        let (run, plan) = (Arc::clone(&self.run), plan.to_vec());
        blocking("record the plan", move || run.record_plan(&plan)).await
    }

    async fn begin(&self, slice: &Slice) -> Result<Begun<'_>> {
        let (run, index) = (Arc::clone(&self.run), slice.index);
        blocking("begin", move || {
            Ok(match run.begin(index)? {
                Beginning::Load(files) => Begun::Load(Box::new(FilesLoad::new(run, index, *files))),
                Beginning::Committed(receipt) => Begun::Committed(receipt),
            })
        })
        .await
    }

    async fn finish(self: Box<Self>, end: RunEnd, _: &[Message]) -> Result<RunReceipt> {
        let (run, end) = (Arc::clone(&self.run), End::of(end)?);
        blocking("finish", move || run.finish(end)).await
    }
}

/// How the loading of a slice begins.
enum Beginning {
    Load(Box<LoadFiles>),
    Committed(LoadReceipt),
}

/// What the loads of a run have in common. Its methods do file work and block.
#[derive(Debug)]
pub(crate) struct OpenRun {
    layout: Layout,
    compression: Compression,
    ingestion: Ingestion,
    run_id: RunId,
    fence: u64,
    log: Mutex<Log>,
    loads: AtomicU64,
}

impl OpenRun {
    pub(crate) fn new(
        layout: Layout,
        compression: Compression,
        ingestion: Ingestion,
        run_id: RunId,
        fence: u64,
        log: Log,
    ) -> Self {
        Self { layout, compression, ingestion, run_id, fence, log: Mutex::new(log), loads: AtomicU64::new(0) }
    }

    /// The log, which is as good as before when another thread has panicked.
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, log: &mut Log, entry: Entry, operation: &'static str) -> Result<bool> {
        log.try_append(self.fence, &self.run_id, entry, operation)
    }

    fn record_plan(&self, plan: &[Slice]) -> Result<()> {
        const RECORD: &str = "record the plan";
        let mut log = self.log();
        loop {
            if let Some(known) = log.state().run().and_then(|run| run.plan.as_deref()) {
                if known == plan {
                    return log.refuse_overtaken(self.fence, RECORD);
                }
                let message = "the run has another plan already; go on with that or restart the run";
                return Err(Error::new(ErrorKind::Conflict, RECORD, message).with("ingestion", &self.ingestion));
            }
            if self.append(&mut log, Entry::Plan { slices: plan.to_vec() }, RECORD)? {
                return Ok(());
            }
        }
    }

    fn begin(&self, slice: u64) -> Result<Beginning> {
        const BEGIN: &str = "begin";
        let mut log = self.log();
        self.look(&mut log, BEGIN)?;
        if let Some(committed) = log.state().committed(slice) {
            return Ok(Beginning::Committed(committed.receipt.clone()));
        }
        drop(log);
        let load = self.loads.fetch_add(1, Ordering::Relaxed) + 1;
        let files = LoadFiles::create(Home {
            layout: self.layout.clone(),
            compression: self.compression,
            ingestion: self.ingestion.clone(),
            run_id: self.run_id.clone(),
            name: LoadName { slice, fence: self.fence, load },
        });
        let files = files.map_err(|error| self.explain(error, BEGIN))?;
        Ok(Beginning::Load(Box::new(files)))
    }

    /// Reads what has come since, durably, and fails when this run was overtaken.
    fn look(&self, log: &mut Log, operation: &'static str) -> Result<()> {
        if log.catch_up(operation)? {
            // It may come from a commit whose outcome was lost before it was durable.
            sync_folder(log.folder()).map_err(failed(operation, "make the manifests durable", log.folder()))?;
        }
        log.refuse_overtaken(self.fence, operation)
    }

    /// What has really happened when file work failed: a newer run may have swept the files away.
    pub(crate) fn explain(&self, error: Error, operation: &'static str) -> Error {
        let mut log = self.log();
        match log.catch_up(operation).and_then(|_| log.refuse_overtaken(self.fence, operation)) {
            Err(overtaken) if overtaken.kind() == ErrorKind::Fenced => overtaken,
            _ => error,
        }
    }

    pub(crate) fn commit(&self, slice: u64, files: LoadFiles, commit: Commit) -> Result<LoadReceipt> {
        const COMMIT: &str = "commit";
        let load = files.load();
        let (mut entry, written) = {
            let (files, counts, written) = files.finish(COMMIT).map_err(|error| self.explain(error, COMMIT))?;
            let receipt = LoadReceipt::new(counts, commit.incomplete);
            (SliceEntry { slice, load, receipt, files, resume_at: commit.resume_at, checkpoint: None }, written)
        };
        let mut log = self.log();
        loop {
            if let Some(committed) = log.state().committed(slice) {
                let receipt = committed.receipt.clone();
                return self.look(&mut log, COMMIT).map(|()| receipt);
            }
            entry.checkpoint = log.state().checkpoint_after(slice, entry.resume_at.as_ref());
            match self.append(&mut log, Entry::Slice(Box::new(entry.clone())), COMMIT) {
                Ok(true) => {
                    written.keep();
                    return Ok(entry.receipt);
                }
                Ok(false) => {}
                Err(error) => {
                    if error.retry() == Retry::OutcomeUnknown {
                        written.keep();
                    }
                    return Err(error);
                }
            }
        }
    }

    fn finish(&self, end: End) -> Result<RunReceipt> {
        const FINISH: &str = "finish";
        let mut log = self.log();
        loop {
            if end == End::Succeeded {
                self.refuse_uncommitted(&log)?;
            }
            if self.append(&mut log, Entry::End { how: end }, FINISH)? {
                let state = log.state();
                return Ok(RunReceipt::new(Some(state.records()), state.checkpoint().cloned()));
            }
        }
    }

    /// Fails when a slice of the plan is not committed.
    fn refuse_uncommitted(&self, log: &Log) -> Result<()> {
        let plan = log.state().run().and_then(|run| run.plan.as_deref()).unwrap_or_default();
        match plan.iter().find(|slice| log.state().committed(slice.index).is_none()) {
            None => Ok(()),
            Some(slice) => {
                let message = "a run cannot have succeeded while a slice of its plan is not committed";
                Err(Error::new(ErrorKind::Internal, "finish", message)
                    .with("ingestion", &self.ingestion)
                    .with("slice", slice.index))
            }
        }
    }
}
