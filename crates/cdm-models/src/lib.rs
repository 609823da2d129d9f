//! The Common Data Model: what a project, a user, an item, a comment and a worklog *are*,
//! whatever tool they come from.
//!
//! A model is a documented struct. Its fields stand nowhere else: the JSON Schema, the columns of
//! a table, the encoding of a row, the catalog entry and the documentation are all derived from
//! the struct through its [`ModelDescriptor`]. A model in another crate is registered with
//! [`register_model!`] and is from then on as good as one of ours.
//!
//! This crate is pure. It must never do I/O, read a clock or know where a record came from.
//!
//! ```
//! use std::borrow::Cow;
//! use cdm_models::{LogicalType, Model, ModelDescriptor};
//!
//! /// A team of people.
//! #[derive(serde::Serialize, schemars::JsonSchema)]
//! struct Team<'a> {
//!     /// Identity of the team in the CDM.
//!     #[schemars(extend("x-cdm-key" = true))]
//!     cdm_id: Cow<'a, str>,
//!     /// How many people are in it.
//!     size: Option<i64>,
//! }
//!
//! impl Model for Team<'_> {
//!     const ID: &'static str = "acme.team";
//!     const VERSION: &'static str = "1.0.0";
//! }
//!
//! let team = ModelDescriptor::of::<Team>().unwrap();
//! assert_eq!(team.key().name, "cdm_id");
//! assert_eq!(team.field("size").unwrap().logical_type, LogicalType::Int64);
//! assert!(team.field("size").unwrap().nullable);
//! ```

mod cdm_id;
mod descriptor;
pub mod json;
mod model;
mod model_id;
mod released;
mod value;
pub mod work;

pub use cdm_id::cdm_id;
pub use descriptor::{FieldDescriptor, LogicalType, ModelDescriptor, ModelError, major};
pub use model::{Model, ModelEntry, registered_models};
pub use model_id::{InvalidId, ModelId, is_dotted_id};
pub use released::{Breach, ReleasedModel};
pub use value::{Date, InvalidTime, Json, RawJson, Timestamp};

#[doc(hidden)]
pub use inventory;
