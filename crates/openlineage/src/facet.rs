use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;

/// The URI of the program that says what an event says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Producer(Cow<'static, str>);

impl Producer {
    /// The program with that URI, which names its version.
    pub fn new(uri: impl Into<Cow<'static, str>>) -> Self {
        Self(uri.into())
    }

    /// What this program says.
    pub fn says<F: Content>(&self, content: F) -> Facet<F> {
        Facet { producer: self.clone(), schema_url: F::SCHEMA_URL, content }
    }
}

/// Something that is known, with who says so and the schema that it keeps to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facet<F> {
    #[serde(rename = "_producer")]
    producer: Producer,
    #[serde(rename = "_schemaURL")]
    schema_url: &'static str,
    #[serde(flatten)]
    content: F,
}

/// What a facet says.
pub trait Content: Serialize {
    /// The official schema of the facet.
    const SCHEMA_URL: &'static str;
}

/// Names the official schema of each facet.
macro_rules! official {
    ($($content:ident = $version:literal $schema:literal;)*) => {
        $(impl Content for $content {
            const SCHEMA_URL: &'static str =
                concat!("https://openlineage.io/spec/facets/", $version, "/", $schema, ".json#/$defs/", $schema);
        })*
    };
}

official! {
    ColumnLineage = "1-2-0" "ColumnLineageDatasetFacet";
    DataQualityMetrics = "1-0-2" "DataQualityMetricsInputDatasetFacet";
    DataSource = "1-0-1" "DatasourceDatasetFacet";
    Documentation = "1-0-1" "DocumentationDatasetFacet";
    ErrorMessage = "1-0-1" "ErrorMessageRunFacet";
    JobType = "2-0-3" "JobTypeJobFacet";
    OutputStatistics = "1-0-2" "OutputStatisticsOutputDatasetFacet";
    ProcessingEngine = "1-1-1" "ProcessingEngineRunFacet";
    Schema = "1-2-0" "SchemaDatasetFacet";
}

/// Which program carries a run out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessingEngine {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
}

/// Why a run did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorMessage {
    /// What went wrong, without secrets and values of cells.
    pub message: String,
    /// In which language the program is written: `RUST`.
    pub programming_language: String,
}

/// What kind of job it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobType {
    /// `BATCH` or `STREAMING`.
    pub processing_type: String,
    /// Which integration runs it.
    pub integration: String,
    /// What it is in the words of the integration.
    pub job_type: String,
}

/// What a dataset is, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Documentation {
    /// The words.
    pub description: String,
}

/// The fields of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// In their order.
    pub fields: Vec<SchemaField>,
}

/// A field of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaField {
    /// Its name, or the dotted path of a member.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub field_type: String,
    /// What it means.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What has a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataSource {
    /// Its name.
    pub name: String,
    /// Its URI, which holds no secret.
    pub uri: String,
}

/// From which fields of other datasets the fields of a dataset are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnLineage {
    /// By the name of the field that is made.
    pub fields: BTreeMap<String, FieldLineage>,
}

/// From which fields a field is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldLineage {
    /// These.
    pub input_fields: Vec<InputField>,
}

/// A field from which another is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputField {
    /// The namespace of its dataset.
    pub namespace: String,
    /// The name of its dataset.
    pub name: String,
    /// Its own name, or the dotted path of a member.
    pub field: String,
    /// What becomes of its value.
    pub transformations: Vec<Transformation>,
}

/// What becomes of a value on its way from one field into another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transformation {
    /// `DIRECT`: the value is in the field; `INDIRECT`: it only has a say in it.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `IDENTITY` when it is the same value, `TRANSFORMATION` when it is another.
    pub subtype: &'static str,
    /// In words; empty where there is no more to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether nobody can tell the value from what became of it.
    pub masking: bool,
}

impl Transformation {
    /// The field holds the value as it is.
    pub fn identity() -> Self {
        Self { kind: "DIRECT", subtype: "IDENTITY", description: String::new(), masking: false }
    }

    /// The field holds something that is made of the value.
    pub fn transformed(description: impl Into<String>) -> Self {
        Self { kind: "DIRECT", subtype: "TRANSFORMATION", description: description.into(), masking: false }
    }
}

/// How much of a dataset a run has read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataQualityMetrics {
    /// How many records.
    pub row_count: u64,
    /// How many bytes, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Of each column what is known of its values; the schema asks for the member also when that is nothing.
    pub column_metrics: BTreeMap<String, ColumnMetrics>,
}

/// What is known of the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ColumnMetrics {
    /// How many of them are null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null_count: Option<u64>,
}

/// How much a run has written into a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputStatistics {
    /// How many rows.
    pub row_count: u64,
}
