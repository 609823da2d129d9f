use catalog::DatasetFilter;
use serde_json::{Value, json};

use super::parse;
use crate::{
    answer::Answer,
    app::App,
    failure::{Exit, Failure},
    metadata::{now, open_catalog},
    table::Table,
};

const NOTHING_EXPECTED: &str = "nothing is expected of any dataset; `cdm catalog annotate ID --expect-every 24h` and \
                                `--expect-rows 100..5000` say what is\n";

/// Compares datasets with what people expect of them; of all when none is named.
pub(crate) async fn health(app: &App, ids: &[String]) -> Result<Answer, Failure> {
    let wanted = ids.iter().map(|id| parse(id)).collect::<Result<Vec<_>, _>>()?;
    let catalog = open_catalog(&app.settings()?).await?;
    let mut datasets = catalog.datasets(&DatasetFilter::all()).await?;
    catalog.close().await?;
    if let Some(unknown) = wanted.iter().find(|id| datasets.iter().all(|dataset| dataset.spec.id() != **id)) {
        return Err(Failure::not_found(format!(
            "the catalog has no dataset `{unknown}`; `cdm catalog list` lists them"
        )));
    }
    datasets.retain(|dataset| wanted.is_empty() || wanted.contains(&dataset.spec.id()));
    let now = now();
    let mut table =
        Table::new(&["DATASET", "CHECK", "", "EXPECTED", "FOUND"]).wrapped(&["DATASET", "EXPECTED", "FOUND"]);
    let (mut reports, mut exit, mut is_expected) = (Vec::new(), Exit::Ok, false);
    for dataset in &datasets {
        let checks = catalog::health(dataset, now);
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
    let text = if is_expected { table.render(app.width) } else { NOTHING_EXPECTED.to_owned() };
    Ok(Answer::new("datasets", reports, text).exit(exit))
}
