use std::{borrow::Cow, fmt};

use jsonschema::error::{TypeKind, ValidationErrorKind};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::nearest;

/// A text that must not be seen: a password, a token, a URL that holds one.
///
/// `Debug` hides it, it cannot be serialized, and the JSON Schema marks it, so that the host masks
/// it wherever a configuration is shown or stored.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "password", "writeOnly": true, "x-cdm-secret": true })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// The JSON Schema of a driver's configuration, derived from its `Config` struct.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ConfigSchema(Value);

/// One thing that is wrong with a configuration. It names the place and never shows the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Dotted path within the configuration; empty for the whole.
    pub path: String,
    /// What was expected.
    pub message: String,
}

/// What a masked secret is shown as.
const MASK: &str = "***";

impl ConfigSchema {
    /// The schema of `C`, members in the order of the struct's fields.
    pub fn of<C: JsonSchema>() -> Self {
        let schema = SchemaSettings::draft2020_12()
            .with(|settings| settings.inline_subschemas = true)
            .into_generator()
            .into_root_schema_for::<C>();
        Self(schema.to_value())
    }

    /// The schema as JSON.
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// Everything in `config` that does not fit the schema; empty when all fits.
    pub fn problems(&self, config: &Value) -> Vec<ConfigProblem> {
        let validator = match jsonschema::draft202012::new(&self.0) {
            Ok(validator) => validator,
            Err(error) => {
                let message = format!("the driver's schema is broken: {}", error.masked());
                return vec![ConfigProblem { path: String::new(), message }];
            }
        };
        validator
            .iter_errors(config)
            .flat_map(|error| {
                let place = error.instance_path().as_str();
                let mut path = place.trim_start_matches('/').replace('/', ".");
                if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
                    let known = self.members_at(place);
                    return unexpected.iter().map(|name| unknown_member(&path, name, &known)).collect();
                }
                let message = match error.kind() {
                    ValidationErrorKind::Required { property } => {
                        push_segment(&mut path, property.as_str().unwrap_or_default());
                        "is missing".to_owned()
                    }
                    ValidationErrorKind::Type { kind } => format!("expected {}", type_names(kind)),
                    ValidationErrorKind::Enum { options } => format!("expected one of {options}"),
                    ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
                        match (constants(context), types(context, place)) {
                            (Some(options), _) => format!("expected one of {options}"),
                            (None, Some(names)) => format!("expected {names}"),
                            (None, None) => match unknown_within(context) {
                                Some((within, unexpected)) => {
                                    let known = self.members_at(&within);
                                    let path = within.trim_start_matches('/').replace('/', ".");
                                    return unexpected.iter().map(|name| unknown_member(&path, name, &known)).collect();
                                }
                                None => "has none of the forms that are allowed here".to_owned(),
                            },
                        }
                    }
                    _ => error.masked().to_string(),
                };
                vec![ConfigProblem { path, message }]
            })
            .collect()
    }

    /// The members that the schema knows at a JSON pointer.
    fn members_at(&self, pointer: &str) -> Vec<&str> {
        let mut schemas = vec![&self.0];
        for segment in pointer.split('/').skip(1) {
            let within = schemas.into_iter().flat_map(alternatives).flat_map(|schema| {
                let member = schema.get("properties").and_then(|properties| properties.get(segment));
                [member, schema.get("items")].into_iter().flatten()
            });
            schemas = within.collect();
        }
        let objects = schemas.into_iter().flat_map(alternatives);
        objects
            .filter_map(|schema| schema.get("properties")?.as_object())
            .flat_map(|all| all.keys().map(String::as_str))
            .collect()
    }

    /// Replaces the value of every secret in `config` by `***`.
    pub fn mask(&self, config: &mut Value) {
        mask(&self.0, config);
    }

    /// Reads `text`, which stands for the whole value at `path`, as the type that the schema asks
    /// for there: `"5432"` becomes a number where a number is due.
    pub fn typed(&self, path: &[&str], text: String) -> Value {
        let schema = path.iter().try_fold(&self.0, |schema, name| schema.get("properties")?.get(name));
        let wants = |name: &str| match schema.and_then(|schema| schema.get("type")) {
            Some(Value::String(one)) => one == name,
            Some(Value::Array(several)) => several.iter().any(|one| one == name),
            _ => false,
        };
        if wants("string") {
            return Value::String(text);
        }
        match serde_json::from_str(text.trim()) {
            Ok(Value::Bool(value)) if wants("boolean") => Value::Bool(value),
            Ok(Value::Number(value)) if wants("integer") || wants("number") => Value::Number(value),
            _ => Value::String(text),
        }
    }
}

/// A schema with all the schemas of which a value may fit one.
fn alternatives(schema: &Value) -> Vec<&Value> {
    let below = ["anyOf", "oneOf", "allOf"].iter().filter_map(|keyword| schema.get(*keyword)?.as_array()).flatten();
    std::iter::once(schema).chain(below.flat_map(alternatives)).collect()
}

/// A member that is not among those that are known, with the one that may be meant.
fn unknown_member(path: &str, name: &str, known: &[&str]) -> ConfigProblem {
    let mut path = path.to_owned();
    push_segment(&mut path, name);
    let message = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("is not known here; did you mean `{meant}`?"),
        None => "is not known here".to_owned(),
    };
    ConfigProblem { path, message }
}

/// Where a value fits none of the alternatives only because of unknown members: its place and those members.
fn unknown_within(alternatives: &[Vec<jsonschema::ValidationError<'static>>]) -> Option<(String, Vec<String>)> {
    alternatives.iter().flatten().find_map(|error| match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            Some((error.instance_path().as_str().to_owned(), unexpected.clone()))
        }
        _ => None,
    })
}

