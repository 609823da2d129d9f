use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Batch, CdmBatch, Checkpoint, Commit, Counts, Error, ErrorKind, Ingestion, Load, LoadReceipt, Reject, Result,
    StoredReject, async_trait,
    batch::{Operation, Rank, SourceHashes},
};
use endpoint_testkit::StoredRow;
use relational::{Stored, Verdict, Version, judge, state};
use serde_json::{Map, Value};

use super::{
    Fault, Memory,
    state::{Row, State},
};

/// A row that waits for the commit.
struct Waiting {
    operation: Operation,
    version: Version,
    key: String,
    values: Map<String, Value>,
    source_hash: Option<[u8; 16]>,
}

pub(super) struct MemoryLoad<'e> {
    memory: &'e Memory,
    key: String,
    ingestion: Ingestion,
    run_id: String,
    of: Of,
    pub(super) fence: u64,
    pub(super) observation: u64,
    pub(super) takes: Option<Arc<ModelDescriptor>>,
    /// Goes with the load.
    pub(super) alive: Arc<()>,
    rows: Vec<Waiting>,
    raw: Vec<Vec<u8>>,
    rejects: Vec<Reject>,
    known: u64,
    /// How many of them are mentions.
    mentions: u64,
    rejected: u64,
    /// What was there when it was begun, for those who judge by that.
    at_first: Option<BTreeMap<(String, String), Row>>,
}

/// What is loaded.
pub(super) enum Of {
    Slice(u64),
    Rejects(Vec<String>),
}

impl<'e> MemoryLoad<'e> {
    pub(super) fn new(
        memory: &'e Memory,
        state: &State,
        key: String,
        ingestion: &Ingestion,
        run_id: String,
        of: Of,
    ) -> Self {
        Self {
            memory,
            key,
            ingestion: ingestion.clone(),
            run_id,
            of,
            fence: 0,
            observation: 0,
            takes: None,
            alive: Arc::new(()),
            rows: Vec::new(),
            raw: Vec::new(),
            rejects: Vec::new(),
            known: 0,
            mentions: 0,
            rejected: 0,
            at_first: memory.has(Fault::JudgesByWhatWasThereAtFirst).then(|| state.rows.clone()),
        }
    }

    fn take_rows(&mut self, batch: &CdmBatch) {
        for row in 0..batch.len() {
            let key = match self.memory.fault {
                Fault::FoldsTheCaseOfKeys => batch.key(row).to_lowercase(),
                _ => batch.key(row).to_owned(),
            };
            self.rows.push(Waiting {
                operation: batch.operation(row),
                version: self.version(batch, row),
                values: self.values(batch, row),
                source_hash: batch.source_hash(row),
                key,
            });
        }
    }

    fn values(&self, batch: &CdmBatch, row: usize) -> Map<String, Value> {
        let mut values = StoredRow::of_arrow(batch.rows(), row, false).values;
        let mut change = |field: &str, change: fn(&Value) -> Value| {
            if let Some(value) = values.get_mut(field).filter(|value| !value.is_null()) {
                *value = change(value);
            }
        };
        match self.memory.fault {
            Fault::RoundsTimes => change("updated_at", |time| (time.as_i64().unwrap() / 1000 * 1000).into()),
            Fault::SortsLabels => change("labels", |labels| {
                let mut labels: Vec<&str> = labels.as_array().unwrap().iter().filter_map(Value::as_str).collect();
                labels.sort_unstable();
                labels.into()
            }),
            Fault::RewritesJson => change("raw_source", |json| {
                let value: Value = serde_json::from_str(json.as_str().unwrap()).unwrap();
                value.to_string().into()
            }),
            Fault::TakesEmptyTextForNull => change("name", |name| match name.as_str().unwrap() {
                "" => Value::Null,
                name => name.into(),
            }),
            Fault::KeepsNumbersAsFloats => change("count", |count| (count.as_i64().unwrap() as f64 as i64).into()),
            Fault::TakesInfinityForALargeNumber => change("size", |size| match size.as_str() {
                Some("inf") => f64::MAX.into(),
                _ => size.clone(),
            }),
            // As who writes names into statements without quotes.
            Fault::TakesNamesApart => values.retain(|name, _| !name.contains('"')),
            Fault::CutsLongNames => {
                let cut = |(name, value): (String, Value)| (name.chars().take(63).collect::<String>(), value);
                values = values.into_iter().map(cut).collect();
            }
            Fault::AddsAFieldInNameOnly => drop(values.remove("colour")),
            _ => {}
        }
        values
    }

