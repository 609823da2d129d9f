use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use cdm_models::{ModelDescriptor, ModelId};
use serde::{Deserialize, Serialize};

use crate::{
    Batch, Checkpoint, Dismissals, Holder, Ingestion, Message, Outbox, Reject, RejectListing, ReplayableRejects,
    Result, RunId, RunWatch, Slice, SourceSite,
    batch::{Incomplete, SourceHashes, StoredReject},
};

/// An endpoint into which records are loaded.
///
/// A sink never maps: what it is given is already in the shape it takes. It keeps the state of
/// every ingestion (checkpoint, fence, plan, receipts) beside the data, so that the two cannot part.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Opens a run: takes a new fence and reads the ingestion's state, in one transaction.
    ///
    /// - Fences MUST be unique and rising over the whole sink.
    /// - A run that did not end with [`RunEnd::Succeeded`] or [`RunEnd::Abandoned`] is continued: the
    ///   new one has its run id, plan and observation, and only the fence is new. A [`RunSpec`] that
    ///   asks for a restart abandons it instead.
    /// - From this moment on, whoever holds an older fence of the ingestion MUST NOT commit.
    /// - A sink that keeps sites on record refuses a run whose [`RunSpec::site`] is another than that of the rows that
    ///   are there under the same system, with [`SourceSite::conflict`]. Of several sites whose first runs are opened at
    ///   once exactly one wins.
    /// - When another run of the ingestion is alive, [`Overlap`] decides; one that has died never
    ///   stands in the way. The refusal SHOULD name that run ([`LivingRun::describe`](crate::LivingRun::describe)).
    ///   No other reason to refuse that does not pass is a [`Conflict`](crate::ErrorKind::Conflict).
    ///
    /// A sink that has no place for the run's model says
    /// [`ErrorKind::NotProvisioned`](crate::ErrorKind::NotProvisioned). A mode or model that the
    /// driver does not declare is [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    async fn open_run(&self, spec: &RunSpec) -> Result<Box<dyn Run + '_>>;

    /// Says whether [`open_run`](Self::open_run) would refuse a run of this ingestion because of the site of the rows
    /// that are there. It changes nothing. A sink that keeps no sites on record refuses none, and so does one that is
    /// not provisioned.
    async fn check_site(&self, _ingestion: &Ingestion, _site: &SourceSite) -> Result<()> {
        Ok(())
    }

    /// The newest rejects first, by the time that the sink keeps of them, at most `query.limit`.
    async fn rejects(&self, query: &RejectQuery) -> Result<Vec<StoredReject>>;

    /// Begins to load records that were rejected before: a load of its own, beside any run.
    ///
    /// - What is written is ordered by the observation of the rejects, as if it had been loaded then: it
    ///   wins only by rank, by version time or where the key is absent.
    /// - Committing MUST remove the rejects in the same transaction, but for those that
    ///   [`Load::reject`] or the sink itself has rejected again. One that is gone already is no error.
    ///
    /// A driver that does not declare [`SinkCapabilities::replay`](crate::SinkCapabilities::replay)
    /// answers [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    async fn replay(&self, replay: &Replay) -> Result<Box<dyn Load + '_>>;

    /// Counts and hashes all that is stored of these models, and finds rows that are not as they were
    /// loaded: edited by hand, or of a damaged or half restored database.
    ///
    /// With `repair` such rows are marked, so that the next run that reads their records writes them again,
    /// and that run reads from the beginning. Nothing else is written.
    ///
    /// A driver that does not declare [`SinkCapabilities::verify`](crate::SinkCapabilities::verify) answers
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    async fn verify(&self, models: &[Arc<ModelDescriptor>], repair: bool) -> Result<Vec<Verification>>;

    /// Says which runs are alive; `None` for a sink that cannot tell.
    fn run_watch(&self) -> Option<&dyn RunWatch> {
        None
    }

    /// Where messages wait that tell of what is loaded here: `Some` if and only if the driver declares
    /// [`SinkCapabilities::outbox`](crate::SinkCapabilities::outbox). The host hands no messages to a sink without
    /// one.
    fn outbox(&self) -> Option<&dyn Outbox>;

    /// How rejects are listed by what they have in common: `Some` if and only if the driver declares
    /// [`SinkCapabilities::reject_listing`](crate::SinkCapabilities::reject_listing).
    fn reject_listing(&self) -> Option<&dyn RejectListing> {
        None
    }

    /// Where rejects are dismissed: `Some` if and only if the driver declares
    /// [`SinkCapabilities::dismissals`](crate::SinkCapabilities::dismissals).
    fn dismissals(&self) -> Option<&dyn Dismissals> {
        None
    }

    /// How the rejects that can be loaded again are read: `Some` if and only if the driver declares
    /// [`SinkCapabilities::replay`](crate::SinkCapabilities::replay).
    fn replayable_rejects(&self) -> Option<&dyn ReplayableRejects> {
        None
    }
}

