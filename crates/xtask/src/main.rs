//! What developers do with this repository, the same on a desk as in continuous integration.

mod bench;
mod fresh;
mod generate;
mod policy;
mod report;
mod setup;
mod steps;
mod test;
mod third_party;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands: `cargo xtask test` is all that has to pass.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing, then check formatting, lints, generated files, all tests and the dependency policy.
    ///
    /// A part that fails does not stop the others. A table of the parts, with times and results, ends the output.
    Test {
        /// Use an empty cargo home and none of the tools of earlier runs, as on a new machine.
        #[arg(long)]
        fresh: bool,
    },
    /// Install what tests need and the machine lacks: PostgreSQL's server programs, PgBouncer and Python.
    Setup,
    /// Measure speed and size against psql.
    Bench {
        /// Arguments of the benchmark; `cargo xtask bench --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    Torture(torture::Torture),
    /// Record the work models as released; refused when one breaks with its last release.
    ReleaseModels,
    /// Write the generated documentation.
    Generate {
        /// Change nothing; fail when a file is not up to date.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Test { fresh: true } => fresh::test(),
        Command::Test { fresh: false } => test::test(),
        Command::ReleaseModels => generate::release_models(),
        Command::Bench { arguments } => bench::bench(&arguments),
        Command::Setup => setup::servers(),
        Command::Torture(torture) => setup::servers().and_then(|()| torture.run()),
        Command::Generate { check } => generate::generate(check),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}
