use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use cdm_models::{ModelDescriptor, Timestamp};
use endpoint_api::{
    Batch, Begun, CdmBatch, Change, Checkpoint, Commit, Counts, Error, ErrorKind, GrantRequest, Grants, Ingestion,
    Load, LoadReceipt, Message, Mode, ModelPlan, Outbox, Overlap, PlanState, ProvisionPlan, ProvisionReceipt,
    ProvisionedModel, Provisioner, Purpose, Reject, RejectQuery, Replay, Result, Resume, Right, RoleRights, Run,
    RunEnd, RunReceipt, RunSpec, Sink, Slice, StoredReject, Verification,
    arrow::array::{Array as _, StringArray},
    async_trait,
    batch::{Operation, Rank, SourceHashes},
};
use relational::{Stored, Verdict, Version, judge, state};

use super::{
    Fault, Memory,
    state::{Kept, Standing, State},
};

struct MemoryRun<'e> {
    memory: &'e Memory,
    ingestion: Ingestion,
    model: Option<Arc<ModelDescriptor>>,
    resume: Resume,
    observed: Mutex<HashMap<u64, u64>>,
    _alive: Arc<()>,
}

/// A row that waits for the commit.
struct Waiting {
    operation: Operation,
    version: Version,
    key: String,
    name: Option<String>,
    source_hash: Option<[u8; 16]>,
}

struct MemoryLoad<'e> {
    memory: &'e Memory,
    ingestion: Ingestion,
    run_id: String,
    fence: u64,
    observation: u64,
    of: Of,
    takes: Option<Arc<ModelDescriptor>>,
    rows: Vec<Waiting>,
    raw: Vec<Vec<u8>>,
    rejects: Vec<Reject>,
    known: u64,
    rejected: u64,
}

enum Of {
    Slice(u64),
    Rejects(Vec<String>),
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What it says to an ability that it does not declare.
    fn refuses(&self, declared: bool, fault: Fault, operation: &'static str) -> Result<()> {
        let is_undeclared = !declared && self.fault != Fault::AnswersWhatItDoesNotDeclare;
        let is_claimed = fault != Fault::None && self.fault == fault;
        if is_undeclared || is_claimed { Err(Error::unsupported(operation, operation)) } else { Ok(()) }
    }
}

#[async_trait]
impl Sink for Memory {
    async fn open_run(&self, spec: &RunSpec) -> Result<Box<dyn Run + '_>> {
        if spec.ingestion.mode == Mode::Raw {
            self.refuses(self.declares.raw, Fault::None, "raw mode")?;
        }
        let key = spec.ingestion.to_string();
        let alive = Arc::new(());
        loop {
            {
                let mut state = self.lock();
                let unprovisioned = spec.model.as_ref().filter(|model| !state.tables.contains_key(model.id.as_str()));
                if let Some(model) = unprovisioned.filter(|_| self.fault != Fault::LoadsWithoutATable) {
                    let message = format!("{} is not provisioned", model.id);
                    return Err(Error::new(ErrorKind::NotProvisioned, "open a run", message));
                }
                let standing = state.ingestions.get(&key).cloned();
                let is_alive = standing.as_ref().is_some_and(|standing| {
                    standing.status == "running"
                        && (standing.alive.upgrade().is_some() || self.fault == Fault::IsBlockedByTheDead)
                });
                let is_respected = self.fault != Fault::RespectsNobody && spec.overlap != Overlap::Takeover;
                if !is_alive || !is_respected {
                    state.fence += u64::from(self.fault != Fault::RepeatsFences || state.fence == 0);
                    let fence = state.fence;
                    let known = standing.as_ref().map(|standing| state::Standing {
                        status: standing.status.to_owned(),
                        fence: standing.fence,
                        run_id: standing.run_id.clone(),
                        observation: standing.observation,
                        plan: standing.plan.clone(),
                        observations: standing.observations.clone(),
                        checkpoint: standing.checkpoint.clone(),
                        is_held: is_alive,
                    });
                    let mut opening = state::Opening::new(spec, fence, known)?;
                    let mut standing = standing.unwrap_or_default();
                    if opening.continues {
                        let run_id = opening.resume.run_id.to_string();
                        let of_run = state.ledger.iter().filter(|((of, run, _), _)| *of == key && *run == run_id);
                        let receipts = of_run.map(|((.., slice), (receipt, _))| (*slice, receipt.clone())).collect();
                        opening = opening.committed(receipts);
                    } else {
                        (standing.plan, standing.prefix) = (None, 0);
                    }
                    let resume = opening.resume;
                    standing.fence = fence;
                    standing.run_id = resume.run_id.to_string();
                    standing.status = "running";
                    standing.observation = resume.observation;
                    standing.alive = Arc::downgrade(&alive);
                    state.ingestions.insert(key, standing);
                    return Ok(Box::new(MemoryRun {
                        memory: self,
                        ingestion: spec.ingestion.clone(),
                        model: spec.model.clone(),
                        resume,
                        observed: Mutex::new(opening.observed),
                        _alive: alive,
                    }));
                }
            }
            if spec.overlap == Overlap::Fail {
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
        if self.fault != Fault::ListsTheOldestFirst {
            found.reverse();
        }
        Ok(found.into_iter().skip(query.offset).take(query.limit).collect())
    }

    async fn replay(&self, replay: &Replay) -> Result<Box<dyn Load + '_>> {
        self.refuses(self.declares.replay, Fault::ClaimsReplay, "replay")?;
        Ok(Box::new(MemoryLoad::new(
            self,
            &replay.ingestion,
            replay.run_id.to_string(),
            0,
            replay.observation,
            Of::Rejects(replay.rejects.clone()),
            Some(Arc::clone(&replay.model)),
        )))
    }

