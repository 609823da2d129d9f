//! Records that others embed, and the issues that comments and worklogs belong to.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use endpoint_api::{Mode, batch::Rank};
use serde_json::json;

use crate::common::{Export, Harvest, harvest, harvest_from};

const PROJECTS: &str = r#"{"id":"1","key":"AB","lead":{"accountId":"lead","displayName":"Lead"}}"#;

const USERS: &str = r#"{"accountId":"whole","displayName":"Whole"}"#;

const ISSUES: &str = r#"{"id":"10001","key":"AB-1","fields":{"reporter":{"name":"rita"},"assignee":{"displayName":"nobody"},"comment":{"total":1,"comments":[{"id":"5","body" : "hi","author":{"key":"ann"}}]}}}
no record
{"id":10002,"key":"AB-2","fields":{"creator":{"key":"carl"},"comment":{"total":3,"comments":[{"id":"6"}]},"worklog":[{"id":"7","author":{"accountId":"wil"}}]}}
{"id":"10003","key":"AB-3","fields":{"comment":{"total":2,"comments":[]},"worklog":{"total":1,"worklogs":null}}}
[]"#;

const COMMENTS: &str = r#"{"id":"8","issueKey":"AB-2","author":{"accountId":"cora"},"updateAuthor":{"accountId":"cora"}}
{"id":"9","self":"https://x/rest/api/2/issue/10003/comment/9"}
17
{"id":"10","issueKey":"AB-404"}
{"id":"11"}"#;

const WORKLOGS: &str = r#"[{"id":"12","issueId":10003},{"id":"13","issue":"https://x/rest/api/2/issue/AB-1"}]"#;

fn export() -> Export {
    Export::of(&[
        ("projects.jsonl", PROJECTS),
        ("users.jsonl", USERS),
        ("issues.jsonl", ISSUES),
        ("comments.jsonl", COMMENTS),
        ("worklogs.json", WORKLOGS),
    ])
}

fn of_rank(harvest: &Harvest, rank: Rank) -> Vec<String> {
    let records = harvest.records.iter().filter(|record| record.rank == rank);
    records.map(|record| format!("{} {}", record.origin, record.json)).collect()
}

#[tokio::test]
async fn users_are_gathered_from_whatever_embeds_them() {
    let found = harvest(&*export().open().await, "users", Mode::Cdm).await;
    assert_eq!(of_rank(&found, Rank::Whole), [format!("users.jsonl:1 {USERS}")]);
    assert_eq!(
        of_rank(&found, Rank::Part),
        [
            r#"comments.jsonl:1#/author {"accountId":"cora"}"#,
            r#"comments.jsonl:1#/updateAuthor {"accountId":"cora"}"#,
            r#"issues.jsonl:1#/fields/reporter {"name":"rita"}"#,
            r#"issues.jsonl:1#/fields/comment/comments/0/author {"key":"ann"}"#,
            r#"issues.jsonl:3#/fields/creator {"key":"carl"}"#,
            r#"issues.jsonl:3#/fields/worklog/0/author {"accountId":"wil"}"#,
            r#"projects.jsonl:1#/lead {"accountId":"lead","displayName":"Lead"}"#,
        ]
    );
    assert_eq!(found.rejects, [], "what is no record is a reject of its own unit only");
    assert_eq!(
        found.notes(),
        [
            "comments.jsonl contains lines that are not records (1x, comments.jsonl:3)",
            "issues.jsonl contains lines that are not records (2x, issues.jsonl:2)",
            "issues.jsonl embeds fewer comments than there are (2x, issues.jsonl:3)",
            "issues.jsonl embeds fewer worklogs than there are (1x, issues.jsonl:4)",
        ]
    );
    assert_eq!(
        found.files_read(),
        ["comments.jsonl", "issues.jsonl", "projects.jsonl", "users.jsonl", "worklogs.json"]
    );
}

