use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{FieldDescriptor, LogicalType, ModelDescriptor, ModelId};

/// A model as it was released: what its tables and their readers rely on.
///
/// Within a major version a model changes by additions only; [`breaches`](Self::breaches) says where one does
/// not. Whoever defines models keeps the last release of each beside its code, as JSON, and compares in a test:
///
/// ```
/// use cdm_models::{ModelDescriptor, ReleasedModel, work::Item};
///
/// let now = ModelDescriptor::of::<Item<'_>>().unwrap();
/// let released: ReleasedModel =
///     serde_json::from_str(include_str!("../baseline/cdm.work.item.json")).unwrap();
/// assert_eq!(released.breaches(&now), []);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasedModel {
    id: ModelId,
    version: Version,
    key: String,
    fields: Vec<ReleasedField>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleasedField {
    name: String,
    #[serde(rename = "type")]
    logical_type: LogicalType,
    nullable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    references: Option<ModelId>,
}

/// Where a model breaks with its last release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    difference: String,
    rule: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, but {}", self.difference, self.rule)
    }
}

impl ReleasedModel {
    /// A model as it is now, to be released.
    pub fn of(model: &ModelDescriptor) -> Self {
        let field = |field: &FieldDescriptor| ReleasedField {
            name: field.name.clone(),
            logical_type: field.logical_type,
            nullable: field.nullable,
            references: field.references.clone(),
        };
        Self {
            id: model.id.clone(),
            version: model.version.clone(),
            key: model.key().name.clone(),
            fields: model.fields.iter().map(field).collect(),
        }
    }

    /// The model's id.
    pub fn id(&self) -> &ModelId {
        &self.id
    }

    /// The version that was released.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Where the model, as it is now, breaks with this release; nowhere when its major version is a newer one.
    pub fn breaches(&self, now: &ModelDescriptor) -> Vec<Breach> {
        if now.version.major > self.version.major {
            return Vec::new();
        }
        let mut breaches = Vec::new();
        let mut breach = |difference: String, rule| breaches.push(Breach { difference, rule });
        if now.version < self.version {
            let difference = format!("{} was released, and the model says {}", self.version, now.version);
            breach(difference, "versions rise");
        }
        if now.key().name != self.key {
            let difference = format!("the key was `{}` and is `{}`", self.key, now.key().name);
            breach(difference, "a key stays within a major version");
        }
        for released in &self.fields {
            let name = &released.name;
            let Some(field) = now.field(name) else {
                breach(format!("the field `{name}` is gone"), "a field stays, under its name, within a major version");
                continue;
            };
            if field.logical_type != released.logical_type {
                let difference =
                    format!("the field `{name}` was {} and is {}", released.logical_type, field.logical_type);
                breach(difference, "a field keeps its type within a major version");
            }
            if field.nullable != released.nullable {
                let change = if released.nullable { "could be null and cannot" } else { "could not be null and can" };
                breach(
                    format!("the field `{name}` {change} now"),
                    "whether a field can be null stays within a major version",
                );
            }
            if field.references != released.references {
                let to = |model: &Option<ModelId>| model.as_ref().map_or("nothing".to_owned(), |id| format!("`{id}`"));
                let (before, after) = (to(&released.references), to(&field.references));
                breach(
                    format!("the field `{name}` referred to {before} and refers to {after}"),
                    "a field keeps what it refers to within a major version",
                );
            }
        }
        let released = |field: &FieldDescriptor| self.fields.iter().any(|released| released.name == field.name);
        for field in now.fields.iter().filter(|field| !released(field)) {
            if !field.nullable {
                breach(
                    format!("the new field `{}` cannot be null", field.name),
                    "rows that are there have no value for it",
                );
            }
            if (now.version.major, now.version.minor) == (self.version.major, self.version.minor) {
                breach(
                    format!("the field `{}` is new in {}", field.name, now.version),
                    "what is added makes a new minor version",
                );
            }
        }
        breaches
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Serialize;

    use super::*;
    use crate::Model;

    #[derive(Serialize, JsonSchema)]
    struct First {
        #[schemars(extend("x-cdm-key" = true))]
        id: String,
        name: Option<String>,
        size: Option<i64>,
        state: String,
        #[schemars(extend("x-cdm-references" = "acme.team"))]
        team: Option<String>,
    }

    #[derive(Serialize, JsonSchema)]
    struct Grown {
        /// What people read may change.
        #[schemars(extend("x-cdm-key" = true))]
        id: String,
        colour: Option<String>,
        name: Option<String>,
        size: Option<i64>,
        state: String,
        #[schemars(extend("x-cdm-references" = "acme.team"))]
        team: Option<String>,
    }

    #[derive(Serialize, JsonSchema)]
    struct Broken {
        id: String,
        #[schemars(extend("x-cdm-key" = true))]
        code: String,
        size: Option<f64>,
        state: Option<String>,
        #[schemars(extend("x-cdm-references" = "acme.crew"))]
        team: String,
    }

    macro_rules! versions {
        ($($model:ident $version:literal),+) => {$(
            impl Model for $model {
                const ID: &'static str = "acme.thing";
                const VERSION: &'static str = $version;
            }
        )+};
    }
    versions!(First "1.0.0", Grown "1.1.0", Broken "1.0.0");

    fn released() -> ReleasedModel {
        ReleasedModel::of(&ModelDescriptor::of::<First>().unwrap())
    }

    fn at(version: &str, mut model: ModelDescriptor) -> ModelDescriptor {
        model.version = version.parse().unwrap();
        model
    }

    #[test]
    fn an_addition_in_a_new_minor_version_breaks_nothing() {
        assert_eq!(released().breaches(&ModelDescriptor::of::<First>().unwrap()), []);
        assert_eq!(released().breaches(&ModelDescriptor::of::<Grown>().unwrap()), []);
    }

    #[test]
    fn a_new_major_version_may_break_everything() {
        assert_eq!(released().breaches(&at("2.0.0", ModelDescriptor::of::<Broken>().unwrap())), []);
    }

    #[test]
    fn every_breach_is_named_with_its_rule() {
        let told = |now: &ModelDescriptor| released().breaches(now).iter().map(ToString::to_string).collect::<Vec<_>>();
        let broken = ModelDescriptor::of::<Broken>().unwrap();
        assert_eq!(
            told(&broken),
            [
                "the key was `id` and is `code`, but a key stays within a major version",
                "the field `name` is gone, but a field stays, under its name, within a major version",
                "the field `size` was int64 and is float64, but a field keeps its type within a major version",
                "the field `state` could not be null and can now, but whether a field can be null stays within a major version",
                "the field `team` could be null and cannot now, but whether a field can be null stays within a major version",
                "the field `team` referred to `acme.team` and refers to `acme.crew`, but a field keeps what it refers to within a major version",
                "the new field `code` cannot be null, but rows that are there have no value for it",
                "the field `code` is new in 1.0.0, but what is added makes a new minor version",
            ]
        );
        let grown = ModelDescriptor::of::<Grown>().unwrap();
        assert_eq!(
            told(&at("1.0.1", grown.clone())),
            ["the field `colour` is new in 1.0.1, but what is added makes a new minor version"]
        );
        assert_eq!(told(&at("0.9.0", grown)), ["1.0.0 was released, and the model says 0.9.0, but versions rise"]);
    }

    #[test]
    fn a_release_reads_back_as_it_was_written() {
        let json = serde_json::to_string(&released()).unwrap();
        assert_eq!(serde_json::from_str::<ReleasedModel>(&json).unwrap(), released());
    }
}
