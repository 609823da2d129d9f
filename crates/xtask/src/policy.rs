use std::process::{Command, Stdio};

use crate::{
    steps::{Done, cargo, cargo_has, step},
    third_party::theirs,
};

/// Checks the dependencies against `deny.toml`: licences, duplicates, sources, and known
/// vulnerabilities where their database can be reached.
pub(crate) fn check() -> Done {
    if !cargo_has("deny") {
        step("install cargo-deny", &mut cargo(&["install", "--locked", "--quiet", "cargo-deny"]))?;
    }
    let offline = ["deny", "--all-features", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
    step("dependency policy", &mut cargo(&offline))?;
    step("third party: dependency policy", &mut theirs(&offline))?;
    if advisories_can_be_fetched() {
        step("known vulnerabilities", &mut cargo(&["deny", "--all-features", "check", "advisories"]))?;
    } else {
        eprintln!("    the database of known vulnerabilities cannot be reached; it was not looked at");
    }
    Ok(())
}

fn advisories_can_be_fetched() -> bool {
    let mut probe = Command::new("git");
    probe
        .args(["ls-remote", "--quiet", "--exit-code", "https://github.com/RustSec/advisory-db", "HEAD"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
