use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Begun, Error, ErrorKind, Ingestion, LoadReceipt, Result, Resume, Run, RunEnd, RunId, RunReceipt, Slice, async_trait,
};
use relational::Seen;

use crate::{
    error::carry_through,
    index::Index,
    load::ParquetLoad,
    manifest::{End, IngestionState},
    open::{Alive, observed},
    store::Store,
};

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
    pub(crate) index: RwLock<Index>,
    pub(crate) seen: Arc<Seen>,
}

impl Loading {
    pub(crate) fn new(
        store: Arc<Store>,
        ingestion: Ingestion,
        model: Arc<ModelDescriptor>,
        state: &IngestionState,
        index: Index,
        seen: Seen,
    ) -> Self {
        Self {
            store,
            ingestion,
            model,
            run_id: state.run_id.clone(),
            fence: state.fence,
            index: RwLock::new(index),
            seen: Arc::new(seen),
        }
    }

    /// The receipt of a slice that is committed. Fails when the run was overtaken.
    async fn committed(&self, slice: u64, operation: &'static str) -> Result<Option<LoadReceipt>> {
        let mut manifest = self.store.manifest(operation).await?;
        let state = manifest.running(&self.ingestion, self.fence, operation)?;
        Ok(state.committed.get(&slice).map(|committed| committed.receipt.clone()))
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
        let (loading, plan, observation) = (Arc::clone(&self.loading), plan.to_vec(), self.resume.observation);
        let recorded = carry_through("record the plan", record_plan(loading, plan, observation)).await?;
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

    async fn finish(self: Box<Self>, end: RunEnd) -> Result<RunReceipt> {
        let (loading, end) = (Arc::clone(&self.loading), End::of(end)?);
        carry_through("finish", finish(loading, end)).await
    }
}

async fn record_plan(loading: Arc<Loading>, plan: Vec<Slice>, observation: u64) -> Result<HashMap<u64, u64>> {
    const RECORD: &str = "record the plan";
    let mut locked = loading.store.lock(RECORD).await?;
    let state = locked.manifest.running(&loading.ingestion, loading.fence, RECORD)?;
    let plan = state.resources.observe(&plan, observation);
    match &state.plan {
        Some(known) if *known == plan => {}
        Some(_) => {
            let message = "the run has another plan already; go on with that or restart the run";
            return Err(Error::new(ErrorKind::Conflict, RECORD, message).with("ingestion", &loading.ingestion));
        }
        None => {
            state.plan = Some(plan.clone());
            locked.publish(RECORD).await?;
        }
    }
    Ok(observed(Some(&plan)))
}

async fn finish(loading: Arc<Loading>, end: End) -> Result<RunReceipt> {
    const FINISH: &str = "finish";
    let mut locked = loading.store.lock(FINISH).await?;
    let state = locked.manifest.running(&loading.ingestion, loading.fence, FINISH)?;
    if end == End::Succeeded {
        let plan = state.plan.take().unwrap_or_default();
        if let Some(missing) = plan.iter().find(|planned| !state.committed.contains_key(&planned.slice.index)) {
            let message = "a run cannot have succeeded while a slice of its plan is not committed";
            return Err(Error::new(ErrorKind::Internal, FINISH, message)
                .with("ingestion", &loading.ingestion)
                .with("slice", missing.slice.index));
        }
        state.resources.remember(&plan);
    }
    state.end = Some(end);
    if end.is_final() {
        // Nobody continues it, so that its plan and its ledger are of no use any more.
        state.plan = None;
        state.committed.clear();
    }
    let checkpoint = state.checkpoint.clone();
    let rows = locked.manifest.rows(&loading.model.id);
    locked.publish(FINISH).await?;
    Ok(RunReceipt::new(Some(rows), checkpoint))
}
