use std::process::Command;

use crate::{
    generate::conformance_results,
    steps::{Done, cargo, cargo_has, root, step, target},
};

/// Checks the workspace in `examples/third-party` as ours is checked: another team's crates build, and pass,
/// against the crates as they are now. What is built there is kept beside what is built here.
pub(crate) fn test() -> Done {
    step("third party: formatting", &mut theirs(&["fmt", "--all", "--check"]))?;
    let lints = ["clippy", "--locked", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    step("third party: lints", &mut theirs(&lints))?;
    if cargo_has("nextest") {
        step("third party: tests", &mut theirs(&["nextest", "run", "--locked", "--workspace", "--no-fail-fast"]))?;
    } else {
        let tests = ["test", "--locked", "--workspace", "--all-targets", "--no-fail-fast", "--quiet"];
        step("third party: tests", &mut theirs(&tests))?;
    }
    let documentation = ["test", "--locked", "--workspace", "--doc", "--quiet"];
    step("third party: documentation tests", &mut theirs(&documentation))
}

/// A cargo command in their workspace.
pub(crate) fn theirs(arguments: &[&str]) -> Command {
    let mut command = cargo(arguments);
    command.current_dir(root().join("examples/third-party"));
    command.env("CARGO_TARGET_DIR", root().join(target()).join("third-party"));
    command.env("CDM_CONFORMANCE_REQUIRED", "1").env("CDM_CONFORMANCE_RESULTS", root().join(conformance_results()));
    command
}
