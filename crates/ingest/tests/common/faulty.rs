//! A sink around another one, which goes wrong as sinks do.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Batch, Begun, Commit, Error, ErrorKind, Load, LoadReceipt, Message, Outbox, Reject, RejectQuery, Rejection, Replay,
    Result, Resume, Retry, Run, RunEnd, RunReceipt, RunSpec, Sink, Slice, StoredReject, Verification, async_trait,
    batch::SourceHashes,
};

/// What befalls one load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Nothing.
    None,
    /// The rows of the first batch are refused; what else is in the load goes on.
    Reject,
    /// All is written, and then the connection is gone.
    FailAfterWrite,
    /// The commit takes effect, and its answer does not come.
    HoldResponse,
    /// Every answer takes its time.
    RespondSlowly,
}

pub(crate) struct FaultySink<S> {
    pub(crate) sink: S,
    /// What befalls the next loads, one each.
    pub(crate) mishaps: Mutex<VecDeque<Mishap>>,
}

impl<S> FaultySink<S> {
    pub(crate) fn new(sink: S, mishaps: &[Mishap]) -> Self {
        Self { sink, mishaps: Mutex::new(mishaps.iter().copied().collect()) }
    }
}

struct FaultyRun<'s> {
    run: Box<dyn Run + 's>,
    mishaps: &'s Mutex<VecDeque<Mishap>>,
}

struct FaultyLoad<'r> {
    load: Box<dyn Load + 'r>,
    mishap: Mishap,
    has_written: bool,
}

fn lost(operation: &'static str, retry: Retry) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the connection is gone").with_retry(retry)
}

#[async_trait]
impl<S: Sink> Sink for FaultySink<S> {
    async fn open_run(&self, spec: &RunSpec) -> Result<Box<dyn Run + '_>> {
        Ok(Box::new(FaultyRun { run: self.sink.open_run(spec).await?, mishaps: &self.mishaps }))
    }

    async fn rejects(&self, query: &RejectQuery) -> Result<Vec<StoredReject>> {
        self.sink.rejects(query).await
    }

    async fn replay(&self, replay: &Replay) -> Result<Box<dyn Load + '_>> {
        self.sink.replay(replay).await
    }

    async fn verify(&self, models: &[Arc<ModelDescriptor>], repair: bool) -> Result<Vec<Verification>> {
        self.sink.verify(models, repair).await
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        self.sink.outbox()
    }
}

#[async_trait]
impl Run for FaultyRun<'_> {
    fn resume(&self) -> &Resume {
        self.run.resume()
    }

    async fn record_plan(&self, plan: &[Slice]) -> Result<()> {
        self.run.record_plan(plan).await
    }

    async fn begin(&self, slice: &Slice) -> Result<Begun<'_>> {
        Ok(match self.run.begin(slice).await? {
            Begun::Load(load) => {
                let mishap = self.mishaps.lock().unwrap().pop_front().unwrap_or(Mishap::None);
                Begun::Load(Box::new(FaultyLoad { load, mishap, has_written: false }))
            }
            committed => committed,
        })
    }

    async fn finish(self: Box<Self>, end: RunEnd, messages: &[Message]) -> Result<RunReceipt> {
        self.run.finish(end, messages).await
    }
}

impl Mishap {
    async fn take_time(self) {
        if self == Self::RespondSlowly {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[async_trait]
impl Load for FaultyLoad<'_> {
    async fn recognize(&mut self, records: &SourceHashes) -> Result<Vec<bool>> {
        self.mishap.take_time().await;
        match self.mishap {
            // The row that is to be refused must come.
            Mishap::Reject => Ok(vec![false; records.len()]),
            _ => self.load.recognize(records).await,
        }
    }

    async fn write(&mut self, batch: Batch) -> Result<()> {
        self.mishap.take_time().await;
        let is_first = !std::mem::replace(&mut self.has_written, true);
        let Batch::Cdm(rows) = &batch else { return self.load.write(batch).await };
        if self.mishap != Mishap::Reject || !is_first {
            return self.load.write(batch).await;
        }
        let refused = |row| rows.reject(row, Rejection::new("refused")).unwrap();
        self.load.reject((0..rows.len()).map(refused).collect()).await
    }

    async fn reject(&mut self, rejects: Vec<Reject>) -> Result<()> {
        self.mishap.take_time().await;
        self.load.reject(rejects).await
    }

    async fn commit(self: Box<Self>, commit: Commit) -> Result<LoadReceipt> {
        self.mishap.take_time().await;
        match self.mishap {
            Mishap::FailAfterWrite => {
                self.load.abort().await?;
                Err(lost("commit", Retry::Backoff))
            }
            Mishap::HoldResponse => {
                self.load.commit(commit).await?;
                Err(lost("commit", Retry::OutcomeUnknown))
            }
            _ => self.load.commit(commit).await,
        }
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.load.abort().await
    }
}
