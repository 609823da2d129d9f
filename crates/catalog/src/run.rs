use std::{fmt, str::FromStr, time::Duration};

use cdm_models::{ModelId, Timestamp};
use endpoint_api::{Checkpoint, Counts, Error, ErrorKind, Holder, Incomplete, Ingestion, Result, RunId};

use crate::text::storable;

/// What is known of a run when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunStart {
    /// The run's id; a run that is continued keeps it.
    pub run_id: RunId,
    /// The name of the ingestion in the configuration: `issues`.
    pub name: String,
    /// Whose run it is.
    pub ingestion: Ingestion,
    /// The model of the rows, in CDM mode.
    pub model: Option<ModelId>,
    /// The process that works on it.
    pub holder: Option<Holder>,
    /// When it begins.
    pub at: Timestamp,
}

impl RunStart {
    /// A run in raw mode.
    pub fn new(run_id: RunId, name: impl Into<String>, ingestion: Ingestion, at: Timestamp) -> Self {
        Self { run_id, name: storable(name), ingestion, model: None, holder: None, at }
    }

    /// Sets the process that works on it.
    #[must_use]
    pub fn holder(mut self, holder: Option<Holder>) -> Self {
        self.holder = holder;
        self
    }

    /// Rows of `model` come.
    #[must_use]
    pub fn model(mut self, model: ModelId) -> Self {
        self.model = Some(model);
        self
    }
}

/// Which of a run's processes it is: 1 for the one that began it, one more for each that continued it.
///
/// Two processes can work on the same run at the same moment, when one is overtaken and does not know
/// yet. Only the last attempt says how the run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub(crate) u64);

impl Attempt {
    /// The attempt with this number, from 1.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The attempt's number, from 1.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunOutcome {
    /// All there was to read is accounted for.
    Succeeded,
    /// It stopped at an error, or has too many rejects.
    Failed,
    /// It was told to stop.
    Interrupted,
    /// A newer run has taken over.
    Fenced,
    /// It did nothing, because another run of the ingestion was alive.
    Skipped,
}

/// How a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// It has begun and not ended; or the process was killed.
    Running,
    /// It has ended.
    Ended(RunOutcome),
}

impl RunStatus {
    const ALL: [Self; 6] = [
        Self::Running,
        Self::Ended(RunOutcome::Succeeded),
        Self::Ended(RunOutcome::Failed),
        Self::Ended(RunOutcome::Interrupted),
        Self::Ended(RunOutcome::Fenced),
        Self::Ended(RunOutcome::Skipped),
    ];

    /// The status as scripts see it: `running`, `succeeded`, `failed`, `interrupted`, `fenced`,
    /// `skipped`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ended(RunOutcome::Succeeded) => "succeeded",
            Self::Ended(RunOutcome::Failed) => "failed",
            Self::Ended(RunOutcome::Interrupted) => "interrupted",
            Self::Ended(RunOutcome::Fenced) => "fenced",
            Self::Ended(RunOutcome::Skipped) => "skipped",
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RunStatus {
    type Err = Error;

    fn from_str(status: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == status).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::new(
                ErrorKind::Config,
                "parse a status",
                format!("`{status}` is no status of a run; it is one of {known}"),
            )
        })
    }
}

/// What is known of a run when it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunEndFacts {
    /// How it ended.
    pub outcome: RunOutcome,
    /// How many records were read, of the whole run.
    pub read: u64,
    /// What became of them.
    pub counts: Counts,
    /// How many slices are committed.
    pub slices: u64,
    /// How many slices its plan has, where that is known.
    pub planned: Option<u64>,
    /// What the source could not give.
    pub incomplete: Vec<Incomplete>,
    /// From where the next run reads on.
    pub checkpoint: Option<Checkpoint>,
    /// Why it did not succeed, as people are told. It carries no secret and no cell value.
    pub error: Option<String>,
    /// When it ended.
    pub at: Timestamp,
}

impl RunEndFacts {
    /// A run that ended so, with every record that was read accounted for in `counts`.
    pub fn new(outcome: RunOutcome, counts: Counts, at: Timestamp) -> Self {
        Self {
            outcome,
            read: counts.total(),
            counts,
            slices: 0,
            planned: None,
            incomplete: Vec::new(),
            checkpoint: None,
            error: None,
            at,
        }
    }

