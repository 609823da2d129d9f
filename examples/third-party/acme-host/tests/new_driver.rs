//! What `new-driver` writes is good: it is formatted, lints find nothing in it, its tests pass, and so does a host with it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// The profile of the workspace of this test, as settings of cargo, so that what is built there is not built again.
fn profile(workspace: &Path) -> String {
    let manifest = fs::read_to_string(workspace.join("Cargo.toml")).unwrap();
    let (_, profile) = manifest.split_once("[profile.dev]").unwrap();
    format!("[profile.dev]{profile}")
}

/// `cargo` in a folder.
fn cargo(dir: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).current_dir(dir);
    command
}

fn succeeded(output: Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

#[test]
fn what_it_writes_builds_passes_its_tests_and_is_found() {
    let host = Path::new(env!("CARGO_BIN_EXE_acme-host"));
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("sheets");
    let mut command = Command::new(host);
    // What cargo finds from a relative path, it finds from an absolute one.
    let arguments = ["new-driver", "acme.sheets", "--output", "json", "--cdm-path", "../..", "--dir"];
    let written = command.args(arguments).arg(&dir).current_dir(workspace).output().unwrap();
    let answer: serde_json::Value = serde_json::from_str(&succeeded(written)).unwrap();
    assert_eq!((&answer["driver"], &answer["crate"]), (&"acme.sheets".into(), &"acme-sheets".into()));
    for file in answer["files"].as_array().unwrap() {
        assert!(dir.join(file.as_str().unwrap()).is_file(), "{file}");
    }

    // The versions that are locked here have been fetched already, or cargo fetches them. Whether it may is up to the
    // environment (CARGO_NET_OFFLINE).
    fs::copy(workspace.join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let profile_file = folder.path().join("profile.toml");
    fs::write(&profile_file, profile(workspace)).unwrap();
    let built = |subcommand: &str, arguments: &[&str]| {
        let mut command = cargo(&dir, subcommand);
        command.arg("--quiet").arg("--config").arg(&profile_file).args(arguments);
        command.env("CARGO_TARGET_DIR", host.ancestors().nth(2).unwrap());
        // It is nobody's driver: its results are no column of a support matrix.
        command.env_remove("CDM_CONFORMANCE_RESULTS");
        succeeded(command.output().unwrap())
    };
    built("rustc", &["--lib", "--", "-D", "warnings"]);
    let tests = built("test", &[]);
    assert!(tests.contains("5 passed"), "{tests}");
    // The driver is found in it: the conformance kit has asked the registry.
    built("check", &["-p", "acme-sheets-host"]);
}

#[test]
fn what_it_writes_is_formatted_whatever_the_id() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let longest = format!("m.{}", "x".repeat(62));
    for id in ["acme.sheets", "zeta.ware_house", &longest] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_acme-host"));
        command.args(["new-driver", id, "--output", "json", "--cdm-path"]).arg(&checkout).current_dir(&folder);
        let answer: serde_json::Value = serde_json::from_str(&succeeded(command.output().unwrap())).unwrap();
        assert_eq!(answer["dir"].as_str(), Some(id.replace(['.', '_'], "-").as_str()));
        let dir = folder.path().join(answer["dir"].as_str().unwrap());
        succeeded(cargo(&dir, "fmt").args(["--all", "--check"]).output().unwrap());
    }
}
