//! What an export announces and does not give, and which of its files are not read.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;

use endpoint_api::Mode;
use serde_json::json;

use crate::common::{Export, Harvest, harvest, harvest_from, plan};

async fn notes(export: &Export, unit: &str) -> Vec<String> {
    harvest(&*export.open().await, unit, Mode::Cdm).await.notes()
}

/// A page of issues with these numbers.
fn page(start_at: u64, total: u64, ids: std::ops::Range<u64>) -> String {
    let issues: Vec<_> =
        ids.map(|id| json!({ "id": id.to_string(), "key": format!("AB-{id}"), "fields": {} })).collect();
    json!({ "startAt": start_at, "maxResults": 50, "total": total, "issues": issues }).to_string()
}

#[tokio::test]
async fn pages_that_announce_more_than_there_is_are_reported_by_their_unit() {
    let export = Export::of(&[
        ("issues.json", page(0, 120, 0..1)),
        ("comments.json", json!({ "total": 9, "comments": [{ "id": "1", "issueId": "1", "body": "b" }] }).to_string()),
        (
            "projects.json",
            json!({ "total": 3, "values": [{ "id": "1", "key": "AB" }, { "id": "2", "key": "AC" }] }).to_string(),
        ),
    ]);
    let announced = |file: &str, what: &str, missing: &str| {
        vec![format!("{file} its pages announce {what} found; no page holds {missing} (1x, {file})")]
    };
    let (issues, missing) = ("120 issues (`total`), 1 was", "those from `startAt` 1 to 119");
    assert_eq!(notes(&export, "issues").await, announced("issues.json", issues, missing));
    let (comments, missing) = ("9 comments (`total`), 1 was", "those from `startAt` 1 to 8");
    assert_eq!(notes(&export, "comments").await, announced("comments.json", comments, missing));
    let (projects, missing) = ("3 projects (`total`), 2 were", "the one at `startAt` 2");
    assert_eq!(notes(&export, "projects").await, announced("projects.json", projects, missing));
    let found = harvest(&*export.open().await, "issues", Mode::Raw).await;
    assert_eq!(
        (found.records.len(), found.incomplete[0].announced, found.incomplete[0].found),
        (1, Some(120), Some(1))
    );
}

#[tokio::test]
async fn pages_in_several_files_are_counted_together_also_when_only_one_of_them_is_new() {
    let export = Export::of(&[("issues-page-1.json", page(0, 5, 0..2)), ("issues-page-2.jsonl", page(2, 5, 2..4))]);
    let endpoint = export.open().await;
    let first = harvest(&*endpoint, "issues", Mode::Cdm).await;
    let expected = "issues-page-1.json the pages of this and 1 more files announce 5 issues (`total`), 4 were found; \
                    no page holds the one at `startAt` 4";
    assert_eq!(first.notes(), [format!("{expected} (1x, issues-page-1.json)")]);
    let again = plan(&*endpoint, "issues", Mode::Cdm, first.checkpoint.as_ref()).await;
    assert_eq!(again, [], "nothing is new");
    export.write("issues-page-3.json", page(4, 5, 4..5));
    let second = harvest_from(&*endpoint, "issues", Mode::Cdm, first.checkpoint.as_ref()).await;
    assert_eq!((second.records.len(), second.notes()), (1, vec![]), "all five are there now");
}

#[tokio::test]
async fn whatever_says_that_something_is_missing_or_went_wrong_is_reported() {
    let issue = json!({ "id": "1", "key": "AB-1", "fields": {} });
    let export = Export::of(
        &[
            ("issues-a.json", json!({ "issues": [issue], "nextPageToken": "made-up", "isLast": false })),
            ("issues-b.json", json!({ "issues": [issue], "issueErrors": [{ "id": "7" }, { "id": "8" }] })),
            (
                "issues-c.json",
                json!([{ "warningMessages": ["w"], "issues": [] }, { "errorMessages": ["e"], "errors": {} }]),
            ),
            ("issues-d.json", json!({ "comments": [issue] })),
        ]
        .map(|(name, page)| (name, page.to_string())),
    );
    let found = harvest(&*export.open().await, "issues", Mode::Cdm).await;
    assert_eq!(found.records.len(), 2);
    let problems = |member: &str| format!("its pages tell of problems in `{member}`: records may be missing");
    assert_eq!(
        found.notes(),
        [
            "issues-a.json its last page says that another page follows (`nextPageToken`, `isLast`), which is not there \
             (1x, issues-a.json)"
                .to_owned(),
            format!("issues-b.json {} (2x, issues-b.json)", problems("issueErrors")),
            format!("issues-c.json {} (1x, issues-c.json)", problems("errorMessages")),
            format!("issues-c.json {} (1x, issues-c.json)", problems("warningMessages")),
        ]
    );
}

