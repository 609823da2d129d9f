use std::collections::BTreeSet;

use endpoint_api::{EndpointId, ErrorKind, Mode, ModelPattern, Verification};
use serde_json::{Map, Value, json};

use super::provision::matching;
use crate::{
    answer::Answer,
    app::App,
    config::Settings,
    endpoints::{find, open},
    failure::{Exit, Failure},
    printable::on_one_line,
    table::{Table, Width, grouped},
};

/// Counts and hashes what a sink stores of the models that match, and reports what is not as it was loaded.
///
/// A model that is named, or that the configuration loads into the sink, has to be provisioned; so has any at all.
pub(crate) async fn verify(app: &App, sink: &str, patterns: &[ModelPattern], repair: bool) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let opened = open(app, &settings, find(&settings, sink)?).await?;
    if !opened.driver.capabilities().sink.is_some_and(|sink| sink.verify) {
        let message = format!("`{sink}` ({}) cannot verify what it stores; see `cdm drivers`", opened.driver.id());
        return Err(Failure::usage(message));
    }
    let supported: Vec<_> = app.registry.supported_models(opened.driver.capabilities()).cloned().collect();
    let models = matching(&supported, patterns)?;
    let loaded = loaded_models(app, &settings, &opened.id);
    let (mut found, mut missing, mut needed) = (Vec::with_capacity(models.len()), Vec::new(), Vec::new());
    for model in models {
        let id = model.id.clone();
        match opened.sink()?.verify(&[model], repair).await {
            Ok(verified) => found.extend(verified),
            Err(error) if error.kind() == ErrorKind::NotProvisioned => {
                if !patterns.is_empty() || loaded.contains(id.as_str()) {
                    needed.push(id.to_string());
                }
                missing.push(id.to_string());
            }
            Err(error) => return Err(error.into()),
        }
    }
    opened.endpoint.close().await?;

    let bad: Vec<&Verification> = found.iter().filter(|table| !table.ok()).collect();
    let changed = (!bad.is_empty() && !repair).then(|| {
        let named: Vec<&str> = bad.iter().map(|table| table.table.as_str()).collect();
        let as_loaded = if named.len() == 1 { "as it was loaded" } else { "as they were loaded" };
        Failure::failed(format!(
            "{} not {as_loaded}; `cdm verify {sink} --repair` marks that for the next run",
            are(&named)
        ))
    });
    let unprovisioned = if found.is_empty() && patterns.is_empty() {
        Some(format!("nothing is provisioned on `{sink}`, so there is nothing to verify; run `cdm provision {sink}`"))
    } else if needed.is_empty() {
        None
    } else {
        let options: String = needed.iter().map(|model| format!(" --model {model}")).collect();
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        Some(format!("{} not provisioned on `{sink}`; run `cdm provision {sink}{options}`", are(&needed)))
    };
    let failures = unprovisioned.map(Failure::not_provisioned).into_iter().chain(changed);
    let failures: Vec<Failure> = failures.collect();
    let exit = failures.iter().map(Failure::exit).fold(Exit::Ok, Exit::or);
    let mut json = to_json(sink, &found);
    json.insert("not_provisioned".to_owned(), Value::from(missing.clone()));
    Ok(Answer::of(json, to_text(&found, &missing, repair, app.width)).failed(failures).exit(exit))
}

/// The models that the configuration loads into the sink.
fn loaded_models<'a>(app: &'a App, settings: &Settings, sink: &EndpointId) -> BTreeSet<&'a str> {
    let loaded = settings.ingestions.iter().filter(|ingestion| ingestion.sink == *sink && ingestion.mode == Mode::Cdm);
    loaded.filter_map(|ingestion| Some(app.registry.mapper(&ingestion.unit)?.model())).collect()
}

/// `a is` or `a, b are`.
fn are(names: &[&str]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

fn to_json(sink: &str, found: &[Verification]) -> Map<String, Value> {
    let tables: Vec<Value> = found
        .iter()
        .map(|table| {
            let mut json = json!(table);
            if let Some(members) = json.as_object_mut() {
                members.insert("ok".to_owned(), table.ok().into());
            }
            json
        })
        .collect();
    Map::from_iter([("sink".to_owned(), Value::from(sink)), ("tables".to_owned(), Value::from(tables))])
}

fn to_text(found: &[Verification], missing: &[String], repair: bool, width: Width) -> String {
    if found.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["MODEL", "TABLE", "ROWS", "INSERTED", "CHANGED", "MARKED", "OK"])
        .numbers_from(2)
        .wrapped(&["TABLE"])
        .optional(&["TABLE"]);
    for verified in found {
        table.row([
            verified.model.to_string(),
            verified.table.clone(),
            grouped(verified.rows),
            grouped(verified.inserted),
            grouped(verified.changed),
            grouped(verified.marked),
            if verified.ok() { "yes" } else { "no" }.to_owned(),
        ]);
    }
    let mut text = table.render(width);
    for verified in found.iter().filter(|verified| !verified.keys.is_empty()) {
        let more = if verified.changed > number(verified.keys.len()) { ", …" } else { "" };
        let changed = format!("changed in {}: {}{more}", verified.table, verified.keys.join(", "));
        text.push_str(&format!("{}\n", on_one_line(&changed)));
    }
    if !missing.is_empty() {
        text.push_str(&format!("not provisioned, and so not verified: {}\n", missing.join(", ")));
    }
    if repair && found.iter().any(|verified| !verified.ok()) {
        text.push_str("the next `cdm ingest` reads from the beginning and writes what is changed or missing\n");
    }
    text
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
