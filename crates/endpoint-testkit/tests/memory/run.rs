use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Begun, Error, ErrorKind, Ingestion, Message, Result, Resume, Run, RunEnd, RunReceipt, Slice, async_trait,
};
use relational::state;

use super::{
    Fault, Memory,
    load::{MemoryLoad, Of},
};

pub(super) struct MemoryRun<'e> {
    pub(super) memory: &'e Memory,
    pub(super) key: String,
    pub(super) ingestion: Ingestion,
    pub(super) model: Option<Arc<ModelDescriptor>>,
    pub(super) resume: Resume,
    /// The observation of each slice of the plan.
    pub(super) observed: Mutex<HashMap<u64, u64>>,
    pub(super) _alive: Arc<()>,
}

impl MemoryRun<'_> {
    fn is_overtaken(&self, fence: u64) -> bool {
        fence != self.resume.fence && !self.memory.has(Fault::ComparesNoFence)
    }
}

#[async_trait]
impl Run for MemoryRun<'_> {
    fn resume(&self) -> &Resume {
        &self.resume
    }

    async fn record_plan(&self, plan: &[Slice]) -> Result<()> {
        let mut state = self.memory.lock();
        let standing = state.ingestions.get_mut(&self.key).unwrap();
        if self.is_overtaken(standing.fence) {
            return Err(state::fenced(&self.ingestion));
        }
        let plan = standing.observations.observe(plan, self.resume.observation);
        let is_other = standing.plan.as_ref().is_some_and(|known| *known != plan);
        if is_other && !self.memory.has(Fault::ReplacesPlans) {
            return Err(state::planned_otherwise());
        }
        *self.observed.lock().unwrap() = state::observed(&plan);
        standing.plan = Some(plan);
        Ok(())
    }

    async fn begin(&self, slice: &Slice) -> Result<Begun<'_>> {
        let mut state = self.memory.lock();
        let run_id = self.resume.run_id.to_string();
        let line = (self.key.clone(), run_id.clone(), slice.index);
        if let Some((receipt, _)) = state.ledger.get(&line).filter(|_| !self.memory.has(Fault::KeepsNoLedger)) {
            return Ok(Begun::Committed(receipt.clone()));
        }
        let is_taken = match self.memory.fault {
            Fault::LoadsOneAtATime => state.newest_load.strong_count() > 0,
            Fault::StaysLockedWhenDropped => !state.loading.insert(slice.index),
            _ => false,
        };
        if is_taken {
            return Err(Error::new(ErrorKind::Conflict, "begin a load", "another load is at it"));
        }
        let mut load =
            MemoryLoad::new(self.memory, &state, self.key.clone(), &self.ingestion, run_id, Of::Slice(slice.index));
        let observed = self.observed.lock().unwrap().get(&slice.index).copied();
        load.observation =
            observed.filter(|_| !self.memory.has(Fault::ForgetsWhatItHasRead)).unwrap_or(self.resume.observation);
        load.fence = self.resume.fence;
        load.takes = self.model.clone();
        state.newest_load = Arc::downgrade(&load.alive);
        Ok(Begun::Load(Box::new(load)))
    }

    async fn finish(self: Box<Self>, end: RunEnd, messages: &[Message]) -> Result<RunReceipt> {
        let mut state = self.memory.lock();
        let model = self.model.as_ref().map(|model| model.id.as_str());
        let mut rows = model.and_then(|model| state.inserted.get(model)).copied().unwrap_or(0);
        if self.memory.has(Fault::CountsRowsTwice) {
            rows *= 2;
        }
        let standing = state.ingestions.get_mut(&self.key).unwrap();
        if self.is_overtaken(standing.fence) {
            return Err(state::fenced(&self.ingestion));
        }
        if end == RunEnd::Succeeded {
            let plan = standing.plan.clone().unwrap_or_default();
            if standing.prefix < plan.len() as u64 && !self.memory.has(Fault::SucceedsWithSlicesLeft) {
                return Err(state::incomplete_run(&self.ingestion));
            }
            standing.observations.remember(&plan);
        }
        standing.status = state::status(end);
        let (checkpoint, plan) = (standing.checkpoint.clone(), standing.plan.clone().unwrap_or_default());
        if end == RunEnd::Succeeded || self.memory.has(Fault::RemovesRejectsWhenARunFails) {
            let (ingestion, run_id) = (self.ingestion.to_string(), self.resume.run_id.as_str());
            state.remove_absent(&ingestion, run_id, &state::resources(&plan), self.memory.fault);
        }
        if !self.memory.has(Fault::TellsOfNoEnd) {
            state.tell(messages, self.memory.fault);
        }
        Ok(RunReceipt::new(Some(rows), checkpoint))
    }
}
