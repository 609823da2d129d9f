//! The host: finds the drivers that are linked, opens the endpoints that are configured, and carries
//! out what the command line asks for.
//!
//! Another host is a program that links drivers of its own beside ours:
//!
//! ```no_run
//! // use sink_of_acme as _;
//!
//! fn main() -> std::process::ExitCode {
//!     host::main()
//! }
//! ```

mod answer;
mod app;
mod cli;
mod commands;
mod config;
mod drivers;
mod endpoints;
mod failure;
mod lineage;
mod logging;
mod metadata;
mod printable;
mod process;
mod progress;
mod signals;
mod table;
mod times;

use std::process::ExitCode;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    process_memory::give_back_large();
    cli::run(std::env::args_os().collect())
}
