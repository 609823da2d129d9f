//! What the metadata catalog has, and what people write into it.

mod annotate;
mod health;
mod history;
mod lineage;
mod search;
mod show;

use catalog::{Catalog, Dataset, DatasetFilter, DatasetId, Subject};
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    app::App,
    failure::Failure,
    metadata::open_catalog,
    table::{Table, grouped},
    times::to_the_minute,
};
pub(crate) use annotate::{AnnotateArgs, annotate};
pub(crate) use health::health;
pub(crate) use history::history;
pub(crate) use lineage::{LineageFormat, lineage};
pub(crate) use search::search;
pub(crate) use show::show;

/// Lists the datasets.
pub(crate) async fn list(app: &App) -> Result<Answer, Failure> {
    let catalog = open_catalog(&app.settings()?).await?;
    let datasets = catalog.datasets(&DatasetFilter::all()).await?;
    catalog.close().await?;
    let mut table = Table::new(&["DATASET", "LOCATION", "MODEL", "LAST LOAD", "ROWS"])
        .numbers_from(4)
        .optional(&["MODEL", "LOCATION"]);
    for dataset in &datasets {
        table.row([
            dataset.spec.id().to_string(),
            dataset.spec.location().to_owned(),
            model_version(dataset).unwrap_or_default(),
            dataset.last_load.as_ref().map(|load| to_the_minute(load.at)).unwrap_or_default(),
            rows(dataset).map(grouped).unwrap_or_default(),
        ]);
    }
    let text = if datasets.is_empty() {
        "no datasets; `cdm units` and `cdm provision` register them\n".to_owned()
    } else {
        table.render(app.width)
    };
    Ok(Answer::new("datasets", datasets.iter().map(to_json).collect::<Vec<_>>(), text))
}

/// The dataset with this id, and the catalog for more questions.
async fn find(app: &App, id: &str) -> Result<(Box<dyn Catalog>, Dataset), Failure> {
    let id = parse(id)?;
    let catalog = open_catalog(&app.settings()?).await?;
    match catalog.dataset(&id).await? {
        Some(dataset) => Ok((catalog, dataset)),
        None => {
            catalog.close().await?;
            Err(Failure::not_found(format!("the catalog has no dataset `{id}`; `cdm catalog list` lists them")))
        }
    }
}

fn parse(id: &str) -> Result<DatasetId, Failure> {
    id.parse().map_err(|error: endpoint_api::Error| Failure::usage(error.to_string()))
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

fn model_version(dataset: &Dataset) -> Option<String> {
    match dataset.spec.subject() {
        Subject::CdmTable { version, .. } => Some(version.to_string()),
        _ => None,
    }
}

fn rows(dataset: &Dataset) -> Option<u64> {
    dataset.last_load.as_ref().and_then(|load| load.rows)
}
