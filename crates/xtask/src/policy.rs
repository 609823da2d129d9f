use std::{path::PathBuf, process::Command};

use crate::{
    fresh,
    report::{Outcome, Report},
    steps::{Done, cargo, cargo_has, run, shown, succeeds, target},
    third_party::theirs,
};

/// Checks the dependencies against `deny.toml`: licences, duplicates, sources, and known vulnerabilities where
/// their database can be reached.
pub(crate) fn check(report: &mut Report) {
    report.part("cargo-deny", install);
    let offline = ["deny", "--all-features", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
    report.part("dependency policy", || run("dependency policy", &mut with_tools(cargo(&offline))));
    report.part("third party: dependency policy", || {
        run("third party: dependency policy", &mut with_tools(theirs(&offline)))
    });
    report.part_with("known vulnerabilities", vulnerabilities);
}

/// Installs cargo-deny among the tools of this repository, if neither they nor the user have it.
fn install() -> Done {
    let installed = tools().join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    if installed.is_file() || (!fresh::is_on() && cargo_has("deny")) {
        return Ok(());
    }
    // Without optimisation and debug information it is built in a fraction of the time, and quick enough.
    let mut install = cargo(&["install", "--locked", "--debug", "cargo-deny", "--root"]);
    install.arg(tools()).env("CARGO_PROFILE_DEV_DEBUG", "false");
    install.env_remove("CARGO_TARGET_DIR"); // built in a folder that is removed
    eprintln!("    not installed: cargo-deny");
    eprintln!("    Installing with: {}", shown(&install));
    run("cargo-deny", &mut install)
}

fn vulnerabilities() -> Done<Outcome> {
    let advisories = ["deny", "--all-features", "check", "--hide-inclusion-graph", "advisories"];
    if !database_can_be_fetched() {
        return Ok(Outcome::NotChecked(format!("the advisory database at {DATABASE} cannot be reached")));
    }
    run("known vulnerabilities", &mut with_tools(cargo(&advisories)))?;
    run("known vulnerabilities", &mut with_tools(theirs(&advisories)))?;
    Ok(Outcome::Passed)
}

const DATABASE: &str = "https://github.com/RustSec/advisory-db";

fn database_can_be_fetched() -> bool {
    let mut probe = Command::new("git");
    probe.args(["ls-remote", "--quiet", "--exit-code", DATABASE, "HEAD"]).env("GIT_TERMINAL_PROMPT", "0");
    succeeds(&mut probe)
}

/// The folder of tools that are installed for this repository alone.
fn tools() -> PathBuf {
    target().join("tools")
}

/// A command that finds these tools before others.
fn with_tools(mut command: Command) -> Command {
    let others = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(tools().join("bin")).chain(std::env::split_paths(&others));
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    command
}
