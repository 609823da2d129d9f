//! The driver `cdm.postgres`: CDM models as tables in PostgreSQL 14 to 18.
//!
//! It creates the tables of any model, loads rows slice by slice, each slice in one transaction with
//! its rejects, its line in the ledger and the advance of the checkpoint, and knows the newest run of
//! every ingestion by its fence.
//!
//! It must never map, and never drop or rewrite what it did not create. How it loads:
//!
//! 1. The keys of a batch are looked up. Rows that are already there, or below what is there, are
//!    left out; they take no lock and make no row version.
//! 2. What is left goes by binary `COPY` into a temporary table.
//! 3. One statement merges that into the model table, in the order of the keys, so that concurrent
//!    loads cannot deadlock.
//! 4. The ledger gets its receipt, the fence is compared and the checkpoint moved, all before the one
//!    commit.

mod apply;
mod budget;
mod check;
mod config;
mod copy;
mod dialect;
mod endpoint;
mod grants;
mod heartbeat;
mod holders;
mod introspect;
mod load;
mod loading;
mod lookup;
mod merge;
mod merging;
mod outbox;
mod owner;
mod place;
mod provision;
mod reject_listing;
mod rejects;
mod replayable_rejects;
mod retention;
mod rights;
mod run;
mod session;
mod settled_rejects;
mod sites;
mod sqlstate;
mod state;
mod store_rejects;
mod verify;
mod views;
mod watch;

pub use config::Config;
pub use endpoint::{CdmPostgres, PgCdm};
