use catalog::{AnnotationVersion, Cause, DatasetVersion, Difference, people_differences, system_differences};
use serde_json::{Value, json};

use super::find;
use crate::{answer::Answer, app::App, failure::Failure, table::Table};

/// Shows how a dataset became what it is: what the system knows, and what people wrote.
pub(crate) async fn history(app: &App, id: &str) -> Result<Answer, Failure> {
    let (catalog, dataset) = find(app, id).await?;
    let id = dataset.spec.id();
    let history = catalog.history(&id).await?;
    catalog.close().await?;

    let system = history.system.iter().enumerate().map(|(index, version)| {
        let before = index.checked_sub(1).and_then(|before| history.system.get(before));
        (version, system_differences(before.map(|before| &before.spec), &version.spec))
    });
    let system: Vec<(&DatasetVersion, Vec<Difference>)> = system.collect();
    let people = history.people.iter().enumerate().map(|(index, version)| {
        let before = index.checked_sub(1).and_then(|before| history.people.get(before));
        (version, people_differences(before.map(|before| &before.annotations), &version.annotations))
    });
    let people: Vec<(&AnnotationVersion, Vec<Difference>)> = people.collect();

    let json = json!({
        "id": id,
        "system": system.iter().map(|(version, changes)| json!({
            "version": version.version,
            "at": version.at.to_string(),
            "cause": version.cause.as_ref().map(|cause| json!({ "kind": cause.kind(), "id": cause.id() })),
            "changes": to_json(changes),
        })).collect::<Vec<Value>>(),
        "people": people.iter().map(|(version, changes)| json!({
            "version": version.version,
            "at": version.at.to_string(),
            "changes": to_json(changes),
        })).collect::<Vec<Value>>(),
    });
    let mut text = String::from("What the system knows\n\n");
    let mut table =
        Table::new(&["VERSION", "SINCE", "BECAUSE OF", "CHANGE"]).wrapped(&["CHANGE"]).optional(&["BECAUSE OF"]);
    for (index, (version, changes)) in system.iter().enumerate() {
        let cause = version.cause.as_ref().map(because).unwrap_or_default();
        // The first version is all new: its fields stand in `catalog show`.
        let lines = if index == 0 { vec![first(version)] } else { changes.iter().map(line).collect() };
        add(&mut table, [version.version.to_string(), version.at.to_string(), cause], lines);
    }
    text.push_str(&table.render(app.width));
    text.push_str("\nWhat people wrote\n\n");
    if people.is_empty() {
        text.push_str("nothing; `cdm catalog annotate` writes\n");
        return Ok(Answer::new("history", json, text));
    }
    let mut table = Table::new(&["VERSION", "SINCE", "CHANGE"]).wrapped(&["CHANGE"]);
    for (version, changes) in &people {
        add(&mut table, [version.version.to_string(), version.at.to_string()], changes.iter().map(line).collect());
    }
    text.push_str(&table.render(app.width));
    Ok(Answer::new("history", json, text))
}

fn to_json(changes: &[Difference]) -> Vec<Value> {
    let change = |change: &Difference| json!({ "what": change.what, "before": change.before, "after": change.after });
    changes.iter().map(change).collect()
}

fn because(cause: &Cause) -> String {
    match cause {
        Cause::Provisioning { plan_hash } => format!("plan {plan_hash}"),
        Cause::Run(run_id) => format!("run {run_id}"),
        Cause::Discovery => "cdm units".to_owned(),
    }
}

fn first(version: &DatasetVersion) -> String {
    let (location, fields) = (version.spec.location(), version.spec.fields().len());
    match version.version {
        1 => format!("registered in {location} with {fields} fields"),
        _ => format!("was in {location} with {fields} fields; what came before was not written down"),
    }
}

/// A change in a line: `+` what is new, `-` what is gone, `~` what is another.
fn line(change: &Difference) -> String {
    // A name that ends with the value says it already.
    let value = |value: &str| match change.what.ends_with(value) {
        true => String::new(),
        false => format!(": {}", value.replace('\n', " ")),
    };
    match (&change.before, &change.after) {
        (None, Some(after)) => format!("+ {}{}", change.what, value(after)),
        (Some(before), None) => format!("- {}{}", change.what, value(before)),
        (before, after) => {
            let text = |text: &Option<String>| text.as_deref().unwrap_or_default().replace('\n', " ");
            format!("~ {}: {} → {}", change.what, text(before), text(after))
        }
    }
}

/// Adds a version, each of its changes on a line of its own.
fn add<const N: usize>(table: &mut Table, begin: [String; N], lines: Vec<String>) {
    let mut begin = Some(begin);
    for line in lines {
        let begin = begin.take().unwrap_or_else(|| std::array::from_fn(|_| String::new()));
        table.row(begin.into_iter().chain([line]));
    }
}