    fn version(&self, batch: &CdmBatch, row: usize) -> Version {
        let mut version = Version {
            rank: batch.rank(row),
            version_at: batch.version_at(row),
            observation: self.observation,
            mapper_revision: batch.mapper_revision(),
            content_hash: batch.content_hash(row),
        };
        match self.memory.fault {
            Fault::PartReplacesWhole if version.rank == Rank::Part => {
                (version.rank, version.version_at) = (Rank::Whole, Some(1 << 40));
            }
            Fault::IgnoresStatedAccess if version.rank == Rank::WithAccess => version.rank = Rank::Whole,
            Fault::TakesNoTimeForTheNewest => version.version_at = version.version_at.or(Some(i64::MAX)),
            Fault::IgnoresTheObservation => version.observation = 1,
            Fault::IgnoresTheHash => version.content_hash = [0; 16],
            Fault::IgnoresTheRevision => version.mapper_revision = 1,
            _ => {}
        }
        version
    }

    /// Under which a row of the model that is loaded stands.
    fn place(&self, key: &str) -> (String, String) {
        (self.takes.as_ref().map(|model| model.id.to_string()).unwrap_or_default(), key.to_owned())
    }

    /// Stores the rows that wait; says what became of them.
    fn store(&mut self, state: &mut State) -> Counts {
        let fault = self.memory.fault;
        let mut counts = Counts::default();
        let mut by_key: BTreeMap<(String, bool), Vec<Waiting>> = BTreeMap::new();
        for row in std::mem::take(&mut self.rows) {
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
            let mentions = rows.iter().filter(|row| row.version.rank == Rank::Part).count() as u64;
            let is_mention = u64::from(row.version.rank == Rank::Part && fault != Fault::CountsMentionsAsRecords);
            if fault != Fault::CountsMentionsAsRecords {
                counts.mentions.duplicate += mentions;
            }
            let place = self.place(&key);
            let there = self.at_first.as_ref().unwrap_or(&state.rows).get(&place);
            let stored = there.map(|there| there.stored);
            let verdict = match (judge(row.operation, &row.version, stored.as_ref()), fault) {
                (Verdict::Stale, Fault::LastWriteWins) => Verdict::Store,
                (Verdict::Store, Fault::FirstWriteWins) if stored.is_some() => Verdict::Stale,
                (_, Fault::DeletesForGood) if stored.is_some_and(|stored| stored.deleted) => Verdict::Stale,
                (verdict, _) => verdict,
            };
            match (verdict, stored) {
                (Verdict::Unchanged, _) if fault == Fault::CountsUnchangedAsUpdated => counts.updated += 1,
                (Verdict::Unchanged, _) => {
                    self.see(state, &place);
                    counts.unchanged += 1;
                    counts.mentions.unchanged += is_mention;
                }
                (Verdict::Delete | Verdict::Revive, None) if fault == Fault::CountsNoDeletionOfNothing => {}
                (Verdict::Stale, _) | (Verdict::Delete | Verdict::Revive, None) => {
                    counts.stale += 1;
                    counts.mentions.stale += is_mention;
                }
                (Verdict::Delete | Verdict::Revive, Some(_)) => {
                    let kept = state.rows.get_mut(&place).unwrap();
                    kept.stored.deleted = verdict == Verdict::Delete;
                    kept.stored.version.observation = kept.stored.version.observation.max(row.version.observation);
                    counts.updated += 1;
                }
                (Verdict::Store, known) => {
                    let stored = Stored { version: row.version, deleted: false, source_hash: row.source_hash };
                    let mut values = row.values;
                    if let Some(there) = there.filter(|_| fault == Fault::KeepsWhatIsNullNow) {
                        values.retain(|_, value| !value.is_null());
                        values = there.values.clone().into_iter().chain(values).collect();
                    }
                    let mut stored = stored;
                    if fault == Fault::ReplaysIntoTheFuture && matches!(self.of, Of::Rejects(_)) {
                        stored.version.observation = u64::MAX;
                    }
                    state.rows.insert(place, Row { stored, as_loaded: values.clone(), values });
                    match known {
                        Some(_) => counts.updated += 1,
                        None => counts.inserted += 1,
                    }
                }
            }
        }
        let model = match (&self.of, fault) {
            (Of::Rejects(_), Fault::ReplaysUncounted) => return counts,
            (Of::Rejects(_), Fault::CountsReplaysElsewhere) => String::new(),
            _ => self.takes.as_ref().map(|model| model.id.to_string()).unwrap_or_default(),
        };
        *state.inserted.entry(model).or_default() += counts.inserted;
        counts
    }

