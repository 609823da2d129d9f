use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Begun, Ingestion, LoadReceipt, Message, Result, Resume, Run, RunEnd, RunId, RunReceipt, Slice, async_trait,
};
use relational::Seen;

use crate::{error::carry_through, index::Index, load::ParquetLoad, open::Alive, store::Store};

const RECORD: &str = "record the plan";
const FINISH: &str = "finish";

/// A run that was opened. It is alive until it is dropped.
#[derive(Debug)]
pub(crate) struct ParquetRun {
    loading: Arc<Loading>,
    resume: Resume,
    /// The observation of each slice of the plan.
    observed: Mutex<HashMap<u64, u64>>,
    _alive: Alive,
}

/// What the loads of a run have in common.
#[derive(Debug)]
pub(crate) struct Loading {
    pub(crate) store: Arc<Store>,
    pub(crate) ingestion: Ingestion,
    pub(crate) model: Arc<ModelDescriptor>,
    pub(crate) run_id: RunId,
    pub(crate) fence: u64,
    pub(crate) observation: u64,
    pub(crate) index: RwLock<Index>,
    pub(crate) seen: Arc<Seen>,
}

impl Loading {
    pub(crate) fn new(
        store: Arc<Store>,
        ingestion: Ingestion,
        model: Arc<ModelDescriptor>,
        resume: &Resume,
        index: Index,
        seen: Seen,
    ) -> Self {
        Self {
            store,
            ingestion,
            model,
            run_id: resume.run_id.clone(),
            fence: resume.fence,
            observation: resume.observation,
            index: RwLock::new(index),
            seen: Arc::new(seen),
        }
    }

    /// The receipt of a slice that is committed. Fails when the run was overtaken.
    async fn committed(&self, slice: u64, operation: &'static str) -> Result<Option<LoadReceipt>> {
        let manifest = self.store.manifest(operation).await?;
        let standing = manifest.ledger.standing(&self.ingestion, self.fence, operation)?;
        Ok(standing.committed(slice).map(|committed| committed.receipt.clone()))
    }
}

impl ParquetRun {
    pub(crate) fn new(loading: Loading, resume: Resume, observed: HashMap<u64, u64>, alive: Alive) -> Self {
        Self { loading: Arc::new(loading), resume, observed: Mutex::new(observed), _alive: alive }
    }
}

#[async_trait]
impl Run for ParquetRun {
    fn resume(&self) -> &Resume {
        &self.resume
    }

    async fn record_plan(&self, plan: &[Slice]) -> Result<()> {
        let (loading, plan) = (Arc::clone(&self.loading), plan.to_vec());
        let recorded = carry_through(RECORD, record_plan(loading, plan)).await?;
        *self.observed.lock().unwrap_or_else(PoisonError::into_inner) = recorded;
        Ok(())
    }

    async fn begin(&self, slice: &Slice) -> Result<Begun<'_>> {
        if let Some(receipt) = self.loading.committed(slice.index, "begin").await? {
            return Ok(Begun::Committed(receipt));
        }
        let observation = {
            let observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
            observed.get(&slice.index).copied().unwrap_or(self.resume.observation)
        };
        Ok(Begun::Load(Box::new(ParquetLoad::new(Arc::clone(&self.loading), slice.index, observation))))
    }

    async fn finish(self: Box<Self>, end: RunEnd, _: &[Message]) -> Result<RunReceipt> {
        carry_through(FINISH, finish(Arc::clone(&self.loading), end)).await
    }
}

async fn record_plan(loading: Arc<Loading>, plan: Vec<Slice>) -> Result<HashMap<u64, u64>> {
    let mut locked = loading.store.lock(RECORD).await?;
    if locked.manifest.ledger.record_plan(&loading.ingestion, loading.fence, &plan)? {
        locked = locked.publish(RECORD).await?;
    }
    Ok(locked.manifest.ledger.standing(&loading.ingestion, loading.fence, RECORD)?.observations())
}

async fn finish(loading: Arc<Loading>, end: RunEnd) -> Result<RunReceipt> {
    let mut locked = loading.store.lock(FINISH).await?;
    let checkpoint = locked.manifest.ledger.finish(&loading.ingestion, loading.fence, end)?;
    let rows = locked.manifest.ledger.rows(&loading.model.id);
    locked.publish(FINISH).await?;
    Ok(RunReceipt::new(Some(rows), checkpoint))
}
