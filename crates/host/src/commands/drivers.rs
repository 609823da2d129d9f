use std::fmt::Write as _;

use endpoint_api::{DriverEntry, Registry};
use serde_json::{Map, Value, json};

use crate::{answer::Answer, app::App, failure::Failure, table::Table};

/// Lists the drivers that are linked.
pub(crate) fn list(app: &App) -> Answer {
    let mut table =
        Table::new(&["DRIVER", "TITLE", "ROLES", "CAPABILITIES", "MODELS"]).wrapped(&["TITLE", "CAPABILITIES"]);
    let mut drivers = Vec::new();
    for driver in app.registry.drivers() {
        let template = template(&app.registry, driver);
        let joined = |member: &str| {
            let items = template.get(member).and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        };
        let models = app.registry.supported_models(driver.capabilities()).count();
        let models = if models == 0 { String::new() } else { models.to_string() };
        let title = driver.template().title.to_owned();
        table.row([driver.id().to_owned(), title, joined("roles"), joined("capabilities"), models]);
        drivers.push(Value::Object(template));
    }
    Answer::new("drivers", drivers, table.render(app.width))
}

/// Shows one driver, or only the schema of its configuration.
pub(crate) fn show(app: &App, id: &str, only_schema: bool) -> Result<Answer, Failure> {
    let driver = app.registry.driver(id).ok_or_else(|| {
        let known: Vec<&str> = app.registry.drivers().iter().map(|driver| driver.id()).collect();
        Failure::usage(format!("there is no driver `{id}`; linked are {}", known.join(", ")))
    })?;
    let schema = driver.config_schema();
    if only_schema {
        let pretty = serde_json::to_string_pretty(schema.as_value()).unwrap_or_default();
        return Ok(Answer::new("config_schema", schema.as_value().clone(), format!("{pretty}\n")));
    }
    let template = driver.template();
    let mut text = format!("{} - {}\n\n{}\n\n", driver.id(), template.title, template.docs);
    let mut table = Table::new(&["KEY", "TYPE", "WHAT IT IS"]).wrapped(&["WHAT IT IS"]);
    let properties = schema.as_value().get("properties").and_then(Value::as_object);
    for (key, property) in properties.into_iter().flatten() {
        let what = property.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        table.row([key.clone(), type_name(property), what]);
    }
    text.push_str(&table.render(app.width));
    let sample: Result<toml::Table, _> = serde_json::from_value(template.sample_config.clone());
    let sample = sample.ok().and_then(|sample| toml::to_string(&sample).ok()).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\nAn endpoint of this driver, in cdm.toml:\n\n[endpoints.my_endpoint]\ndriver = \"{}\"\n{sample}",
        driver.id()
    );
    let json = json!([Value::Object(self::template(&app.registry, driver))]);
    Ok(Answer::new("drivers", json, text))
}

/// A driver as scripts see it.
fn template(registry: &Registry, driver: &DriverEntry) -> Map<String, Value> {
    let template = driver.template();
    let capabilities = driver.capabilities();
    let models: Vec<&str> = registry.supported_models(capabilities).map(|model| model.id.as_str()).collect();
    let patterns = capabilities.sink.map(|sink| sink.cdm_models).unwrap_or_default();
    let members = json!({
        "id": driver.id(),
        "aliases": driver.aliases(),
        "title": template.title,
        "vendor": template.vendor,
        "family": template.family,
        "docs": template.docs,
        "roles": capabilities.roles(),
        "capabilities": capabilities.keys(registry.models().iter().map(|model| &model.id)),
        "cdm_model_patterns": patterns,
        "supported_cdm_models": models,
        "config_schema": driver.config_schema(),
        "sample_config": template.sample_config,
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The type of a key, for people.
fn type_name(property: &Value) -> String {
    if property.get("x-cdm-secret").is_some() {
        return "secret".to_owned();
    }
    let names: Vec<&str> = match property.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => {
            let alternatives = ["anyOf", "oneOf"].iter().find_map(|keyword| property.get(*keyword)?.as_array());
            let names =
                alternatives.into_iter().flatten().map(type_name).filter(|name| name != "null" && !name.is_empty());
            let mut names: Vec<String> = names.collect();
            names.dedup();
            return match property.get("const").and_then(Value::as_str) {
                Some(constant) => format!("`{constant}`"),
                None => names.join(" or "),
            };
        }
    };
    if let Some(constant) = property.get("const").and_then(Value::as_str) {
        return format!("`{constant}`");
    }
    names.join(" or ")
}
