//! `cdm ingest`: first everything that was asked for is checked, then run after run is carried out.

mod execute;
mod given_up;
mod prepare;
mod run_log;

use std::{collections::BTreeMap, num::NonZeroUsize, time::Duration};

use catalog::Catalog;
use endpoint_api::EndpointId;
use ingest::{MaxRejects, OnOverlap, Options};
use serde_json::Value;

use self::given_up::GivenUp;

use super::runs::{self, Outcome};
use crate::{
    answer::Answer,
    app::App,
    config::{IngestionSettings, Settings},
    endpoints::{Opened, find, open},
    failure::{Exit, Failure, unknown},
    lineage::{Reporting, Transport},
    metadata::{open_catalog, register_endpoint},
};

/// What the command line asks of all runs; what it does not say is as configured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) full: bool,
    pub(crate) max_rejects: Option<MaxRejects>,
    pub(crate) on_overlap: Option<OnOverlap>,
    pub(crate) retry_for: Option<Duration>,
    pub(crate) parallel: NonZeroUsize,
}

impl Default for Asked {
    fn default() -> Self {
        Self { full: false, max_rejects: None, on_overlap: None, retry_for: None, parallel: Options::PARALLEL }
    }
}

impl Asked {
    /// The options of a run of this ingestion.
    fn options(&self, settings: &IngestionSettings) -> Options {
        Options {
            full: self.full,
            max_rejects: self.max_rejects.or(settings.max_rejects),
            on_overlap: self.on_overlap.or(settings.on_overlap).unwrap_or_default(),
            retry_for: self.retry_for.or(settings.retry_for).unwrap_or(Options::RETRY_FOR),
            parallel: self.parallel,
            ..Options::default()
        }
    }
}

/// Carries out the ingestions of these names, or all. One that fails does not keep the others from
/// being tried.
pub(crate) async fn ingest(app: &App, names: &[String], asked: Asked) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let wanted = choose(&settings, names)?;
    let endpoints = open_endpoints(app, &settings, &wanted).await?;
    let catalog = open_catalog(&settings).await?;
    let mut ready = Vec::with_capacity(wanted.len());
    for ingestion in wanted {
        ready.push(prepare::prepare(app, ingestion, asked.options(ingestion), &endpoints).await?);
    }
    for opened in endpoints.values() {
        register_endpoint(catalog.as_ref(), opened).await?;
    }
    let mut given_up = GivenUp::default();
    for ready in &mut ready {
        ready.admit(app, catalog.as_ref(), &mut given_up).await?;
    }

    let reporting = match &settings.lineage {
        Some(lineage) => {
            let transport = Transport::of(lineage, &settings.base_dir, app.output)?;
            Some(Reporting::new(lineage, transport, catalog.as_ref(), endpoints.values()))
        }
        None => None,
    };
    let mut outcomes = Vec::with_capacity(ready.len());
    let (mut failures, mut exit) = (Vec::new(), Exit::Ok);
    let work = async {
        for ready in ready {
            if app.signals.cancel().is_cancelled() {
                break;
            }
            let ran = execute::execute(app, catalog.as_ref(), ready, reporting.as_ref(), &mut given_up).await;
            outcomes.push(Outcome { run: ran.record, open_rejects: ran.open_rejects });
            exit = exit.or(ran.exit);
            failures.extend(ran.failure);
        }
    };
    match &reporting {
        Some(reporting) => reporting.courier.beside(work).await,
        None => work.await,
    }
    if let Some(signal) = app.signals.exit() {
        exit = signal;
        if failures.is_empty() {
            failures.push(Failure::interrupted(signal));
        }
    }
    close(catalog.as_ref(), &endpoints).await;
    Ok(answer(app, &outcomes).failed(failures).exit(exit))
}

fn answer(app: &App, outcomes: &[Outcome]) -> Answer {
    let json: Vec<Value> = outcomes.iter().map(Outcome::to_json).collect();
    Answer::new("runs", json, runs::outcome(outcomes, app.width))
}

/// The ingestions of these names in the order of the names; all in the order of the file when there is
/// none.
fn choose<'s>(settings: &'s Settings, names: &[String]) -> Result<Vec<&'s IngestionSettings>, Failure> {
    let known: Vec<&str> = settings.ingestions.iter().map(|ingestion| ingestion.name.as_str()).collect();
    if known.is_empty() {
        return Err(Failure::config("ingest", "nothing is configured; write an [ingest.NAME] for each unit to load"));
    }
    if names.is_empty() {
        return Ok(settings.ingestions.iter().collect());
    }
    let find = |name: &String| {
        let found = settings.ingestions.iter().find(|ingestion| ingestion.name == *name);
        found.ok_or_else(|| Failure::usage(unknown("ingestion", name, "configured", &known)))
    };
    names.iter().map(find).collect()
}

/// Opens every endpoint that is needed, once.
async fn open_endpoints(
    app: &App,
    settings: &Settings,
    wanted: &[&IngestionSettings],
) -> Result<BTreeMap<EndpointId, Opened>, Failure> {
    let mut endpoints = BTreeMap::new();
    for ingestion in wanted {
        for (key, id) in [("source", &ingestion.source), ("sink", &ingestion.sink)] {
            let endpoint = find(settings, id.as_str()).map_err(|failure| failure.at(ingestion.path(key)))?;
            if !endpoints.contains_key(id) {
                endpoints.insert(id.clone(), open(app, settings, endpoint).await?);
            }
        }
    }
    Ok(endpoints)
}

/// Looks whether an ingestion fits its endpoints, which are open: it needs the unit, the mode and the model. Says what
/// is loaded into what.
pub(crate) async fn check(
    app: &App,
    settings: &Settings,
    ingestion: &IngestionSettings,
    endpoints: &BTreeMap<EndpointId, Opened>,
) -> Result<String, Failure> {
    for (key, id) in [("source", &ingestion.source), ("sink", &ingestion.sink)] {
        find(settings, id.as_str()).map_err(|failure| failure.at(ingestion.path(key)))?;
    }
    let ready = prepare::prepare(app, ingestion, Asked::default().options(ingestion), endpoints).await?;
    let rows = match &ready.mapping {
        Some(mapping) => format!("rows of {}", mapping.model().id),
        None => "raw records".to_owned(),
    };
    Ok(format!("{} of `{}` into `{}` as {rows}", ingestion.unit, ingestion.source, ingestion.sink))
}

/// What was loaded is loaded: nothing that fails here changes that.
async fn close(catalog: &dyn Catalog, endpoints: &BTreeMap<EndpointId, Opened>) {
    let warn = |what: &str, error: endpoint_api::Error| tracing::warn!(%error, "{what} was not closed in good order");
    if let Err(error) = catalog.close().await {
        warn("the catalog", error);
    }
    for opened in endpoints.values() {
        if let Err(error) = opened.endpoint.close().await {
            warn(opened.id.as_str(), error);
        }
    }
}
