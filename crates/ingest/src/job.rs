use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use endpoint_api::{Holder, Ingestion, Overlap, RunId, Sink, Source};

use crate::{Mapping, MaxRejects, Telling, staging::Staging};

/// The parts of a run.
pub struct Job<'a> {
    /// Whose run it is.
    pub ingestion: Ingestion,
    /// The id of the run, unless an unfinished one is continued. No run may have had it before.
    pub run_id: RunId,
    /// The process that works on it, for whoever asks.
    pub holder: Option<Holder>,
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

/// What to do when another run of the same ingestion is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnOverlap {
    /// Fail.
    #[default]
    Fail,
    /// Do nothing, and end as [`RunStatus::Skipped`](crate::RunStatus::Skipped).
    Skip,
    /// Wait until the other run has ended.
    Wait,
    /// Take over: the other run can commit nothing more.
    Takeover,
}

impl OnOverlap {
    /// What the sink is asked for.
    pub(crate) fn overlap(self) -> Overlap {
        match self {
            Self::Fail | Self::Skip => Overlap::Fail,
            Self::Wait => Overlap::Wait,
            Self::Takeover => Overlap::Takeover,
        }
    }
}

/// What an operator can ask of a run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Read from the beginning and not from the checkpoint; an unfinished run is given up.
    pub full: bool,
    /// With more rejects than this the run fails.
    pub max_rejects: Option<MaxRejects>,
    /// What to do when another run of the ingestion is alive.
    pub on_overlap: OnOverlap,
    /// For how long what fails for a passing reason is tried again; see [`retry`](crate::retry).
    pub retry_for: Duration,
    /// Whether the opening of the run is tried again, too.
    pub retry_opening: bool,
    /// How many slices are loaded at once, in CDM mode.
    pub parallel: NonZeroUsize,
}

impl Options {
    /// How many slices are loaded at once unless the operator says something else: with two, the sink
    /// is busy with one while the other is mapped.
    pub const PARALLEL: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    /// For how long it is tried again unless the operator says something else: longer than a database's failover
    /// usually takes.
    pub const RETRY_FOR: Duration = Duration::from_secs(120);
}

impl Default for Options {
    fn default() -> Self {
        Self {
            full: false,
            max_rejects: None,
            on_overlap: OnOverlap::default(),
            retry_for: Self::RETRY_FOR,
            retry_opening: true,
            parallel: Self::PARALLEL,
        }
    }
}
