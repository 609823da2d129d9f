use std::{num::NonZeroUsize, sync::Arc};

use endpoint_api::{Ingestion, Overlap, RunId, Sink, Source};

use crate::{Mapping, MaxRejects, Telling, staging::Staging};

/// The parts of a run.
pub struct Job<'a> {
    /// Whose run it is.
    pub ingestion: Ingestion,
    /// The id of the run, unless an unfinished one is continued. No run may have had it before.
    pub run_id: RunId,
    /// Where the records come from.
    pub source: &'a dyn Source,
    /// Where they wait until they are loaded.
    pub staging: &'a dyn Staging,
    /// How they become rows; `None` in raw mode.
    pub mapping: Option<Arc<Mapping>>,
    /// Where they go.
    pub sink: &'a dyn Sink,
    /// What others are told of it; `None` when nobody wants to know.
    pub telling: Option<Telling<'a>>,
    /// What the operator asked for.
    pub options: Options,
}

/// What an operator can ask of a run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Read from the beginning and not from the checkpoint; an unfinished run is given up.
    pub full: bool,
    /// With more rejects than this the run fails.
    pub max_rejects: Option<MaxRejects>,
    /// What to do when another run of the ingestion is alive.
    pub overlap: Overlap,
    /// How many slices are loaded at once, in CDM mode.
    pub parallel: NonZeroUsize,
}

impl Options {
    /// How many slices are loaded at once unless the operator says something else: with two, the sink
    /// is busy with one while the other is mapped.
    pub const PARALLEL: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
}

impl Default for Options {
    fn default() -> Self {
        Self { full: false, max_rejects: None, overlap: Overlap::default(), parallel: Self::PARALLEL }
    }
}
