//! The driver `acme.parquet`: rows of CDM models as Parquet files in a folder.
//!
//! It is an example of what a third party writes: a crate of its own that depends on the contract
//! ([`endpoint_api`]), on the models ([`cdm_models`]) and on [`relational`] for the total order of records, and
//! on nothing else of `cdm`.
//!
//! ```text
//! lake/
//!   _acme/manifest.json            all that is committed: models, ingestions, files; replaced as a whole
//!   _acme/lock                     held for milliseconds by whoever replaces it
//!   _acme/rejects/….parquet        records that could not be read or mapped
//!   cdm.work.item/schema.json      what the files beside it are made of
//!   cdm.work.item/ingestion=acme_jira.jira.issues/run=…/slice-000000-7.parquet
//! ```
//!
//! - **A slice is one file**, named by its ingestion, its run and its place in the plan. It holds the rows that
//!   are new or greater than those that were there; what is unchanged is not written again.
//! - **Files are never changed.** All versions of a record stand in them, and the last one counts:
//!   [`read_model`].
//! - **A commit is the replacing of the manifest**, with rows, rejects, receipt and checkpoint. A file that it
//!   does not name is not there, and the next run sweeps it.
//! - **The operating system keeps the locks**: one that a killed program held is free.
//!
//! Its limits: it keeps the rows of a slice in memory until they are committed, and while a run is open about
//! 200 bytes for each key of the model; it never merges small files; the folder must be a local one, because
//! the lock is a file lock (a store with conditional writes would replace the manifest with one).
//!
//! ```
//! use endpoint_api::{EndpointId, OpenContext, Registry};
//! # use sink_parquet_cdm as _;
//!
//! # async fn example() -> endpoint_api::Result<()> {
//! let driver = Registry::load()?.driver("acme.parquet").expect("it is linked");
//! let context = OpenContext::new(EndpointId::from_static("lake"), ".");
//! let endpoint = driver.open(serde_json::json!({ "path": "./lake" }), context).await?;
//! assert!(endpoint.check().await?.ok());
//! # Ok(())
//! # }
//! ```

mod config;
mod driver;
mod error;
mod index;
mod layout;
mod load;
mod manifest;
mod open;
mod part;
mod provision;
mod read;
mod rejects;
mod run;
mod schema;
mod store;

pub use config::Config;
pub use driver::{Parquet, ParquetEndpoint};
pub use read::read_model;
