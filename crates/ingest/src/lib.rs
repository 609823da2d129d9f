//! One execution of one ingestion: Source → Staging → (CDM mapping) → Sink.
//!
//! A [`Job`] names the parts. [`ingest`] opens a run on the sink, plans what there is to read or goes
//! on with the plan of a run that did not finish, and then takes slice after slice: it is read into a
//! stage, mapped in CDM mode, loaded, and committed with the point from which a later run reads on.
//! Every record is accounted for; a run whose sums differ fails.
//!
//! What fails for a passing reason is tried again, slice by slice, with growing pauses and for a bounded time. Any
//! other error ends the run, which the next one continues. A run that has committed every slice of its plan is over,
//! also when it failed because of its rejects: the next one plans anew.
//!
//! This crate knows no driver, no database and no clock but the one that measures how long a run
//! took. In raw mode nothing of a model is looked at.

mod job;
mod limit;
mod mapping;
mod observer;
mod overlap;
mod portions;
mod replay;
mod report;
mod retry;
mod run;
mod slice;
pub mod staging;
mod telling;
mod verdict;

pub use job::{Job, OnOverlap, Options};
pub use limit::MaxRejects;
pub use mapping::Mapping;
pub use observer::{Observer, Silent};
pub use replay::{ReplayPages, replay};
pub use report::{RunReport, RunStatus};
pub use retry::{passes, retry};
pub use run::ingest;
pub use telling::{Moment, Teller, Telling};
