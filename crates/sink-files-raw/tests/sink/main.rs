//! The sink as the host sees it: through the registry and the traits, in real folders.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod commits;
mod damage;
mod driver;
mod laws;
mod overlap;
mod records;
mod rejects;
mod rights;
mod runs;
mod support;
