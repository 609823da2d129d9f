use catalog::{Annotations, Dataset, Subject};
use serde_json::{Value, json};

use super::{find, model_version, rows, to_json};
use crate::{
    answer::Answer,
    app::App,
    failure::Failure,
    printable::on_one_line,
    table::{Table, Width, grouped},
};

/// Shows a dataset with its fields.
pub(crate) async fn show(app: &App, id: &str) -> Result<Answer, Failure> {
    let (catalog, dataset) = find(app, id).await?;
    catalog.close().await?;
    Ok(answer(app, &dataset))
}

/// A dataset with all that is known of it.
pub(super) fn answer(app: &App, dataset: &Dataset) -> Answer {
    let mut json = to_json(dataset);
    if let (Some(members), Value::Object(more)) = (json.as_object_mut(), details(dataset)) {
        members.extend(more);
    }
    Answer::new("dataset", json, to_text(dataset, app.width))
}

/// What is shown of a dataset only when it is asked for.
fn details(dataset: &Dataset) -> Value {
    let (spec, people) = (&dataset.spec, &dataset.annotations);
    let provisioned = match spec.subject() {
        Subject::CdmTable { provisioned, .. } => Some(provisioned),
        _ => None,
    };
    let load = dataset.last_load.as_ref();
    json!({
        "description": people.description.as_deref().unwrap_or(spec.description()),
        "owner": people.owner,
        "tags": people.tags,
        "notes": people.notes,
        "expectations": expectations(people),
        "fields": spec.fields(),
        "upstream": spec.upstream(),
        "provisioned": provisioned,
        "last_load": load.map(|load| json!({ "run_id": load.run_id, "at": load.at.to_string() })),
        "version": dataset.version,
        "registered_at": dataset.registered_at.to_string(),
        "updated_at": dataset.updated_at.to_string(),
        "annotated_at": dataset.annotated_at.map(|at| at.to_string()),
    })
}

fn expectations(people: &Annotations) -> Value {
    let rows = people.expectations.rows;
    json!({
        "every": people.expectations.every.map(|every| every.to_string()),
        "rows": rows.map(|rows| json!({ "from": rows.from(), "to": rows.to() })),
    })
}

fn to_text(dataset: &Dataset, width: Width) -> String {
    let (spec, people) = (&dataset.spec, &dataset.annotations);
    let mut facts = Table::of_pairs();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            facts.row([name.to_owned(), value]);
        }
    };
    let joined = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
    line("id", spec.id().to_string());
    line("what it is", people.description.as_deref().unwrap_or(spec.description()).replace('\n', " "));
    line("location", spec.location().to_owned());
    line("domain", spec.domain().to_owned());
    line("labels", joined(&mut spec.labels().into_iter()));
    line("model", spec.cdm_model().map(ToString::to_string).unwrap_or_default());
    line("version", model_version(dataset).unwrap_or_default());
    line("made from", joined(&mut spec.upstream().iter().map(ToString::to_string)));
    line("owner", people.owner.clone().unwrap_or_default());
    line("tags", joined(&mut people.tags.iter().cloned()));
    line("rows", rows(dataset).map(grouped).unwrap_or_default());
    if let Some(load) = &dataset.last_load {
        line("last load", format!("{} by run {}", load.at, load.run_id));
    }
    line("loaded every", people.expectations.every.map(|every| every.to_string()).unwrap_or_default());
    line("rows within", people.expectations.rows.map(|rows| rows.to_string()).unwrap_or_default());
    let mut fields = Table::new(&["FIELD", "TYPE", "NULL", "WHAT IT IS"]).wrapped(&["WHAT IT IS"]);
    for field in spec.fields() {
        let null = match field.nullable {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let reference = field.references.as_ref().map(|model| format!(" Refers to {model}.")).unwrap_or_default();
        fields.row([
            field.name.clone(),
            field.field_type.clone(),
            null.to_owned(),
            format!("{}{reference}", field.description.replace('\n', " ")),
        ]);
        if let Some(note) = people.notes.get(&field.name) {
            fields.row([String::new(), String::new(), String::new(), format!("» {}", note.replace('\n', " "))]);
        }
    }
    format!("{}\n{}{}", facts.render(width), fields.render(width), other_notes(dataset))
}

/// Notes about fields that the dataset does not tell of.
fn other_notes(dataset: &Dataset) -> String {
    let known = |name: &str| dataset.spec.fields().iter().any(|field| field.name == name);
    let others = dataset.annotations.notes.iter().filter(|(name, _)| !known(name));
    others.map(|(name, note)| format!("{}\n", on_one_line(&format!("{name} » {}", note.replace('\n', " "))))).collect()
}