#[tokio::test]
async fn comments_are_their_own_records_and_those_that_issues_embed() {
    let found = harvest(&*export().open().await, "comments", Mode::Cdm).await;
    assert_eq!(
        found.issues(),
        [
            "comments.jsonl:1 10002 AB-2",
            "comments.jsonl:2 10003 AB-3",
            "comments.jsonl:4 - AB-404",
            "comments.jsonl:5 - -",
            "issues.jsonl:1#/fields/comment/comments/0 10001 AB-1",
            "issues.jsonl:3#/fields/comment/comments/0 10002 AB-2",
        ]
    );
    assert!(found.records.iter().all(|record| record.rank == Rank::Whole));
    assert_eq!(found.records[4].json, r#"{"id":"5","body" : "hi","author":{"key":"ann"}}"#);
    let rejects: Vec<_> = found.rejects.iter().map(|reject| reject.origin.as_str()).collect();
    assert_eq!(rejects, ["comments.jsonl:3"]);
    assert_eq!(
        found.notes(),
        [
            "issues.jsonl contains lines that are not records (2x, issues.jsonl:2)",
            "issues.jsonl embeds fewer comments than there are (2x, issues.jsonl:3)",
        ]
    );
    assert_eq!(found.files_read(), ["comments.jsonl", "issues.jsonl"]);
}

#[tokio::test]
async fn worklogs_are_their_own_records_and_those_that_issues_embed() {
    let found = harvest(&*export().open().await, "worklogs", Mode::Cdm).await;
    assert_eq!(
        found.issues(),
        ["worklogs.json:1 10003 AB-3", "worklogs.json:2 10001 AB-1", "issues.jsonl:3#/fields/worklog/0 10002 AB-2"]
    );
    assert_eq!(found.rejects, []);
    assert_eq!(found.notes()[1], "issues.jsonl embeds fewer worklogs than there are (1x, issues.jsonl:4)");
}

#[tokio::test]
async fn a_history_that_is_cut_is_noted_by_the_issues_in_both_modes() {
    let issue = |id: u32, total: u32| {
        let changelog = json!({ "startAt": 0, "maxResults": 1, "total": total, "histories": [{ "id": "1" }] });
        json!({ "id": id.to_string(), "key": format!("AB-{id}"), "fields": {}, "changelog": changelog }).to_string()
    };
    let export = Export::of(&[("issues.jsonl", [issue(1, 1), issue(2, 250), issue(3, 9)].join("\n"))]);
    for mode in [Mode::Raw, Mode::Cdm] {
        let found = harvest(&*export.open().await, "issues", mode).await;
        let expected = "issues.jsonl embeds fewer entries of the changelog than there are (2x, issues.jsonl:2)";
        assert_eq!((found.records.len(), found.notes()), (3, vec![expected.to_owned()]));
    }
}

#[tokio::test]
async fn the_name_of_a_file_tells_the_issue_where_the_record_does_not() {
    let export = Export::of(&[
        ("issues.jsonl", "{\"id\":\"10001\",\"key\":\"AB-1\",\"fields\":{}}\n"),
        ("comments-AB-1.json", r#"{"total":2,"comments":[{"id":"1","body":"b"},{"id":"2","body":"b","issueId":"7"}]}"#),
        ("AB-1/worklogs.json", r#"{"worklogs":[{"id":"3","timeSpentSeconds":60}]}"#),
    ]);
    let endpoint = export.open().await;
    let comments = harvest(&*endpoint, "comments", Mode::Cdm).await;
    assert_eq!(comments.issues(), ["comments-AB-1.json:1 10001 AB-1", "comments-AB-1.json:2 7 -"]);
    let worklogs = harvest(&*endpoint, "worklogs", Mode::Cdm).await;
    assert_eq!(worklogs.issues(), ["AB-1/worklogs.json:1 10001 AB-1"]);
    assert_eq!(harvest(&*endpoint, "worklogs", Mode::Raw).await.issues(), ["AB-1/worklogs.json:1 - AB-1"]);
}

#[tokio::test]
async fn in_raw_mode_a_unit_is_its_own_files_and_nothing_is_looked_up() {
    let export = export();
    let endpoint = export.open().await;
    for (name, files, records) in [
        ("projects", "projects.jsonl", 1),
        ("users", "users.jsonl", 1),
        ("issues", "issues.jsonl", 3),
        ("comments", "comments.jsonl", 4),
        ("worklogs", "worklogs.json", 2),
    ] {
        let found = harvest(&*endpoint, name, Mode::Raw).await;
        assert_eq!((found.records.len(), found.files_read()), (records, vec![files.to_owned()]), "{name}");
        assert!(found.records.iter().all(|record| record.rank == Rank::Whole));
        assert_eq!(found.incomplete, []);
    }
    let comments = harvest(&*endpoint, "comments", Mode::Raw).await;
    assert_eq!(comments.issues()[..2], ["comments.jsonl:1 - AB-2", "comments.jsonl:2 10003 -"]);
}

#[tokio::test]
async fn projects_and_issues_are_the_same_records_in_both_modes() {
    let export = export();
    let endpoint = export.open().await;
    for name in ["projects", "issues"] {
        let (raw, cdm) = (harvest(&*endpoint, name, Mode::Raw).await, harvest(&*endpoint, name, Mode::Cdm).await);
        assert_eq!((raw.records, raw.rejects), (cdm.records, cdm.rejects));
    }
}

#[tokio::test]
async fn a_changed_file_is_read_again_by_every_unit_that_reads_it_and_by_no_other() {
    let export = export();
    let endpoint = export.open().await;
    let mut before = Vec::new();
    for name in ["projects", "users", "issues", "comments", "worklogs"] {
        before.push((name, harvest(&*endpoint, name, Mode::Cdm).await.checkpoint));
    }
    export.write("issues.jsonl", ISSUES.replace("hi", "ho"));
    let mut changed = Vec::new();
    for (name, checkpoint) in &before {
        let found = harvest_from(&*endpoint, name, Mode::Cdm, checkpoint.as_ref()).await;
        assert!(found.slices.iter().all(|slice| slice.resources[0].name == "issues.jsonl"));
        changed.push((*name, found.records.len()));
    }
    assert_eq!(changed, [("projects", 0), ("users", 4), ("issues", 3), ("comments", 2), ("worklogs", 1)]);
}

#[tokio::test]
async fn an_embedding_file_is_sliced_like_any_other() {
    let issue = |id: u32| {
        let text = "x".repeat(1500);
        json!({ "id": id, "key": format!("AB-{id}"), "fields": { "comment": { "comments": [{ "id": "1", "body": text }] } } })
    };
    let issues: Vec<String> = (1..=10).map(|id| issue(id).to_string()).collect();
    let export = Export::of(&[("issues.jsonl", issues.join("\n"))]);
    let endpoint = export.open_with(json!({ "path": ".", "slice_bytes": 4096 })).await;
    let found = harvest(&*endpoint, "comments", Mode::Cdm).await;
    assert_eq!(found.slices.len(), 4);
    let expected: Vec<_> =
        (1..=10).map(|id| format!("issues.jsonl:{id}#/fields/comment/comments/0 {id} AB-{id}")).collect();
    assert_eq!(found.issues(), expected);
}

#[tokio::test]
async fn a_record_above_the_limit_is_noted_where_it_is_only_gathered_from() {
    let long = json!({ "id": "1", "key": "AB-1", "x": "x".repeat(2000), "fields": { "reporter": { "key": "r" } } });
    let export =
        Export::of(&[("issues.jsonl", format!("{long}\n{}", json!({ "fields": { "creator": { "key": "c" } } })))]);
    let endpoint = export.open_with(json!({ "path": ".", "max_record_bytes": 1024 })).await;
    let found = harvest(&*endpoint, "users", Mode::Cdm).await;
    assert_eq!(found.origins(), ["issues.jsonl:2#/fields/creator"]);
    assert_eq!(found.rejects, []);
    assert_eq!(found.notes(), ["issues.jsonl holds records larger than `max_record_bytes` (1x, issues.jsonl:1)"]);
}

#[tokio::test]
async fn a_key_of_two_issues_is_no_answer_and_a_key_of_one_is_found_in_any_file() {
    let export = Export::of(&[
        ("issues-1.jsonl", "{\"id\":\"1\",\"key\":\"AB-1\"}\n{\"id\":\"2\",\"key\":\"AB-2\"}\n"),
        (
            "issues-2.json",
            "{\"issues\":[\n{\"id\":\"3\",\"key\":\"AB-2\"},{\"id\":\"1\",\"key\":\"AB-1\"},{\"id\":\"4\",\"key\":\"AB-4\"}]}",
        ),
        (
            "comments.jsonl",
            "{\"issueKey\":\"AB-1\"}\n{\"issueKey\":\"AB-2\"}\n{\"issueKey\":\"AB-4\"}\n{\"issueKey\":\"AB-5\"}\n",
        ),
    ]);
    let found = harvest(&*export.open().await, "comments", Mode::Cdm).await;
    assert_eq!(
        found.issues(),
        ["comments.jsonl:1 1 AB-1", "comments.jsonl:2 - AB-2", "comments.jsonl:3 4 AB-4", "comments.jsonl:4 - AB-5"]
    );
}

#[tokio::test]
async fn a_user_with_a_number_as_id_is_a_user_like_any_other() {
    let issue = r#"{"id":"1","fields":{"assignee":{"accountId":5},"reporter":{"accountId":5.5}}}"#;
    let export = Export::of(&[("issues.jsonl", issue)]);
    let found = harvest(&*export.open().await, "users", Mode::Cdm).await;
    assert_eq!(found.texts(), [r#"{"accountId":5}"#]);
}

#[tokio::test]
async fn the_schema_of_pages_tells_the_epic_link() {
    let schema = json!({ "customfield_1": { "custom": "com.pyxis.greenhopper.jira:gh-epic-link" } });
    let page = |schema| {
        let issues =
            json!([{ "id": "1", "key": "AB-1" }, { "id": "2", "key": "AB-2", "fields": { "customfield_1": "AB-1" } }]);
        json!({ "issues": issues, "schema": schema }).to_string()
    };
    let export = Export::of(&[("issues-1.json", page(schema)), ("issues-2.json", page(json!({})))]);
    let found = harvest(&*export.open().await, "issues", Mode::Cdm).await;
    let parents: Vec<_> = found.records.iter().map(|record| record.parent_id.as_deref()).collect();
    assert_eq!(parents, [None, Some("1"), None, None]);
}