fn push_segment(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

fn type_names(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => one.to_string(),
        TypeKind::Multiple(several) => {
            let names: Vec<String> = several.iter().map(|one| one.to_string()).filter(|name| name != "null").collect();
            names.join(" or ")
        }
    }
}

/// The texts of which one was expected, when every alternative is a constant.
fn constants(alternatives: &[Vec<jsonschema::ValidationError<'static>>]) -> Option<String> {
    let mut options = Vec::new();
    for errors in alternatives {
        for error in errors {
            match error.kind() {
                ValidationErrorKind::Constant { expected_value } => options.push(expected_value.to_string()),
                ValidationErrorKind::Type { kind: TypeKind::Single(only) } if only.to_string() == "null" => {}
                ValidationErrorKind::Enum { options: several } => options.push(several.to_string()),
                ValidationErrorKind::OneOfNotValid { context } => options.push(constants(context)?),
                _ => return None,
            }
        }
    }
    (!options.is_empty()).then(|| options.join(", "))
}

/// The types of which one was expected at `place`, when every alternative asks for another type there.
fn types(alternatives: &[Vec<jsonschema::ValidationError<'static>>], place: &str) -> Option<String> {
    let mut names = Vec::new();
    for errors in alternatives {
        match errors.as_slice() {
            [error] if error.instance_path().as_str() == place => match error.kind() {
                ValidationErrorKind::Type { kind } => names.push(type_names(kind)),
                ValidationErrorKind::AnyOf { context } => names.push(types(context, place)?),
                _ => return None,
            },
            _ => return None,
        }
    }
    names.retain(|name| name != "null");
    (!names.is_empty()).then(|| names.join(" or "))
}

fn mask(schema: &Value, config: &mut Value) {
    if schema.get("x-cdm-secret").and_then(Value::as_bool).unwrap_or(false) {
        if !config.is_null() {
            *config = Value::String(MASK.to_owned());
        }
        return;
    }
    match config {
        Value::Object(members) => {
            for (name, member) in members {
                if let Some(schema) = schema.get("properties").and_then(|properties| properties.get(name)) {
                    mask(schema, member);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| mask(schema, item));
            }
        }
        _ => {}
    }
    for keyword in ["anyOf", "oneOf", "allOf"] {
        for alternative in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
            mask(alternative, config);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Config {
        /// Where to connect.
        connection_url: Secret,
        password: Option<Secret>,
        port: Option<u16>,
        #[schemars(length(min = 1))]
        schema: Option<String>,
        mode: Option<TlsMode>,
        paths: Option<Paths>,
        nested: Option<Nested>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Paths {
        One(String),
        Several(Vec<String>),
    }

    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code)]
    struct Nested {
        token: Secret,
        verbose: bool,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum TlsMode {
        /// No TLS.
        Disable,
        /// The certificate must be good for the host.
        VerifyFull,
    }

    fn problems(config: Value) -> Vec<String> {
        ConfigSchema::of::<Config>()
            .problems(&config)
            .into_iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect()
    }

    #[test]
    fn every_problem_names_its_place_and_hides_the_value() {
        assert_eq!(problems(json!({ "connection_url": "postgres://u:hunter2@h/d", "port": 5432 })), [""; 0]);
        let found = problems(json!({
            "password": ["hunter2"], "port": "hunter2", "schema": "", "mode": "hunter2", "paths": 7,
            "pasword": "hunter2", "nested": { "verbose": true }
        }));
        assert_eq!(
            found,
            [
                "password: expected string",
                "port: expected integer",
                "schema: value is shorter than 1 character",
                "mode: expected one of \"disable\", \"verify-full\"",
                "paths: expected string or array",
                "nested.token: is missing",
                "pasword: is not known here; did you mean `password`?",
                "connection_url: is missing",
            ]
        );
        assert!(!found.concat().contains("hunter2"));
    }

    #[test]
    fn unknown_members_are_named_one_by_one_with_the_nearest_that_is_known() {
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct Outer {
            connection_url: Option<String>,
            provisioning: Option<Inner>,
        }
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct Inner {
            lock_timeout_ms: Option<u64>,
        }
        let found = ConfigSchema::of::<Outer>().problems(&json!({
            "conection_url": "x", "colour": "red", "provisioning": { "lock_timeout": 1 }
        }));
        let mut found: Vec<String> =
            found.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
        found.sort();
        assert_eq!(
            found,
            [
                "colour: is not known here",
                "conection_url: is not known here; did you mean `connection_url`?",
                "provisioning.lock_timeout: is not known here; did you mean `lock_timeout_ms`?",
            ]
        );
    }

    #[test]
    fn secrets_are_masked_at_any_depth() {
        let mut config = json!({ "connection_url": "u", "port": 1, "nested": { "token": "t", "verbose": true } });
        ConfigSchema::of::<Config>().mask(&mut config);
        assert_eq!(
            config,
            json!({ "connection_url": "***", "port": 1, "nested": { "token": "***", "verbose": true } })
        );
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(***)");
    }

    #[test]
    fn a_referenced_value_takes_the_type_that_is_asked_for() {
        let schema = ConfigSchema::of::<Config>();
        assert_eq!(schema.typed(&["port"], "5432".into()), json!(5432));
        assert_eq!(schema.typed(&["port"], "many".into()), json!("many"));
        assert_eq!(schema.typed(&["connection_url"], "5432".into()), json!("5432"));
        assert_eq!(schema.typed(&["nested", "verbose"], "true".into()), json!(true));
        assert_eq!(schema.typed(&["unknown"], "1".into()), json!("1"));
    }
}
