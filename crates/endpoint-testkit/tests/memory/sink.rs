use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use cdm_models::{FieldDescriptor, ModelDescriptor};
use endpoint_api::{
    Dismissals, Error, ErrorKind, Ingestion, Load, Mode, Outbox, Overlap, RejectListing, RejectQuery, Replay,
    ReplayableRejects, Result, Run, RunSpec, Sink, SourceSite, StoredReject, Verification, async_trait,
};
use relational::{Stored, Version, state};

use super::{
    Fault, Memory,
    load::{MemoryLoad, Of},
    run::MemoryRun,
    state::{Standing, State},
};

impl Memory {
    fn refuse_model(&self, state: &State, spec: &RunSpec) -> Result<()> {
        let Some(model) = &spec.model else { return Ok(()) };
        if self.has(Fault::KnowsItsOwnModelsOnly) {
            return Err(Error::unsupported("open a run", model.id.as_str()));
        }
        let is_ready = match state.tables.get(model.id.as_str()) {
            None => self.has(Fault::LoadsWithoutATable),
            Some((_, known)) => {
                let is_there = |field: &FieldDescriptor| known.contains(&field.name);
                model.fields.iter().all(is_there) || self.has(Fault::LoadsWithoutAField)
            }
        };
        if !is_ready {
            let message = format!("{} is not provisioned", model.id);
            return Err(Error::new(ErrorKind::NotProvisioned, "open a run", message));
        }
        Ok(())
    }

    /// Opens a run, unless another one is in the way.
    fn try_open(&self, spec: &RunSpec, alive: &Arc<()>) -> Result<Option<MemoryRun<'_>>> {
        let mut state = self.lock();
        self.refuse_model(&state, spec)?;
        let key = self.key(&spec.ingestion, spec.model.as_deref());
        let mut standing = state.ingestions.get(&key).cloned().unwrap_or_default();
        let is_alive =
            standing.status == "running" && (standing.alive.strong_count() > 0 || self.has(Fault::IsBlockedByTheDead));
        if is_alive && spec.overlap != Overlap::Takeover && !self.has(Fault::RespectsNobody) {
            return Ok(None);
        }
        match self.fault {
            Fault::RepeatsFences if state.fence > 0 => {}
            Fault::CountsFencesByIngestion => state.fence = standing.fence + 1,
            _ => state.fence += 1,
        }
        let spec = match self.fault {
            Fault::NeverGoesOn => spec.clone().restart(true),
            Fault::NeverBeginsAnew => spec.clone().restart(false),
            _ => spec.clone(),
        };
        let known = (standing.fence > 0).then(|| self.known(&standing, is_alive));
        let mut opening = state::Opening::new(&spec, state.fence, known)?;
        if opening.continues {
            let run_id = opening.resume.run_id.to_string();
            let of_run = state.ledger.iter().filter(|((of, run, _), _)| *of == key && *run == run_id);
            let receipts = of_run.map(|((.., slice), (receipt, _))| (*slice, receipt.clone())).collect();
            opening = opening.committed(receipts);
        } else {
            (standing.plan, standing.prefix) = (None, 0);
            if self.has(Fault::ForgetsTheCheckpoint) {
                (standing.checkpoint, opening.resume.checkpoint) = (None, None);
            }
        }
        let mut resume = opening.resume;
        if self.has(Fault::TellsNotWhatItAbandons) {
            resume.abandoned = None;
        }
        standing.fence = state.fence;
        standing.run_id = resume.run_id.to_string();
        standing.status = "running";
        standing.observation = resume.observation;
        standing.alive = Arc::downgrade(alive);
        state.ingestions.insert(key.clone(), standing);
        Ok(Some(MemoryRun {
            memory: self,
            key,
            ingestion: spec.ingestion,
            model: spec.model,
            resume,
            observed: Mutex::new(opening.observed),
            _alive: Arc::clone(alive),
        }))
    }

    fn verify_model(&self, state: &mut State, model: &ModelDescriptor, repair: bool) -> Verification {
        let mut found = Verification::new(model.id.clone(), model.id.to_string());
        if self.has(Fault::VerifiesNothing) {
            return found;
        }
        found.inserted = state.inserted.get(model.id.as_str()).copied().unwrap_or(0);
        for ((_, key), row) in state.rows.iter_mut().filter(|((of, _), _)| of == model.id.as_str()) {
            found.rows += 1;
            if row.values == row.as_loaded || self.has(Fault::FindsNothingChanged) {
                continue;
            }
            found.changed += 1;
            found.keys.push(key.clone());
            if repair {
                found.marked += 1;
                if !self.has(Fault::MarksNothing) {
                    let version = Version {
                        version_at: None,
                        observation: 0,
                        mapper_revision: 0,
                        content_hash: [0; 16],
                        ..row.stored.version
                    };
                    row.stored = Stored { version, source_hash: None, ..row.stored };
                }
            }
        }
        if found.marked > 0 && !self.has(Fault::KeepsTheCheckpointAfterARepair) {
            state.ingestions.values_mut().for_each(|standing| standing.checkpoint = None);
        }
        found
    }

    fn known(&self, standing: &Standing, is_held: bool) -> state::Standing {
        let is_reopened = standing.status == "succeeded" && self.has(Fault::GoesOnWithWhatHasSucceeded);
        state::Standing {
            status: if is_reopened { "failed" } else { standing.status }.to_owned(),
            fence: standing.fence,
            run_id: standing.run_id.clone(),
            observation: standing.observation,
            plan: standing.plan.clone(),
            observations: standing.observations.clone(),
            checkpoint: standing.checkpoint.clone(),
            is_held,
        }
    }
}

