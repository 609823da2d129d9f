//! What a file's rows are made from besides the file: when it has changed, the file counts as changed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use endpoint_api::{Checkpoint, Mode, PlanRequest, Slice};
use serde_json::{Value, json};

use crate::common::{Export, harvest, plan, unit};

const ADA: &str = r#"{"key":"k1","name":"ada"}"#;

fn issue(id: u32, fields: Value) -> String {
    format!("{}\n", json!({ "id": id.to_string(), "key": format!("AB-{id}"), "fields": fields }))
}

/// Two files of issues, of which the first names its user and its parent by lesser ids.
fn export() -> Export {
    let lesser = json!({ "reporter": { "name": "ada" }, "parent": { "key": "AB-9" } });
    let whole = json!({ "reporter": { "key": "k2" }, "parent": { "id": "1", "key": "AB-1" } });
    let comment = json!({ "id": "7", "issueId": "1", "issueKey": "AB-1", "author": { "name": "ada" } }).to_string();
    Export::of(&[
        ("issues-1.jsonl", issue(1, lesser)),
        ("issues-2.jsonl", issue(2, whole)),
        ("comments.jsonl", comment),
        ("users.jsonl", r#"{"key":"k2","name":"bo"}"#.to_owned()),
    ])
}

/// The fingerprints of the files of a unit at a full load after `known`, and the checkpoint after it.
async fn full(export: &Export, settings: Value, name: &str, known: Option<&Checkpoint>) -> (Vec<String>, Checkpoint) {
    let endpoint = export.open_with(settings).await;
    let request = PlanRequest::new(Mode::Cdm, None).knowing(known.cloned());
    let slices = endpoint.source().unwrap().plan(&unit(name), &request).await.unwrap();
    let last = slices.last().unwrap().spec["resume_at"].clone();
    let fingerprint = |slice: &Slice| slice.resources.first().map(|resource| resource.fingerprint.clone());
    (slices.iter().filter_map(fingerprint).collect(), Checkpoint(last))
}

fn at_path() -> Value {
    json!({ "path": "." })
}

#[tokio::test]
async fn a_full_load_counts_files_as_changed_whose_references_may_have_changed() {
    let export = export();
    let (first, known) = full(&export, at_path(), "issues", None).await;
    let (again, known) = full(&export, at_path(), "issues", Some(&known)).await;
    assert_eq!(first, again, "nothing has changed");

    export.write("users.jsonl", format!("{{\"key\":\"k2\",\"name\":\"bo\"}}\n{ADA}\n"));
    let (users, known) = full(&export, at_path(), "issues", Some(&known)).await;
    assert_ne!(users[0], first[0], "the first file names a user by name");
    assert_eq!(users[1], first[1], "the second one names nobody by a lesser id");

    export.write("issues-3.jsonl", issue(9, json!({})));
    let (issues, known) = full(&export, at_path(), "issues", Some(&known)).await;
    assert_ne!(issues[0], users[0], "the first file names a parent by key");
    assert_eq!(issues[1], first[1], "the second one names it by id");
    let (again, _) = full(&export, at_path(), "issues", Some(&known)).await;
    assert_eq!(issues, again);
}

#[tokio::test]
async fn issues_that_name_their_project_by_its_key_depend_on_the_projects() {
    let export = export();
    export.write("issues-1.jsonl", issue(1, json!({ "project": { "key": "AB" } })));
    export.write("issues-2.jsonl", issue(2, json!({ "project": { "id": "10", "key": "AB" } })));
    let (first, known) = full(&export, at_path(), "issues", None).await;
    export.write("projects.jsonl", r#"{"id":"10","key":"AB"}"#);
    let (projects, known) = full(&export, at_path(), "issues", Some(&known)).await;
    assert_ne!(projects[0], first[0]);
    assert_eq!(projects[1], first[1], "the second file names it by id");
    let (again, _) = full(&export, at_path(), "issues", Some(&known)).await;
    assert_eq!(projects, again);
}

#[tokio::test]
async fn comments_depend_on_users_and_on_issues_that_they_name_in_part() {
    let export = export();
    let (first, known) = full(&export, at_path(), "comments", None).await;
    export.write("issues-3.jsonl", issue(9, json!({})));
    let (issues, known) = full(&export, at_path(), "comments", Some(&known)).await;
    assert_eq!(issues[..3], first[..3], "the comment tells id and key of its issue");
    export.write("users.jsonl", ADA);
    let (users, known) = full(&export, at_path(), "comments", Some(&known)).await;
    assert_ne!(users[0], first[0]);

    export.write("comments.jsonl", r#"{"id":"7","issueId":"1"}"#);
    let (half, known) = full(&export, at_path(), "comments", Some(&known)).await;
    export.write("issues-4.jsonl", issue(10, json!({})));
    assert_ne!(full(&export, at_path(), "comments", Some(&known)).await.0[0], half[0]);
}

#[tokio::test]
async fn other_settings_read_everything_again_and_other_files_do_not() {
    let export = export();
    let checkpoint = harvest(&*export.open().await, "issues", Mode::Cdm).await.checkpoint.unwrap();
    export.write("users.jsonl", ADA);
    assert_eq!(plan(&*export.open().await, "issues", Mode::Cdm, Some(&checkpoint)).await, []);
    let (first, _) = full(&export, at_path(), "issues", None).await;
    for (key, value) in [("site_url", "https://acme.example"), ("epic_link_field", "customfield_1")] {
        let settings = json!({ "path": ".", key: value });
        let endpoint = export.open_with(settings.clone()).await;
        let slices = plan(&*endpoint, "issues", Mode::Cdm, Some(&checkpoint)).await;
        assert_eq!(slices.len(), 2, "{key}");
        let (other, known) = full(&export, settings.clone(), "issues", Some(&checkpoint)).await;
        assert!(other[0] != first[0] && other[1] != first[1], "{key}");
        assert_eq!(plan(&*endpoint, "issues", Mode::Cdm, Some(&known)).await, [], "{key}");
        assert_eq!(full(&export, settings, "issues", Some(&known)).await.0, other, "{key}");
    }
    let raw = harvest(&*export.open().await, "issues", Mode::Raw).await.checkpoint.unwrap();
    let endpoint = export.open_with(json!({ "path": ".", "site_url": "https://acme.example" })).await;
    assert_eq!(plan(&*endpoint, "issues", Mode::Raw, Some(&raw)).await, [], "raw records do not depend on settings");
}