/// One execution of one ingestion.
#[async_trait]
pub trait Run: Send + Sync {
    /// What the sink knew when the run was opened.
    fn resume(&self) -> &Resume;

    /// Stores the plan of a run that has none yet, so that a later process can go on with it. Storing
    /// another one is [`ErrorKind::Conflict`](crate::ErrorKind::Conflict).
    async fn record_plan(&self, plan: &[Slice]) -> Result<()>;

    /// Begins to load a slice. Several loads may be open at once.
    ///
    /// When the slice has already been committed by this run, or by one that this continues, the
    /// answer is the receipt of that: this is how a commit whose outcome was lost is settled.
    async fn begin(&self, slice: &Slice) -> Result<Begun<'_>>;

    /// Ends the run. With [`RunEnd::Succeeded`] every slice of the plan has been committed; when one
    /// has not, that is [`ErrorKind::Internal`](crate::ErrorKind::Internal) and the run can be continued.
    ///
    /// The messages are put into the sink's [`Outbox`] in the same transaction: they are there if and only if the
    /// run has ended so.
    async fn finish(self: Box<Self>, end: RunEnd, messages: &[Message]) -> Result<RunReceipt>;
}

/// The answer to [`Run::begin`].
pub enum Begun<'r> {
    /// The slice is to be loaded.
    Load(Box<dyn Load + 'r>),
    /// It has been loaded; this is its receipt.
    Committed(LoadReceipt),
}

/// The writing of one slice. Dropping it without a commit aborts it.
#[async_trait]
pub trait Load: Send {
    /// Says of each record of a batch that is about to be mapped whether its row is stored exactly so
    /// already. Such a record counts as unchanged, and is neither mapped nor written.
    ///
    /// A record MUST be recognised only when a row with its key and its hash is stored and not deleted. A
    /// sink that keeps no hashes, or does not find it worth its while to look, recognises none. The batch is
    /// written next, or after the one before it.
    async fn recognize(&mut self, records: &SourceHashes) -> Result<Vec<bool>>;

    /// Takes rows or records. They are not durable before [`commit`](Self::commit). What a raw batch
    /// holds beside its records (rejects, notes, the point to resume at) is for the host to hand over.
    ///
    /// A row that the sink cannot store is a reject of the sink's, with its reason; it MUST NOT fail
    /// the others.
    async fn write(&mut self, batch: Batch) -> Result<()>;

    /// Takes what could not be read or mapped. Rejects are keyed: the same one twice is one.
    async fn reject(&mut self, rejects: Vec<Reject>) -> Result<()>;

    /// Commits the slice. `Ok` means durable.
    ///
    /// On a sink that declares
    /// [`SinkCapabilities::transactional`](crate::SinkCapabilities::transactional) the rows, the
    /// rejects, the receipt, the advance of the checkpoint and the messages in the [`Outbox`] become visible together
    /// or not at all.
    /// The checkpoint moves to the [`Commit::resume_at`] of the last slice that has one before the
    /// first gap in the committed ones. A run that has been overtaken fails with
    /// [`ErrorKind::Fenced`](crate::ErrorKind::Fenced) and leaves no trace.
    async fn commit(self: Box<Self>, commit: Commit) -> Result<LoadReceipt>;

    /// Gives the slice up; nothing of it stays.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// What to open.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunSpec {
    /// Whose run it is.
    pub ingestion: Ingestion,
    /// The id for a new run, which none has had before; one that is continued keeps its own.
    pub run_id: RunId,
    /// The model whose rows come, in CDM mode; `None` in raw mode. What was loaded as rows of one model, or of one
    /// major version of it, says nothing of another: each has a checkpoint and runs of its own.
    pub model: Option<Arc<ModelDescriptor>>,
    /// The site that the records are of, where the source knows it; in CDM mode.
    pub site: Option<SourceSite>,
    /// What to do when another run of the ingestion is alive.
    pub overlap: Overlap,
    /// Whether to give up an unfinished run and begin anew.
    pub restart: bool,
    /// The process that opens the run. A sink keeps it, where it can, for [`LivingRun`](crate::LivingRun).
    pub holder: Option<Holder>,
}

impl RunSpec {
    /// A run in raw mode, which fails when another is alive and continues an unfinished one.
    pub fn new(ingestion: Ingestion, run_id: RunId) -> Self {
        Self { ingestion, run_id, model: None, site: None, overlap: Overlap::Fail, restart: false, holder: None }
    }

    /// Rows of `model` will come.
    #[must_use]
    pub fn model(mut self, model: Arc<ModelDescriptor>) -> Self {
        self.model = Some(model);
        self
    }

