use cdm_models::{ModelId, Timestamp};
use endpoint_api::{EndpointId, RunId};

use crate::{Annotations, DatasetKind, DatasetSpec};

/// A load that went into a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadFacts {
    /// The run that loaded.
    pub run_id: RunId,
    /// When it was done.
    pub at: Timestamp,
    /// How many rows the dataset has since, as the sink counted them; `None` when it did not count.
    pub rows: Option<u64>,
}

impl LoadFacts {
    /// A load.
    pub fn new(run_id: RunId, at: Timestamp, rows: Option<u64>) -> Self {
        Self { run_id, at, rows }
    }
}

/// A dataset as it stands in the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dataset {
    /// What the system knows of it.
    pub spec: DatasetSpec,
    /// What people wrote about it.
    pub annotations: Annotations,
    /// When people changed last what they wrote.
    pub annotated_at: Option<Timestamp>,
    /// The last load into it.
    pub last_load: Option<LoadFacts>,
    /// From 1, one more with each change of what the system knows.
    pub version: u64,
    /// When it was registered first.
    pub registered_at: Timestamp,
    /// When what the system knows of it changed last.
    pub updated_at: Timestamp,
}

impl Dataset {
    /// A dataset that was just registered.
    pub fn new(spec: DatasetSpec, at: Timestamp) -> Self {
        Self {
            spec,
            annotations: Annotations::default(),
            annotated_at: None,
            last_load: None,
            version: 1,
            registered_at: at,
            updated_at: at,
        }
    }
}

/// Which datasets are wanted; those that fit everything that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatasetFilter {
    /// Only those of this kind.
    pub kind: Option<DatasetKind>,
    /// Only those of this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Only those of this model, and the units that feed it.
    pub cdm_model: Option<ModelId>,
}

impl DatasetFilter {
    /// All datasets.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only those of `kind`.
    #[must_use]
    pub fn of_kind(mut self, kind: DatasetKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Only those of `endpoint`.
    #[must_use]
    pub fn of_endpoint(mut self, endpoint: EndpointId) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// Only those of `model`, and the units that feed it.
    #[must_use]
    pub fn of_model(mut self, model: ModelId) -> Self {
        self.cdm_model = Some(model);
        self
    }
}
