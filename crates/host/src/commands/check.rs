use serde_json::{Value, json};

use super::site;
use crate::{
    answer::Answer,
    app::App,
    endpoints::{find, open},
    failure::{Exit, Failure},
    table::Table,
};

/// Looks whether endpoints can be used. One that cannot does not keep the others from being looked at.
pub(crate) async fn check(app: &App, ids: &[String]) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let endpoints = if ids.is_empty() {
        settings.endpoints.iter().collect()
    } else {
        ids.iter().map(|id| find(&settings, id)).collect::<Result<Vec<_>, _>>()?
    };
    let mut table = Table::new(&["ENDPOINT", "CHECK", "", "DETAIL"]).wrapped(&["DETAIL"]);
    let mut reports = Vec::new();
    let mut exit = Exit::Ok;
    for endpoint in endpoints {
        let opened = open(app, &settings, endpoint).await?;
        let mut report = opened.endpoint.check().await?;
        if report.ok() {
            site::check(app, &settings, &opened, &mut report).await?;
        }
        opened.endpoint.close().await?;
        if !report.ok() {
            exit = Exit::Failed;
        }
        let checks: Vec<Value> = report
            .checks
            .iter()
            .map(|check| json!({ "name": check.name, "ok": check.ok, "detail": check.detail }))
            .collect();
        for check in &report.checks {
            let mark = if check.ok { "ok" } else { "FAILED" };
            table.row([endpoint.id.to_string(), check.name.to_owned(), mark.to_owned(), check.detail.clone()]);
        }
        reports.push(json!({
            "id": endpoint.id,
            "driver": opened.driver.id(),
            "ok": report.ok(),
            "server_version": report.server_version,
            "checks": checks,
        }));
    }
    Ok(Answer::new("endpoints", reports, table.render(app.width)).exit(exit))
}
