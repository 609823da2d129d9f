use std::{
    collections::HashSet,
    sync::{Arc, PoisonError},
};

use bytes::Bytes;
use endpoint_api::{
    Batch, CdmBatch, Commit, Counts, Error, Load, LoadReceipt, Reject, Result, async_trait,
    batch::{Rank, SourceHashes},
};
use relational::{Committed, Contended, Effect, Judge, Tally, Verdict, merge};

use crate::{
    error::{blocking, carry_through, internal},
    index::News,
    layout,
    manifest::{Part, RejectFile},
    part::{self, Origin},
    rejects,
    run::Loading,
    store::now,
};

const COMMIT: &str = "commit";

/// The writing of one slice. Its rows are kept in memory until it is committed: the host cuts slices so that
/// they fit. Before the commit nothing is written, so that dropping it leaves nothing.
pub(crate) struct ParquetLoad {
    loading: Arc<Loading>,
    slice: u64,
    observation: u64,
    judge: Judge,
    tally: Tally,
    batches: Vec<CdmBatch>,
    rejects: Vec<(String, Reject)>,
    reject_ids: HashSet<String>,
}

impl ParquetLoad {
    pub(crate) fn new(loading: Arc<Loading>, slice: u64, observation: u64) -> Self {
        Self {
            // Rows are judged in the commit, which is alone.
            judge: Judge::new(observation, Arc::clone(&loading.seen), true),
            loading,
            slice,
            observation,
            tally: Tally::default(),
            batches: Vec::new(),
            rejects: Vec::new(),
            reject_ids: HashSet::new(),
        }
    }
}

#[async_trait]
impl Load for ParquetLoad {
    async fn recognize(&mut self, records: &SourceHashes) -> Result<Vec<bool>> {
        let loading = Arc::clone(&self.loading);
        let index = loading.index.read().unwrap_or_else(PoisonError::into_inner);
        let known = records.iter().map(|(hash, key)| {
            let (key, stored) = index.rows().get_key_value(key?)?;
            Some((key.as_str(), stored, hash))
        });
        let recognized = self.judge.recognize(known);
        let recognized = recognized.map_err(contended)?;
        for (_, (_, key)) in recognized.iter().zip(records.iter()).filter(|(is_known, _)| **is_known) {
            let stored = key.and_then(|key| index.rows().get(key));
            self.tally.judge(Verdict::Unchanged, stored.map_or(Rank::Whole, |stored| stored.version.rank));
        }
        Ok(recognized)
    }

    async fn write(&mut self, batch: Batch) -> Result<()> {
        let Batch::Cdm(batch) = batch else {
            return Err(Error::unsupported("write", "loading source-shaped records"));
        };
        let model = &self.loading.model;
        if batch.model().id != model.id || batch.model().fields != model.fields {
            let error = Error::unsupported("write", "a batch of another model than the run's");
            return Err(error.with("expected", &model.id).with("found", &batch.model().id));
        }
        self.batches.push(*batch);
        Ok(())
    }

    async fn reject(&mut self, rejects: Vec<Reject>) -> Result<()> {
        self.tally.reject(u64::try_from(rejects.len()).unwrap_or(u64::MAX));
        for reject in rejects {
            let id = reject.id(&self.loading.ingestion);
            if self.reject_ids.insert(id.clone()) {
                self.rejects.push((id, reject));
            }
        }
        Ok(())
    }

    async fn commit(self: Box<Self>, commit: Commit) -> Result<LoadReceipt> {
        carry_through(COMMIT, async move { self.store(commit).await }).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl ParquetLoad {
    /// Under the lock of the store: judges the rows by what is stored now, writes what is new, and then
    /// replaces the manifest, which is the commit.
    async fn store(mut self, commit: Commit) -> Result<LoadReceipt> {
        let loading = Arc::clone(&self.loading);
        let mut locked = loading.store.lock(COMMIT).await?;
        let standing = locked.manifest.ledger.standing(&loading.ingestion, loading.fence, COMMIT)?;
        if let Some(committed) = standing.committed(self.slice) {
            return Ok(committed.receipt.clone());
        }
        let key = &loading.model.key().name;
        let known = loading.index.read().unwrap_or_else(PoisonError::into_inner).sequence();
        let news = News::since(known, &locked.manifest, &loading.model.id, key, &loading.store, COMMIT).await?;
        loading.index.write().unwrap_or_else(PoisonError::into_inner).catch_up(news);

        let (sequence, at) = (locked.next(), now());
        let origin = Origin {
            source: loading.ingestion.source.to_string(),
            run_id: loading.run_id.to_string(),
            commit: sequence,
            at,
        };
        let (slice, rejects) = (self.slice, std::mem::take(&mut self.rejects));
        let merging = Arc::clone(&loading);
        let done = blocking(COMMIT, move || self.merge(&merging, &origin));
        let Outcome { effects, counts, rows, seen, mut judge } = done.await?;

        let receipt = LoadReceipt::new(counts, commit.incomplete);
        let mut committed = Committed { receipt: receipt.clone(), resume_at: commit.resume_at, confirmed: None };
        if let Some(rows) = rows {
            let path = layout::part(&loading.model.id, &loading.ingestion, &loading.run_id, slice, loading.fence);
            loading.store.write(&path, rows, COMMIT).await?;
            let rows = u64::try_from(effects.len()).unwrap_or(u64::MAX);
            let part = Part { model: loading.model.id.clone(), path: path.to_string(), rows, sequence };
            locked.manifest.parts.push(part);
        }
        if let Some(seen) = seen {
            let path = layout::seen(sequence);
            loading.store.write(&path, seen, COMMIT).await?;
            committed.confirmed = Some(path.to_string());
        }
        if !rejects.is_empty() {
            let path = layout::rejects(sequence);
            let file = blocking(COMMIT, move || rejects::encode(&rejects)).await?;
            loading.store.write(&path, file, COMMIT).await?;
            locked.manifest.rejects.push(RejectFile {
                path: path.to_string(),
                ingestion: loading.ingestion.clone(),
                run_id: loading.run_id.clone(),
                observation: loading.observation,
                rejected_at: at.to_string(),
            });
        }
        locked.manifest.ledger.commit(&loading.ingestion, loading.fence, slice, committed)?;
        locked.publish(COMMIT).await?;
        judge.keep();
        loading.index.write().unwrap_or_else(PoisonError::into_inner).commit(effects, sequence);
        Ok(receipt)
    }

    fn merge(mut self, loading: &Loading, origin: &Origin) -> Result<Outcome> {
        let index = loading.index.read().unwrap_or_else(PoisonError::into_inner);
        let (effects, counts) =
            merge(&self.batches, index.rows(), &mut self.judge, self.tally, self.observation).map_err(contended)?;
        let rows = match effects.is_empty() {
            true => None,
            false => Some(part::encode(&loading.model, &self.batches, &effects, origin)?.into()),
        };
        Ok(Outcome { seen: self.judge.confirmed(), effects, counts, rows, judge: self.judge })
    }
}

/// What a load came to.
struct Outcome {
    effects: Vec<Effect>,
    counts: Counts,
    /// The file of what it does; `None` when it does nothing.
    rows: Option<Bytes>,
    /// What a process that continues the run has to know of it.
    seen: Option<Vec<u8>>,
    judge: Judge,
}

fn contended(_: Contended) -> Error {
    internal(COMMIT, "a load is contended although it is alone")
}
