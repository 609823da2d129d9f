//! Where the records of a slice wait between source and sink.

use std::fmt::Debug;

use async_trait::async_trait;
use endpoint_api::{RawBatch, Result, RunId};

mod memory;

pub use memory::MemoryStaging;

/// A provider of stages.
#[async_trait]
pub trait Staging: Debug + Send + Sync {
    /// Opens the stage of one slice: one end for the source, one for the sink.
    ///
    /// A stage is bounded: what does not fit waits in [`StageWriter::put`] until something was taken
    /// out, and so a slow sink slows its source down.
    async fn open(&self, run: &RunId, slice: u64) -> Result<(Box<dyn StageWriter>, Box<dyn StageReader>)>;
}

/// The source's end of a stage.
#[async_trait]
pub trait StageWriter: Send {
    /// Puts a batch in, once there is room for it. A batch larger than the whole stage goes in alone.
    async fn put(&mut self, batch: RawBatch) -> Result<()>;

    /// Says that all of the slice is in. A stage whose writer is dropped without it is broken.
    async fn seal(self: Box<Self>) -> Result<()>;
}

/// The sink's end of a stage.
#[async_trait]
pub trait StageReader: Send {
    /// Takes the next batch out, in the order in which they were put in; `None` at the end of a stage
    /// that was sealed. The room of a batch is free when the next one is asked for.
    async fn next(&mut self) -> Result<Option<RawBatch>>;
}
