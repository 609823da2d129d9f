use std::sync::Arc;

use endpoint_api::{
    Batch, CdmBatch, Checkpoint, Error, ErrorKind, Incomplete, Load, RawBatch, Reject, Result, batch::CdmBatchBuilder,
};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{Mapping, staging::StageReader};

/// What a batch of the source comes to, for a load.
pub(crate) struct Portion {
    /// How many records it accounts for.
    pub(crate) records: u64,
    /// What is to be loaded, if anything.
    pub(crate) batch: Option<Batch>,
    pub(crate) rejects: Vec<Reject>,
    pub(crate) incomplete: Vec<Incomplete>,
    pub(crate) resume_at: Option<Checkpoint>,
}

/// The portions of a slice, in the order of its stage.
pub(crate) struct Portions {
    stage: Box<dyn StageReader>,
    has_ended: bool,
    mapper: Option<Mapper>,
}

/// Maps on threads of their own, one batch ahead of who takes them: mapping computes for milliseconds on
/// end, and on a thread of the runtime it would hold up what reads and writes.
struct Mapper {
    mapping: Arc<Mapping>,
    /// The builder, while nobody maps.
    rows: Option<CdmBatchBuilder>,
    under_way: Option<(Portion, JoinHandle<Result<Mapped>>)>,
}

struct Mapped {
    rows: CdmBatchBuilder,
    batch: Option<CdmBatch>,
    rejects: Vec<Reject>,
}

impl Portions {
    /// Takes them out of a stage, and maps them where there is a mapping.
    pub(crate) fn of(mapping: Option<&Arc<Mapping>>, stage: Box<dyn StageReader>) -> Self {
        let mapper =
            mapping.map(|mapping| Mapper { mapping: Arc::clone(mapping), rows: Some(mapping.rows()), under_way: None });
        Self { stage, has_ended: false, mapper }
    }

    /// The next one, without the records that the load recognises; `None` at the end of a stage that was
    /// sealed.
    pub(crate) async fn next(&mut self, load: &mut dyn Load) -> Result<Option<Portion>> {
        let Some(mapper) = &mut self.mapper else {
            let Some(mut batch) = self.stage.next().await? else { return Ok(None) };
            let mut portion = Portion::of(&mut batch);
            portion.batch = Some(batch).filter(|batch| !batch.is_empty()).map(Box::new).map(Batch::Raw);
            return Ok(Some(portion));
        };
        while !self.has_ended {
            match self.stage.next().await? {
                Some(batch) => {
                    if let Some(portion) = mapper.exchange(batch, load).await? {
                        return Ok(Some(portion));
                    }
                }
                None => self.has_ended = true,
            }
        }
        mapper.finish().await
    }
}

impl Mapper {
    /// Begins to map a batch, and gives the one before it.
    async fn exchange(&mut self, mut batch: RawBatch, load: &mut dyn Load) -> Result<Option<Portion>> {
        let portion = Portion::of(&mut batch);
        let batch = Arc::new(batch);
        let (mapping, hashed) = (Arc::clone(&self.mapping), Arc::clone(&batch));
        let hashes = spawn_blocking(move || mapping.hash(&hashed)).await.map_err(|_| panicked())?;
        let known = load.recognize(&hashes).await?;

        let earlier = self.finish().await?;
        let mapping = Arc::clone(&self.mapping);
        let mut rows = self.rows.take().unwrap_or_else(|| mapping.rows());
        let thread = spawn_blocking(move || {
            let is_known = |index: usize| known.get(index).copied().unwrap_or(false);
            let (batch, rejects) = mapping.map(batch, &hashes, is_known, &mut rows)?;
            Ok(Mapped { rows, batch, rejects })
        });
        self.under_way = Some((portion, thread));
        Ok(earlier)
    }

    /// Waits for the batch that is being mapped, if there is one.
    async fn finish(&mut self) -> Result<Option<Portion>> {
        let Some((mut portion, thread)) = self.under_way.take() else { return Ok(None) };
        let Mapped { rows, batch, rejects } = thread.await.map_err(|_| panicked())??;
        self.rows = Some(rows);
        portion.batch = batch.map(Box::new).map(Batch::Cdm);
        portion.rejects.extend(rejects);
        Ok(Some(portion))
    }
}

fn panicked() -> Error {
    Error::new(ErrorKind::Internal, "map", "the mapper panicked")
}

impl Portion {
    /// What a batch says beside its records.
    fn of(batch: &mut RawBatch) -> Self {
        let rejects = batch.take_rejects();
        Self {
            records: u64::try_from(batch.len() + rejects.len()).unwrap_or(u64::MAX),
            batch: None,
            rejects,
            incomplete: batch.incomplete().to_vec(),
            resume_at: batch.resume_at().cloned(),
        }
    }
}
