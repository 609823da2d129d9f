use std::{convert::Infallible, time::Duration};

use endpoint_api::{Error, ErrorKind};
use tokio::time::sleep;

use crate::{Job, OnOverlap};

/// A wait that is over sooner is not mentioned.
const FIRST: Duration = Duration::from_secs(1);
/// How often a wait that goes on is mentioned again.
const AGAIN: Duration = Duration::from_secs(60);

/// While a run of the job waits to be opened: logs which other run it waits for, who works on that one and since when.
pub(crate) async fn tell_of_waiting(job: &Job<'_>) -> Infallible {
    let (OnOverlap::Wait, Some(watch)) = (job.options.on_overlap, job.sink.run_watch()) else {
        return std::future::pending().await;
    };
    sleep(FIRST).await;
    loop {
        match watch.living(&job.ingestion).await {
            Ok(living) => {
                for other in living {
                    let waits = Error::new(ErrorKind::Conflict, "open the run", "waiting for another run to end");
                    tracing::warn!("{}", other.describe(waits));
                }
            }
            Err(error) => tracing::warn!(%error, "waiting for another run to end, and it cannot be told which"),
        }
        sleep(AGAIN).await;
    }
}