    /// The records are of this site.
    #[must_use]
    pub fn site(mut self, site: Option<SourceSite>) -> Self {
        self.site = site;
        self
    }

    /// Sets what to do when another run is alive.
    #[must_use]
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// Sets the process that opens the run.
    #[must_use]
    pub fn holder(mut self, holder: Option<Holder>) -> Self {
        self.holder = holder;
        self
    }

    /// Sets whether to give up an unfinished run.
    #[must_use]
    pub fn restart(mut self, restart: bool) -> Self {
        self.restart = restart;
        self
    }
}

/// What to do when another run of the same ingestion is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// Fail with [`ErrorKind::Conflict`](crate::ErrorKind::Conflict).
    #[default]
    Fail,
    /// Wait until it has ended.
    Wait,
    /// Take over: it can commit nothing more.
    Takeover,
}

/// What a sink knew when a run was opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Resume {
    /// The run's id: the proposed one, or that of the run which is continued.
    pub run_id: RunId,
    /// The run's fence.
    pub fence: u64,
    /// The first fence of the run: orders what this run saw against what other runs saw.
    pub observation: u64,
    /// After which point to read; `None` when the ingestion has never come so far with this model.
    pub checkpoint: Option<Checkpoint>,
    /// The plan of the run that is continued; `None` for a new one.
    pub plan: Option<Vec<Slice>>,
    /// The slices that the continued run has committed, by index, with their receipts.
    pub committed: BTreeMap<u64, LoadReceipt>,
    /// The unfinished run that a restart has given up for this one.
    pub abandoned: Option<RunId>,
}

impl Resume {
    /// The state of a new run.
    pub fn new(run_id: RunId, fence: u64, checkpoint: Option<Checkpoint>) -> Self {
        Self { run_id, fence, observation: fence, checkpoint, plan: None, committed: BTreeMap::new(), abandoned: None }
    }

    /// Whether the run goes on with what an earlier process has begun.
    pub fn continues(&self) -> bool {
        self.fence != self.observation
    }
}

/// What is committed with a slice beside its rows and rejects.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Commit {
    /// From where a later run may resume, once this slice and all before it are committed.
    pub resume_at: Option<Checkpoint>,
    /// What the source could not give.
    pub incomplete: Vec<Incomplete>,
    /// What is put into the sink's [`Outbox`].
    pub messages: Vec<Message>,
}

impl Commit {
    /// A commit from which a later run may resume at `resume_at`, and that tells nobody.
    pub fn new(resume_at: Option<Checkpoint>, incomplete: Vec<Incomplete>) -> Self {
        Self { resume_at, incomplete, messages: Vec::new() }
    }

    /// Puts these messages into the sink's outbox.
    #[must_use]
    pub fn telling(mut self, messages: Vec<Message>) -> Self {
        self.messages = messages;
        self
    }
}

/// What became of the records of a slice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoadReceipt {
    /// What became of them, by number.
    #[serde(flatten)]
    pub counts: Counts,
    /// What the source could not give.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<Incomplete>,
}

impl LoadReceipt {
    /// A receipt.
    pub fn new(counts: Counts, incomplete: Vec<Incomplete>) -> Self {
        Self { counts, incomplete }
    }
}

/// What became of records, by number. Each record counts in exactly one of the fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that were not there before; in raw mode, records written.
    pub inserted: u64,
    /// Rows that replaced an older one, were marked as deleted or came back to life.
    pub updated: u64,
    /// Rows that were already there exactly so.
    pub unchanged: u64,
    /// Rows below the one that was there.
    pub stale: u64,
    /// Rows below another one with the same key in the same slice.
    pub duplicate: u64,
    /// Records that could not be read, mapped or stored.
    pub rejected: u64,
    /// How many of the unchanged, stale and duplicate ones are mentions. Receipts of earlier versions do not have it.
    #[serde(default)]
    pub mentions: Mentions,
}

/// Mentions that changed nothing: records of rank 0, such as the users inside issues, of which the sink holds the same
/// or a greater record. Each is counted in the field of the same name of [`Counts`] as well.
///
/// There are as many of them as there are issues that name a user, so they are shown apart from the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mentions {
    /// How many of [`Counts::unchanged`] are mentions.
    pub unchanged: u64,
    /// How many of [`Counts::stale`] are mentions.
    pub stale: u64,
    /// How many of [`Counts::duplicate`] are mentions.
    pub duplicate: u64,
}

impl Counts {
    /// How many records are accounted for, mentions included.
    pub fn total(&self) -> u64 {
        self.inserted + self.updated + self.unchanged + self.stale + self.duplicate + self.rejected
    }

    /// The counts without the mentions that changed nothing.
    #[must_use]
    pub fn without_mentions(&self) -> Self {
        Self {
            unchanged: self.unchanged.saturating_sub(self.mentions.unchanged),
            stale: self.stale.saturating_sub(self.mentions.stale),
            duplicate: self.duplicate.saturating_sub(self.mentions.duplicate),
            mentions: Mentions::default(),
            ..*self
        }
    }
}

