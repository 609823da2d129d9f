use catalog::{Catalog, Dataset, DatasetFilter, LoadFacts, RunFilter, RunOutcome, RunRecord, RunStatus};
use serde_json::{Value, json};

use super::parse;
use crate::{
    answer::Answer,
    app::App,
    failure::{Exit, Failure},
    metadata::{now, open_catalog},
    table::Table,
    times::to_the_minute,
};

const NOTHING_EXPECTED: &str = "nothing is expected of any dataset; `cdm catalog annotate ID --expect-every 24h` and \
                                `--expect-rows 100..5000` say what is\n";

/// Compares datasets with what people expect of them; of all when none is named.
pub(crate) async fn health(app: &App, ids: &[String]) -> Result<Answer, Failure> {
    let wanted = ids.iter().map(|id| parse(id)).collect::<Result<Vec<_>, _>>()?;
    let catalog = open_catalog(&app.settings()?).await?;
    let mut datasets = catalog.datasets(&DatasetFilter::all()).await?;
    if let Some(unknown) = wanted.iter().find(|id| datasets.iter().all(|dataset| dataset.spec.id() != **id)) {
        return Err(Failure::not_found(format!(
            "the catalog has no dataset `{unknown}`; `cdm catalog list` lists them"
        )));
    }
    if datasets.is_empty() {
        let message = "the catalog has no datasets, so there is nothing to check; `cdm units` and `cdm provision` register \
                       them";
        return Err(Failure::not_provisioned(message));
    }
    datasets.retain(|dataset| wanted.is_empty() || wanted.contains(&dataset.spec.id()));
    let now = now();
    let mut table =
        Table::new(&["DATASET", "CHECK", "", "EXPECTED", "FOUND"]).wrapped(&["DATASET", "EXPECTED", "FOUND"]);
    let (mut reports, mut exit, mut is_expected) = (Vec::new(), Exit::Ok, false);
    for dataset in &datasets {
        let runs = Runs::of(catalog.as_ref(), dataset).await?;
        let mut checks = catalog::health(dataset, runs.last_good.as_ref(), now);
        for check in checks.iter_mut().filter(|check| check.name == "freshness") {
            check.found.push_str(&runs.since());
        }
        if checks.is_empty() && wanted.is_empty() {
            continue;
        }
        is_expected |= !checks.is_empty();
        for check in &checks {
            let mark = if check.ok { "ok" } else { "MISSED" };
            table.row([
                dataset.spec.id().to_string(),
                check.name.to_owned(),
                mark.to_owned(),
                check.expected.clone(),
                check.found.clone(),
            ]);
        }
        let ok = checks.iter().all(|check| check.ok);
        exit = if ok { exit } else { Exit::Failed };
        let checks = checks.iter().map(
            |check| json!({ "name": check.name, "ok": check.ok, "expected": check.expected, "found": check.found }),
        );
        reports.push(json!({ "id": dataset.spec.id(), "ok": ok, "checks": checks.collect::<Vec<Value>>() }));
    }
    catalog.close().await?;
    let text = if is_expected { table.render(app.width) } else { NOTHING_EXPECTED.to_owned() };
    Ok(Answer::new("datasets", reports, text).exit(exit))
}

/// The maximum number of runs that succeeded among which one that loaded records is looked for.
const LOOKED_THROUGH: usize = 1000;

/// What the runs of the ingestion that loaded a dataset last say of it.
#[derive(Default)]
struct Runs {
    /// The last one that succeeded and loaded records.
    last_good: Option<LoadFacts>,
    /// One that succeeded after it and read nothing.
    nothing_new: Option<RunRecord>,
    /// One that loaded records after it and failed.
    failed: Option<RunRecord>,
}

impl Runs {
    async fn of(catalog: &dyn Catalog, dataset: &Dataset) -> Result<Self, Failure> {
        let Some(load) = &dataset.last_load else { return Ok(Self::default()) };
        // A catalog that has lost its runs still knows the load.
        let Some(last) = catalog.run(&load.run_id).await? else {
            return Ok(Self { last_good: Some(load.clone()), ..Self::default() });
        };
        let filter = RunFilter::newest(LOOKED_THROUGH).of(&last.name);
        let succeeded = catalog.runs(&filter.with_status(RunStatus::Ended(RunOutcome::Succeeded))).await?;
        let mut succeeded = succeeded.into_iter().filter(|run| {
            run.ingestion.sink == last.ingestion.sink
                && run.ingestion.mode == last.ingestion.mode
                && run.model == last.model
        });
        let newest = succeeded.next();
        let nothing_new = newest.clone().filter(|run| !has_loaded(run));
        match last.status() {
            RunStatus::Running | RunStatus::Ended(RunOutcome::Succeeded) => {
                Ok(Self { last_good: Some(load.clone()), nothing_new, failed: None })
            }
            RunStatus::Ended(_) => {
                let earlier = newest.into_iter().chain(succeeded).find(has_loaded);
                let last_good = earlier.and_then(|run| Some(LoadFacts::new(run.run_id, run.end?.at, None)));
                Ok(Self { last_good, nothing_new, failed: Some(last) })
            }
        }
    }

    /// What happened after the last good load, as the rest of a sentence.
    fn since(&self) -> String {
        let failed = self.failed.as_ref().filter(|_| self.last_good.is_some());
        let failed = failed.map(|run| format!("; run {} loaded records since and {}", run.run_id, run.status()));
        let nothing = self.nothing_new.as_ref().and_then(|run| Some((&run.run_id, run.end.as_ref()?.at)));
        let nothing = nothing.map(|(run, at)| format!("; run {run} found nothing new at {}", to_the_minute(at)));
        failed.into_iter().chain(nothing).collect()
    }
}

/// Whether the sink took records of the run or had them already.
fn has_loaded(run: &RunRecord) -> bool {
    run.end.as_ref().is_some_and(|end| end.counts.total() > end.counts.rejected)
}
