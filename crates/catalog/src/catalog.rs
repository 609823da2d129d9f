use std::fmt::Debug;

use async_trait::async_trait;
use cdm_models::Timestamp;
use endpoint_api::{EndpointId, Outbox, Result, RunId};

use crate::{
    AnnotationEdit, Annotations, Attempt, Cause, Dataset, DatasetFilter, DatasetHistory, DatasetId, DatasetSpec,
    EndpointSpec, LoadFacts, RegisteredEndpoint, RunEndFacts, RunFilter, RunRecord, RunStart,
};

/// The catalog of one installation: which endpoints there are, which datasets they have, and what ran.
///
/// - What the system knows and what people wrote are kept apart. Registering never touches what
///   people wrote, and [`annotate`](Self::annotate) touches nothing else.
/// - Stating again what is on record writes nothing: no row is rewritten, no version rises, no time
///   moves.
/// - Any number of processes may use a catalog at once. A call takes effect as a whole or not at all.
///   One whose future was dropped, or whose answer was lost, may have taken effect; calling it again
///   is safe.
/// - Times are the caller's; the catalog reads no clock.
///
/// Errors say what they are by their kind: [`Unavailable`](endpoint_api::ErrorKind::Unavailable) when
/// the store cannot be reached, [`Denied`](endpoint_api::ErrorKind::Denied) when it refuses,
/// [`Conflict`](endpoint_api::ErrorKind::Conflict) when others were in the way for too long,
/// [`Data`](endpoint_api::ErrorKind::Data) when what is stored is damaged, and
/// [`Config`](endpoint_api::ErrorKind::Config) when a dataset or a run that is named is not there.
#[async_trait]
pub trait Catalog: Debug + Send + Sync {
    /// Registers an endpoint, or what has changed about it.
    async fn register_endpoint(&self, spec: &EndpointSpec, at: Timestamp) -> Result<Registration>;

    /// The endpoint with this id.
    async fn endpoint(&self, id: &EndpointId) -> Result<Option<RegisteredEndpoint>>;

    /// All endpoints, sorted by id.
    async fn endpoints(&self) -> Result<Vec<RegisteredEndpoint>>;

    /// Registers a dataset, or what has changed about it. A change raises the dataset's version by one; what was
    /// known before stays in its [`history`](Self::history). `cause` says why it is stated now.
    ///
    /// What the dataset is made from only grows: see [`DatasetSpec::fed_by`]. A spec of a model that is
    /// older than both what is on record and what the table was provisioned for adds nothing but that.
    ///
    /// A dataset that is of another kind in the catalog is
    /// [`ErrorKind::Conflict`](endpoint_api::ErrorKind::Conflict).
    async fn register_dataset(&self, spec: &DatasetSpec, cause: &Cause, at: Timestamp) -> Result<Registration>;

    /// Records a load into a registered dataset. The load with the greatest time is the last one,
    /// whichever is recorded last; at equal times it is the one that is recorded last.
    async fn record_load(&self, dataset: &DatasetId, load: &LoadFacts) -> Result<()>;

    /// Changes what people wrote about a registered dataset. What was written before stays in its
    /// [`history`](Self::history). Says what is written now.
    ///
    /// A note about a field that a table does not have is [`ErrorKind::Config`](endpoint_api::ErrorKind::Config); a
    /// source's unit may have more fields than it tells.
    async fn annotate(&self, dataset: &DatasetId, edit: &AnnotationEdit, at: Timestamp) -> Result<Annotations>;

    /// What the catalog remembers of a dataset; nothing of one that is not there.
    async fn history(&self, dataset: &DatasetId) -> Result<DatasetHistory>;

    /// The dataset with this id.
    async fn dataset(&self, id: &DatasetId) -> Result<Option<Dataset>>;

    /// The datasets that are wanted, sorted by id.
    async fn datasets(&self, filter: &DatasetFilter) -> Result<Vec<Dataset>>;

    /// Records that a run has begun, or that this process continues it: then it is running again, and
    /// what was on record of its end is gone.
    ///
    /// A run that is another ingestion's in the catalog is
    /// [`ErrorKind::Conflict`](endpoint_api::ErrorKind::Conflict).
    async fn begin_run(&self, start: &RunStart) -> Result<Attempt>;

    /// Records how a run ended. Says whether it did: a later attempt at the run has the word, and what
    /// an earlier one says after that is not recorded.
    async fn end_run(&self, run: &RunId, attempt: Attempt, end: &RunEndFacts) -> Result<bool>;

    /// The run with this id.
    async fn run(&self, id: &RunId) -> Result<Option<RunRecord>>;

    /// The runs that are wanted, the newest first: by when they were started, then by id.
    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRecord>>;

    /// Where messages wait that tell of sinks without an outbox of their own, and of datasets.
    fn outbox(&self) -> &dyn Outbox;

    /// Lets go of the connection or the file. Called once, when nobody uses the catalog any more.
    async fn close(&self) -> Result<()>;
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registration {
    /// Whether anything was written.
    pub changed: bool,
    /// The version that is now on record, from 1.
    pub version: u64,
}

impl Registration {
    /// A registration.
    pub fn new(changed: bool, version: u64) -> Self {
        Self { changed, version }
    }
}
