//! Who may read what: readers follow records and manifests, and everything else is its owner's.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use endpoint_api::Commit;
use serde_json::json;

use crate::{rejects::reject, support::*};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The modes of the files in a folder by what they are, with an open run, and those of the folders by their names.
async fn modes(folder: &Path, file_mode: Option<&str>) -> BTreeMap<String, u32> {
    let mut config = json!({ "path": "raw" });
    if let Some(mode) = file_mode {
        config["file_mode"] = mode.into();
    }
    let endpoint = open(config, folder).await.unwrap();
    let run = open_run(&endpoint, &spec("run-1")).await;
    let mut load = begin(&*run, 0).await;
    load.write(batch(&[record(0)])).await.unwrap();
    load.reject(vec![reject(1, b"a")]).await.unwrap();
    load.commit(Commit::default()).await.unwrap();
    let root = folder.join("raw");
    let folders = ["", "_cdm", "_cdm/fences", "_cdm/acme.test.things", "acme/test.things/run-1"];
    let mut modes: BTreeMap<String, u32> =
        folders.iter().map(|name| (format!("{name}/"), mode(&root.join(name)))).collect();
    for file in files(&root) {
        let what = match file.rsplit('/').next().unwrap() {
            name if name.contains("envelope") => "envelopes",
            name if name.contains("rejects") => "rejects",
            name if name.ends_with(".jsonl") => "records",
            name if name.starts_with("lock") => "lock",
            name if name.ends_with(".json") => "manifest",
            _ => "fence",
        };
        modes.insert(what.to_owned(), mode(&root.join(file)));
    }
    drop(run);
    modes
}

#[tokio::test]
async fn rejects_fences_and_locks_are_their_owners_and_the_rest_keeps_the_umask() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let (file, usual) = (mode(&folder.path().join("file")), mode(&folder.path().join("folder")));
    let modes = modes(folder.path(), None).await;
    for name in ["records", "envelopes", "manifest"] {
        assert_eq!(modes[name], file, "{name}: {modes:?}");
    }
    for name in ["/", "_cdm/", "_cdm/acme.test.things/", "acme/test.things/run-1/"] {
        assert_eq!(modes[name], usual, "{name}: {modes:?}");
    }
    for name in ["rejects", "fence", "lock"] {
        assert_eq!(modes[name], 0o600, "{name}: {modes:?}");
    }
    assert_eq!(modes["_cdm/fences/"], 0o700);
}

#[tokio::test]
async fn a_file_mode_narrows_what_the_umask_leaves() {
    let folder = folder();
    let modes = modes(folder.path(), Some("0600")).await;
    for (name, mode) in modes {
        assert_eq!(mode, if name.ends_with('/') { 0o700 } else { 0o600 }, "{name}");
    }
}

#[tokio::test]
async fn a_pipe_in_place_of_a_file_of_the_sink_is_named_and_not_waited_for() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    drop(open_run(&endpoint, &spec("run-1")).await);
    let manifest = folder.path().join("_cdm/acme.test.things/000000000002.json");
    let lock = folder.path().join("_cdm/fences/lock");
    for (path, takes_place) in [(manifest, false), (lock, true)] {
        if takes_place {
            fs::remove_file(&path).unwrap();
        }
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let refused = error(endpoint.sink().unwrap().open_run(&spec("run-2")).await).to_string();
        assert!(refused.contains("it is not a regular file") && refused.contains(path.to_str().unwrap()), "{refused}");
        fs::remove_file(&path).unwrap();
    }
}
