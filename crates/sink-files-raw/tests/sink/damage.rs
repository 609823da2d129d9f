//! What is damaged is noticed and named.

use std::{fs, path::PathBuf};

use endpoint_api::{Error, ErrorKind, RejectQuery};
use sink_files_raw::committed_slices;
use tempfile::TempDir;

use crate::support::*;

/// A folder in which a run has committed two slices: manifests 1 (opened), 2, 3.
async fn loaded() -> TempDir {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    load(&*run, 0).await;
    load(&*run, 1).await;
    folder
}

fn manifest(folder: &TempDir, sequence: u64) -> PathBuf {
    folder.path().join(format!("_cdm/acme.test.things/{sequence:012}.json"))
}

async fn opening(folder: &TempDir) -> Error {
    let endpoint = sink(folder.path()).await;
    error(endpoint.sink().unwrap().open_run(&spec("run-2")).await)
}

/// Whoever looks at the manifests finds the damage: a run, a reader and a query for rejects.
async fn assert_noticed(folder: &TempDir, kind: ErrorKind, what: &str) {
    let endpoint = sink(folder.path()).await;
    let read: Result<Vec<_>, _> = committed_slices(folder.path(), &ingestion()).unwrap().collect();
    let rejects = endpoint.sink().unwrap().rejects(&RejectQuery::newest(1)).await;
    for found in [opening(folder).await, read.unwrap_err(), rejects.unwrap_err()] {
        assert_eq!(found.kind(), kind, "{found}");
        assert!(found.to_string().contains(what), "{found}");
    }
}

#[tokio::test]
async fn a_changed_manifest_is_noticed() {
    let folder = loaded().await;
    let path = manifest(&folder, 2);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(r#""inserted":1"#, r#""inserted":2"#)).unwrap();
    assert_noticed(&folder, ErrorKind::Data, "000000000002.json").await;
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert_noticed(&folder, ErrorKind::Data, "000000000002.json").await;
    fs::write(&path, text).unwrap();
    assert_eq!(records(folder.path()), [record(0), record(1)]);
}

#[tokio::test]
async fn a_missing_manifest_is_noticed() {
    let folder = loaded().await;
    fs::remove_file(manifest(&folder, 2)).unwrap();
    assert_noticed(&folder, ErrorKind::Data, "it is missing").await;
    assert!(!manifest(&folder, 2).exists(), "nobody has filled the gap");
}

#[tokio::test]
async fn a_manifest_in_the_place_of_another_is_noticed() {
    let folder = loaded().await;
    fs::copy(manifest(&folder, 2), manifest(&folder, 3)).unwrap();
    assert_noticed(&folder, ErrorKind::Data, "it is not the one that its name says").await;
}

#[tokio::test]
async fn a_manifest_of_a_later_version_is_not_guessed_at() {
    let folder = loaded().await;
    fs::write(manifest(&folder, 4), r#"{"format":2}"#).unwrap();
    assert_noticed(&folder, ErrorKind::Unsupported, "has format 2, expected 1").await;
}

#[tokio::test]
async fn a_manifest_that_names_a_file_elsewhere_is_refused() {
    let folder = loaded().await;
    let path = manifest(&folder, 3);
    let mut sealed: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let file = &mut sealed["manifest"]["files"]["records"]["path"];
    assert_eq!(*file, "acme/test.things/run-1/000001-1-2.jsonl");
    *file = "acme/test.things/run-1/../../../../secret.jsonl".into();
    sealed["checksum"] = blake3::hash(sealed["manifest"].to_string().as_bytes()).to_hex().as_str().into();
    fs::write(&path, sealed.to_string()).unwrap();
    assert_noticed(&folder, ErrorKind::Data, "it names files that its slice cannot have").await;
}

#[tokio::test]
async fn rejects_that_are_none_are_named_with_their_line() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    let mut load = begin(&*run, 0).await;
    load.reject(vec![crate::rejects::reject(1, b"a"), crate::rejects::reject(2, b"secret")]).await.unwrap();
    load.commit(endpoint_api::Commit::default()).await.unwrap();
    let [slice] = slices(folder.path()).try_into().unwrap();
    let path = slice.rejects.unwrap().path;
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"raw\":\"secret\"", "\"row\":\"secret\"")).unwrap();
    let error = endpoint.sink().unwrap().rejects(&RejectQuery::newest(9)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    let message = error.to_string();
    assert!(message.contains("000000-1-1.rejects.jsonl, line: 2") && !message.contains("secret"), "{message}");
}

#[tokio::test]
async fn a_reader_of_a_folder_that_is_not_there_is_told() {
    let folder = folder();
    let refused = committed_slices(folder.path().join("raw"), &ingestion()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert_eq!(slices(folder.path()), []);
}
