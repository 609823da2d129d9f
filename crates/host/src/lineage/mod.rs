//! OpenLineage: who is told what of runs and datasets, and how it gets there.
//!
//! What is told is put into an outbox together with what it tells of; a [`Courier`] delivers it beside the work and
//! after it. An endpoint that is down, slow or broken keeps messages waiting, and nothing else.

mod courier;
mod events;
mod reporting;
mod transport;

pub(crate) use courier::Courier;
pub(crate) use reporting::Reporting;
pub(crate) use transport::Transport;
