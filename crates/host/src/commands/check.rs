use std::collections::BTreeMap;

use endpoint_api::{CheckReport, EndpointId};
use serde_json::{Map, Value, json};

use super::{ingest, site};
use crate::{
    answer::Answer,
    app::App,
    config::{EndpointSettings, IngestionSettings, Settings},
    endpoints::{Opened, find, open},
    failure::{Exit, Failure},
    metadata::check_catalog,
    table::{Table, Width},
};

/// Checks whether endpoints can be used; without names all, and with them `[ingest]` and `[metadata]`. What cannot be
/// used, or not even be opened, does not keep the rest from being checked.
pub(crate) async fn check(app: &App, ids: &[String]) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let endpoints = if ids.is_empty() {
        settings.endpoints.iter().collect()
    } else {
        ids.iter().map(|id| find(&settings, id)).collect::<Result<Vec<_>, _>>()?
    };
    let mut checked = Checked::new();
    for endpoint in endpoints {
        checked.endpoint(app, &settings, endpoint).await;
    }
    if ids.is_empty() {
        checked.metadata(&settings).await;
        for ingestion in &settings.ingestions {
            checked.ingestion(app, &settings, ingestion).await;
        }
    }
    for opened in checked.opened.values() {
        opened.endpoint.close().await?;
    }
    Ok(checked.answer(app.width))
}

/// What was checked so far.
struct Checked {
    /// The endpoints that could be opened.
    opened: BTreeMap<EndpointId, Opened>,
    endpoints: Table,
    configuration: Option<Table>,
    json: Map<String, Value>,
    first_failure: Option<Failure>,
    exit: Exit,
}

const OK: &str = "ok";
const WARNING: &str = "warning";
const FAILED: &str = "FAILED";

impl Checked {
    fn new() -> Self {
        Self {
            opened: BTreeMap::new(),
            endpoints: Table::new(&["ENDPOINT", "CHECK", "", "DETAIL"]).wrapped(&["DETAIL"]),
            configuration: None,
            json: Map::from_iter([("endpoints".to_owned(), json!([]))]),
            first_failure: None,
            exit: Exit::Ok,
        }
    }

    fn failed(&mut self, failure: Failure) {
        self.exit = self.exit.or(failure.exit());
        self.first_failure.get_or_insert(failure);
    }

    fn push(&mut self, list: &str, value: Value) {
        let list = self.json.entry(list.to_owned()).or_insert_with(|| json!([]));
        list.as_array_mut().into_iter().for_each(|list| list.push(value.clone()));
    }

    /// Opens an endpoint and lets it check itself.
    async fn endpoint(&mut self, app: &App, settings: &Settings, endpoint: &EndpointSettings) {
        match self.check_endpoint(app, settings, endpoint).await {
            Ok((driver, report)) => {
                if !report.ok() {
                    self.exit = self.exit.or(Exit::Failed);
                }
                for check in &report.checks {
                    let mark = match (check.ok, check.is_warning) {
                        (true, false) => OK,
                        (true, true) => WARNING,
                        (false, _) => FAILED,
                    };
                    let row = [endpoint.id.to_string(), check.name.to_owned(), mark.to_owned(), check.detail.clone()];
                    self.endpoints.row(row);
                }
                self.push("endpoints", as_json(endpoint, driver, &report));
            }
            Err(failure) => {
                let row = [endpoint.id.to_string(), "open".to_owned(), FAILED.to_owned(), failure.to_string()];
                self.endpoints.row(row);
                let json = json!({ "id": endpoint.id, "ok": false, "checks": [], "error": failure.to_json() });
                self.push("endpoints", json);
                self.failed(failure);
            }
        }
    }

    /// Returns the driver's id with the report.
    async fn check_endpoint(
        &mut self,
        app: &App,
        settings: &Settings,
        endpoint: &EndpointSettings,
    ) -> Result<(&'static str, CheckReport), Failure> {
        let opened = open(app, settings, endpoint).await?;
        self.opened.insert(endpoint.id.clone(), opened.clone());
        let mut report = opened.endpoint.check().await?;
        if report.ok() {
            site::check(app, settings, &opened, &mut report).await?;
        }
        Ok((opened.driver.id(), report))
    }

    fn configured(&mut self, place: String, mark: &str, detail: String) {
        let table = || Table::new(&["CONFIGURATION", "", "DETAIL"]).wrapped(&["DETAIL"]);
        self.configuration.get_or_insert_with(table).row([place, mark.to_owned(), detail]);
    }

    /// Looks whether the catalog can be opened.
    async fn metadata(&mut self, settings: &Settings) {
        let json = match check_catalog(settings).await {
            Ok(detail) => {
                self.configured("metadata".to_owned(), OK, detail.clone());
                json!({ "ok": true, "detail": detail })
            }
            Err(failure) => {
                self.configured("metadata".to_owned(), FAILED, failure.to_string());
                let json = json!({ "ok": false, "error": failure.to_json() });
                self.failed(failure);
                json
            }
        };
        self.json.insert("metadata".to_owned(), json);
    }

    /// Looks whether an ingestion fits its endpoints. Where one of them cannot be opened, that is reported already.
    async fn ingestion(&mut self, app: &App, settings: &Settings, ingestion: &IngestionSettings) {
        let (name, place) = (&ingestion.name, format!("ingest.{}", ingestion.name));
        let mut ends = [&ingestion.source, &ingestion.sink].into_iter();
        let json = match ends.find(|id| settings.endpoint(id.as_str()).is_some() && !self.opened.contains_key(*id)) {
            Some(closed) => {
                let detail = format!("not checked: `{closed}` cannot be opened");
                self.configured(place, FAILED, detail.clone());
                json!({ "name": name, "ok": false, "detail": detail })
            }
            None => match ingest::check(app, settings, ingestion, &self.opened).await {
                Ok(detail) => {
                    self.configured(place, OK, detail.clone());
                    json!({ "name": name, "ok": true, "detail": detail })
                }
                Err(failure) => {
                    self.configured(place, FAILED, failure.to_string());
                    let json = json!({ "name": name, "ok": false, "error": failure.to_json() });
                    self.failed(failure);
                    json
                }
            },
        };
        self.push("ingestions", json);
    }

    fn answer(mut self, width: Width) -> Answer {
        if let Some(failure) = self.first_failure {
            self.json.insert("error".to_owned(), failure.to_json());
        }
        let mut text = self.endpoints.render(width);
        if let Some(configuration) = self.configuration {
            text.push('\n');
            text.push_str(&configuration.render(width));
        }
        Answer::of(self.json, text).exit(self.exit)
    }
}

fn as_json(endpoint: &EndpointSettings, driver: &str, report: &CheckReport) -> Value {
    let checks: Vec<Value> = report
        .checks
        .iter()
        .map(|check| {
            let mut json = json!({ "name": check.name, "ok": check.ok, "detail": check.detail });
            // Only where there is one, so that the usual answer stays as it was.
            if let (true, Some(members)) = (check.is_warning, json.as_object_mut()) {
                members.insert("warning".to_owned(), true.into());
            }
            json
        })
        .collect();
    json!({
        "id": endpoint.id,
        "driver": driver,
        "ok": report.ok(),
        "server_version": report.server_version,
        "checks": checks,
    })
}
