use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use endpoint_api::{Error, ErrorKind, Result, Retry};
use jiff::{SignedDuration, SignedDurationRound, Unit};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Pauses between attempts: they grow from 0.2 to 5 s. Half of a pause or less is random, so that processes that
/// failed together do not come back together.
fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_millis(2500))
        .without_max_times()
        .with_jitter()
        .build()
}

/// The maximum number of times that the same work is begun again at once; after that it waits as for any passing error.
const MOST_AT_ONCE: u32 = 3;

/// Calls `attempt` until it succeeds, fails for a reason that does not pass, or has failed for longer than `retry_for`.
///
/// What is to be done in another way ([`Retry::AtOnce`]) is begun again at once, a few times, whatever `retry_for` says.
/// Between other attempts it pauses for 0.2 to 5 s. `retry_for` counts from the first failure; the last attempt is made when
/// it is over. With zero there is one attempt. Each failure is logged with the number of the
/// attempt, the pause, and for how much longer it is tried; `what` names the work in the log: `opening the run`.
///
/// # Errors
///
/// The error of the last attempt, with the number of attempts and how long they took where there were several;
/// [`ErrorKind::Interrupted`] once `cancel` is cancelled during a pause.
pub async fn retry<T>(
    what: &str,
    retry_for: Duration,
    cancel: &CancellationToken,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let mut pauses = pauses();
    let (mut first_failure, mut at_once) = (None, 0);
    for attempts in 1_u64.. {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) if error.retry() == Retry::AtOnce && at_once < MOST_AT_ONCE && !cancel.is_cancelled() => {
                at_once += 1;
                tracing::info!(%error, "{what} begins again at once, to be done in another way");
                continue;
            }
            Err(error) if !passes(&error) => return Err(error),
            Err(error) => error,
        };
        let failing_for = first_failure.get_or_insert_with(Instant::now).elapsed();
        let left = retry_for.saturating_sub(failing_for);
        let pause = pauses.next().unwrap_or_default().min(left);
        if pause.is_zero() {
            return Err(if attempts == 1 {
                error
            } else {
                error.with("attempts", attempts).with("retried for", shown(failing_for))
            });
        }
        tracing::warn!(
            %error,
            "{what} failed at attempt {attempts}; trying again in {}, for {} more",
            shown(pause),
            shown(left)
        );
        tokio::select! {
            () = cancel.cancelled() => return Err(interrupted()),
            () = sleep(pause) => {}
        }
    }
    Err(interrupted())
}

/// Whether the same work may succeed after a pause.
pub fn passes(error: &Error) -> bool {
    matches!(error.retry(), Retry::Backoff | Retry::AtOnce | Retry::OutcomeUnknown)
}

/// A duration as people read it, `1m 40s`: to the second, below ten seconds to the tenth.
fn shown(duration: Duration) -> String {
    let exact = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    let unit = if duration < Duration::from_secs(10) { (Unit::Millisecond, 100) } else { (Unit::Second, 1) };
    let round = SignedDurationRound::new().smallest(unit.0).increment(unit.1);
    format!("{:#}", exact.round(round).unwrap_or(exact))
}

/// The error of work that was told to stop.
pub(crate) fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "ingest", "the run was told to stop")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_seconds_and_differ_from_one_process_to_the_next() {
        let some: Vec<Duration> = pauses().take(20).collect();
        assert_eq!(some.len(), 20, "they do not end");
        assert!(some[0] >= Duration::from_millis(200) && some[4] > some[0], "{some:?}");
        assert!(some.iter().all(|pause| *pause <= Duration::from_secs(5)), "{some:?}");
        // As good as certain: numbers of 24 random bits.
        assert_ne!(some, pauses().take(20).collect::<Vec<_>>());
    }

    async fn give_up_after(retry_for: Duration) -> (Error, Duration) {
        let began = Instant::now();
        let failing = async || Err::<(), _>(Error::new(ErrorKind::Unavailable, "connect", "nobody is there"));
        let error = retry("connecting", retry_for, &CancellationToken::new(), failing).await.unwrap_err();
        (error, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_tried_for_as_long_as_it_is_told_and_the_error_says_so() {
        for seconds in [1, 30, 120] {
            let (error, took) = give_up_after(Duration::from_secs(seconds)).await;
            // A paused clock is rounded up to the millisecond.
            let (least, most) = (Duration::from_secs(seconds), Duration::from_millis(seconds * 1000 + 100));
            assert!(took >= least && took <= most, "{took:?}");
            assert!(error.to_string().starts_with("nobody is there (attempts: "), "{error}");
        }
        let (error, _) = give_up_after(Duration::from_secs(120)).await;
        assert!(error.to_string().ends_with(", retried for: 2m)"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn with_no_time_there_is_one_attempt() {
        let (error, took) = give_up_after(Duration::ZERO).await;
        assert_eq!((error.to_string().as_str(), took), ("nobody is there", Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_in_another_way_takes_no_time_and_has_an_end() {
        for (failures, succeeds) in [(3, true), (4, false)] {
            let (mut left, began) = (failures, Instant::now());
            let attempt = async || {
                left -= 1;
                let error = Error::new(ErrorKind::Data, "load", "a row is refused").with_retry(Retry::AtOnce);
                if left >= 0 { Err(error) } else { Ok(()) }
            };
            let done = retry("loading", Duration::ZERO, &CancellationToken::new(), attempt).await;
            assert_eq!((done.is_ok(), began.elapsed()), (succeeds, Duration::ZERO), "{failures}");
        }
    }

    #[test]
    fn durations_are_shown_for_people() {
        for (milliseconds, text) in [(230, "200ms"), (1_240, "1s 200ms"), (100_000, "1m 40s"), (3_600_400, "1h")] {
            assert_eq!(shown(Duration::from_millis(milliseconds)), text);
        }
    }
}
