//! The driver `cdm.sqlite`: CDM models as tables in one SQLite file, with nothing to install.
//!
//! It creates the tables of any model and loads rows slice by slice. Rejects, ledger, fences and checkpoints
//! are in the same file, which is in WAL mode: who reads is never held up.
//!
//! SQLite has one writer at a time, so a load holds nothing while it is being filled:
//!
//! 1. Rows are judged by what is stored for their keys; what says something new goes into a temporary table
//!    of the load's own connection.
//! 2. The commit is one write transaction: it compares the fence, puts the slice into the ledger, judges the
//!    greatest row of each key once more, now that nobody else writes, stores it, and moves the checkpoint.
//!
//! A load that has to find a row which the file refuses writes as it goes, and no other one meanwhile.
//!
//! It must never map, and never drop or rewrite what it did not create.

mod cells;
mod check;
mod config;
mod database;
mod dialect;
mod endpoint;
mod guard;
mod introspect;
mod load;
mod loading;
mod merge;
mod outbox;
mod provision;
mod reject_listing;
mod rejects;
mod replayable_rejects;
mod retention;
mod run;
mod settle;
mod settled_rejects;
mod sites;
mod stage;
mod stored;
mod target;
mod verify;
mod views;
mod watch;

pub use config::Config;
pub use endpoint::{CdmSqlite, SqliteCdm};
