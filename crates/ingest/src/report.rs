use std::time::Duration;

use cdm_models::ModelId;
use endpoint_api::{Checkpoint, Counts, Error, ErrorKind, Incomplete, Ingestion, LoadReceipt, RunId};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// All there was to read is accounted for.
    Succeeded,
    /// It stopped at an error, and the next run continues it; or it has loaded everything and has too many rejects.
    Failed,
    /// It was told to stop, and the next run continues it.
    Interrupted,
    /// A newer run has taken over.
    Fenced,
    /// It did nothing, because another run of the ingestion is alive.
    Skipped,
}

impl RunStatus {
    /// The status as scripts see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Fenced => "fenced",
            Self::Skipped => "skipped",
        }
    }
}

/// What became of a run.
#[derive(Debug)]
pub struct RunReport {
    /// The run's id.
    pub run_id: RunId,
    /// Whose run it was.
    pub ingestion: Ingestion,
    /// The model of the rows, in CDM mode.
    pub model: Option<ModelId>,
    /// How it ended.
    pub status: RunStatus,
    /// Why it did not succeed, or was skipped.
    pub error: Option<Error>,
    /// Whether it failed because of its rejects: there were more than allowed, or there was nothing else.
    pub too_many_rejects: bool,
    /// Whether it failed because the source could not read some of its slices, and loaded all others.
    pub(crate) is_partly_unreadable: bool,
    /// Whether another run of the ingestion is alive and it was to do nothing then.
    pub(crate) is_skipped: bool,
    /// What became of the records, of the whole run, also of its parts in earlier processes.
    pub counts: Counts,
    /// What the source could not give.
    pub incomplete: Vec<Incomplete>,
    /// How many slices are committed.
    pub slices: u64,
    /// How many slices its plan has; `None` when it failed before there was one.
    pub planned: Option<u64>,
    /// How long this process took.
    pub elapsed: Duration,
    /// From where the next run reads on.
    pub checkpoint: Option<Checkpoint>,
    /// How many rows all runs together have put where this one loaded.
    pub rows: Option<u64>,
}

impl RunReport {
    pub(crate) fn new(run_id: RunId, ingestion: Ingestion, model: Option<ModelId>) -> Self {
        Self {
            run_id,
            ingestion,
            model,
            status: RunStatus::Failed,
            error: None,
            too_many_rejects: false,
            is_partly_unreadable: false,
            is_skipped: false,
            counts: Counts::default(),
            incomplete: Vec::new(),
            slices: 0,
            planned: None,
            elapsed: Duration::ZERO,
            checkpoint: None,
            rows: None,
        }
    }

    /// A run that failed before it could be opened.
    pub fn failed(run_id: RunId, ingestion: Ingestion, model: Option<ModelId>, error: Error) -> Self {
        let mut report = Self::new(run_id, ingestion, model);
        report.end_with(error);
        report
    }

    /// Whether every slice of the plan is committed.
    pub(crate) fn is_complete(&self) -> bool {
        self.planned.is_some_and(|planned| self.slices >= planned)
    }

    /// The run did not succeed.
    pub(crate) fn end_with(&mut self, error: Error) {
        self.status = match error.kind() {
            _ if self.is_skipped => RunStatus::Skipped,
            ErrorKind::Interrupted => RunStatus::Interrupted,
            ErrorKind::Fenced => RunStatus::Fenced,
            _ => RunStatus::Failed,
        };
        self.error = Some(error);
    }

    /// Adds a slice that is committed.
    pub(crate) fn add(&mut self, receipt: &LoadReceipt) {
        self.counts += receipt.counts;
        self.slices += 1;
        receipt.incomplete.iter().for_each(|note| note.clone().add_to(&mut self.incomplete));
    }
}