#[tokio::test]
async fn files_that_are_not_read_are_named_by_the_check_and_once_by_runs() {
    let export = Export::of(&[
        ("issues.jsonl", "{\"id\":\"1\"}\n"),
        ("fields.json", "[{\"id\":\"customfield_1\",\"name\":\"x\"}]"),
        ("deeper/comments-1.jsonl.bz2", "BZh"),
    ]);
    let endpoint = export.open().await;
    let report = endpoint.check().await.unwrap();
    assert!(report.ok());
    let unread = |harvest: &Harvest| harvest.incomplete.iter().map(|note| note.resource.clone()).collect::<Vec<_>>();
    let checked: Vec<_> =
        report.checks.iter().filter(|check| check.name == "unread").map(|check| &check.detail).collect();
    assert_eq!(checked.len(), 2);
    assert!(checked[0].starts_with("`deeper/comments-1.jsonl.bz2` is not read: "), "{checked:?}");
    assert!(checked[1].starts_with("`fields.json` is not read: neither its name nor its first record"), "{checked:?}");

    let first = harvest(&*endpoint, "issues", Mode::Cdm).await;
    assert_eq!(unread(&first), ["deeper/comments-1.jsonl.bz2", "fields.json"]);
    assert_eq!(unread(&harvest(&*endpoint, "users", Mode::Cdm).await), [""; 0], "the run of the issues says it");
    let from = |harvest: &Harvest| harvest.checkpoint.clone();
    assert_eq!(plan(&*endpoint, "issues", Mode::Cdm, from(&first).as_ref()).await, []);

    export.write("priorities.json", "[{\"id\":\"1\",\"name\":\"High\"}]");
    let second = harvest_from(&*endpoint, "issues", Mode::Cdm, from(&first).as_ref()).await;
    assert_eq!((second.records.len(), unread(&second).len()), (0, 3));
    fs::remove_file(export.path("priorities.json")).unwrap();
    export.write("issues.jsonl", "{\"id\":\"2\"}\n");
    let third = harvest_from(&*endpoint, "issues", Mode::Cdm, from(&second).as_ref()).await;
    assert_eq!((third.records.len(), unread(&third).len()), (1, 2), "a run that reads something says it again");
}

#[tokio::test]
async fn a_file_of_lines_without_any_record_is_told_what_it_may_be() {
    let export = Export::of(&[("issues.jsonl", "id,key\n1,AB-1\n")]);
    let found = harvest(&*export.open().await, "issues", Mode::Cdm).await;
    assert_eq!((found.records.len(), found.rejects.len()), (0, 2));
    let notes = found.notes();
    assert!(notes[0].starts_with("issues.jsonl holds no line that begins with `{`; is it one JSON value"), "{notes:?}");
    assert!(notes[0].ends_with("(2x, issues.jsonl:1)"), "{notes:?}");
}

#[tokio::test]
async fn a_plan_of_an_earlier_version_is_still_read() {
    let export = Export::of(&[("issues.json", page(0, 2, 0..1))]);
    let endpoint = export.open().await;
    let mut slices = plan(&*endpoint, "issues", Mode::Cdm, None).await;
    assert_eq!(slices.len(), 2);
    let members: Vec<_> = slices[1].spec.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["file", "records", "mode", "state", "resume_at"]);
    // An earlier version knew nothing of pages.
    slices[1].spec["resume_at"]["files"]["issues.json"].as_object_mut().unwrap().remove("pages");
    let mut found = Harvest::default();
    found.add(common::batches(&*endpoint, "issues", &slices[1]).await.unwrap());
    assert_eq!(found.records.len(), 1);
    assert_eq!(plan(&*endpoint, "issues", Mode::Cdm, found.checkpoint.as_ref()).await, []);
    export.write("issues-2.json", page(1, 2, 1..2));
    let second = harvest_from(&*endpoint, "issues", Mode::Cdm, found.checkpoint.as_ref()).await;
    assert_eq!((second.records.len(), second.notes()), (1, vec![]), "the pages of the first file are counted");
}

