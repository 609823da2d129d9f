use cdm_models::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Dataset, ErrorMessage, Facet, InputDataset, JobType, OutputDataset, ProcessingEngine, Producer, dataset::is_bare,
};

const RUN_EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const DATASET_EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/DatasetEvent";

/// How a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RunState {
    /// It has begun.
    Start,
    /// It goes on.
    Running,
    /// All of it is done.
    Complete,
    /// It was stopped or given up.
    Abort,
    /// It stopped at an error.
    Fail,
}

/// Says how a run of a job gets on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunEvent {
    event_type: RunState,
    event_time: Timestamp,
    run: Run,
    job: Job,
    inputs: Vec<InputDataset>,
    outputs: Vec<OutputDataset>,
    producer: Producer,
    #[serde(rename = "schemaURL")]
    schema_url: &'static str,
}

impl RunEvent {
    /// An event without datasets.
    pub fn new(state: RunState, at: Timestamp, run: Run, job: Job, producer: &Producer) -> Self {
        Self {
            event_type: state,
            event_time: at,
            run,
            job,
            inputs: Vec::new(),
            outputs: Vec::new(),
            producer: producer.clone(),
            schema_url: RUN_EVENT,
        }
    }

    /// The run reads this dataset.
    #[must_use]
    pub fn reads(mut self, dataset: InputDataset) -> Self {
        self.inputs.push(dataset);
        self
    }

    /// The run writes this dataset.
    #[must_use]
    pub fn writes(mut self, dataset: OutputDataset) -> Self {
        self.outputs.push(dataset);
        self
    }

    /// The event as it is sent.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON, which would be a fault of this crate.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// Describes a dataset outside of any run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatasetEvent {
    event_time: Timestamp,
    dataset: Dataset,
    producer: Producer,
    #[serde(rename = "schemaURL")]
    schema_url: &'static str,
}

impl DatasetEvent {
    /// The dataset is so from `at` on.
    pub fn new(at: Timestamp, dataset: Dataset, producer: &Producer) -> Self {
        Self { event_time: at, dataset, producer: producer.clone(), schema_url: DATASET_EVENT }
    }

    /// The event as it is sent.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON, which would be a fault of this crate.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// One execution of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    run_id: Uuid,
    #[serde(skip_serializing_if = "is_bare")]
    facets: RunFacets,
}

/// What is known of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct RunFacets {
    /// Which program carries it out.
    #[serde(rename = "processing_engine", skip_serializing_if = "Option::is_none")]
    pub processing_engine: Option<Facet<ProcessingEngine>>,
    /// Why it did not succeed.
    #[serde(rename = "errorMessage", skip_serializing_if = "Option::is_none")]
    pub error_message: Option<Facet<ErrorMessage>>,
}

impl Run {
    /// The run with that id.
    pub fn new(run_id: Uuid) -> Self {
        Self { run_id, facets: RunFacets::default() }
    }

    /// Says what is known of it.
    #[must_use]
    pub fn facets(mut self, facets: RunFacets) -> Self {
        self.facets = facets;
        self
    }
}

/// What runs again and again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "is_bare")]
    facets: JobFacets,
}

/// What is known of a job.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct JobFacets {
    /// What kind of job it is.
    #[serde(rename = "jobType", skip_serializing_if = "Option::is_none")]
    pub job_type: Option<Facet<JobType>>,
}

impl Job {
    /// The job of that name, which is unique in its namespace.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into(), facets: JobFacets::default() }
    }

    /// Says what is known of it.
    #[must_use]
    pub fn facets(mut self, facets: JobFacets) -> Self {
        self.facets = facets;
        self
    }
}
