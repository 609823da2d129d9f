use endpoint_api::{ErrorKind, ModelPattern, Verification};
use serde_json::{Map, Value, json};

use super::provision::matching;
use crate::{
    answer::Answer,
    app::App,
    endpoints::{find, open},
    failure::{Exit, Failure},
    table::{Table, Width, grouped},
};

/// Counts and hashes what a sink stores of the models that match, and tells what is not as it was loaded.
pub(crate) async fn verify(app: &App, sink: &str, patterns: &[ModelPattern], repair: bool) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let opened = open(app, &settings, find(&settings, sink)?).await?;
    if !opened.driver.capabilities().sink.is_some_and(|sink| sink.verify) {
        let message = format!("`{sink}` ({}) cannot verify what it stores; see `cdm drivers`", opened.driver.id());
        return Err(Failure::usage(message));
    }
    let supported: Vec<_> = app.registry.supported_models(opened.driver.capabilities()).cloned().collect();
    let models = matching(&supported, patterns)?;
    let mut found = Vec::with_capacity(models.len());
    for model in models {
        match opened.sink()?.verify(&[model], repair).await {
            Ok(verified) => found.extend(verified),
            // Only the models that were asked for have to be there.
            Err(error) if error.kind() == ErrorKind::NotProvisioned && patterns.is_empty() => {}
            Err(error) => return Err(error.into()),
        }
    }
    opened.endpoint.close().await?;

    let bad: Vec<&Verification> = found.iter().filter(|table| !table.ok()).collect();
    let failure = (!bad.is_empty() && !repair).then(|| {
        let named: Vec<&str> = bad.iter().map(|table| table.table.as_str()).collect();
        Failure::failed(format!(
            "{} not as it was loaded; `cdm verify {sink} --repair` marks that for the next run",
            are(&named)
        ))
    });
    let exit = if failure.is_some() { Exit::Failed } else { Exit::Ok };
    Ok(Answer::of(to_json(sink, &found), to_text(sink, &found, repair, app.width)).failed(failure).exit(exit))
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

fn to_text(sink: &str, found: &[Verification], repair: bool, width: Width) -> String {
    if found.is_empty() {
        return format!("nothing is provisioned on {sink}\n");
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
        text.push_str(&format!("changed in {}: {}{more}\n", verified.table, verified.keys.join(", ")));
    }
    if repair && found.iter().any(|verified| !verified.ok()) {
        text.push_str("the next `cdm ingest` reads from the beginning and writes what is changed or missing\n");
    }
    text
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
