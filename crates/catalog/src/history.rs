use std::collections::BTreeMap;

use cdm_models::Timestamp;
use endpoint_api::RunId;

use crate::{Annotations, DatasetField, DatasetSpec, Subject};

/// Why the system stated something about a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A sink was provisioned, or found to be.
    Provisioning {
        /// The hash of the plan that made the table what it is.
        plan_hash: String,
    },
    /// A run was about to read or load; when it went on with an unfinished one, that has another id.
    Run(RunId),
    /// A source was asked for its units.
    Discovery,
}

impl Cause {
    /// The cause as scripts see it: `provisioning`, `run`, `discovery`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Provisioning { .. } => "provisioning",
            Self::Run(_) => "run",
            Self::Discovery => "discovery",
        }
    }

    /// The plan's hash or the run's id.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Provisioning { plan_hash } => Some(plan_hash),
            Self::Run(run_id) => Some(run_id.as_str()),
            Self::Discovery => None,
        }
    }
}

/// What the system knew of a dataset from one moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatasetVersion {
    /// From 1, one more with each change.
    pub version: u64,
    /// Since when.
    pub at: Timestamp,
    /// Why it was stated; `None` of versions from before that was written down.
    pub cause: Option<Cause>,
    /// What was known.
    pub spec: DatasetSpec,
}

/// What people had written about a dataset from one moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnnotationVersion {
    /// From 1, one more with each change.
    pub version: u64,
    /// Since when.
    pub at: Timestamp,
    /// What was written.
    pub annotations: Annotations,
}

/// All that the catalog remembers of a dataset, the oldest first. What the system knows and what people wrote
/// have versions of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatasetHistory {
    /// What the system knew.
    pub system: Vec<DatasetVersion>,
    /// What people had written.
    pub people: Vec<AnnotationVersion>,
}

/// One difference between two versions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Of what: `model version`, `field summary`, `owner`.
    pub what: String,
    /// What it was; `None` when it was not there.
    pub before: Option<String>,
    /// What it is since; `None` when it is no more.
    pub after: Option<String>,
}

/// What a version says that the one before it did not; the first one says everything anew.
pub fn system_differences(before: Option<&DatasetSpec>, after: &DatasetSpec) -> Vec<Difference> {
    differences(before.map(facts), facts(after))
}

/// As [`system_differences`], of what people wrote.
pub fn people_differences(before: Option<&Annotations>, after: &Annotations) -> Vec<Difference> {
    differences(before.map(words), words(after))
}

/// What there is to say, each with its name, in an order for people.
type Statements = Vec<(String, String)>;

fn differences(before: Option<Statements>, after: Statements) -> Vec<Difference> {
    let mut left: BTreeMap<String, String> = before.iter().flatten().cloned().collect();
    let mut differences = Vec::new();
    for (what, after) in after {
        let before = left.remove(&what);
        if before.as_ref() != Some(&after) {
            differences.push(Difference { what, before, after: Some(after) });
        }
    }
    let gone = before.into_iter().flatten().filter(|(what, _)| left.contains_key(what));
    differences.extend(gone.map(|(what, before)| Difference { what, before: Some(before), after: None }));
    differences
}

fn facts(spec: &DatasetSpec) -> Statements {
    let mut facts = Statements::new();
    let mut say = |what: &str, value: String| facts.push((what.to_owned(), value));
    say("location", spec.location().to_owned());
    say("description", spec.description().to_owned());
    match spec.subject() {
        Subject::SourceUnit { feeds, .. } => {
            if let Some(model) = feeds {
                say("model that it feeds", model.to_string());
            }
        }
        Subject::CdmTable { version, provisioned, .. } => {
            say("model version", version.to_string());
            say("version of the table", provisioned.version.to_string());
            say("plan", provisioned.plan_hash.clone());
        }
    }
    if let Some(mapping) = spec.mapping() {
        say("mapper revision", mapping.revision.to_string());
        for field in &mapping.fields {
            let inputs = field.inputs.iter().map(|input| format!("{} {}", input.derivation, input.path));
            say(&format!("mapping of {}", field.field), inputs.collect::<Vec<_>>().join(", "));
        }
    }
    for field in spec.fields() {
        say(&format!("field {}", field.name), describe(field));
    }
    for upstream in spec.upstream() {
        say(&format!("made from {upstream}"), upstream.to_string());
    }
    facts
}

fn describe(field: &DatasetField) -> String {
    let null = match field.nullable {
        Some(true) => ", may be null",
        Some(false) => ", never null",
        None => "",
    };
    let reference = field.references.as_ref().map(|model| format!(", refers to {model}")).unwrap_or_default();
    format!("{}{null}{reference}: {}", field.field_type, field.description)
}

fn words(annotations: &Annotations) -> Statements {
    let mut words = Statements::new();
    let mut say = |what: &str, value: Option<String>| words.extend(value.map(|value| (what.to_owned(), value)));
    say("description", annotations.description.clone());
    say("owner", annotations.owner.clone());
    for tag in &annotations.tags {
        say(&format!("tag {tag}"), Some(tag.clone()));
    }
    for (field, note) in &annotations.notes {
        say(&format!("note on {field}"), Some(note.clone()));
    }
    say("expected interval", annotations.expectations.every.map(|every| every.to_string()));
    say("expected rows", annotations.expectations.rows.map(|rows| rows.to_string()));
    words
}