    /// Notes that the run has seen a row again, as it is stored: inside the run nothing else of its key is newer.
    fn see(&self, state: &mut State, place: &(String, String)) {
        let row = state.rows.get_mut(place).filter(|row| !row.stored.version.rank.is_part());
        if let Some(row) = row.filter(|_| !self.memory.has(Fault::ForgetsWhatItHasSeen)) {
            row.stored.version.observation = row.stored.version.observation.max(self.observation);
        }
    }

    fn store_rejects(&self, state: &mut State) {
        for reject in &self.rejects {
            let now = state.now();
            let mut kept =
                StoredReject::new(reject.clone(), &self.ingestion, self.run_id.clone(), self.observation, now);
            if self.memory.has(Fault::KeepsRejectsAsText) {
                kept.raw = String::from_utf8_lossy(&kept.raw).into_owned().into_bytes();
            }
            state.keep_reject(kept, self.memory.fault);
        }
    }

    fn settle(&self, state: &mut State, slice: u64, receipt: &LoadReceipt, resume_at: Option<Checkpoint>) {
        let key = &self.key;
        let checkpoint = match self.memory.fault {
            Fault::ChangesTheCheckpoint => {
                resume_at.clone().map(|checkpoint| Checkpoint(checkpoint.0.to_string().into()))
            }
            _ => resume_at.clone(),
        };
        state.ledger.insert((key.clone(), self.run_id.clone(), slice), (receipt.clone(), checkpoint));
        let mut standing = state.ingestions.remove(key).unwrap_or_default();
        if self.memory.has(Fault::CheckpointBeforeTheData) {
            standing.checkpoint = resume_at.or(standing.checkpoint);
        }
        while let Some((_, resume_at)) = state.ledger.get(&(key.clone(), self.run_id.clone(), standing.prefix)) {
            standing.prefix += 1;
            standing.checkpoint = resume_at.clone().or(standing.checkpoint);
        }
        state.ingestions.insert(key.clone(), standing);
    }

    /// The receipt of the slice, where it is committed already.
    fn receipt(&self, state: &State) -> Option<LoadReceipt> {
        let Of::Slice(slice) = self.of else { return None };
        let line = (self.key.clone(), self.run_id.clone(), slice);
        let asks = !matches!(self.memory.fault, Fault::KeepsNoLedger | Fault::AsksTheLedgerOnlyAtFirst);
        state.ledger.get(&line).filter(|_| asks).map(|(receipt, _)| receipt.clone())
    }

    fn is_overtaken(&self, state: &State) -> bool {
        let standing = state.ingestions.get(&self.key);
        let is_mine = standing.is_some_and(|standing| standing.fence == self.fence);
        matches!(self.of, Of::Slice(_)) && !is_mine && !self.memory.has(Fault::ComparesNoFence)
    }
}

