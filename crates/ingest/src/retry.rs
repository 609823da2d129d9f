use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use endpoint_api::{Error, ErrorKind, Result, Retry};
use tokio_util::sync::CancellationToken;

/// Pauses between attempts: growing from a fifth of a second to five seconds, with jitter so that many
/// that failed together do not come back together. After the last one the error stands.
fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(5))
        .with_max_times(5)
        .with_jitter()
        .build()
}

/// Tries `attempt` again while it fails for a passing reason, at most five times with pauses of 0.2 to 5 s
/// between, and until `cancel` is cancelled. `what` is for the log: `opening the run`.
pub async fn retry<T>(
    what: &str,
    cancel: &CancellationToken,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let mut pauses = pauses();
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if !matches!(error.retry(), Retry::Backoff | Retry::OutcomeUnknown) {
            return Err(error);
        }
        let Some(pause) = pauses.next() else { return Err(error) };
        tracing::warn!(%error, ?pause, "{what} failed; trying again");
        tokio::select! {
            () = cancel.cancelled() => return Err(interrupted()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The error of work that was told to stop.
pub(crate) fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "ingest", "the run was told to stop")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_end_and_differ_from_one_process_to_the_next() {
        let some: Vec<Duration> = pauses().collect();
        assert_eq!(some.len(), 5);
        assert!(some[0] >= Duration::from_millis(200) && some[4] > some[0], "{some:?}");
        assert!(some.iter().all(|pause| *pause <= Duration::from_secs(10)), "{some:?}");
        // As good as certain: five numbers of 24 random bits.
        assert_ne!(some, pauses().collect::<Vec<_>>());
    }
}