impl Mentions {
    /// How many mentions changed nothing.
    pub fn total(&self) -> u64 {
        self.unchanged + self.stale + self.duplicate
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.stale += other.stale;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.mentions += other.mentions;
    }
}

impl std::ops::AddAssign for Mentions {
    fn add_assign(&mut self, other: Self) {
        self.unchanged += other.unchanged;
        self.stale += other.stale;
        self.duplicate += other.duplicate;
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEnd {
    /// Every slice of the plan has been committed.
    Succeeded,
    /// It stopped at an error and can be continued.
    Failed,
    /// It was told to stop and can be continued.
    Interrupted,
    /// Its plan is of no use any more; the next run begins anew at the checkpoint.
    Abandoned,
}

/// What a sink says at the end of a run.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RunReceipt {
    /// How many rows all runs together have put where this one loaded, as the sink counted them;
    /// `None` when it does not count.
    pub rows: Option<u64>,
    /// The ingestion's checkpoint as it now stands.
    pub checkpoint: Option<Checkpoint>,
}

impl RunReceipt {
    /// A receipt.
    pub fn new(rows: Option<u64>, checkpoint: Option<Checkpoint>) -> Self {
        Self { rows, checkpoint }
    }
}

/// Which rejects are wanted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RejectQuery {
    /// Only those of this ingestion.
    pub ingestion: Option<Ingestion>,
    /// Only the one with this id.
    pub id: Option<String>,
    /// Without the first ones, so many.
    pub offset: usize,
    /// The maximum number of results.
    pub limit: usize,
}

impl RejectQuery {
    /// At most `limit` rejects of all ingestions.
    pub fn newest(limit: usize) -> Self {
        Self { ingestion: None, id: None, offset: 0, limit }
    }

    /// The one reject with this id.
    pub fn by_id(id: impl Into<String>) -> Self {
        Self { id: Some(id.into()), ..Self::newest(1) }
    }

    /// Without the first ones, so many.
    #[must_use]
    pub fn skip(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Only those of `ingestion`.
    #[must_use]
    pub fn of(mut self, ingestion: Ingestion) -> Self {
        self.ingestion = Some(ingestion);
        self
    }
}

/// Records to load again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Replay {
    /// Whose records they are.
    pub ingestion: Ingestion,
    /// The model whose rows come.
    pub model: Arc<ModelDescriptor>,
    /// The run that rejected them.
    pub run_id: RunId,
    /// What they were seen with; see [`Resume::observation`].
    pub observation: u64,
    /// The ids of the rejects.
    pub rejects: Vec<String>,
}

impl Replay {
    /// The records of these rejects of one run.
    pub fn new(
        ingestion: Ingestion,
        model: Arc<ModelDescriptor>,
        run_id: RunId,
        observation: u64,
        rejects: Vec<String>,
    ) -> Self {
        Self { ingestion, model, run_id, observation, rejects }
    }
}

/// What [`Sink::verify`] found of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// The model.
    pub model: ModelId,
    /// Where its rows are.
    pub table: String,
    /// How many there are.
    pub rows: u64,
    /// How many all runs together have inserted, as the sink counted them.
    pub inserted: u64,
    /// How many are not as they were loaded.
    pub changed: u64,
    /// The keys of some of these, at most [`Verification::MOST_KEYS`].
    pub keys: Vec<String>,
    /// How many of them were marked for the next run.
    pub marked: u64,
}

impl Verification {
    /// Of so many rows the key is told.
    pub const MOST_KEYS: usize = 20;

    /// Nothing has been found yet.
    pub fn new(model: ModelId, table: String) -> Self {
        Self { model, table, rows: 0, inserted: 0, changed: 0, keys: Vec::new(), marked: 0 }
    }

    /// Whether every row is there, and as it was loaded.
    pub fn ok(&self) -> bool {
        self.changed == 0 && self.rows == self.inserted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_of_an_earlier_version_has_no_mentions() {
        let earlier = r#"{"inserted":1,"updated":0,"unchanged":2,"stale":3,"duplicate":0,"rejected":0}"#;
        let receipt: LoadReceipt = serde_json::from_str(earlier).unwrap();
        assert_eq!((receipt.counts.total(), receipt.counts.mentions), (6, Mentions::default()));
        let mut counts = receipt.counts;
        counts.mentions.stale = 3;
        let json = serde_json::to_string(&LoadReceipt::new(counts, Vec::new())).unwrap();
        assert_eq!(serde_json::from_str::<LoadReceipt>(&json).unwrap().counts, counts);
        assert_eq!((counts.without_mentions().total(), counts.mentions.total()), (3, 3));
    }
}
