use async_trait::async_trait;

use crate::Result;

/// Where messages wait until they have been delivered, beside the data that they tell of.
///
/// A message is put there in the transaction in which what it tells of becomes true: with a slice
/// ([`Commit::messages`](crate::Commit)), with the end of a run ([`Run::finish`](crate::Run::finish)), or in one of
/// its own ([`put`](Self::put)). So nobody is told of data that is not there, and nobody who was not reachable
/// misses anything.
///
/// A message is delivered at least once: whoever dies after delivering it and before saying so has it delivered
/// again, with the same id and the same bytes.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Puts messages, in a transaction of their own. In a sink their queues are ingestions that have had a run.
    ///
    /// A message is put once: one whose id its queue has already, waiting or delivered, MUST be passed over. An id
    /// may be forgotten once it is delivered and its queue has a message about something else.
    async fn put(&self, messages: &[Message]) -> Result<()>;

    /// The messages that wait, at most `limit`: those of one queue MUST come in the order in which they were put,
    /// beginning with the first that waits. None where the sink is not provisioned yet.
    async fn waiting(&self, limit: usize) -> Result<Vec<Waiting>>;

    /// These have been delivered, and wait no more. One that is marked as delivered already is no error.
    ///
    /// What was delivered MUST NOT make the outbox grow for ever: its place is used again.
    async fn delivered(&self, messages: &[Waiting]) -> Result<()>;
}

/// Something to be told to others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Messages of one queue are delivered in their order. That of a run is the key of its ingestion.
    pub queue: String,
    /// What it is about: the id of a run.
    pub about: String,
    /// What tells it from every other message of its queue: the same is never put twice.
    pub id: String,
    /// What is told. It carries no secret and no cell value.
    pub payload: String,
}

impl Message {
    /// A message.
    pub fn new(
        queue: impl Into<String>,
        about: impl Into<String>,
        id: impl Into<String>,
        payload: impl Into<String>,
    ) -> Self {
        Self { queue: queue.into(), about: about.into(), id: id.into(), payload: payload.into() }
    }
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// Its queue.
    pub queue: String,
    /// Its place in the queue.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// What is to be told.
    pub payload: String,
}

impl Waiting {
    /// A message at its place.
    pub fn new(queue: impl Into<String>, number: u64, id: impl Into<String>, payload: impl Into<String>) -> Self {
        Self { queue: queue.into(), number, id: id.into(), payload: payload.into() }
    }
}
