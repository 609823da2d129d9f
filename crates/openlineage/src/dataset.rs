use serde::Serialize;

use crate::{ColumnLineage, DataQualityMetrics, DataSource, Documentation, Facet, OutputStatistics, Schema};

/// A collection of data, known by its namespace and its name there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dataset {
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "is_bare")]
    facets: DatasetFacets,
}

/// What is known of a dataset, whatever runs do to it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatasetFacets {
    /// What it is, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documentation: Option<Facet<Documentation>>,
    /// Its fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Facet<Schema>>,
    /// What has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_source: Option<Facet<DataSource>>,
    /// From which fields of other datasets its fields are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column_lineage: Option<Facet<ColumnLineage>>,
}

impl Dataset {
    /// The dataset of that name, which is unique in its namespace.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into(), facets: DatasetFacets::default() }
    }

    /// Says what is known of it.
    #[must_use]
    pub fn facets(mut self, facets: DatasetFacets) -> Self {
        self.facets = facets;
        self
    }

    /// It is read by a run.
    pub fn read(self, facets: InputFacets) -> InputDataset {
        InputDataset { dataset: self, input_facets: facets }
    }

    /// It is written by a run.
    pub fn written(self, facets: OutputFacets) -> OutputDataset {
        OutputDataset { dataset: self, output_facets: facets }
    }
}

/// A dataset that a run reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InputDataset {
    #[serde(flatten)]
    dataset: Dataset,
    #[serde(skip_serializing_if = "is_bare")]
    input_facets: InputFacets,
}

/// What a run has found in a dataset that it reads.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InputFacets {
    /// How much was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_quality_metrics: Option<Facet<DataQualityMetrics>>,
}

/// A dataset that a run writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputDataset {
    #[serde(flatten)]
    dataset: Dataset,
    #[serde(skip_serializing_if = "is_bare")]
    output_facets: OutputFacets,
}

/// What a run has done to a dataset that it writes.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputFacets {
    /// How much was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_statistics: Option<Facet<OutputStatistics>>,
}

/// Whether there is no facet at all.
pub(crate) fn is_bare<F: Default + PartialEq>(facets: &F) -> bool {
    *facets == F::default()
}
