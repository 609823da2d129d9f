use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Model, ModelId, model::schema_of};

/// What a model looks like: derived from its struct, and the only thing a sink needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelDescriptor {
    /// The model's id.
    pub id: ModelId,
    /// Its version; within a major version it changes only by additions.
    pub version: Version,
    /// What the model is, for people.
    pub description: String,
    /// The fields in the order of the struct; never empty.
    pub fields: Vec<FieldDescriptor>,
    key: usize,
}

/// One field of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FieldDescriptor {
    /// The field's name: `updated_at`.
    pub name: String,
    /// What its values are.
    pub logical_type: LogicalType,
    /// Whether a row may go without a value.
    pub nullable: bool,
    /// What the field means, for people.
    pub description: String,
    /// The model to whose key the field's values point.
    pub references: Option<ModelId>,
    /// Whether people look rows up by this field, beside the key and the references.
    pub indexed: bool,
}

/// The kinds of value that a field can have. A sink maps each to a type of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogicalType {
    /// Unicode text of any length, without U+0000.
    Text,
    /// True or false.
    Bool,
    /// A whole number of 64 bits with sign.
    Int64,
    /// A binary floating-point number of 64 bits.
    Float64,
    /// A calendar day.
    Date,
    /// A point in time: microseconds, UTC.
    Timestamp,
    /// Texts in an order that matters.
    TextList,
    /// JSON in canonical form, for queries: see [`Json`](crate::Json).
    Json,
    /// JSON as it was received: see [`RawJson`](crate::RawJson).
    RawJson,
}

impl fmt::Display for LogicalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Bool => "bool",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::TextList => "list of text",
            Self::Json => "json",
            Self::RawJson => "raw json",
        })
    }
}

impl ModelDescriptor {
    /// Derives the descriptor of model `M` from its struct.
    pub fn of<M: Model>() -> Result<Self, ModelError> {
        Self::from_schema(M::ID, M::VERSION, schema_of::<M>().as_value())
    }

    fn from_schema(id: &str, version: &str, schema: &Value) -> Result<Self, ModelError> {
        let wrong = |problem: String| ModelError::new(id, problem);
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .ok_or_else(|| wrong("is not a struct with named fields".into()))?;
        let mut keys = Vec::new();
        let mut fields = Vec::with_capacity(properties.len());
        for (name, property) in properties {
            let of_field = |problem: &str| wrong(format!("field `{name}` {problem}"));
            if !required.contains(&name.as_str()) {
                return Err(of_field("can be left out of a row by a serde attribute; use `Option` for null"));
            }
            let object = property.as_object().ok_or_else(|| of_field("has no type"))?;
            let (logical_type, nullable) =
                logical_type(object).ok_or_else(|| of_field("has a type that no column can hold"))?;
            if flag(object, "x-cdm-key") {
                if nullable || logical_type != LogicalType::Text {
                    return Err(of_field("is the key and therefore must be a text that is never null"));
                }
                keys.push(fields.len());
            }
            let references = text(object, "x-cdm-references")
                .map(|id| id.parse().map_err(|_| of_field("refers to an id that is no model id")))
                .transpose()?;
            fields.push(FieldDescriptor {
                name: name.clone(),
                logical_type,
                nullable,
                description: text(object, "description").unwrap_or_default().replace('\n', " "),
                references,
                indexed: flag(object, "x-cdm-index"),
            });
        }
        let [key] = keys.as_slice() else {
            return Err(wrong("must mark exactly one field with `x-cdm-key`".into()));
        };
        Ok(Self {
            id: id.parse().map_err(|_| wrong("is no dotted lower-case id".into()))?,
            version: version.parse().map_err(|_| wrong(format!("has the version `{version}`, which is not semver")))?,
            description: schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " "),
            fields,
            key: *key,
        })
    }

    /// The field whose value identifies a record.
    #[allow(clippy::indexing_slicing, reason = "`key` is the place of a field, by construction")]
    pub fn key(&self) -> &FieldDescriptor {
        &self.fields[self.key]
    }

    /// The place of the key among the fields.
    pub fn key_index(&self) -> usize {
        self.key
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&FieldDescriptor> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// The major version that a version of a model belongs to; what comes before the first is counted to it, as it has the
/// same table.
pub fn major(version: &Version) -> u64 {
    version.major.max(1)
}

fn flag(schema: &Map<String, Value>, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn text<'a>(schema: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    schema.get(name).and_then(Value::as_str)
}

/// The logical type and whether null is allowed; `None` when no column can hold the values.
fn logical_type(schema: &Map<String, Value>) -> Option<(LogicalType, bool)> {
    // An enum whose variants are documented is a choice of constants, an optional one a choice
    // between that and null.
    if let Some(alternatives) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
        let mut nullable = false;
        for alternative in alternatives.as_array()? {
            let alternative = alternative.as_object()?;
            match text(alternative, "type") {
                Some("null") => nullable = true,
                _ => match logical_type(alternative)? {
                    (LogicalType::Text, null_too) => nullable |= null_too,
                    _ => return None,
                },
            }
        }
        return Some((LogicalType::Text, nullable));
    }
    let mut types: Vec<&str> = match schema.get("type")? {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    let all = types.len();
    types.retain(|name| *name != "null");
    let nullable = types.len() < all;
    let logical_type = match (text(schema, "x-cdm-type"), types.as_slice(), text(schema, "format")) {
        (Some("json"), ..) => LogicalType::Json,
        (Some("raw_json"), ..) => LogicalType::RawJson,
        (None, ["string"], None) => LogicalType::Text,
        (None, ["string"], Some("date")) => LogicalType::Date,
        (None, ["string"], Some("date-time")) => LogicalType::Timestamp,
        (None, ["boolean"], _) => LogicalType::Bool,
        (None, ["integer"], _) => LogicalType::Int64,
        (None, ["number"], _) => LogicalType::Float64,
        (None, ["array"], _) => {
            let items = schema.get("items")?.as_object()?;
            matches!(logical_type(items)?, (LogicalType::Text, false)).then_some(LogicalType::TextList)?
        }
        _ => return None,
    };
    Some((logical_type, nullable))
}

/// A registered model that cannot be used: a programming error of the crate that defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelError {
    model: String,
    problem: String,
}

