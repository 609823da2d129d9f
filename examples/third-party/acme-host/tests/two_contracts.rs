//! A host that links two versions of the contract would have two registries, each with a part of the drivers. Cargo
//! refuses to resolve such a host, because `endpoint-api` declares `links`.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// A crate `endpoint-api` of that version, with our `links` and no dependencies: they need a registry, and whether
/// two versions of one crate can be linked does not depend on them.
fn contract(version: &str) -> String {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../crates/endpoint-api/Cargo.toml");
    let ours = fs::read_to_string(manifest).unwrap();
    let links = ours.lines().find(|line| line.starts_with("links")).unwrap();
    format!("[package]\nname = \"endpoint-api\"\nversion = \"{version}\"\nedition = \"2024\"\n{links}\n")
}

/// A crate that depends on other folders.
fn depends_on(name: &str, dependencies: &[(&str, &str)]) -> String {
    let mut manifest =
        format!("[workspace]\n[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\n");
    for (dependency, folder) in dependencies {
        manifest.push_str(&format!("{dependency} = {{ path = \"../{folder}\" }}\n"));
    }
    manifest
}

#[test]
fn two_versions_of_the_contract_do_not_resolve() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, manifest: &str| {
        let package = folder.path().join(name);
        fs::create_dir_all(package.join("src")).unwrap();
        fs::write(package.join("Cargo.toml"), manifest).unwrap();
        fs::write(package.join("build.rs"), "fn main() {}\n").unwrap();
        fs::write(package.join("src/lib.rs"), "").unwrap();
    };
    write("contract", &contract("0.1.0"));
    write("old-contract", &contract("0.0.9"));
    write("old-sink", &depends_on("old-sink", &[("endpoint-api", "old-contract")]));
    // Nothing is fetched: every crate is in the folder, and the cargo home is empty.
    let resolve = |dependencies: &[(&str, &str)]| -> Output {
        write("their-host", &depends_on("their-host", dependencies));
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["metadata", "--format-version", "1", "--offline", "--quiet"]);
        cargo.env("CARGO_HOME", folder.path().join("cargo-home")).current_dir(folder.path().join("their-host"));
        cargo.output().unwrap()
    };
    let alone = resolve(&[("endpoint-api", "contract")]);
    assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stderr));

    let both = resolve(&[("endpoint-api", "contract"), ("old-sink", "old-sink")]);
    let message = String::from_utf8(both.stderr).unwrap();
    assert!(!both.status.success());
    for expected in [
        "package `endpoint-api` links to the native library `cdm_endpoint_api`, but it conflicts with a previous package",
        "Only one package in the dependency graph may specify the same links value.",
        "old-sink",
    ] {
        assert!(message.contains(expected), "{message}");
    }
}
