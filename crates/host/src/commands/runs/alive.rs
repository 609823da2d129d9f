use std::{collections::BTreeMap, time::Duration};

use catalog::{Catalog, RunRecord};
use endpoint_api::{EndpointId, Ingestion, RunId};
use tokio::time::{sleep, timeout};

use crate::{app::App, config::Settings, endpoints, failure::Failure};

/// A sink that has not answered after this is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between the end of a run in its sink and in the catalog there may be as much.
const SETTLING: Duration = Duration::from_millis(300);

/// Whether a run that has not ended is alive, as its sink says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alive {
    Yes,
    /// Its process has died.
    No,
    /// The sink is not configured any more, cannot be reached or cannot tell.
    Unknown,
}

/// A run, and of one that has not ended whether it is alive.
pub(super) struct Seen {
    pub(super) run: RunRecord,
    pub(super) alive: Option<Alive>,
}

/// Asks the sinks of the runs that have not ended whether these are alive.
pub(super) async fn look(
    app: &App,
    settings: &Settings,
    catalog: &dyn Catalog,
    runs: Vec<RunRecord>,
) -> Result<Vec<Seen>, Failure> {
    let mut asked: BTreeMap<EndpointId, BTreeMap<Ingestion, Vec<RunId>>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.end.is_none()) {
        asked.entry(run.ingestion.sink.clone()).or_default().entry(run.ingestion.clone()).or_default();
    }
    let mut answers = BTreeMap::new();
    for (sink, ingestions) in asked {
        let living = timeout(PATIENCE, living(app, settings, &sink, ingestions.into_keys())).await;
        answers.insert(sink, living.ok().flatten());
    }
    let mut seen = Vec::with_capacity(runs.len());
    let mut has_waited = false;
    for mut run in runs {
        let alive = match (&run.end, answers.get(&run.ingestion.sink)) {
            (Some(_), _) => None,
            (None, Some(Some(living))) if living.contains(&run.run_id) => Some(Alive::Yes),
            (None, Some(Some(_))) => {
                // It may have ended while the sink was asked.
                if !std::mem::replace(&mut has_waited, true) {
                    sleep(SETTLING).await;
                }
                let attempt = run.attempt;
                run = catalog.run(&run.run_id).await?.unwrap_or(run);
                match (&run.end, run.attempt == attempt) {
                    (Some(_), _) => None,
                    (None, true) => Some(Alive::No),
                    (None, false) => Some(Alive::Yes),
                }
            }
            (None, _) => Some(Alive::Unknown),
        };
        seen.push(Seen { run, alive });
    }
    Ok(seen)
}

/// The runs of these ingestions that are alive in the sink; `None` when it cannot tell.
async fn living(
    app: &App,
    settings: &Settings,
    sink: &EndpointId,
    ingestions: impl Iterator<Item = Ingestion>,
) -> Option<Vec<RunId>> {
    let opened = match endpoints::open(app, settings, settings.endpoint(sink.as_str())?).await {
        Ok(opened) => opened,
        Err(failure) => {
            tracing::info!("the runs of `{sink}` cannot be verified: {failure}");
            return None;
        }
    };
    let watch = opened.endpoint.sink().and_then(|sink| sink.run_watch());
    let mut living = Some(Vec::new());
    for ingestion in ingestions {
        let found = match watch {
            Some(watch) => watch.living(&ingestion).await,
            None => break,
        };
        match (found, &mut living) {
            (Ok(found), Some(living)) => living.extend(found.into_iter().map(|run| run.run_id)),
            (Err(error), _) => {
                tracing::info!(%error, "the runs of `{sink}` cannot be verified");
                living = None;
            }
            (Ok(_), None) => {}
        }
    }
    if let Err(error) = opened.endpoint.close().await {
        tracing::debug!(%error, "`{sink}` was not closed in good order");
    }
    living.filter(|_| watch.is_some())
}
