//! The driver `raw.files`: a sink that keeps source-shaped records as files of JSON lines, plain or
//! compressed with Zstandard.
//!
//! It must never map, parse or repair a record: a record is kept byte for byte, except that a line
//! break between two tokens of its JSON becomes a space. It must never remove or change a file that
//! was committed or that it did not make.
//!
//! Below the folder of the sink stand
//!
//! | path | what |
//! | --- | --- |
//! | `<source>/<unit>/<run>/<slice>-<fence>-<load>.jsonl` | the records of a slice, one a line |
//! | `….envelope.jsonl` | beside each, what is known of the records: one line a record, in the same order |
//! | `….rejects.jsonl` | beside each where there are any, what could not be read, with its reason and bytes |
//! | `_cdm/<source>.<unit>/<sequence>.json` | the manifests: the log of the ingestion |
//! | `_cdm/<source>.<unit>/lock-<fence>` | locked while the run with that fence is alive |
//! | `_cdm/fences/<fence>` | the last fence that was given out |
//! | `_cdm/fences/lock` | locked while a run is being opened |
//!
//! A slice is committed when its manifest is created: it names the slice's files with their checksums,
//! its receipt and the checkpoint, and it appears with all its content or not at all. It is created only
//! under a number that is free, by someone who has read all manifests before it, so a run that was
//! overtaken can commit nothing more. What an ingestion stands at is the sum of its manifests; opening
//! a run reads them all, which takes time in proportion to their number.
//!
//! A manifest is a JSON object of `format` (1), `checksum` (BLAKE3 of the bytes of `manifest`, in
//! hexadecimal) and `manifest`: `ingestion`, `sequence`, `run_id`, `fence`, `at` and `kind`. An `open`
//! has the `observation` of its run, a `plan` its `slices`, an `end` how it ended. A `slice` has the
//! number of the slice and of the load, the `receipt`, `resume_at`, the `checkpoint` from now on, and
//! under `files` the `records`, the `envelopes` and the `rejects`, each with `path`, `bytes`, `lines`
//! and `blake3`.
//!
//! Readers follow the manifests as well:
//!
//! ```no_run
//! use std::io::BufRead as _;
//!
//! use endpoint_api::{EndpointId, Ingestion, Mode, UnitId};
//!
//! let ingestion = Ingestion {
//!     source: EndpointId::from_static("acme_jira"),
//!     unit: UnitId::from_static("jira.issues"),
//!     sink: EndpointId::from_static("archive"),
//!     mode: Mode::Raw,
//! };
//! for slice in sink_files_raw::committed_slices("raw", &ingestion)? {
//!     for record in slice?.records.open()?.lines() {
//!         println!("{}", record?);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod driver;
mod error;
mod fence;
mod layout;
mod lines;
mod load;
mod lock;
mod log;
mod manifest;
mod mode;
mod open;
mod readers;
mod rejects;
mod run;
mod state;
mod sweep;

pub use config::Config;
pub use driver::{FilesEndpoint, RawFiles};
pub use readers::{CommittedFile, CommittedSlice, CommittedSlices, committed_slices};
