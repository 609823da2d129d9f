use std::process::Command;

use crate::{
    generate::conformance_results,
    report::Report,
    steps::{cargo, cargo_has, root, run, target},
};

/// Checks the workspace in `examples/third-party` as ours is checked: another team's crates build, and pass,
/// against the crates as they are now. It is built into our folder and with our profile, so that the dependencies that
/// both have are built once.
pub(crate) fn test(report: &mut Report) {
    let mut part = |name: &'static str, arguments: &[&str]| {
        report.part(name, || run(name, &mut theirs(arguments)));
    };
    part("third party: formatting", &["fmt", "--all", "--check"]);
    part("third party: lints", &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    let tests: &[&str] = match cargo_has("nextest") {
        true => &["nextest", "run", "--locked", "--workspace", "--no-fail-fast"],
        false => &["test", "--locked", "--workspace", "--all-targets", "--no-fail-fast"],
    };
    part("third party: tests", tests);
    part("third party: documentation tests", &["test", "--locked", "--workspace", "--doc"]);
}

/// A cargo command in their workspace.
pub(crate) fn theirs(arguments: &[&str]) -> Command {
    let mut command = cargo(arguments);
    command.current_dir(root().join("examples/third-party"));
    command.env("CARGO_TARGET_DIR", target());
    command.env("CDM_CONFORMANCE_REQUIRED", "1").env("CDM_CONFORMANCE_RESULTS", conformance_results());
    command
}