#[async_trait]
impl Sink for Memory {
    async fn check_site(&self, ingestion: &Ingestion, site: &SourceSite) -> Result<()> {
        match self.has(Fault::RefusesSitesInItsCheckOnly) {
            true => Err(site.conflict(&site.to_stored(), &ingestion.sink)),
            false => Ok(()),
        }
    }

    async fn open_run(&self, spec: &RunSpec) -> Result<Box<dyn Run + '_>> {
        if spec.ingestion.mode == Mode::Raw {
            self.refuses(self.declares.raw, Fault::None, "raw mode")?;
        }
        let alive = Arc::new(());
        loop {
            if let Some(run) = self.try_open(spec, &alive)? {
                return Ok(Box::new(run));
            }
            if spec.overlap == Overlap::Fail || self.has(Fault::DoesNotWait) {
                return Err(state::overlapping(&spec.ingestion));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn rejects(&self, query: &RejectQuery) -> Result<Vec<StoredReject>> {
        let state = self.lock();
        let ingestion = query.ingestion.as_ref().map(ToString::to_string);
        let mut found: Vec<StoredReject> = state
            .rejects
            .iter()
            .filter(|reject| ingestion.as_ref().is_none_or(|of| reject.ingestion == *of))
            .filter(|reject| query.id.as_ref().is_none_or(|id| reject.id == *id))
            .cloned()
            .collect();
        if !self.has(Fault::ListsTheOldestFirst) {
            found.reverse();
        }
        Ok(found.into_iter().skip(query.offset).take(query.limit).collect())
    }

    async fn replay(&self, replay: &Replay) -> Result<Box<dyn Load + '_>> {
        self.refuses(self.declares.replay, Fault::ClaimsReplay, "replay")?;
        let mut state = self.lock();
        if self.has(Fault::ForgetsRejectsBeforeTheCommit) {
            state.rejects.retain(|reject| !replay.rejects.contains(&reject.id));
        }
        let observation = if self.has(Fault::ReplaysAsIfNew) { state.fence + 1 } else { replay.observation };
        let of = Of::Rejects(replay.rejects.clone());
        let mut load = MemoryLoad::new(self, &state, String::new(), &replay.ingestion, replay.run_id.to_string(), of);
        load.observation = observation;
        load.takes = Some(Arc::clone(&replay.model));
        Ok(Box::new(load))
    }

    async fn verify(&self, models: &[Arc<ModelDescriptor>], repair: bool) -> Result<Vec<Verification>> {
        self.refuses(self.declares.verify, Fault::ClaimsVerify, "verify")?;
        let mut state = self.lock();
        Ok(models.iter().map(|model| self.verify_model(&mut state, model, repair)).collect())
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        self.declares.outbox.then_some(self)
    }

    fn reject_listing(&self) -> Option<&dyn RejectListing> {
        (self.declares.reject_listing && !self.has(Fault::HidesTheListing)).then_some(self)
    }

    fn dismissals(&self) -> Option<&dyn Dismissals> {
        (self.declares.dismissals && !self.has(Fault::HidesTheDismissals)).then_some(self)
    }

    fn replayable_rejects(&self) -> Option<&dyn ReplayableRejects> {
        (self.declares.replay && !self.has(Fault::HidesTheReplayableRejects)).then_some(self)
    }
}
