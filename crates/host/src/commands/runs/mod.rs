//! `cdm runs`: what ran, and how it went.

mod alive;
mod text;

use catalog::{Catalog, RunFilter, RunOutcome, RunRecord, RunStatus};
use clap::ValueEnum;
use endpoint_api::RunId;
use serde_json::{Value, json};

pub(crate) use self::text::{Outcome, outcome};
use self::{
    alive::{Alive, Seen},
    text::{details, history},
};
use crate::{
    answer::Answer,
    app::App,
    failure::{Failure, unknown},
    metadata::{now, open_catalog},
    times::parse_since,
};

/// An ending of a run's id is at least so long: a shorter one would soon be that of another run, too.
const SHORTEST_ENDING: usize = 6;

/// A catalog is not asked for more runs than this whose ends are not on record.
const MOST_RUNNING: usize = 1000;

/// The statuses of runs, as scripts see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    Running,
    Lost,
    Succeeded,
    Failed,
    Interrupted,
    Fenced,
    Skipped,
}

impl State {
    /// Those of a run that may need attention.
    pub(crate) const NOT_SUCCEEDED: [Self; 4] = [Self::Failed, Self::Lost, Self::Interrupted, Self::Fenced];

    /// What the catalog knows of it: a lost run has not ended there.
    fn recorded(self) -> RunStatus {
        match self {
            Self::Running | Self::Lost => RunStatus::Running,
            Self::Succeeded => RunStatus::Ended(RunOutcome::Succeeded),
            Self::Failed => RunStatus::Ended(RunOutcome::Failed),
            Self::Interrupted => RunStatus::Ended(RunOutcome::Interrupted),
            Self::Fenced => RunStatus::Ended(RunOutcome::Fenced),
            Self::Skipped => RunStatus::Ended(RunOutcome::Skipped),
        }
    }
}

/// Which runs are listed.
pub(crate) struct Wanted {
    /// Those with one of these statuses; all when there is none.
    pub(crate) states: Vec<State>,
    /// Those that have been worked on since: a duration or a time.
    pub(crate) since: Option<String>,
    /// Those of the ingestion with this name.
    pub(crate) ingestion: Option<String>,
    pub(crate) limit: usize,
}

impl Wanted {
    fn filter(&self, limit: usize) -> Result<RunFilter, Failure> {
        let since = self.since.as_deref().map(|since| parse_since(since, now())).transpose();
        let filter =
            RunFilter::newest(limit).since(since.map_err(|message| Failure::usage(format!("--since: {message}")))?);
        Ok(match &self.ingestion {
            Some(name) => filter.of(name),
            None => filter,
        })
    }

    /// The runs as the catalog has them. Whether one that has not ended is lost only the sinks know, so more of these
    /// may be among them than are wanted.
    async fn recorded(&self, catalog: &dyn Catalog) -> Result<Vec<RunRecord>, Failure> {
        if self.states.is_empty() {
            return Ok(catalog.runs(&self.filter(self.limit)?).await?);
        }
        let statuses = self.states.iter().map(|state| state.recorded());
        let (running, ended): (Vec<RunStatus>, Vec<RunStatus>) =
            statuses.partition(|status| *status == RunStatus::Running);
        let mut runs = Vec::new();
        for (statuses, limit) in [(running, MOST_RUNNING), (ended, self.limit)] {
            if !statuses.is_empty() {
                let filter = statuses.into_iter().fold(self.filter(limit)?, RunFilter::with_status);
                runs.extend(catalog.runs(&filter).await?);
            }
        }
        runs.sort_by(|one, other| (other.started_at, &other.run_id).cmp(&(one.started_at, &one.run_id)));
        Ok(runs)
    }

    fn wants(&self, seen: &Seen) -> bool {
        let is = |state: &State| match state {
            State::Running => seen.alive.is_some_and(|alive| alive != Alive::No),
            State::Lost => seen.alive == Some(Alive::No),
            ended => seen.run.status() == ended.recorded(),
        };
        self.states.is_empty() || self.states.iter().any(is)
    }
}

