//! What is in a sink's folder may have been written by somebody else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use fastrand::Rng;

use crate::{
    damage::damaged,
    ground::{Bounds, Ground},
    rng, scaled,
};

/// A folder of raw files into which a few runs have loaded.
fn ground() -> Ground {
    let ground = Ground::new();
    for run in 0..3 {
        ground.write(format!("export/issues-{run}.jsonl"), format!("{{\"id\":\"{run}\"}}\nnot a record\n"));
        assert_eq!(ground.run("setup", &["ingest", "issues_raw"], Bounds::SMALL).code, 0);
    }
    ground
}

/// All files in a folder and below.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Every command that reads the state.
fn assert_survived(ground: &Ground, what: &str) {
    ground.run(what, &["check", "lake"], Bounds::SMALL);
    ground.run(what, &["rejects", "list", "lake"], Bounds::SMALL);
    ground.run(what, &["ingest", "issues_raw"], Bounds::SMALL);
    ground.run(what, &["ingest", "issues_raw", "--full"], Bounds::SMALL);
    ground.run(what, &["runs"], Bounds::SMALL);
}

/// Puts something else into the place of a file.
fn replace(path: &Path, outside: &Path, rng: &mut Rng) {
    let bytes = fs::read(path).unwrap();
    let replaced = match rng.u8(..7) {
        0 => {
            fs::remove_file(path).unwrap();
            return fs::create_dir(path).unwrap();
        }
        1 => {
            fs::remove_file(path).unwrap();
            return assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }
        2 => {
            fs::remove_file(path).unwrap();
            let targets = [outside, Path::new("/dev/zero"), Path::new("/proc/kmsg"), path];
            return std::os::unix::fs::symlink(targets[rng.usize(..targets.len())], path).unwrap();
        }
        3 => {
            let depth = scaled(50_000, 5_000_000);
            format!("{{\"format\":1,\"checksum\":\"\",\"manifest\":{}{}}}", "[".repeat(depth), "]".repeat(depth))
                .into_bytes()
        }
        4 => return fs::remove_file(path).unwrap(),
        _ => damaged(&bytes, rng),
    };
    fs::write(path, replaced).unwrap();
}

#[test]
fn a_folder_of_raw_files_that_somebody_else_has_written_to() {
    let mut rng = rng();
    for round in 0..scaled(3, 300) {
        let ground = ground();
        let outside = ground.path("outside");
        fs::write(&outside, "of somebody else").unwrap();
        let files = files(&ground.path("raw"));
        let path = &files[rng.usize(..files.len())];
        replace(path, &outside, &mut rng);
        let what = format!("state {round}: {}", path.strip_prefix(ground.path("raw")).unwrap().display());
        assert_survived(&ground, &what);
        assert_eq!(fs::read_to_string(&outside).unwrap(), "of somebody else", "{what}");
    }
}

#[test]
fn a_manifest_that_names_files_elsewhere_reads_and_removes_none_of_them() {
    let ground = ground();
    ground.write("secret", "not a reject of anybody");
    let manifests: Vec<PathBuf> = files(&ground.path("raw/_cdm"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    let slice = manifests.iter().find(|path| fs::read_to_string(path).unwrap().contains(".rejects.")).unwrap();
    let text = fs::read_to_string(slice).unwrap();
    let at = text.find("acme_jira/jira.issues/").unwrap();
    let end = at + text[at..].find('"').unwrap();
    // With a checksum that fits, as somebody has who means it.
    let forged = text.replacen(&text[at..end], "../secret", 1);
    let (head, manifest) = forged.split_once("\"manifest\":").unwrap();
    let manifest = manifest.trim_end().strip_suffix('}').unwrap();
    let old = head.split('"').find(|part| part.len() == 64).unwrap();
    let checksum = blake3::hash(manifest.as_bytes()).to_hex().to_string();
    fs::write(slice, forged.replacen(old, &checksum, 1)).unwrap();
    let listed = ground.run("forged", &["rejects", "list", "lake"], Bounds::SMALL);
    assert!(listed.code != 0 && listed.err.contains("a file of the sink is damaged"), "{listed:?}");
    assert_survived(&ground, "forged");
    assert_eq!(fs::read_to_string(ground.path("secret")).unwrap(), "not a reject of anybody");
}