#[async_trait]
impl Load for MemoryLoad<'_> {
    async fn recognize(&mut self, records: &SourceHashes) -> Result<Vec<bool>> {
        let mut state = self.memory.lock();
        let is_known = |(hash, key): ([u8; 16], Option<&str>)| {
            let stored = key.and_then(|key| state.rows.get(&self.place(key))).map(|row| row.stored);
            let is_live = |stored: &Stored| !stored.deleted || self.memory.has(Fault::RecognisesWhatIsDeleted);
            stored.filter(is_live).is_some_and(|stored| stored.source_hash == Some(hash))
                || self.memory.has(Fault::RecognisesEverything)
        };
        let known: Vec<bool> = records.iter().map(is_known).collect();
        self.known += known.iter().filter(|known| **known).count() as u64;
        for ((_, key), _) in records.iter().zip(&known).filter(|(_, known)| **known) {
            if let Some(key) = key {
                let place = self.place(key);
                let is_mention = |row: &Row| row.stored.version.rank == Rank::Part;
                self.mentions += u64::from(state.rows.get(&place).is_some_and(is_mention));
                self.see(&mut state, &place);
            }
        }
        Ok(known)
    }

    async fn write(&mut self, batch: Batch) -> Result<()> {
        // Others may be at it.
        tokio::task::yield_now().await;
        let memory = self.memory;
        match (batch, &self.takes) {
            (Batch::Cdm(batch), Some(_)) => {
                self.take_rows(&batch);
                let is_huge = |row: &Waiting| row.values["name"].as_str().is_some_and(|name| name.len() > 1 << 20);
                if memory.has(Fault::RejectsABatchForARow) && self.rows.iter().any(is_huge) {
                    self.rejected += self.rows.drain(..).count() as u64;
                }
                if memory.has(Fault::LosesTheLastRowOfABatch) {
                    // It counts it all the same.
                    self.known += u64::from(self.rows.pop().is_some());
                }
            }
            (Batch::Raw(batch), None) => {
                for record in batch.records() {
                    let bytes = match memory.fault {
                        Fault::RewritesRawRecords => {
                            let value: Value = serde_json::from_str(record.json).unwrap();
                            value.to_string().into_bytes()
                        }
                        _ => record.json.as_bytes().to_vec(),
                    };
                    self.raw.push(bytes);
                }
            }
            _ if memory.has(Fault::TakesAnyBatch) => {}
            _ => return Err(Error::unsupported("load", "a batch of another shape than the run's")),
        }
        if memory.has(Fault::KeepsWhatIsAborted) {
            let mut state = memory.lock();
            let counts = self.store(&mut state);
            self.known += counts.total();
            if let Of::Slice(slice) = self.of {
                state.raw.entry((self.ingestion.to_string(), slice)).or_default().extend(self.raw.clone());
            }
        }
        Ok(())
    }

    async fn reject(&mut self, rejects: Vec<Reject>) -> Result<()> {
        self.rejected += rejects.len() as u64;
        if !self.memory.has(Fault::SwallowsRejects) {
            self.rejects.extend(rejects);
        }
        if self.memory.has(Fault::StoresRejectsAtOnce) {
            self.store_rejects(&mut self.memory.lock());
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>, commit: Commit) -> Result<LoadReceipt> {
        let memory = self.memory;
        if memory.has(Fault::CommitsInTwoSteps) {
            self.known += self.store(&mut memory.lock()).total();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut state = memory.lock();
        if memory.has(Fault::TellsBeforeTheCommit) {
            state.tell(&commit.messages, memory.fault);
        }
        if memory.has(Fault::StoresRejectsBeforeTheFence) {
            self.store_rejects(&mut state);
        }
        if self.is_overtaken(&state) {
            return Err(state::fenced(&self.ingestion));
        }
        if let Some(receipt) = self.receipt(&state) {
            return Ok(receipt);
        }
        if memory.has(Fault::RefusesEmptySlices) && self.rows.is_empty() && self.known == 0 {
            return Err(Error::new(ErrorKind::Data, "commit", "there is nothing to commit"));
        }
        let mut counts = self.store(&mut state);
        counts.unchanged += self.known;
        counts.mentions.unchanged += self.mentions;
        counts.rejected += self.rejected;
        counts.inserted += self.raw.len() as u64;
        self.store_rejects(&mut state);
        if !memory.has(Fault::TellsOfNoCommit) {
            state.tell(&commit.messages, memory.fault);
        }
        let receipt = LoadReceipt::new(counts, commit.incomplete);
        match &self.of {
            Of::Slice(slice) => {
                if let Some(model) = &self.takes {
                    state.remove_loaded(&self.ingestion.to_string(), model.id.as_str(), memory.fault);
                }
                self.settle(&mut state, *slice, &receipt, commit.resume_at);
                state.loading.remove(slice);
                if self.takes.is_none() && !memory.has(Fault::KeepsWhatIsAborted) {
                    state.raw.insert((self.ingestion.to_string(), *slice), self.raw);
                }
            }
            Of::Rejects(given) => {
                let again: Vec<String> = self.rejects.iter().map(|reject| reject.id(&self.ingestion)).collect();
                let keeps = |id: &String| again.contains(id) && !memory.has(Fault::ForgetsWhatIsRejectedAgain);
                state.rejects.retain(|reject| !given.contains(&reject.id) || keeps(&reject.id));
            }
        }
        Ok(receipt)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        if let Of::Slice(slice) = self.of {
            self.memory.lock().loading.remove(&slice);
        }
        Ok(())
    }
}
