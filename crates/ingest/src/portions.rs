use std::sync::Arc;

use endpoint_api::{Batch, Checkpoint, Error, ErrorKind, Incomplete, RawBatch, Reject, Result};
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};

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
pub(crate) enum Portions {
    /// As they were read.
    Raw(Box<dyn StageReader>),
    /// Mapped on a thread of its own, one portion ahead of who takes them.
    Mapped {
        portions: mpsc::Receiver<Portion>,
        thread: JoinHandle<Result<()>>,
    },
    Ended,
}

impl Portions {
    /// Takes them out of a stage, and maps them where there is a mapping.
    pub(crate) fn of(mapping: Option<&Arc<Mapping>>, stage: Box<dyn StageReader>) -> Self {
        let Some(mapping) = mapping.map(Arc::clone) else { return Self::Raw(stage) };
        let (mapped, portions) = mpsc::channel(1);
        let runtime = Handle::current();
        let thread = tokio::task::spawn_blocking(move || map(&mapping, stage, &mapped, &runtime));
        Self::Mapped { portions, thread }
    }

    /// The next one; `None` at the end of a stage that was sealed.
    pub(crate) async fn next(&mut self) -> Result<Option<Portion>> {
        match self {
            Self::Raw(stage) => {
                let Some(mut batch) = stage.next().await? else { return Ok(None) };
                let mut portion = Portion::of(&mut batch);
                portion.batch = Some(Batch::Raw(Box::new(batch))).filter(|batch| !is_empty(batch));
                Ok(Some(portion))
            }
            Self::Mapped { portions, .. } => match portions.recv().await {
                Some(portion) => Ok(Some(portion)),
                None => match std::mem::replace(self, Self::Ended) {
                    Self::Mapped { thread, .. } => thread.await.unwrap_or_else(|_| Err(panicked())).map(|()| None),
                    _ => Ok(None),
                },
            },
            Self::Ended => Ok(None),
        }
    }
}

/// Mapping computes for milliseconds on end: on a thread of the runtime it would hold up what reads and
/// writes.
fn map(
    mapping: &Mapping,
    mut stage: Box<dyn StageReader>,
    mapped: &mpsc::Sender<Portion>,
    runtime: &Handle,
) -> Result<()> {
    let mut rows = mapping.rows();
    while let Some(mut batch) = runtime.block_on(stage.next())? {
        let mut portion = Portion::of(&mut batch);
        let (batch, rejects) = mapping.map(Arc::new(batch), &mut rows)?;
        portion.batch = batch.map(|batch| Batch::Cdm(Box::new(batch)));
        portion.rejects.extend(rejects);
        if mapped.blocking_send(portion).is_err() {
            // The load was given up.
            break;
        }
    }
    Ok(())
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

fn is_empty(batch: &Batch) -> bool {
    match batch {
        Batch::Raw(batch) => batch.is_empty(),
        Batch::Cdm(batch) => batch.is_empty(),
    }
}
