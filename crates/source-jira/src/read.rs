use endpoint_api::{RawBatch, Result};
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    error::{joined, spawn, stopped},
    stop::{Stop, StopOnDrop},
};

/// So many batches wait for who takes them, while the next one is read.
const AHEAD: usize = 1;

/// Work that hands batches over until it is told that nobody takes them.
type Work = Box<dyn FnOnce(&Stop, &mut dyn FnMut(RawBatch) -> Result<()>) -> Result<()> + Send>;

enum Reading {
    /// Nobody has asked for a batch yet.
    Idle(Work),
    Running(Running),
    Ended,
}

struct Running {
    batches: mpsc::Receiver<RawBatch>,
    thread: JoinHandle<Result<()>>,
    _stop_on_drop: StopOnDrop,
}

/// The batches of `work`, which does file work: it runs on a thread of its own from the first time
/// that the stream is polled, and stops when the stream is dropped.
pub(crate) fn batches(
    work: impl FnOnce(&Stop, &mut dyn FnMut(RawBatch) -> Result<()>) -> Result<()> + Send + 'static,
) -> BoxStream<'static, Result<RawBatch>> {
    stream::unfold(Reading::Idle(Box::new(work)), |reading| async move {
        let mut running = match reading {
            Reading::Idle(work) => match start(work) {
                Ok(running) => running,
                Err(error) => return Some((Err(error), Reading::Ended)),
            },
            Reading::Running(running) => running,
            Reading::Ended => return None,
        };
        match running.batches.recv().await {
            Some(batch) => Some((Ok(batch), Reading::Running(running))),
            None => {
                let outcome = joined("read", running.thread.await);
                outcome.err().map(|error| (Err(error), Reading::Ended))
            }
        }
    })
    .boxed()
}

fn start(work: Work) -> Result<Running> {
    let (taken, batches) = mpsc::channel(AHEAD);
    let stop = Stop::default();
    let _stop_on_drop = stop.on_drop();
    let thread = spawn("read", move || work(&stop, &mut |batch| taken.blocking_send(batch).map_err(|_| stopped())))?;
    Ok(Running { batches, thread, _stop_on_drop })
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use cdm_models::Timestamp;
    use endpoint_api::{EndpointId, Error, ErrorKind, UnitId};
    use futures::FutureExt as _;

    use super::*;

    fn batch() -> RawBatch {
        let unit = UnitId::from_static("jira.issues");
        let observed_at = Timestamp::from_microsecond(0).unwrap();
        RawBatch::builder(unit, EndpointId::from_static("acme"), "issues.jsonl", observed_at).finish()
    }

    #[tokio::test]
    async fn batches_come_in_order_and_an_error_comes_last() {
        let mut stream = batches(|_, hand_over| {
            hand_over(batch())?;
            hand_over(batch())?;
            Err(Error::new(ErrorKind::Data, "read", "damaged"))
        });
        assert!(stream.next().await.unwrap().is_ok());
        assert!(stream.next().await.unwrap().is_ok());
        assert_eq!(stream.next().await.unwrap().unwrap_err().kind(), ErrorKind::Data);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn a_panic_of_the_thread_is_an_error_and_not_the_end() {
        let mut stream = batches(|_, hand_over| {
            hand_over(batch())?;
            panic!("{{\"secret\":1}}");
        });
        assert!(stream.next().await.unwrap().is_ok());
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.to_string().contains("secret")), (ErrorKind::Internal, false));
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn nothing_is_read_before_the_first_poll_and_little_ahead_of_the_next() {
        let handed = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&handed);
        let mut stream = batches(move |_, hand_over| {
            loop {
                hand_over(batch())?;
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(handed.load(Ordering::SeqCst), 0);
        assert!(stream.next().await.unwrap().is_ok());
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(handed.load(Ordering::SeqCst) <= 1 + AHEAD);
    }

    #[tokio::test]
    async fn dropping_the_stream_stops_the_thread_in_whatever_it_does() {
        let (ended, mut has_ended) = mpsc::channel::<()>(1);
        let mut sending = batches({
            let ended = ended.clone();
            move |_, hand_over| {
                let _ended = ended;
                loop {
                    hand_over(batch())?;
                }
            }
        });
        let mut searching = batches(move |stop, _| {
            let _ended = ended;
            std::io::copy(&mut stop.over(std::io::repeat(b'\n')), &mut std::io::sink()).map_err(|_| stopped())?;
            Ok(())
        });
        assert!(sending.next().await.unwrap().is_ok());
        assert!(searching.next().now_or_never().is_none());
        assert!(has_ended.recv().now_or_never().is_none());
        drop(sending);
        drop(searching);
        assert!(tokio::time::timeout(Duration::from_secs(20), has_ended.recv()).await.unwrap().is_none());
    }
}
