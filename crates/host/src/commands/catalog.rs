use std::fmt::Write as _;

use catalog::{Dataset, DatasetFilter, DatasetId, Subject};
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    app::App,
    failure::Failure,
    metadata::open_catalog,
    table::{Table, grouped},
};

/// Lists the datasets.
pub(crate) async fn list(app: &App) -> Result<Answer, Failure> {
    let catalog = open_catalog(&app.settings()?).await?;
    let datasets = catalog.datasets(&DatasetFilter::all()).await?;
    catalog.close().await?;
    let mut table = Table::new(&["DATASET", "LOCATION", "MODEL", "LAST LOAD", "ROWS"]).numbers_from(4);
    for dataset in &datasets {
        table.row([
            dataset.spec.id().to_string(),
            dataset.spec.location().to_owned(),
            model_version(dataset).unwrap_or_default(),
            dataset.last_load.as_ref().map(|load| load.at.to_string()).unwrap_or_default(),
            rows(dataset).map(grouped).unwrap_or_default(),
        ]);
    }
    let text = if datasets.is_empty() {
        "no datasets; `cdm units` and `cdm provision` register them\n".to_owned()
    } else {
        table.render()
    };
    Ok(Answer::new("datasets", datasets.iter().map(to_json).collect::<Vec<_>>(), text))
}

/// Shows a dataset with its fields.
pub(crate) async fn show(app: &App, id: &str) -> Result<Answer, Failure> {
    let dataset_id: DatasetId = id.parse().map_err(|error: endpoint_api::Error| Failure::usage(error.to_string()))?;
    let catalog = open_catalog(&app.settings()?).await?;
    let dataset = catalog.dataset(&dataset_id).await?;
    catalog.close().await?;
    let message = || Failure::not_found(format!("the catalog has no dataset `{id}`; `cdm catalog list` lists them"));
    let dataset = dataset.ok_or_else(message)?;
    let mut json = to_json(&dataset);
    if let (Some(members), Value::Object(more)) = (json.as_object_mut(), details(&dataset)) {
        members.extend(more);
    }
    Ok(Answer::new("dataset", json, to_text(&dataset)))
}

fn to_json(dataset: &Dataset) -> Value {
    let spec = &dataset.spec;
    let sink = match spec.subject() {
        Subject::CdmTable { sink, .. } => Some(sink),
        _ => None,
    };
    json!({
        "id": spec.id(),
        "kind": spec.kind(),
        "location": spec.location(),
        "domain": spec.domain(),
        "labels": spec.labels(),
        "cdm_model_id": spec.cdm_model(),
        "model_version": model_version(dataset),
        "sink_endpoint_id": sink,
        "rows": rows(dataset),
    })
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
        "fields": spec.fields(),
        "upstream": spec.upstream(),
        "provisioned": provisioned,
        "last_load": load.map(|load| json!({ "run_id": load.run_id, "at": load.at.to_string() })),
        "version": dataset.version,
        "registered_at": dataset.registered_at.to_string(),
        "updated_at": dataset.updated_at.to_string(),
    })
}

fn to_text(dataset: &Dataset) -> String {
    let (spec, people) = (&dataset.spec, &dataset.annotations);
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<12} {value}"); // writing to a String cannot fail
        }
    };
    let joined = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
    line("id", spec.id().to_string());
    line("what it is", people.description.clone().unwrap_or_else(|| spec.description().to_owned()));
    line("location", spec.location().to_owned());
    line("domain", spec.domain().to_owned());
    line("labels", joined(&mut spec.labels().into_iter()));
    line("model", spec.cdm_model().map(ToString::to_string).unwrap_or_default());
    line("version", model_version(dataset).unwrap_or_default());
    line("made from", joined(&mut spec.upstream().iter().map(ToString::to_string)));
    line("owner", people.owner.clone().unwrap_or_default());
    line("tags", joined(&mut people.tags.iter().flatten().cloned()));
    line("rows", rows(dataset).map(grouped).unwrap_or_default());
    if let Some(load) = &dataset.last_load {
        line("last load", format!("{} by run {}", load.at, load.run_id));
    }
    let mut fields = Table::new(&["FIELD", "TYPE", "NULL", "WHAT IT IS"]);
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
    }
    format!("{text}\n{}", fields.render())
}

fn model_version(dataset: &Dataset) -> Option<String> {
    match dataset.spec.subject() {
        Subject::CdmTable { version, .. } => Some(version.to_string()),
        _ => None,
    }
}

fn rows(dataset: &Dataset) -> Option<u64> {
    dataset.last_load.as_ref().and_then(|load| load.rows)
}
