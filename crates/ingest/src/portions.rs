use std::{sync::Arc, time::Duration};

use endpoint_api::{
    Batch, CdmBatch, Checkpoint, Error, ErrorKind, Incomplete, Load, RawBatch, Reject, Result,
    batch::{CdmBatchBuilder, SourceHashes},
};
use tokio::{
    task::{JoinError, JoinHandle, spawn_blocking},
    time::Instant,
};

use crate::{Mapping, staging::StageReader};

/// What is next for a load.
#[derive(Default)]
pub(crate) struct Portion {
    /// How many records were read for it.
    pub(crate) records: u64,
    /// What is to be loaded, if anything: in CDM mode of records that were read before.
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

/// Maps on threads of their own, while what was mapped before is written: mapping computes for milliseconds on
/// end, and on a thread of the runtime it would hold up what reads and writes.
struct Mapper {
    mapping: Arc<Mapping>,
    /// The builder, while nobody maps.
    rows: Option<CdmBatchBuilder>,
    under_way: Option<JoinHandle<MappedRows>>,
    /// Records that the load does not recognise, until there are enough of them: where little has changed, what a
    /// batch has of them is not worth a round trip.
    open: Option<Unmapped>,
}

/// What was mapped, and the builder for the next rows.
type MappedRows = Result<(CdmBatchBuilder, Mapped)>;

/// So many bytes of records are worth being mapped and written.
const WORTHWHILE_BYTES: usize = 512 * 1024;

/// No longer than this are they kept back: a source may be slow, and a sink's transaction open meanwhile.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// Records to map, with their hashes.
struct Unmapped {
    batch: RawBatch,
    hashes: SourceHashes,
    since: Instant,
}

/// What records came to.
struct Mapped {
    batch: Option<CdmBatch>,
    rejects: Vec<Reject>,
    incomplete: Vec<Incomplete>,
}

impl Portions {
    /// Takes them out of a stage, and maps them where there is a mapping.
    pub(crate) fn of(mapping: Option<&Arc<Mapping>>, stage: Box<dyn StageReader>) -> Self {
        let mapper = mapping.map(|mapping| Mapper {
            mapping: Arc::clone(mapping),
            rows: Some(mapping.rows()),
            under_way: None,
            open: None,
        });
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
        if !self.has_ended {
            // What is mapped is handed over also when nothing comes after it for now: it may be what the source waits for.
            let next = match &mut mapper.under_way {
                None => self.stage.next().await?,
                Some(thread) => tokio::select! {
                    biased;
                    next = self.stage.next() => next?,
                    mapped = thread => {
                        mapper.under_way = None;
                        return Ok(Some(Portion::mapped(Some(mapper.mapped(mapped)?))));
                    }
                },
            };
            if let Some(mut batch) = next {
                let mut portion = Portion::of(&mut batch);
                portion.add(mapper.take(batch, load).await?);
                return Ok(Some(portion));
            }
            self.has_ended = true;
        }
        let mapped = match mapper.open.take() {
            Some(rest) => mapper.exchange(rest).await?,
            None => match mapper.finish().await? {
                None => return Ok(None),
                last => last,
            },
        };
        Ok(Some(Portion::mapped(mapped)))
    }
}

impl Mapper {
    /// Takes the records of a batch that the load does not recognise; gives what was mapped meanwhile, if anything.
    async fn take(&mut self, batch: RawBatch, load: &mut dyn Load) -> Result<Option<Mapped>> {
        let mapping = Arc::clone(&self.mapping);
        let hash = move || (mapping.hash(&batch), batch);
        let (mut hashes, mut batch) = spawn_blocking(hash).await.map_err(|_| panicked())?;
        let known = load.recognize(&hashes).await?;
        if known.contains(&true) {
            let is_open = |index: usize| !known.get(index).copied().unwrap_or(false);
            batch.retain(is_open);
            hashes.retain(is_open);
        }
        if batch.is_empty() {
            return self.finished().await;
        }
        let mut open = Unmapped { batch, hashes, since: Instant::now() };
        if let Some(mut before) = self.open.take() {
            match before.batch.append(open.batch) {
                Ok(()) => {
                    before.hashes.append(open.hashes);
                    open = before;
                }
                Err(batch) => {
                    self.open = Some(Unmapped { batch: *batch, ..open });
                    return self.exchange(before).await;
                }
            }
        }
        if open.batch.bytes() < WORTHWHILE_BYTES && open.since.elapsed() < KEPT_FOR {
            self.open = Some(open);
            return self.finished().await;
        }
        self.exchange(open).await
    }

    /// Begins to map records, and gives those before them.
    async fn exchange(&mut self, unmapped: Unmapped) -> Result<Option<Mapped>> {
        let earlier = self.finish().await?;
        let mapping = Arc::clone(&self.mapping);
        let mut rows = self.rows.take().unwrap_or_else(|| mapping.rows());
        self.under_way = Some(spawn_blocking(move || {
            let Unmapped { batch, hashes, .. } = unmapped;
            let (batch, rejects, incomplete) = mapping.map(Arc::new(batch), &hashes, &mut rows)?;
            Ok((rows, Mapped { batch, rejects, incomplete }))
        }));
        Ok(earlier)
    }

    /// What has been mapped by now, if anything.
    async fn finished(&mut self) -> Result<Option<Mapped>> {
        match &self.under_way {
            Some(thread) if thread.is_finished() => self.finish().await,
            _ => Ok(None),
        }
    }

    /// Waits for what is being mapped, if there is anything.
    async fn finish(&mut self) -> Result<Option<Mapped>> {
        let Some(thread) = self.under_way.take() else { return Ok(None) };
        let mapped = thread.await;
        self.mapped(mapped).map(Some)
    }

    /// What a thread has mapped.
    fn mapped(&mut self, mapped: std::result::Result<MappedRows, JoinError>) -> Result<Mapped> {
        let (rows, mapped) = mapped.map_err(|_| panicked())??;
        self.rows = Some(rows);
        Ok(mapped)
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

    /// What earlier records came to, and nothing that was read for it.
    fn mapped(mapped: Option<Mapped>) -> Self {
        let mut portion = Self::default();
        portion.add(mapped);
        portion
    }

    /// Adds what earlier records came to.
    fn add(&mut self, mapped: Option<Mapped>) {
        let Some(Mapped { batch, rejects, incomplete }) = mapped else { return };
        self.batch = batch.map(Box::new).map(Batch::Cdm);
        self.rejects.extend(rejects);
        self.incomplete.extend(incomplete);
    }
}
