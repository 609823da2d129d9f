//! OpenLineage, version 2-0-2: what is told of runs and datasets to those who draw lineage.
//!
//! A [`RunEvent`] says how a run of a job gets on, with the datasets that it reads and writes; a
//! [`DatasetEvent`] describes a dataset that no run has touched. What is known beyond that stands in facets,
//! each with the schema that it keeps to. Facets that nobody has anything to say about are left out.
//!
//! This crate is pure: it does no I/O, reads no clock and knows nothing of what is told. It must never be given
//! a secret or the value of a cell.
//!
//! ```
//! use cdm_models::Timestamp;
//! use openlineage::{Job, Producer, Run, RunEvent, RunState, run_id};
//!
//! let producer = Producer::new("urn:x-example:loader:1.0.0");
//! let run = Run::new(run_id("01a20b63-c93b-7587-aca8-1afbd8f7f5d0"));
//! let job = Job::new("warehouse", "load_issues");
//! let at = Timestamp::parse("2026-03-04T05:06:07Z")?;
//! let event = RunEvent::new(RunState::Start, at, run, job, &producer);
//! assert!(event.to_json()?.starts_with(r#"{"eventType":"START","eventTime":"2026-03-04T05:06:07Z","#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dataset;
mod event;
mod facet;
mod run_id;

pub use dataset::{Dataset, DatasetFacets, InputDataset, InputFacets, OutputDataset, OutputFacets};
pub use event::{DatasetEvent, Job, JobFacets, Run, RunEvent, RunFacets, RunState};
pub use facet::{
    ColumnLineage, ColumnMetrics, Content, DataQualityMetrics, DataSource, Documentation, ErrorMessage, Facet,
    FieldLineage, InputField, JobType, OutputStatistics, ProcessingEngine, Producer, Schema, SchemaField,
    Transformation,
};
pub use run_id::run_id;
