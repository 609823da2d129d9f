use async_trait::async_trait;
use endpoint_api::{Counts, RunId};

use crate::RunReport;

/// Hears how a run gets on. [`opened`](Self::opened) and [`ended`](Self::ended) are waited for; the other calls are
/// frequent and must not block.
#[async_trait]
pub trait Observer: Send + Sync {
    /// A run was opened: a new one, or one that is continued. Again when it had to be planned anew.
    ///
    /// Answers which attempt at this run it is, for the log; `None` when the observer does not count them.
    async fn opened(&self, run: &RunId) -> Option<u64>;

    /// A run that was opened has ended, and the job goes on with another one: the source had changed, or the run had
    /// been left with nothing to load and too many rejects.
    async fn ended(&self, report: &RunReport);

    /// The plan is known; this many of its slices are still to be loaded.
    fn planned(&self, slices: usize);

    /// This many more records were read, of this many bytes.
    fn read(&self, records: u64, bytes: u64);

    /// A slice failed: this many of the records that were read, of this many bytes, are not loaded. If the slice is
    /// tried again, it is read again.
    fn discarded(&self, records: u64, bytes: u64);

    /// A slice was committed; `counts` are those of the run so far.
    fn committed(&self, counts: &Counts);
}

/// Ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

#[async_trait]
impl Observer for Silent {
    async fn opened(&self, _: &RunId) -> Option<u64> {
        None
    }

    async fn ended(&self, _: &RunReport) {}

    fn planned(&self, _: usize) {}

    fn read(&self, _: u64, _: u64) {}

    fn discarded(&self, _: u64, _: u64) {}

    fn committed(&self, _: &Counts) {}
}