    async fn verify(&self, models: &[Arc<ModelDescriptor>], _: bool) -> Result<Vec<Verification>> {
        self.refuses(self.declares.verify, Fault::ClaimsVerify, "verify")?;
        let state = self.lock();
        let verified = |model: &Arc<ModelDescriptor>| {
            let mut found = Verification::new(model.id.clone(), model.id.to_string());
            (found.rows, found.inserted) = (state.rows.len() as u64, state.inserted);
            found
        };
        Ok(models.iter().map(verified).collect())
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        self.declares.outbox.then_some(self)
    }
}

#[async_trait]
impl Outbox for Memory {
    async fn put(&self, messages: &[Message]) -> Result<()> {
        self.lock().tell(messages, self.fault);
        Ok(())
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<endpoint_api::Waiting>> {
        let state = self.lock();
        let waiting = state.messages.iter().filter(|(_, (_, delivered))| !delivered);
        let mut waiting: Vec<_> = waiting
            .map(|(number, (message, _))| {
                endpoint_api::Waiting::new(&message.queue, *number, &message.id, &message.payload)
            })
            .collect();
        if self.fault == Fault::TellsTheNewestFirst {
            waiting.reverse();
        }
        waiting.truncate(limit);
        Ok(waiting)
    }

    async fn delivered(&self, messages: &[endpoint_api::Waiting]) -> Result<()> {
        let mut state = self.lock();
        for message in messages.iter().filter(|_| self.fault != Fault::DeliversAgain) {
            if let Some((known, delivered)) = state.messages.get_mut(&message.number) {
                *delivered |= known.id == message.id;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Run for MemoryRun<'_> {
    fn resume(&self) -> &Resume {
        &self.resume
    }

    async fn record_plan(&self, plan: &[Slice]) -> Result<()> {
        let mut state = self.memory.lock();
        let standing = state.ingestions.get_mut(&self.ingestion.to_string()).unwrap();
        if standing.fence != self.resume.fence {
            return Err(state::fenced(&self.ingestion));
        }
        let plan = standing.observations.observe(plan, self.resume.observation);
        let is_other = standing.plan.as_ref().is_some_and(|known| *known != plan);
        if is_other && self.memory.fault != Fault::ReplacesPlans {
            return Err(state::planned_otherwise());
        }
        *self.observed.lock().unwrap() = state::observed(&plan);
        standing.plan = Some(plan);
        Ok(())
    }

    async fn begin(&self, slice: &Slice) -> Result<Begun<'_>> {
        let mut state = self.memory.lock();
        let line = (self.ingestion.to_string(), self.resume.run_id.to_string(), slice.index);
        if let Some((receipt, _)) = state.ledger.get(&line).filter(|_| self.memory.fault != Fault::KeepsNoLedger) {
            return Ok(Begun::Committed(receipt.clone()));
        }
        drop(state.now());
        let observation = self.observed.lock().unwrap().get(&slice.index).copied();
        Ok(Begun::Load(Box::new(MemoryLoad::new(
            self.memory,
            &self.ingestion,
            self.resume.run_id.to_string(),
            self.resume.fence,
            observation.unwrap_or(self.resume.observation),
            Of::Slice(slice.index),
            self.model.clone(),
        ))))
    }

    async fn finish(self: Box<Self>, end: RunEnd, messages: &[Message]) -> Result<RunReceipt> {
        let mut state = self.memory.lock();
        let inserted = state.inserted;
        let standing = state.ingestions.get_mut(&self.ingestion.to_string()).unwrap();
        if standing.fence != self.resume.fence {
            return Err(state::fenced(&self.ingestion));
        }
        if end == RunEnd::Succeeded {
            let plan = standing.plan.clone().unwrap_or_default();
            if standing.prefix < plan.len() as u64 && self.memory.fault != Fault::SucceedsWithSlicesLeft {
                return Err(state::incomplete_run(&self.ingestion));
            }
            standing.observations.remember(&plan);
        }
        standing.status = state::status(end);
        let checkpoint = standing.checkpoint.clone();
        if self.memory.fault != Fault::TellsOfNoEnd {
            state.tell(messages, self.memory.fault);
        }
        Ok(RunReceipt::new(Some(inserted), checkpoint))
    }
}

impl<'e> MemoryLoad<'e> {
    fn new(
        memory: &'e Memory,
        ingestion: &Ingestion,
        run_id: String,
        fence: u64,
        observation: u64,
        of: Of,
        takes: Option<Arc<ModelDescriptor>>,
    ) -> Self {
        Self {
            memory,
            ingestion: ingestion.clone(),
            run_id,
            fence,
            observation,
            of,
            takes,
            rows: Vec::new(),
            raw: Vec::new(),
            rejects: Vec::new(),
            known: 0,
            rejected: 0,
        }
    }

    fn take_rows(&mut self, batch: &CdmBatch) {
        let names =
            batch.rows().column_by_name("name").and_then(|column| column.as_any().downcast_ref::<StringArray>());
        for row in 0..batch.len() {
            let key = match self.memory.fault {
                Fault::FoldsTheCaseOfKeys => batch.key(row).to_lowercase(),
                _ => batch.key(row).to_owned(),
            };
            self.rows.push(Waiting {
                operation: batch.operation(row),
                version: self.version(batch, row),
                name: names.filter(|names| names.is_valid(row)).map(|names| names.value(row).to_owned()),
                source_hash: batch.source_hash(row),
                key,
            });
        }
    }

    fn version(&self, batch: &CdmBatch, row: usize) -> Version {
        let version = Version {
            rank: batch.rank(row),
            version_at: batch.version_at(row),
            observation: self.observation,
            mapper_revision: batch.mapper_revision(),
            content_hash: batch.content_hash(row),
        };
        match (self.memory.fault, version.rank) {
            (Fault::PartReplacesWhole, Rank::Part) => {
                Version { rank: Rank::Whole, version_at: Some(1 << 40), ..version }
            }
            _ => version,
        }
    }

    /// Stores the rows that wait; says what became of them.
    fn store(&mut self, state: &mut State) -> Counts {
        let fault = self.memory.fault;
        let mut counts = Counts::default();
        let mut by_key: BTreeMap<(String, bool), Vec<Waiting>> = BTreeMap::new();
        for row in self.rows.drain(..) {
            by_key.entry((row.key.clone(), row.operation == Operation::Delete)).or_default().push(row);
        }
        for ((key, _), mut rows) in by_key {
            if fault != Fault::LastWriteWins {
                rows.sort_by_key(|row| row.version);
            }
            let repeated = rows.len() as u64 - 1;
            match fault {
                Fault::CountsDuplicatesAsInserted => counts.inserted += repeated,
                _ => counts.duplicate += repeated,
            }
            let row = rows.pop().unwrap();
            let stored = state.rows.get(&key).map(|kept| kept.stored);
            let mut verdict = judge(row.operation, &row.version, stored.as_ref());
            if fault == Fault::LastWriteWins && verdict == Verdict::Stale {
                verdict = Verdict::Store;
            }
            if fault == Fault::DeletesForGood && stored.is_some_and(|stored| stored.deleted) {
                verdict = Verdict::Stale;
            }
            match (verdict, state.rows.get_mut(&key)) {
                (Verdict::Unchanged, _) => counts.unchanged += 1,
                (Verdict::Stale, _) | (Verdict::Delete | Verdict::Revive, None) => counts.stale += 1,
                (Verdict::Delete | Verdict::Revive, Some(kept)) => {
                    kept.stored.deleted = verdict == Verdict::Delete;
                    kept.stored.version.observation = kept.stored.version.observation.max(row.version.observation);
                    counts.updated += 1;
                }
                (Verdict::Store, _) => {
                    let stored = Stored { version: row.version, deleted: false, source_hash: row.source_hash };
                    match state.rows.insert(key, Kept { stored, name: row.name }) {
                        Some(_) => counts.updated += 1,
                        None => counts.inserted += 1,
                    }
                }
            }
        }
        state.inserted += counts.inserted;
        counts
    }

    fn store_rejects(&self, state: &mut State) {
        for reject in &self.rejects {
            let now = state.now();
            let kept = StoredReject::new(reject.clone(), &self.ingestion, self.run_id.clone(), self.observation, now);
            match state.rejects.iter_mut().find(|known| known.id == kept.id) {
                Some(known) => known.reason = kept.reason,
                None => state.rejects.push(kept),
            }
        }
    }

    fn settle(&self, state: &mut State, slice: u64, receipt: &LoadReceipt, resume_at: Option<Checkpoint>) {
        let key = self.ingestion.to_string();
        let checkpoint = match self.memory.fault {
            Fault::ChangesTheCheckpoint => {
                resume_at.clone().map(|checkpoint| Checkpoint(checkpoint.0.to_string().into()))
            }
            _ => resume_at.clone(),
        };
        state.ledger.insert((key.clone(), self.run_id.clone(), slice), (receipt.clone(), checkpoint));
        let mut standing = state.ingestions.remove(&key).unwrap_or_default();
        if self.memory.fault == Fault::CheckpointBeforeTheData {
            standing.checkpoint = resume_at.or(standing.checkpoint);
        }
        while let Some((_, resume_at)) = state.ledger.get(&(key.clone(), self.run_id.clone(), standing.prefix)) {
            standing.prefix += 1;
            standing.checkpoint = resume_at.clone().or(standing.checkpoint);
        }
        state.ingestions.insert(key, standing);
    }
}

#[async_trait]
impl Load for MemoryLoad<'_> {
    async fn recognize(&mut self, records: &SourceHashes) -> Result<Vec<bool>> {
        let state = self.memory.lock();
        let everything = self.memory.fault == Fault::RecognisesEverything;
        let is_known = |(hash, key): ([u8; 16], Option<&str>)| {
            let stored = key.and_then(|key| state.rows.get(key)).map(|kept| kept.stored);
            everything || stored.is_some_and(|stored| !stored.deleted && stored.source_hash == Some(hash))
        };
        let known: Vec<bool> = records.iter().map(is_known).collect();
        self.known += known.iter().filter(|known| **known).count() as u64;
        Ok(known)
    }

    async fn write(&mut self, batch: Batch) -> Result<()> {
        match (batch, &self.takes) {
            (Batch::Cdm(batch), Some(_)) => {
                self.take_rows(&batch);
                if self.memory.fault == Fault::LosesTheLastRowOfABatch {
                    // It counts it all the same.
                    self.known += u64::from(self.rows.pop().is_some());
                }
                if self.memory.fault == Fault::KeepsWhatIsAborted {
                    let memory = self.memory;
                    let counts = self.store(&mut memory.lock());
                    self.known += counts.total();
                }
                Ok(())
            }
            (Batch::Raw(batch), None) => {
                for record in batch.records() {
                    let bytes = match self.memory.fault {
                        Fault::RewritesRawRecords => {
                            let value: serde_json::Value = serde_json::from_str(record.json).unwrap();
                            value.to_string().into_bytes()
                        }
                        _ => record.json.as_bytes().to_vec(),
                    };
                    self.raw.push(bytes);
                }
                Ok(())
            }
            _ => Err(Error::unsupported("load", "a batch of another shape than the run's")),
        }
    }

    async fn reject(&mut self, rejects: Vec<Reject>) -> Result<()> {
        self.rejected += rejects.len() as u64;
        if self.memory.fault != Fault::SwallowsRejects {
            self.rejects.extend(rejects);
        }
        if self.memory.fault == Fault::StoresRejectsAtOnce {
            let memory = self.memory;
            self.store_rejects(&mut memory.lock());
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>, commit: Commit) -> Result<LoadReceipt> {
        let memory = self.memory;
        let mut state = memory.lock();
        if memory.fault == Fault::TellsBeforeTheCommit {
            state.tell(&commit.messages, memory.fault);
        }
        let key = self.ingestion.to_string();
        if let Of::Slice(slice) = self.of {
            let is_mine = state.ingestions.get(&key).is_some_and(|standing: &Standing| standing.fence == self.fence);
            if !is_mine && memory.fault != Fault::ComparesNoFence {
                return Err(state::fenced(&self.ingestion));
            }
            let line = (key.clone(), self.run_id.clone(), slice);
            if let Some((receipt, _)) = state.ledger.get(&line).filter(|_| memory.fault != Fault::KeepsNoLedger) {
                return Ok(receipt.clone());
            }
        }
        let mut counts = self.store(&mut state);
        counts.unchanged += self.known;
        counts.rejected += self.rejected;
        counts.inserted += self.raw.len() as u64;
        self.store_rejects(&mut state);
        state.tell(&commit.messages, memory.fault);
        let receipt = LoadReceipt::new(counts, commit.incomplete);
        match &self.of {
            Of::Slice(slice) => {
                self.settle(&mut state, *slice, &receipt, commit.resume_at);
                if self.takes.is_none() {
                    state.raw.insert((key, *slice), self.raw);
                }
            }
            Of::Rejects(given) => {
                let again: Vec<String> = self.rejects.iter().map(|reject| reject.id(&self.ingestion)).collect();
                state.rejects.retain(|reject| !given.contains(&reject.id) || again.contains(&reject.id));
            }
        }
        Ok(receipt)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Provisioner for Memory {
    async fn plan(&self, models: &[&ModelDescriptor]) -> Result<ProvisionPlan> {
        let mut state = self.lock();
        let plan = plan(&state, models, self.fault);
        if self.fault == Fault::MakesWhilePlanning {
            make(&mut state, &plan);
        }
        Ok(plan)
    }

    async fn apply(&self, plan: &ProvisionPlan) -> Result<ProvisionReceipt> {
        // Others may be at it.
        tokio::task::yield_now().await;
        let mut state = self.lock();
        let models: Vec<&ModelDescriptor> = plan.models.iter().map(|model| model.descriptor.as_ref()).collect();
        let told = if self.fault == Fault::TellsNoState { self.fault } else { Fault::None };
        let fresh = self::plan(&state, &models, told);
        let asked =
            if self.fault == Fault::AppliesWhatIsRefused { plan.clone().differing(Vec::new()) } else { plan.clone() };
        let changed = relational::due(&asked, fresh)? != relational::Due::Nothing || self.fault == Fault::AppliesTwice;
        if changed {
            make(&mut state, plan);
        }
        let recorded = models.iter().map(|model| state.tables[model.id.as_str()].0.clone()).collect();
        Ok(ProvisionReceipt::new(changed, recorded))
    }

    async fn grants(&self, request: &GrantRequest, models: &[&ModelDescriptor]) -> Result<Grants> {
        self.refuses(self.declares.grants, Fault::ClaimsGrants, "grants")?;
        let owner = request.owner.as_deref().unwrap_or("owner");
        let names = [owner, &request.provisioner, &request.loader, &request.reader];
        let is_twice = |name: &&str| names.iter().filter(|other| *other == name).count() > 1;
        if names.iter().any(|name| name.is_empty() || is_twice(name)) {
            return Err(Error::new(ErrorKind::Config, "say the rights", "a role needs a name of its own"));
        }
        let shown = request.with_plumbing || self.fault == Fault::ShowsPlumbingToReaders;
        let tables = || models.iter().map(|model| model.id.to_string());
        let role = |purpose, name, privileges: &[&'static str]| {
            let right = |table| Right::new(privileges, table, "there is no other way");
            tables().map(right).fold(RoleRights::new(purpose, name), RoleRights::may)
        };
        let mut reader = role(Purpose::Reader, request.reader.as_str(), &["read"]);
        for (is_seen, object) in [(shown, "_cdm_plumbing"), (request.with_rejects, "_cdm_reject")] {
            if is_seen {
                reader = reader.may(Right::new(&["read"], object, "it was asked for"));
            }
        }
        let roles = vec![
            role(Purpose::Owner, owner, &["have"]),
            role(Purpose::Provisioner, request.provisioner.as_str(), &["make"]),
            role(Purpose::Loader, request.loader.as_str(), &["read", "write"]),
            reader,
        ];
        Ok(Grants::new(roles, names.join("\n")))
    }
}

fn fields(model: &ModelDescriptor) -> Vec<String> {
    model.fields.iter().map(|field| field.name.clone()).collect()
}

fn plan(state: &State, models: &[&ModelDescriptor], fault: Fault) -> ProvisionPlan {
    let of_model = |model: &&ModelDescriptor| {
        let there = state.tables.get(model.id.as_str());
        let missing: Vec<String> = match there {
            None => vec![model.id.to_string()],
            Some((_, known)) => fields(model).into_iter().filter(|field| !known.contains(field)).collect(),
        };
        let mut changes: Vec<Change> =
            missing.into_iter().map(|object| Change::new("make", object, "it is missing")).collect();
        if fault == Fault::PlansForEver && changes.is_empty() {
            changes.push(Change::new("make", model.id.to_string(), "one never knows"));
        }
        let recorded = there.map(|(recorded, _)| recorded.clone());
        ModelPlan::new(Arc::new((*model).clone()), model.id.to_string(), changes, recorded)
    };
    let told = if fault == Fault::TellsNoState { &[] } else { models };
    let as_it_is = told.iter().fold(PlanState::new(), |as_it_is, model| {
        let known = state.tables.get(model.id.as_str());
        as_it_is.with(model.id.as_str(), known.map(|(record, known)| format!("{} {}", record.version, known.join(" "))))
    });
    ProvisionPlan::new(as_it_is, Vec::new(), models.iter().map(of_model).collect())
}

fn make(state: &mut State, plan: &ProvisionPlan) {
    let hash = plan.hash();
    for model in &plan.models {
        state.clock += 1;
        let at = Timestamp::from_microsecond(i64::try_from(state.clock).unwrap()).unwrap();
        let recorded = ProvisionedModel::new(model.descriptor.version.clone(), hash.clone(), at);
        let mut known = state.tables.remove(model.descriptor.id.as_str()).map(|(_, known)| known).unwrap_or_default();
        known.extend(fields(&model.descriptor));
        state.tables.insert(model.descriptor.id.to_string(), (recorded, known));
    }
}
