//! The schemas of OpenLineage, and what they find wrong with an event.

use std::{fs, path::Path, sync::OnceLock};

use jsonschema::{Registry, options};
use serde_json::{Value, json};

const EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json";

/// Every schema, under its `$id`.
fn registry() -> &'static Registry<'static> {
    static REGISTRY: OnceLock<Registry<'static>> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        // Also of the tests of other crates that have this file.
        let workspace =
            Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join("deny.toml").exists());
        let schemas = workspace.unwrap().join("crates/openlineage/tests/schemas");
        let folders = [schemas.clone(), schemas.join("facets"), schemas.join("restated")];
        let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
        let mut registry = Registry::new();
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
            let schema: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            let id = schema["$id"].as_str().unwrap().to_owned();
            registry = registry.add(id, schema).unwrap();
        }
        registry.prepare().unwrap()
    })
}

/// What is wrong with a value, by the schema with that URL.
fn against(url: &str, value: &Value) -> Vec<String> {
    let schema = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": url });
    match options().with_registry(registry()).should_validate_formats(true).build(&schema) {
        Ok(validator) => {
            validator.iter_errors(value).map(|error| format!("{url}{}: {error}", error.instance_path())).collect()
        }
        Err(error) => vec![format!("{url}: {error}")],
    }
}

/// What is wrong with an event: by the schema of events, by the one that it says it keeps to, and of each of its
/// facets by the one that the facet says it keeps to.
pub(crate) fn problems(event: &Value) -> Vec<String> {
    let mut problems = against(EVENT, event);
    match event["schemaURL"].as_str() {
        Some(url) if url.starts_with(EVENT) => problems.extend(against(url, event)),
        other => problems.push(format!("schemaURL: {other:?}")),
    }
    facets(event, &mut problems);
    problems
}

fn facets(value: &Value, problems: &mut Vec<String>) {
    if let Some(members) = value.as_object() {
        if let Some(url) = members.get("_schemaURL") {
            problems.extend(against(url.as_str().unwrap_or_default(), value));
        }
        members.values().for_each(|member| facets(member, problems));
    }
    value.as_array().into_iter().flatten().for_each(|item| facets(item, problems));
}