impl ModelError {
    pub(crate) fn new(model: &str, problem: impl Into<String>) -> Self {
        Self { model: model.to_owned(), problem: problem.into() }
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model `{}` {}", self.model, self.problem)
    }
}

impl std::error::Error for ModelError {}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use schemars::JsonSchema;
    use serde::Serialize;

    use super::*;
    use crate::{Date, Json, RawJson, Timestamp};

    #[derive(Serialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[allow(dead_code)]
    enum Colour {
        Red,
        DarkBlue,
    }

    #[derive(Serialize, JsonSchema)]
    #[allow(dead_code)]
    enum Shade {
        /// Like snow.
        Light,
        /// Like coal.
        Dark,
    }

    /// Everything that
    /// a field can be.
    #[derive(Serialize, JsonSchema)]
    struct Everything<'a> {
        /// The key.
        #[schemars(extend("x-cdm-key" = true))]
        id: Cow<'a, str>,
        colour: Colour,
        /// With a
        /// documented choice.
        shade: Option<Shade>,
        maybe_colour: Option<Colour>,
        flag: bool,
        count: Option<i64>,
        small: u32,
        ratio: Option<f64>,
        day: Option<Date>,
        #[schemars(extend("x-cdm-index" = true))]
        at: Timestamp,
        labels: Option<Vec<Cow<'a, str>>>,
        /// Points elsewhere.
        #[schemars(extend("x-cdm-references" = "acme.other"))]
        other: Option<&'a str>,
        properties: Option<Json<'a>>,
        raw: RawJson<'a>,
    }

    impl Model for Everything<'_> {
        const ID: &'static str = "acme.everything";
        const VERSION: &'static str = "1.2.0";
    }

    #[test]
    fn a_descriptor_says_what_the_struct_says() {
        let model = ModelDescriptor::of::<Everything>().unwrap();
        assert_eq!((model.id.as_str(), model.version.to_string()), ("acme.everything", "1.2.0".to_owned()));
        assert_eq!(model.description, "Everything that a field can be.");
        assert_eq!(model.key().name, "id");
        let fields: Vec<_> =
            model.fields.iter().map(|field| (field.name.as_str(), field.logical_type, field.nullable)).collect();
        assert_eq!(
            fields,
            [
                ("id", LogicalType::Text, false),
                ("colour", LogicalType::Text, false),
                ("shade", LogicalType::Text, true),
                ("maybe_colour", LogicalType::Text, true),
                ("flag", LogicalType::Bool, false),
                ("count", LogicalType::Int64, true),
                ("small", LogicalType::Int64, false),
                ("ratio", LogicalType::Float64, true),
                ("day", LogicalType::Date, true),
                ("at", LogicalType::Timestamp, false),
                ("labels", LogicalType::TextList, true),
                ("other", LogicalType::Text, true),
                ("properties", LogicalType::Json, true),
                ("raw", LogicalType::RawJson, false),
            ]
        );
        let other = model.field("other").unwrap();
        assert_eq!(other.references, Some(ModelId::from_static("acme.other")));
        assert_eq!(other.description, "Points elsewhere.");
        assert!(model.field("at").unwrap().indexed);
    }

    #[test]
    fn a_struct_that_is_no_model_says_why() {
        #[derive(Serialize, JsonSchema)]
        struct NoKey {
            id: String,
        }
        #[derive(Serialize, JsonSchema)]
        struct NullKey {
            #[schemars(extend("x-cdm-key" = true))]
            id: Option<String>,
        }
        #[derive(Serialize, JsonSchema)]
        struct Nested {
            #[schemars(extend("x-cdm-key" = true))]
            id: String,
            inner: Vec<Vec<String>>,
        }
        #[derive(Serialize, JsonSchema)]
        struct Skips {
            #[schemars(extend("x-cdm-key" = true))]
            id: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            note: Option<String>,
        }
        macro_rules! problem {
            ($model:ty) => {{
                impl Model for $model {
                    const ID: &'static str = "acme.broken";
                    const VERSION: &'static str = "1.0.0";
                }
                ModelDescriptor::of::<$model>().unwrap_err().to_string()
            }};
        }
        assert_eq!(problem!(NoKey), "model `acme.broken` must mark exactly one field with `x-cdm-key`");
        assert_eq!(
            problem!(NullKey),
            "model `acme.broken` field `id` is the key and therefore must be a text that is never null"
        );
        assert_eq!(problem!(Nested), "model `acme.broken` field `inner` has a type that no column can hold");
        assert_eq!(
            problem!(Skips),
            "model `acme.broken` field `note` can be left out of a row by a serde attribute; use `Option` for null"
        );
    }
}
