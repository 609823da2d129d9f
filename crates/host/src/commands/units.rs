use catalog::Cause;
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    app::App,
    endpoints::{find, open},
    failure::Failure,
    metadata::{open_catalog, register_endpoint, register_unit},
    table::Table,
};

/// Lists the units of a source and registers them in the catalog.
pub(crate) async fn units(app: &App, id: &str) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let opened = open(app, &settings, find(&settings, id)?).await?;
    let units = opened.source()?.units().await?;
    let catalog = open_catalog(&settings).await?;
    register_endpoint(catalog.as_ref(), &opened).await?;
    let mut table = Table::new(&["UNIT", "TITLE", "MODEL", "FIELDS"]).numbers_from(3).wrapped(&["TITLE"]);
    let mut json = Vec::with_capacity(units.len());
    for unit in &units {
        let mapper = app.registry.mapper(&unit.id);
        register_unit(catalog.as_ref(), &opened, unit, mapper, &Cause::Discovery).await?;
        let model = mapper.map(|mapper| mapper.model());
        table.row([
            unit.id.to_string(),
            unit.title.to_owned(),
            model.unwrap_or_default().to_owned(),
            unit.fields.len().to_string(),
        ]);
        json.push(json!({ "id": unit.id, "title": unit.title, "cdm_model_id": model, "fields": unit.fields }));
    }
    catalog.close().await?;
    opened.endpoint.close().await?;
    Ok(Answer::new("units", Value::from(json), table.render(app.width)))
}
