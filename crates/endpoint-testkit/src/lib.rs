//! The conformance kit: tells the author of a driver whether it keeps the contract.
//!
//! A driver crate has one test program, `tests/conformance.rs`, with `harness = false` in its `Cargo.toml`:
//!
//! ```no_run
//! # use endpoint_api::{Driver, Endpoint};
//! # fn conformance<MyDriver: Driver>() -> std::process::ExitCode {
//! use endpoint_testkit::{Kit, Place};
//!
//! Kit::of::<MyDriver>().places(|| Ok(Place::in_folder(|dir| serde_json::json!({ "path": dir.join("my.db") })))).main()
//! # }
//! ```
//!
//! It runs under `cargo test` and `cargo nextest`, test by test, such as `sink::a_stale_version_never_wins`.
//! Which tests there are follows from what the driver declares; what it does not declare must answer
//! [`Unsupported`](endpoint_api::ErrorKind::Unsupported). Every test names the lines of the contract that it
//! holds the driver to (`docs/driver-contract.md`).
//!
//! - A place is fresh for each test, so that tests run at once. Where there is none to be had, such as a server
//!   that is not installed, tests show as ignored, and fail when `CDM_CONFORMANCE_REQUIRED` is `1`.
//! - What a CDM sink has stored cannot be asked through the contract: with [`Kit::rows`] the driver's author says
//!   how, and the kit compares every value with what should be there; without it, receipts alone.
//! - With `CDM_CONFORMANCE_RESULTS` naming a folder, each test writes down there how it ended; [`recorded`] reads
//!   that and [`support_matrix`] shows it.
//! - A source is told to the kit by [`Kit::units`]: the place holds records of them; [`Kit::large`] gives a place with
//!   more of them than may be in memory at once.
//! - [`Kit::wrong`] and [`Kit::damage`] show the driver what goes wrong in the world. What of all this is not given
//!   leaves tests out, which show as ignored.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "it is made of tests"
)]

mod kit;
mod matrix;
mod model;
mod place;
mod suites;
mod values;
mod workbench;

pub use kit::{Kit, Outcome, Result, Verdict, recorded};
pub use matrix::support_matrix;
pub use place::{Place, Unavailable};
pub use suites::{Test, tests};
pub use values::StoredRow;
