//! The contract between the host and endpoint drivers.
//!
//! A driver is a source, a sink or both. It implements [`Driver`] (what is known before anything is
//! configured) and [`Endpoint`] (a configured instance with its roles: [`Source`], [`Sink`],
//! [`Provisioner`]), and registers itself with [`register_driver!`]. A [`Mapper`] turns the raw
//! records of one unit into rows of one CDM model. The host finds all of them in the [`Registry`].
//!
//! Data flows one way, in batches: a source hands out [`RawBatch`]es, a mapper makes
//! [`CdmBatch`]es of them, and a sink takes one or the other, never both.
//!
//! This crate is pure: it does no I/O and reads no clock. The doc comments of its traits are the
//! contract; MUST, SHOULD and MAY are meant as in RFC 2119.
//!
//! The smallest driver that compiles is a driver for nothing:
//!
//! ```
//! use endpoint_api::{
//!     Capabilities, CheckReport, Driver, Endpoint, OpenContext, Provisioner, Result, Sink, Source,
//!     TemplateInfo, async_trait, register_driver,
//! };
//!
//! /// Nothing can be configured.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Config {}
//!
//! #[derive(Debug)]
//! struct Nothing;
//!
//! impl Driver for Nothing {
//!     const ID: &'static str = "acme.nothing";
//!     const ALIASES: &'static [&'static str] = &[];
//!     const CAPABILITIES: Capabilities = Capabilities::NONE;
//!     type Config = Config;
//!     type Endpoint = Nothing;
//!
//!     fn template() -> TemplateInfo {
//!         TemplateInfo::new("Nothing at all", "Acme", "example")
//!     }
//!
//!     fn validate(_: &Config) -> Result<()> {
//!         Ok(())
//!     }
//!
//!     async fn open(_: Config, _: OpenContext) -> Result<Nothing> {
//!         Ok(Nothing)
//!     }
//! }
//!
//! register_driver!(Nothing);
//!
//! #[async_trait]
//! impl Endpoint for Nothing {
//!     async fn check(&self) -> Result<CheckReport> {
//!         Ok(CheckReport::new())
//!     }
//!     fn source(&self) -> Option<&dyn Source> {
//!         None
//!     }
//!     fn sink(&self) -> Option<&dyn Sink> {
//!         None
//!     }
//!     fn provisioner(&self) -> Option<&dyn Provisioner> {
//!         None
//!     }
//!     async fn close(&self) -> Result<()> {
//!         Ok(())
//!     }
//! }
//!
//! let registry = endpoint_api::Registry::load().unwrap();
//! assert_eq!(registry.driver("acme.nothing").unwrap().template().vendor, "Acme");
//! ```

pub mod batch;
mod capabilities;
mod config;
mod driver;
mod endpoint;
mod error;
mod grants;
mod id;
pub mod lineage;
mod living;
mod mapper;
mod nearest;
mod outbox;
mod provision;
mod registry;
mod rejects;
mod replayable;
mod room;
mod sink;
mod site;
mod source;

pub use batch::{Batch, CdmBatch, Incomplete, RawBatch, Reject, StoredReject};
pub use capabilities::{Capabilities, ModelPattern, SinkCapabilities, SourceCapabilities};
pub use config::{ConfigProblem, ConfigSchema, Secret};
pub use driver::{Driver, DriverEntry, OpenContext, TemplateInfo};
pub use endpoint::{Check, CheckReport, Endpoint};
pub use error::{Error, ErrorKind, Result, Retry};
pub use grants::{GrantRequest, Grants, Purpose, Right, RoleRights};
pub use id::{EndpointId, Ingestion, Mode, RunId, UnitId, is_name};
pub use living::{Holder, LivingRun, RunWatch};
pub use mapper::{Mapped, Mapper, MapperEntry, Note, RecordMapper, Rejection};
pub use nearest::nearest;
pub use outbox::{Message, Outbox, Waiting};
pub use provision::{
    Change, Execution, Finding, FindingClass, ModelPlan, PlanState, PlannedFor, ProvisionPlan, ProvisionReceipt,
    ProvisionedModel, Provisioner, Stage, TableLock,
};
pub use registry::Registry;
pub use rejects::{
    Dismissal, Dismissals, EachReject, ListedReject, RejectColumn, RejectFilter, RejectGroup, RejectListing,
    RejectState, general_reason,
};
pub use replayable::{PageLimit, ReplayableRejects};
pub use room::{Room, SMALL_RECORD_BYTES};
pub use sink::{
    Begun, Commit, Counts, Load, LoadReceipt, Mentions, Overlap, RejectQuery, Replay, Resume, Run, RunEnd, RunReceipt,
    RunSpec, Sink, Verification,
};
pub use site::{SourceSite, StoredSite};
pub use source::{Checkpoint, PlanRequest, Resource, Slice, Source, SourceIdentity, UnitDescriptor, UnitField};

/// Arrow, of the version that [`CdmBatch`] is made of. Its major version is part of this crate's.
pub mod arrow {
    pub use arrow_array as array;
    pub use arrow_schema as schema;
}

pub use async_trait::async_trait;
/// The hash of what a reject leaves out; see [`Reject::oversized`].
pub use blake3;
#[doc(hidden)]
pub use cdm_models::is_dotted_id;
#[doc(hidden)]
pub use driver::check_driver;
#[doc(hidden)]
pub use inventory;
