//! The driver against the contract, as the host sees it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod loads;
mod order;
mod provisioning;
mod runs;
mod support;