    /// Sets how many records were read, where that is not what was accounted for.
    #[must_use]
    pub fn read(mut self, records: u64) -> Self {
        self.read = records;
        self
    }

    /// Sets how many slices are committed.
    #[must_use]
    pub fn slices(mut self, slices: u64) -> Self {
        self.slices = slices;
        self
    }

    /// Sets how many slices its plan has.
    #[must_use]
    pub fn planned(mut self, slices: Option<u64>) -> Self {
        self.planned = slices;
        self
    }

    /// Sets what the source could not give.
    #[must_use]
    pub fn incomplete(mut self, notes: Vec<Incomplete>) -> Self {
        self.incomplete = notes;
        self
    }

    /// Sets from where the next run reads on.
    #[must_use]
    pub fn checkpoint(mut self, checkpoint: Option<Checkpoint>) -> Self {
        self.checkpoint = checkpoint;
        self
    }

    /// Sets why it did not succeed.
    #[must_use]
    pub fn error(mut self, text: impl Into<String>) -> Self {
        self.error = Some(storable(text));
        self
    }
}

/// A run as it stands in the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunRecord {
    /// The run's id.
    pub run_id: RunId,
    /// The name of the ingestion in the configuration.
    pub name: String,
    /// Whose run it is.
    pub ingestion: Ingestion,
    /// The model of the rows, in CDM mode.
    pub model: Option<ModelId>,
    /// The attempt that worked on it last.
    pub attempt: Attempt,
    /// The process that worked on it last.
    pub holder: Option<Holder>,
    /// When its first attempt began.
    pub started_at: Timestamp,
    /// When its last attempt began.
    pub continued_at: Timestamp,
    /// How the last attempt ended; `None` while it works.
    pub end: Option<RunEndFacts>,
}

impl RunRecord {
    /// A run that has just begun.
    pub fn new(start: RunStart) -> Self {
        Self {
            run_id: start.run_id,
            name: start.name,
            ingestion: start.ingestion,
            model: start.model,
            attempt: Attempt(1),
            holder: start.holder,
            started_at: start.at,
            continued_at: start.at,
            end: None,
        }
    }

    /// How the run is doing.
    pub fn status(&self) -> RunStatus {
        self.end.as_ref().map_or(RunStatus::Running, |end| RunStatus::Ended(end.outcome))
    }

    /// How long its last attempt took; `None` while it works.
    pub fn elapsed(&self) -> Option<Duration> {
        let end = self.end.as_ref()?.at.as_microsecond();
        let took = end.saturating_sub(self.continued_at.as_microsecond());
        Some(Duration::from_micros(u64::try_from(took).unwrap_or(0)))
    }
}

/// Which runs are wanted; those that fit everything that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunFilter {
    /// Only those of the ingestion with this name in the configuration.
    pub name: Option<String>,
    /// Only those with one of these statuses; all when there is none.
    pub statuses: Vec<RunStatus>,
    /// Only those whose last attempt began at this time or later.
    pub since: Option<Timestamp>,
    /// Only those whose id ends like this.
    pub id_ending: Option<String>,
    /// The maximum number of runs.
    pub limit: usize,
}

impl RunFilter {
    /// The `limit` newest runs.
    pub fn newest(limit: usize) -> Self {
        Self { name: None, statuses: Vec::new(), since: None, id_ending: None, limit }
    }

    /// Only those of the ingestion with this name in the configuration.
    #[must_use]
    pub fn of(mut self, name: impl Into<String>) -> Self {
        self.name = Some(storable(name));
        self
    }

    /// Only those with this status, or with one of those that were given before.
    #[must_use]
    pub fn with_status(mut self, status: RunStatus) -> Self {
        self.statuses.push(status);
        self
    }

    /// Only those whose last attempt began at this time or later.
    #[must_use]
    pub fn since(mut self, time: Option<Timestamp>) -> Self {
        self.since = time;
        self
    }

    /// Only those whose id ends like this.
    #[must_use]
    pub fn id_ending(mut self, ending: impl Into<String>) -> Self {
        self.id_ending = Some(storable(ending));
        self
    }
}
