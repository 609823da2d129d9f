use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use endpoint_api::{Error, ErrorKind, Outbox, Result, Waiting};
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Transport, transport::Sent};

/// So many messages are taken out of an outbox at once.
const BATCH: usize = 100;

/// After something was put into an outbox, so long is waited for more.
const GATHERING: Duration = Duration::from_millis(200);

/// Delivers what waits in outboxes.
pub(crate) struct Courier<'a> {
    transport: Arc<Transport>,
    outboxes: Vec<&'a dyn Outbox>,
    /// Told when there may be something to deliver.
    news: Arc<Notify>,
    /// For so long is delivered when the work is done; for as long as it takes when there is no limit.
    patience: Option<Duration>,
    /// When that ends, once the work is done.
    deadline: OnceLock<Option<Instant>>,
}

/// What became of what waited.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// How many messages were delivered, also those that the receiver refuses for good.
    pub(crate) delivered: u64,
    /// How many of these the receiver refuses.
    pub(crate) refused: u64,
    /// Why not all were delivered.
    pub(crate) failure: Option<Error>,
}

impl<'a> Courier<'a> {
    /// A courier that goes on for `patience` when the work beside it is done.
    pub(crate) fn new(transport: Transport, outboxes: Vec<&'a dyn Outbox>, patience: Option<Duration>) -> Self {
        Self {
            transport: Arc::new(transport),
            outboxes,
            news: Arc::new(Notify::new()),
            patience,
            deadline: OnceLock::new(),
        }
    }

    /// Is told when there may be something to deliver.
    pub(crate) fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }

    /// Does the work and delivers beside it, and for a while after it.
    pub(crate) async fn beside<T>(&self, work: impl Future<Output = T>) -> T {
        let done = CancellationToken::new();
        let work = async {
            let came_to = work.await;
            self.set_deadline();
            done.cancel();
            came_to
        };
        let (came_to, ()) = tokio::join!(work, self.deliver_until(&done));
        let delivery = self.deliver_rest().await;
        if let Some(error) = delivery.failure {
            tracing::warn!(%error, "events could not be delivered; they wait for the next `cdm ingest` of their sink \
                                    or for `cdm lineage flush`");
        }
        came_to
    }

    /// The work is done; says until when may be delivered.
    fn set_deadline(&self) -> Option<Instant> {
        *self.deadline.get_or_init(|| self.patience.map(|patience| Instant::now() + patience))
    }

    /// Delivers what there is to deliver, until the work is done.
    async fn deliver_until(&self, done: &CancellationToken) {
        let mut pauses = pauses(Duration::from_secs(30), None);
        while !done.is_cancelled() {
            let pause = match self.deliver().await.failure {
                None => {
                    pauses = self::pauses(Duration::from_secs(30), None);
                    tokio::select! {
                        () = self.news.notified() => {}
                        () = done.cancelled() => {}
                    }
                    GATHERING
                }
                Some(error) => {
                    tracing::debug!(%error, "events could not be delivered; trying again");
                    pauses.next().unwrap_or(GATHERING)
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = done.cancelled() => {}
            }
        }
    }

    /// Delivers what still waits, with a few attempts and for a limited time.
    pub(crate) async fn deliver_rest(&self) -> Delivery {
        let deadline = self.set_deadline();
        let mut pauses = pauses(Duration::from_secs(1), Some(3));
        let mut all = Delivery::default();
        loop {
            let delivery = self.deliver().await;
            all.delivered += delivery.delivered;
            all.refused += delivery.refused;
            all.failure = delivery.failure;
            match pauses.next().filter(|pause| all.failure.is_some() && is_before(Instant::now() + *pause, deadline)) {
                Some(pause) => sleep(pause).await,
                None => return all,
            }
        }
    }

    /// Delivers what waits in each outbox, in its order, until one message cannot be delivered.
    async fn deliver(&self) -> Delivery {
        let mut delivery = Delivery::default();
        for outbox in &self.outboxes {
            if let Err(error) = self.empty(*outbox, &mut delivery).await {
                delivery.failure.get_or_insert(error);
                // Another outbox may be within reach when this one is not; the receiver is the same for all.
            }
        }
        delivery
    }

    async fn empty(&self, outbox: &dyn Outbox, delivery: &mut Delivery) -> Result<()> {
        loop {
            let waiting = outbox.waiting(BATCH).await?;
            if waiting.is_empty() {
                return Ok(());
            }
            let mut delivered = Vec::with_capacity(waiting.len());
            let mut sent = Ok(());
            for message in waiting {
                match self.send(&message).await {
                    Ok(Sent::Taken) => {}
                    Ok(Sent::Refused(status)) => {
                        tracing::warn!(id = message.id, status, "the OpenLineage endpoint refuses an event for good");
                        delivery.refused += 1;
                    }
                    Err(error) => {
                        sent = Err(error);
                        break;
                    }
                }
                delivered.push(message);
            }
            delivery.delivered += u64::try_from(delivered.len()).unwrap_or(u64::MAX);
            if !delivered.is_empty() {
                outbox.delivered(&delivered).await?;
            }
            sent?;
        }
    }

    async fn send(&self, message: &Waiting) -> Result<Sent> {
        if !is_before(Instant::now(), self.deadline.get().copied().flatten()) {
            return Err(Error::new(ErrorKind::Unavailable, "deliver an event", "there was not enough time for all"));
        }
        let (transport, message) = (Arc::clone(&self.transport), message.clone());
        let sent = spawn_blocking(move || transport.send(&message)).await;
        sent.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "deliver an event", "the work was cut short")))
    }
}

fn is_before(moment: Instant, deadline: Option<Instant>) -> bool {
    deadline.is_none_or(|deadline| moment < deadline)
}

/// Pauses that grow from a tenth of a second to `longest`, with jitter.
fn pauses(longest: Duration, times: Option<usize>) -> impl Iterator<Item = Duration> {
    let pauses =
        ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_delay(longest).with_jitter();
    match times {
        Some(times) => pauses.with_max_times(times).build(),
        None => pauses.without_max_times().build(),
    }
}
