//! Writes the files of the repository that are generated. `cargo xtask` builds and runs it.

mod documents;
mod release_models;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// The result of a command.
pub(crate) type Done<T = ()> = Result<T, Box<dyn Error>>;

#[derive(Parser)]
#[command(name = "generate", about = "Write the files of the repository that are generated.")]
struct Cli {
    /// The repository's folder.
    #[arg(long)]
    root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// JSON Schemas of models and drivers, and the tables of the page about the work models.
    Documents {
        /// The built `cdm`.
        #[arg(long)]
        cdm: PathBuf,
        /// Change nothing; fail when a file is not up to date.
        #[arg(long)]
        check: bool,
    },
    /// The support matrix, from the results of the conformance tests.
    Matrix {
        /// The folder of the results.
        #[arg(long)]
        results: PathBuf,
        /// Change nothing; fail when the file is not up to date.
        #[arg(long)]
        check: bool,
    },
    /// The baseline of each work model: its last release, which later versions must not break.
    ReleaseModels,
}

fn run(root: &Path, command: &Command) -> Done {
    match command {
        Command::Documents { cdm, check } => documents::documents(root, cdm, *check),
        Command::Matrix { results, check } => documents::matrix(root, results, *check),
        Command::ReleaseModels => release_models::release_models(root),
    }
}

fn main() -> ExitCode {
    let Cli { root, command } = Cli::parse();
    match run(&root, &command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
