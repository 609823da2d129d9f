//! What developers do with this repository, the same on a desk as in continuous integration.

mod bench;
mod generate;
mod policy;
mod release_models;
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
    /// Install what is missing, then formatting, lints, generated files, all tests and the dependency policy.
    Test,
    /// Install what tests need: PostgreSQL's server programs and PgBouncer.
    Setup,
    /// Measure speed and size against psql.
    Bench {
        /// What the benchmark is told; `cargo xtask bench --help` lists it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Load while the program, the server and the line between them fail again and again, and compare.
    Torture {
        /// How many faults there are.
        #[arg(long, default_value_t = 300)]
        kills: u32,
        /// From what the export and the faults are drawn; at which moment they hit is up to the machine.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Write down the work models as they are, as their release; refused where one breaks with its last one.
    ReleaseModels,
    /// Write the generated documentation.
    Generate {
        /// Change nothing; fail when something is not up to date.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Test => test::test(),
        Command::ReleaseModels => release_models::release_models(),
        Command::Bench { arguments } => bench::bench(&arguments),
        Command::Setup => setup::servers().map(|_| ()),
        Command::Torture { kills, seed } => setup::servers().and_then(|_| torture::torture(kills, seed)),
        Command::Generate { check } => steps::built_cdm().and_then(|cdm| {
            generate::generate(&cdm, check)?;
            // What drivers were shown to do is known once tests have been run.
            if generate::conformance_results().exists() { generate::generate_matrix(check) } else { Ok(()) }
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}
