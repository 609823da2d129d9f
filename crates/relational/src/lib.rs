//! What sinks have in common, so that it stands once and a sink that speaks SQL is only a dialect.
//!
//! - [`Table`]: the table that a model needs, and the tables that every sink needs for itself
//!   ([`support`]);
//! - [`compare`]: the difference between a table as it should be and as it is, as changes and findings;
//! - [`Identifier`]: names that come from configuration, checked and quoted;
//! - [`Version`] and [`judge`]: the total order of records, by which any number of loads in any
//!   order end in the same table, and [`Judge`], which applies it to the batches of a load;
//! - [`plan()`]: what a sink lacks so that models can be loaded; [`due`] and [`provisioned`]: what is left to do of such
//!   a plan, and what to answer, also without SQL;
//! - [`View`]: the major versions of a model, each in a table of its own;
//! - [`sites`]: of which site the rows of a source system are, and when a run of another one is refused;
//! - [`state`]: what a sink remembers of each ingestion, and how a run goes on from there;
//! - [`repair`]: what makes rows be loaded again that are not as they were stored;
//! - [`Tally`]: what became of the records of a load, so that every one is accounted for;
//! - [`merge`] and [`Ledger`]: what a load does to the rows that are stored, and where each ingestion stands,
//!   for sinks that have no database to keep either.
//!
//! This crate is pure: it knows no database and does no I/O.

mod columns;
mod diff;
mod flaw;
mod identifier;
mod judge;
mod ledger;
mod merge;
mod naming;
mod observations;
mod order;
mod plan;
pub mod plumbing;
pub mod repair;
pub mod sites;
pub mod state;
pub mod support;
mod table;
mod tally;
mod turns;
mod versions;

pub use columns::{BatchColumn, batch_columns, row_columns};
pub use diff::{ActualColumn, ActualIndex, ActualKind, ActualTable, Dialect, Difference, Remedy, Statement, compare};
pub use flaw::{Flaw, Mending};
pub use identifier::Identifier;
pub use judge::{Contended, Judge, Seen};
pub use ledger::{Committed, Ledger, Standing};
pub use merge::{Effect, merge};
pub use naming::Naming;
pub use observations::{Observations, ObservedSlice};
pub use order::{Recorded, Stored, Verdict, Version, judge, newer};
pub use plan::{Due, Found, MARK_ROWS, due, plan, provisioned, recorded, require, table_names};
pub use table::{Column, ColumnType, Index, Table};
pub use tally::{DROPPED, Merged, MergedRows, Tally};
pub use turns::{Turn, Turns};
pub use versions::{ActualView, VIEW_MARK, View, older_tables, view_names};