/// Lists runs, the newest first.
pub(crate) async fn list(app: &App, wanted: &Wanted) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let catalog = open_catalog(&settings).await?;
    if let Some(name) = &wanted.ingestion {
        let known: Vec<&str> = settings.ingestions.iter().map(|ingestion| ingestion.name.as_str()).collect();
        // An ingestion that is no longer configured may still have runs.
        if !known.contains(&name.as_str()) && catalog.runs(&RunFilter::newest(1).of(name)).await?.is_empty() {
            catalog.close().await?;
            return Err(Failure::not_found(unknown("ingestion", name, "configured", &known)));
        }
    }
    let runs = wanted.recorded(catalog.as_ref()).await?;
    let mut seen = alive::look(app, &settings, catalog.as_ref(), runs).await?;
    catalog.close().await?;
    seen.retain(|seen| wanted.wants(seen));
    seen.truncate(wanted.limit);
    let json: Vec<Value> = seen.iter().map(|seen| to_json(&seen.run, seen.alive)).collect();
    Ok(Answer::new("runs", json, history(&seen, app.width)))
}

/// Shows one run.
pub(crate) async fn show(app: &App, id: &str) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let catalog = open_catalog(&settings).await?;
    let run = find(catalog.as_ref(), id).await?;
    let seen = alive::look(app, &settings, catalog.as_ref(), vec![run]).await?;
    catalog.close().await?;
    let json: Vec<Value> = seen.iter().map(|seen| to_json(&seen.run, seen.alive)).collect();
    Ok(Answer::new("runs", json, seen.iter().map(|seen| details(seen, app.width)).collect::<String>()))
}

/// The run with this id, or the only one whose id ends so.
async fn find(catalog: &dyn Catalog, id: &str) -> Result<RunRecord, Failure> {
    let run_id: RunId = id.parse().map_err(|error: endpoint_api::Error| Failure::usage(error.to_string()))?;
    if let Some(run) = catalog.run(&run_id).await? {
        return Ok(run);
    }
    let mut ending = Vec::new();
    if id.len() >= SHORTEST_ENDING {
        ending = catalog.runs(&RunFilter::newest(2).id_ending(id)).await?;
    }
    match (ending.pop(), ending.pop()) {
        (Some(run), None) => Ok(run),
        (Some(one), Some(other)) => {
            let message = format!("more than one run ends with `{id}`, such as {} and {}", one.run_id, other.run_id);
            Err(Failure::usage(message))
        }
        _ => Err(Failure::not_found(format!("there is no run `{id}`; `cdm runs` lists them"))),
    }
}

/// A run as scripts see it. What is not known before its end is null until then; `alive` is what the sink says of a
/// run that has not ended.
pub(crate) fn to_json(run: &RunRecord, alive: Option<Alive>) -> Value {
    let end = run.end.as_ref();
    let count = |of: fn(&endpoint_api::Counts) -> u64| end.map(|end| of(&end.counts));
    let is_skipped = run.status() == RunStatus::Ended(RunOutcome::Skipped);
    let reason = end.and_then(|end| end.error.as_ref());
    json!({
        "name": run.name,
        "run_id": run.run_id,
        "source": run.ingestion.source,
        "unit": run.ingestion.unit,
        "sink": run.ingestion.sink,
        "mode": run.ingestion.mode,
        "model": run.model,
        "status": if alive == Some(Alive::No) { "lost" } else { run.status().as_str() },
        "verified": alive.map(|alive| alive != Alive::Unknown),
        "read": end.map(|end| end.read),
        "inserted": count(|counts| counts.inserted),
        "updated": count(|counts| counts.updated),
        "unchanged": count(|counts| counts.unchanged),
        "stale": count(|counts| counts.stale),
        "duplicate": count(|counts| counts.duplicate),
        "rejected": count(|counts| counts.rejected),
        "mentions": end.map(|end| end.counts.mentions),
        "incomplete": end.map(|end| &end.incomplete),
        "slices": end.map(|end| end.slices),
        "planned_slices": end.and_then(|end| end.planned),
        "seconds": run.elapsed().map(|elapsed| elapsed.as_secs_f64()),
        "checkpoint": end.and_then(|end| end.checkpoint.as_ref()),
        "error": reason.filter(|_| !is_skipped),
        "skipped_because": reason.filter(|_| is_skipped),
        "attempt": run.attempt.number(),
        "host": run.holder.as_ref().map(|holder| &holder.host),
        "process": run.holder.as_ref().map(|holder| holder.process),
        "started_at": run.started_at.to_string(),
        "attempt_started_at": run.continued_at.to_string(),
        "ended_at": end.map(|end| end.at.to_string()),
    })
}
