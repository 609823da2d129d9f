use std::{env, path::Path};

use endpoint_api::ConfigSchema;
use serde_json::Value;

use crate::failure::Failure;

/// Puts the values of `${env:NAME}` and `${file:PATH}` into every text of `value`.
///
/// A text that is one reference and nothing else takes the type that the schema asks for at its place,
/// so that `port = "${env:PORT}"` is a number. `$${` stands for `${` itself.
pub(crate) fn resolve(
    value: &Value,
    schema: Option<&ConfigSchema>,
    path: &str,
    base_dir: &Path,
) -> Result<Value, Failure> {
    resolve_at(value, schema, path, &mut Vec::new(), base_dir)
}

fn resolve_at<'v>(
    value: &'v Value,
    schema: Option<&ConfigSchema>,
    path: &str,
    within: &mut Vec<&'v str>,
    base_dir: &Path,
) -> Result<Value, Failure> {
    match value {
        Value::String(text) => {
            let place = if within.is_empty() { path.to_owned() } else { format!("{path}.{}", within.join(".")) };
            let resolved = resolve_text(text, base_dir).map_err(|problem| Failure::config(place, problem))?;
            Ok(match schema {
                Some(schema) if is_one_reference(text) => schema.typed(within, resolved),
                _ => Value::String(resolved),
            })
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| resolve_at(item, schema, path, within, base_dir));
            items.collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(members) => {
            let mut resolved = serde_json::Map::new();
            for (name, member) in members {
                within.push(name);
                resolved.insert(name.clone(), resolve_at(member, schema, path, within, base_dir)?);
                within.pop();
            }
            Ok(Value::Object(resolved))
        }
        other => Ok(other.clone()),
    }
}

fn is_one_reference(text: &str) -> bool {
    text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).is_some_and(|inner| !inner.contains(['$', '}']))
}

/// Resolves the references in one text. The error never shows the text.
fn resolve_text(text: &str, base_dir: &Path) -> Result<String, String> {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(literal) = before.strip_suffix('$') {
            resolved.push_str(literal);
            resolved.push_str("${");
            rest = reference.get(2..).unwrap_or_default();
            continue;
        }
        resolved.push_str(before);
        let inner = reference.get(2..).unwrap_or_default();
        let Some((inner, after)) = inner.split_once('}') else {
            return Err("holds a reference without its closing `}`".to_owned());
        };
        resolved.push_str(&referenced(inner, base_dir)?);
        rest = after;
    }
    resolved.push_str(rest);
    Ok(resolved)
}

fn referenced(reference: &str, base_dir: &Path) -> Result<String, String> {
    match reference.split_once(':') {
        Some(("env", name)) => match env::var(name) {
            Ok(value) => Ok(value),
            Err(env::VarError::NotPresent) => Err(format!("the environment variable {name} is not set")),
            Err(env::VarError::NotUnicode(_)) => Err(format!("the environment variable {name} is not UTF-8")),
        },
        Some(("file", path)) => match local_files::read_small_text(&base_dir.join(path)) {
            Ok(value) => Ok(value.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => Err(format!("the file {path} cannot be read: {error}")),
        },
        _ => Err("holds a reference that is neither `${env:NAME}` nor `${file:PATH}`; write `$${` for `${` itself"
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use schemars::JsonSchema;
    use serde_json::json;

    use super::*;

    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Config {
        port: Option<u16>,
        user: String,
        nested: Nested,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Nested {
        verbose: bool,
    }

    fn resolved(value: Value) -> Result<Value, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "hunter2\n").unwrap();
        fs::write(folder.path().join("port"), "5433").unwrap();
        fs::write(folder.path().join("yes"), "true").unwrap();
        let schema = ConfigSchema::of::<Config>();
        resolve(&value, Some(&schema), "endpoints.db", folder.path()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn references_are_replaced_by_what_they_stand_for() {
        let cargo = env::var("CARGO_PKG_NAME").unwrap();
        assert_eq!(
            resolved(json!({ "user": "${env:CARGO_PKG_NAME}:${file:secret}!", "port": 1, "list": ["${file:secret}"] })),
            Ok(json!({ "user": format!("{cargo}:hunter2!"), "port": 1, "list": ["hunter2"] }))
        );
        assert_eq!(
            resolved(json!({ "user": "costs $5 and $${env:HOME}" })),
            Ok(json!({ "user": "costs $5 and ${env:HOME}" }))
        );
    }

    #[test]
    fn a_reference_that_is_the_whole_value_takes_the_type_that_is_asked_for() {
        assert_eq!(
            resolved(json!({ "port": "${file:port}", "user": "${file:port}", "nested": { "verbose": "${file:yes}" } })),
            Ok(json!({ "port": 5433, "user": "5433", "nested": { "verbose": true } }))
        );
        assert_eq!(resolved(json!({ "port": "${file:port}0" })), Ok(json!({ "port": "54330" })));
    }

    #[test]
    fn a_reference_to_nothing_names_its_place() {
        let problem = |value: Value| resolved(value).unwrap_err();
        assert_eq!(
            problem(json!({ "user": "${env:CDM_NO_SUCH_VARIABLE}" })),
            "endpoints.db.user: the environment variable CDM_NO_SUCH_VARIABLE is not set"
        );
        assert!(
            problem(json!({ "nested": { "verbose": "${file:nowhere}" } }))
                .starts_with("endpoints.db.nested.verbose: the file nowhere cannot be read: ")
        );
        assert_eq!(
            problem(json!({ "user": "${env:X" })),
            "endpoints.db.user: holds a reference without its closing `}`"
        );
        assert!(problem(json!({ "user": "${vault:x}" })).contains("neither `${env:NAME}` nor `${file:PATH}`"));
    }

    #[test]
    fn a_file_that_has_no_end_or_no_writer_is_refused() {
        let error = resolved(json!({ "user": "${file:/dev/zero}" })).unwrap_err();
        let expected = "endpoints.db.user: the file /dev/zero cannot be read: it is not a regular file, but a device, a pipe \
                        or the like";
        assert_eq!(error, expected);
    }
}
