use endpoint_api::{Counts, RunId};

/// Is told how a run gets on. Calls are frequent and must not block.
pub trait Observer: Send + Sync {
    /// A run was opened: a new one, or one that is continued. Again when it had to be planned anew.
    fn opened(&self, run: &RunId);

    /// The plan is known; so many of its slices are still to be loaded.
    fn planned(&self, slices: usize);

    /// So many records were read, of so many bytes.
    fn read(&self, records: u64, bytes: u64);

    /// A slice was committed; `counts` are those of the run so far.
    fn committed(&self, counts: &Counts);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn opened(&self, _: &RunId) {}

    fn planned(&self, _: usize) {}

    fn read(&self, _: u64, _: u64) {}

    fn committed(&self, _: &Counts) {}
}
