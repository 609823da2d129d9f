//! The generated files of the repository. The program `generate` writes them.

use std::{path::PathBuf, process::Command};

use crate::steps::{Done, cargo, program_of, root, run, step, target};

/// The folder where conformance tests write their results.
pub(crate) fn conformance_results() -> PathBuf {
    target().join("conformance")
}

/// Builds the programs and writes all generated files, or checks them.
pub(crate) fn generate(check: bool) -> Done {
    build()?;
    documents(check)?;
    // The results of the conformance tests exist once tests have been run.
    if conformance_results().exists() { matrix(check) } else { Ok(()) }
}

/// Builds the programs and records the releases of the work models.
pub(crate) fn release_models() -> Done {
    build()?;
    run("release models", program().arg("release-models"))
}

/// Writes the schemas and the model page, or checks them. The programs must have been built.
pub(crate) fn documents(check: bool) -> Done {
    let mut documents = program();
    documents.arg("documents").arg("--cdm").arg(program_of("debug", "cdm"));
    run("generated files", documents.args(check.then_some("--check")))
}

/// Writes the support matrix, or checks it. The programs must have been built and the tests must have been run.
pub(crate) fn matrix(check: bool) -> Done {
    let mut matrix = program();
    matrix.arg("matrix").arg("--results").arg(conformance_results());
    run("support matrix", matrix.args(check.then_some("--check")))
}

fn build() -> Done {
    step("build", &mut cargo(&["build", "--workspace", "--bins"]))
}

fn program() -> Command {
    let mut command = Command::new(program_of("debug", "generate"));
    command.arg("--root").arg(root());
    command
}
