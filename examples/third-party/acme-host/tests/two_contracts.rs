//! A host that links two versions of the contract would have two registries, each with a part of the drivers. It
//! does not come so far: cargo refuses to resolve it.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Command};

#[test]
fn two_versions_of_the_contract_do_not_resolve() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../crates").canonicalize().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    // What a driver of long ago was built against: the same crate with another version, and without what it
    // depends on, which is not what this is about.
    let ours = fs::read_to_string(crates.join("endpoint-api/Cargo.toml")).unwrap();
    let links = ours.lines().find(|line| line.starts_with("links")).unwrap();
    let old = format!(
        "[package]\nname = \"endpoint-api\"\nversion = \"0.0.9\"\nedition = \"2024\"\nbuild = \"build.rs\"\n{links}\n"
    );
    write("endpoint-api/Cargo.toml", &old);
    write("endpoint-api/build.rs", "fn main() {}\n");
    write("endpoint-api/src/lib.rs", "");
    write(
        "old-sink/Cargo.toml",
        "[package]\nname = \"old-sink\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\nendpoint-api = { path = \"../endpoint-api\" }\n",
    );
    write("old-sink/src/lib.rs", "");
    let host = format!(
        "[workspace]\n[package]\nname = \"their-host\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\nendpoint-api = {{ path = {:?} }}\n",
        crates.join("endpoint-api")
    );
    write("their-host/src/main.rs", "fn main() {}\n");
    // With the versions that are locked here nothing has to be looked up.
    fs::copy(crates.join("../Cargo.lock"), folder.path().join("their-host/Cargo.lock")).unwrap();
    let resolve = |manifest: &str| {
        write("their-host/Cargo.toml", manifest);
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["metadata", "--format-version", "1", "--offline", "--quiet"]);
        command.current_dir(folder.path().join("their-host")).output().unwrap()
    };
    let alone = resolve(&host);
    assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stderr));

    let both = resolve(&format!("{host}old-sink = {{ path = \"../old-sink\" }}\n"));
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