#[tokio::test]
async fn names_and_schema_of_pages_are_fields_of_the_unit() {
    let names = json!({ "customfield_10016": "Story Points", "summary": "Summary" });
    let schema = json!({ "customfield_10016": { "type": "number", "customId": 10016 } });
    let page = json!({ "issues": [{ "id": "1", "fields": {} }], "names": names, "schema": schema });
    let export =
        Export::of(&[("issues-1.jsonl.gz", common::gzip(page.to_string())), ("issues.jsonl", b"{}\n".to_vec())]);
    let endpoint = export.open().await;
    let units = endpoint.source().unwrap().units().await.unwrap();
    let issues = units.iter().find(|unit| unit.id.as_str() == "jira.issues").unwrap();
    let field = issues.fields.last().unwrap();
    assert_eq!((field.name.as_str(), field.json_type.as_str()), ("fields.customfield_10016", "number"));
    assert_eq!(field.description, r#"Story Points; schema {"type":"number","customId":10016}"#);
    assert_eq!(issues.fields.iter().filter(|field| field.name == "fields.summary").count(), 1);
}

#[tokio::test]
async fn what_pages_hold_beside_their_list_or_leave_out_of_it_is_reported() {
    let beside = json!({ "issues": [{ "id": "1" }], "comments": [{ "id": "7" }], "worklogs": [], "users": [ ] });
    let export = Export::of(&[("issues.json", beside.to_string())]);
    let what = "its pages also hold a list of comments, which is not read; put it into a file of its own";
    assert_eq!(notes(&export, "issues").await, [format!("issues.json {what} (1x, issues.json)")]);

    let export = Export::of(&[("a/issues-1.json", page(0, 150, 0..50)), ("a/issues-3.json", page(100, 150, 100..150))]);
    let expected = "a/issues-1.json the pages of this and 1 more files announce 150 issues (`total`), 100 were found; no page \
                    holds those from `startAt` 50 to 99 (1x, a/issues-1.json)";
    assert_eq!(notes(&export, "issues").await, [expected]);
}

#[tokio::test]
async fn records_of_another_site_are_seen_wherever_they_stand() {
    let record = |id: usize, host: &str| {
        format!(
            "{}\n",
            json!({ "id": id.to_string(), "self": format!("https://{host}/rest/api/2/issue/{id}"), "x": "x".repeat(200) })
        )
    };
    let acme: String = (0..1000).map(|id| record(id, "acme.example")).collect();
    let export = Export::of(&[("issues.jsonl", acme + &record(1000, "lab.example") + &record(1001, "lab.example"))]);
    let endpoint = export.open_with(json!({ "path": ".", "slice_bytes": 20_000 })).await;
    assert_eq!(endpoint.source().unwrap().site().await.unwrap().unwrap().site.as_deref(), Some("acme.example"));
    let noted = harvest(&*endpoint, "issues", Mode::Cdm).await.notes();
    let [note] = &noted[..] else { panic!("{noted:?}") };
    assert!(
        note.starts_with("issues.jsonl holds records of another site (`lab.example`); under one source_system"),
        "{note}"
    );
    assert!(note.ends_with("(2x, issues.jsonl:1001)"), "{note}");
    let configured = json!({ "path": ".", "site_url": "https://acme.example" });
    assert_eq!(harvest(&*export.open_with(configured).await, "issues", Mode::Cdm).await.notes(), [""; 0]);
}

#[tokio::test]
async fn a_first_line_or_page_that_tells_nothing_does_not_hide_the_rest() {
    let issue = json!({ "id": "1", "fields": {} });
    for (name, text) in [
        ("dump.jsonl", format!("garbage\n{issue}\n")),
        ("dump.jsonl", format!("{{}}\n{issue}\n")),
        ("issues-ACME.json", json!([{ "id": "1" }]).to_string()),
        (
            "issues-acme.json",
            json!({ "errorMessages": ["no"] }).to_string() + &json!({ "issues": [issue] }).to_string(),
        ),
    ] {
        let export = Export::of(&[(name, text.as_str())]);
        let found = harvest(&*export.open().await, "issues", Mode::Cdm).await;
        assert!(found.records.iter().any(|record| record.json.contains("\"id\":\"1\"")), "{name} {text}");
    }
}
