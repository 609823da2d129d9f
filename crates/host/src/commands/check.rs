use endpoint_api::CheckReport;
use serde_json::{Map, Value, json};

use super::site;
use crate::{
    answer::Answer,
    app::App,
    config::{EndpointSettings, Settings},
    endpoints::{find, open},
    failure::{Exit, Failure},
    table::Table,
};

/// Checks whether endpoints can be used. One that cannot, not even be opened, does not keep the others from being
/// checked.
pub(crate) async fn check(app: &App, ids: &[String]) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let endpoints = if ids.is_empty() {
        settings.endpoints.iter().collect()
    } else {
        ids.iter().map(|id| find(&settings, id)).collect::<Result<Vec<_>, _>>()?
    };
    let mut table = Table::new(&["ENDPOINT", "CHECK", "", "DETAIL"]).wrapped(&["DETAIL"]);
    let mut reports = Vec::new();
    let mut first_failure = None;
    let mut exit = Exit::Ok;
    for endpoint in endpoints {
        match check_one(app, &settings, endpoint).await {
            Ok((driver, report)) => {
                if !report.ok() {
                    exit = exit.or(Exit::Failed);
                }
                for check in &report.checks {
                    let mark = if check.ok { "ok" } else { "FAILED" };
                    table.row([endpoint.id.to_string(), check.name.to_owned(), mark.to_owned(), check.detail.clone()]);
                }
                reports.push(as_json(endpoint, driver, &report));
            }
            Err(failure) => {
                exit = exit.or(failure.exit());
                let row = [endpoint.id.to_string(), "open".to_owned(), "FAILED".to_owned(), failure.to_string()];
                table.row(row);
                reports.push(json!({ "id": endpoint.id, "ok": false, "checks": [], "error": failure.to_json() }));
                first_failure.get_or_insert(failure);
            }
        }
    }
    let mut json = Map::from_iter([("endpoints".to_owned(), Value::Array(reports))]);
    if let Some(failure) = first_failure {
        json.insert("error".to_owned(), failure.to_json());
    }
    Ok(Answer::of(json, table.render(app.width)).exit(exit))
}

/// Opens an endpoint and lets it check itself. Returns its driver's id with the report.
async fn check_one(
    app: &App,
    settings: &Settings,
    endpoint: &EndpointSettings,
) -> Result<(&'static str, CheckReport), Failure> {
    let opened = open(app, settings, endpoint).await?;
    let mut report = opened.endpoint.check().await?;
    if report.ok() {
        site::check(app, settings, &opened, &mut report).await?;
    }
    opened.endpoint.close().await?;
    Ok((opened.driver.id(), report))
}

fn as_json(endpoint: &EndpointSettings, driver: &str, report: &CheckReport) -> Value {
    let checks: Vec<Value> = report
        .checks
        .iter()
        .map(|check| json!({ "name": check.name, "ok": check.ok, "detail": check.detail }))
        .collect();
    json!({
        "id": endpoint.id,
        "driver": driver,
        "ok": report.ok(),
        "server_version": report.server_version,
        "checks": checks,
    })
}
