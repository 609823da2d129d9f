//! The metadata catalog: which endpoints there are, which datasets they have, and what ran.
//!
//! A dataset is a source's unit or the table of a CDM model in a sink. What the system knows of it
//! (fields, version, where it is, what it is made from) is registered again and again and only written
//! when it has changed; what people wrote about it is kept apart and never touched by that. Each of the two has
//! versions, and none is forgotten. Units carry their mapper's lineage, so that [`trace`] tells what a column is
//! made of; [`search`] finds datasets, and [`health`] compares them with what people expect.
//!
//! [`open`] gives one [`Catalog`] over two stores: a SQLite file for one machine, PostgreSQL for many.
//!
//! It must never see a secret: endpoints are registered with references and masks in place of them. It
//! reads no clock, decides nothing for the pipeline, and keeps no state that a run depends on.
//!
//! ```
//! use catalog::{AnnotationEdit, Cause, DatasetFilter, DatasetSpec};
//! use cdm_models::{ModelDescriptor, Timestamp, work::Item};
//! use endpoint_api::{EndpointId, ProvisionedModel};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let catalog = catalog::open("sqlite::memory:", ".".as_ref()).await?;
//! let now = Timestamp::parse("2026-03-04T05:06:07Z")?;
//!
//! let model = ModelDescriptor::of::<Item>()?;
//! let warehouse = EndpointId::from_static("warehouse");
//! let provisioned = ProvisionedModel::new(model.version.clone(), "5d41402abc4b2a76".into(), now);
//! let items = DatasetSpec::of_model(&model, &warehouse, "cdm_work.cdm_work_item", &provisioned)
//!     .fed_by(["jira.issues@acme_jira".parse()?]);
//! let cause = Cause::Provisioning { plan_hash: provisioned.plan_hash.clone() };
//! assert!(catalog.register_dataset(&items, &cause, now).await?.changed);
//! assert!(!catalog.register_dataset(&items, &cause, now).await?.changed);
//!
//! catalog.annotate(&items.id(), &AnnotationEdit::default().owner("The data platform team"), now).await?;
//! for dataset in catalog.datasets(&DatasetFilter::all().of_endpoint(warehouse)).await? {
//!     assert_eq!(dataset.spec.id().as_str(), "cdm.work.item@warehouse");
//!     assert_eq!(dataset.annotations.owner.as_deref(), Some("The data platform team"));
//! }
//! catalog.close().await?;
//! # Ok(())
//! # }
//! ```

mod annotations;
mod catalog;
mod dataset;
mod dataset_id;
mod dataset_spec;
mod endpoint;
mod expectations;
mod health;
mod history;
mod lineage;
mod migrations;
mod open;
mod postgres;
mod run;
mod search;
mod sql;
mod sqlite;
mod text;
mod unit_mapping;

pub use annotations::{AnnotationEdit, Annotations};
pub use catalog::{Catalog, Registration};
pub use dataset::{Dataset, DatasetFilter, LoadFacts};
pub use dataset_id::DatasetId;
pub use dataset_spec::{DatasetField, DatasetKind, DatasetSpec, Subject};
pub use endpoint::{EndpointSpec, RegisteredEndpoint};
pub use expectations::{Expectations, Interval, RowBand};
pub use health::{HealthCheck, health};
pub use history::{
    AnnotationVersion, Cause, DatasetHistory, DatasetVersion, Difference, people_differences, system_differences,
};
pub use lineage::{ColumnStep, DatasetLineage, LineageStep, trace};
pub use open::{is_to_be_made, layout, open};
pub use run::{Attempt, RunEndFacts, RunFilter, RunOutcome, RunRecord, RunStart, RunStatus};
pub use search::{Found, Hit, search};
pub use unit_mapping::{DroppedPart, FieldInput, FieldMapping, UnitMapping};
