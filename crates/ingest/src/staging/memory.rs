use std::sync::Arc;

use async_trait::async_trait;
use endpoint_api::{Error, ErrorKind, RawBatch, Result, RunId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{StageReader, StageWriter, Staging};

/// Stages in memory, each bounded by bytes.
#[derive(Debug, Clone, Copy)]
pub struct MemoryStaging {
    capacity: usize,
}

impl MemoryStaging {
    /// Stages that hold up to about `capacity` bytes each.
    pub const fn new(capacity: usize) -> Self {
        Self { capacity }
    }
}

impl Default for MemoryStaging {
    /// Two MiB a stage: enough to keep both ends busy.
    fn default() -> Self {
        Self::new(2 * 1024 * 1024)
    }
}

/// Room is given out in units of so many bytes.
const UNIT: usize = 1024;

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// A batch with the room that it takes; `None` says that the stage is sealed.
type Message = Option<(RawBatch, OwnedSemaphorePermit)>;

struct Writer {
    room: Arc<Semaphore>,
    capacity: u32,
    batches: mpsc::UnboundedSender<Message>,
}

struct Reader {
    batches: mpsc::UnboundedReceiver<Message>,
    /// The room of the batch that was taken out last.
    taken: Option<OwnedSemaphorePermit>,
}

#[async_trait]
impl Staging for MemoryStaging {
    async fn open(&self, _: &RunId, _: u64) -> Result<(Box<dyn StageWriter>, Box<dyn StageReader>)> {
        let capacity = units(self.capacity).max(1);
        let room = Arc::new(Semaphore::new(usize::try_from(capacity).unwrap_or(Semaphore::MAX_PERMITS)));
        // What is in the channel is bounded by the room.
        let (sender, receiver) = mpsc::unbounded_channel();
        let writer = Writer { room, capacity, batches: sender };
        Ok((Box::new(writer), Box::new(Reader { batches: receiver, taken: None })))
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Internal, "stage", what)
}

#[async_trait]
impl StageWriter for Writer {
    async fn put(&mut self, batch: RawBatch) -> Result<()> {
        let wanted = units(batch.bytes()).clamp(1, self.capacity);
        let permit = Arc::clone(&self.room).acquire_many_owned(wanted).await;
        let permit = permit.map_err(|_| broken("the stage was closed"))?;
        self.batches.send(Some((batch, permit))).map_err(|_| broken("nobody takes batches out any more"))
    }

    async fn seal(self: Box<Self>) -> Result<()> {
        self.batches.send(None).map_err(|_| broken("nobody takes batches out any more"))
    }
}

#[async_trait]
impl StageReader for Reader {
    async fn next(&mut self) -> Result<Option<RawBatch>> {
        self.taken = None;
        match self.batches.recv().await {
            Some(Some((batch, room))) => {
                self.taken = Some(room);
                Ok(Some(batch))
            }
            Some(None) => Ok(None),
            None => Err(broken("the source went away in the middle of a slice")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cdm_models::Timestamp;
    use endpoint_api::{EndpointId, UnitId, batch::NewRecord};
    use tokio::time::timeout;

    use super::*;

    fn batch(bytes: usize) -> RawBatch {
        let mut batch = RawBatch::builder(
            UnitId::from_static("test.things"),
            EndpointId::from_static("acme"),
            "things.jsonl",
            Timestamp::from_microsecond(0).unwrap(),
        );
        batch.push(NewRecord { json: &"x".repeat(bytes), ..NewRecord::default() });
        batch.finish()
    }

    async fn stage(capacity: usize) -> (Box<dyn StageWriter>, Box<dyn StageReader>) {
        let run = RunId::from_static("run-1");
        MemoryStaging::new(capacity).open(&run, 0).await.unwrap()
    }

    /// Whether the future is still waiting after a while.
    async fn waits<T>(future: impl Future<Output = T>) -> bool {
        timeout(Duration::from_millis(50), future).await.is_err()
    }

    #[tokio::test]
    async fn batches_come_out_in_order_and_then_the_end() {
        let (mut writer, mut reader) = stage(1 << 20).await;
        for bytes in [1, 2, 3] {
            writer.put(batch(bytes)).await.unwrap();
        }
        writer.seal().await.unwrap();
        for bytes in [1, 2, 3] {
            assert_eq!(reader.next().await.unwrap().unwrap().record(0).unwrap().json.len(), bytes);
        }
        assert!(reader.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_full_stage_holds_its_source_back() {
        let (mut writer, mut reader) = stage(10_000).await;
        writer.put(batch(6_000)).await.unwrap();
        assert!(waits(writer.put(batch(6_000))).await);
        reader.next().await.unwrap();
        assert!(waits(writer.put(batch(6_000))).await, "what was taken out is still in use");
        assert!(waits(reader.next()).await, "now it is not");
        writer.put(batch(6_000)).await.unwrap();
    }

    #[tokio::test]
    async fn a_batch_larger_than_the_stage_goes_in_alone() {
        let (mut writer, mut reader) = stage(1_000).await;
        writer.put(batch(100_000)).await.unwrap();
        assert!(waits(writer.put(batch(1))).await);
        assert!(reader.next().await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_stage_that_was_not_sealed_has_no_end() {
        let (mut writer, mut reader) = stage(1_000).await;
        writer.put(batch(1)).await.unwrap();
        drop(writer);
        reader.next().await.unwrap();
        assert!(reader.next().await.is_err(), "half a slice must not look like a whole one");
        let (mut writer, reader) = stage(1_000).await;
        drop(reader);
        assert!(writer.put(batch(1)).await.is_err());
    }
}
