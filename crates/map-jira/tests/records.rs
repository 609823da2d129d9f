//! Records as Cloud and Server give them, and what becomes of them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{ON_ISSUE, map};
use endpoint_api::{Mapper as _, batch::Parent};
use map_jira::{JiraComments, JiraIssues, JiraProjects, JiraUsers, JiraWorklogs};
use serde_json::json;

#[test]
fn a_cloud_issue() {
    let issue = json!({
        "expand": "renderedFields,names",
        "id": "10001",
        "self": "https://acme.example/rest/api/3/issue/10001",
        "key": "SHIP-7",
        "changelog": { "total": 0 },
        "fields": {
            "summary": "Crane stops at \"half\" height",
            "description": { "type": "doc", "version": 1, "content": [
                { "type": "paragraph", "content": [{ "type": "text", "text": "It stops." }] } ] },
            "status": { "name": "In Arbeit", "id": "3", "iconUrl": "https://acme.example/3.png",
                "statusCategory": { "id": 4, "key": "indeterminate", "name": "In Arbeit" } },
            "issuetype": { "id": "1", "name": "Bug", "iconUrl": "https://acme.example/1.png", "subtask": false },
            "priority": { "id": "2", "name": "High" },
            "resolution": null,
            "project": { "id": "10000", "key": "SHIP", "avatarUrls": { "48x48": "https://acme.example/p.png" } },
            "parent": { "id": "9000", "key": "SHIP-1" },
            "reporter": { "accountId": "557058:f58131cb", "displayName": "Ada", "avatarUrls": { "48x48": "u" } },
            "assignee": null,
            "creator": { "displayName": "Somebody" },
            "labels": ["crane", "b", "a"],
            "created": "2021-03-04T05:06:07.000+0700",
            "updated": "2021-03-05T05:06:07.123+0000",
            "duedate": "2021-04-01",
            "resolutiondate": null,
            "comment": { "comments": [{ "id": "1" }], "total": 1 },
            "worklog": { "worklogs": [], "total": 0 },
            "customfield_10010": { "value": "Dock 4", "child": null },
            "customfield_10011": 1.0e3,
            "customfield_10012": null,
            "workratio": 9223372036854776000u64
        }
    });
    let mapped = map::<JiraIssues>(&issue.to_string(), None).unwrap();
    insta::assert_json_snapshot!(mapped);
}

#[test]
fn a_server_issue_with_text_as_it_was_typed() {
    let issue = json!({
        "id": "10002",
        "self": "https://jira.acme.example/ctx/rest/api/2/issue/10002",
        "key": "SHIP-8",
        "fields": {
            "summary": "",
            "description": "h1. Boom\r\n{code}x{code}",
            "status": { "name": "Geschlossen", "statusCategory": { "key": "done", "name": "Fertig" } },
            "reporter": { "key": "JIRAUSER1", "name": "ada", "displayName": "Ada" },
            "assignee": { "name": "grace" },
            "resolution": { "name": "Fixed", "id": "1" },
            "labels": [],
            "resolutiondate": "2020-01-02T03:04:05.000-1100",
            "comment": { "name": "comment", "type": "something else" }
        }
    });
    let mapped = map::<JiraIssues>(&issue.to_string(), None).unwrap();
    insta::assert_json_snapshot!(mapped);
}

#[test]
fn an_issue_of_which_only_the_id_is_known() {
    for json in [r#"{"id":"1"}"#, r#"{"id":1,"fields":null}"#, r#"{"id":"1","fields":{}}"#] {
        let (row, version_at) = map::<JiraIssues>(json, None).unwrap();
        assert_eq!(row, json!({ "cdm_id": "cdm:work:item:jira:1", "source_system": "jira", "source_id": "1" }));
        assert_eq!(version_at, None);
    }
}

#[test]
fn a_number_that_jsonb_would_rewrite_also_stays_as_it_was() {
    let json = r#"{"id":"1","fields":{"a":1.0e3,"b":1.50,"c":{"x":1,"x":2},"d":1e9999},"n":-0}"#;
    let mapper: JiraIssues = common::mapper();
    let record = common::record(json, None);
    let row = mapper.map(&record).unwrap().row;
    assert_eq!(row.properties.unwrap().as_str(), r#"{"a":1000,"b":1.50,"c":{"x":2},"@record":{"n":0}}"#);
    assert_eq!(row.raw_source.unwrap().as_str(), r#"{"n":-0,"fields":{"a":1.0e3,"c":{"x":1,"x":2},"d":1e9999}}"#);
}

#[test]
fn a_project_a_user_a_comment_and_a_worklog() {
    let project = json!({
        "id": "10000", "key": "SHIP", "name": "Shipyard", "self": "https://acme.example/rest/api/3/project/10000",
        "projectTypeKey": "software", "archived": false, "description": "", "url": "https://ship.example",
        "lead": { "accountId": "a1", "avatarUrls": { "48x48": "x" } }, "avatarUrls": {}, "expand": "lead",
        "isPrivate": true
    });
    let user = json!({
        "accountId": "a1", "key": "old-key", "name": "ada", "displayName": "Ada \u{2028} L.", "active": true,
        "emailAddress": "ada@acme.example", "timeZone": "Europe/London", "accountType": "atlassian",
        "self": "https://acme.example/rest/api/3/user?accountId=a1", "locale": "en_GB", "avatarUrls": { "1": "x" }
    });
    let comment = json!({
        "id": "5", "self": "https://acme.example/rest/api/3/issue/10001/comment/5", "issueId": "10001",
        "author": { "accountId": "a1" }, "updateAuthor": { "accountId": "a2", "avatarUrls": { "1": "x" } },
        "body": { "type": "doc", "version": 1, "content": [] }, "jsdPublic": true,
        "visibility": { "type": "role", "value": "Administrators" },
        "created": "2021-03-04T05:06:07.000+0000", "updated": "2021-03-04T05:06:08.000+0000"
    });
    let worklog = json!({
        "id": "6", "issueId": "another", "author": { "displayName": "Nobody known" }, "comment": "Welding",
        "started": "2021-03-04T05:00:00.000+0000", "timeSpent": "1h", "timeSpentSeconds": 3600,
        "groupLevel": "welders"
    });
    insta::assert_json_snapshot!(json!({
        "project": map::<JiraProjects>(&project.to_string(), None).unwrap(),
        "user": map::<JiraUsers>(&user.to_string(), None).unwrap(),
        "comment": map::<JiraComments>(&comment.to_string(), ON_ISSUE).unwrap(),
        "worklog": map::<JiraWorklogs>(&worklog.to_string(), ON_ISSUE).unwrap(),
    }));
}

#[test]
fn who_a_user_is() {
    let id =
        |json: &str| map::<JiraUsers>(json, None).map(|(row, _)| row["source_user_id"].as_str().unwrap().to_owned());
    assert_eq!(id(r#"{"name":"n","key":"k","accountId":"a"}"#).unwrap(), "a");
    assert_eq!(id(r#"{"name":"n","key":"k","accountId":""}"#).unwrap(), "k");
    assert_eq!(id(r#"{"name":"n","key":null}"#).unwrap(), "n");
    assert_eq!(
        id(r#"{"displayName":"Ada"}"#).unwrap_err().to_string(),
        "expected `accountId`, `key` or `name`, found none of them"
    );
}

#[test]
fn only_a_record_without_an_identity_is_rejected() {
    let rejected = |json: &str| map::<JiraIssues>(json, None).unwrap_err().to_string();
    assert_eq!(rejected("{}"), "id: expected an id, found none");
    assert_eq!(rejected(r#"{"id":""}"#), "id: expected an id, found none");
    assert_eq!(rejected(r#"{"id":1.5}"#), "id: expected an id, found a number");
    let long = format!(r#"{{"id":"{}"}}"#, "1".repeat(600));
    assert_eq!(rejected(&long), "id: expected an id of at most 512 bytes, found 600");
    assert_eq!(rejected("[]"), "expected an object");
    assert_eq!(rejected(r#"{"id":"#), "not JSON at line 1, column 6");
}

#[test]
fn a_comment_needs_its_issue() {
    let rejected = |parent: Option<Parent<'_>>| map::<JiraComments>(r#"{"id":"5"}"#, parent).unwrap_err();
    let unknown = rejected(None);
    assert_eq!(
        unknown.to_string(),
        "issueId: expected the record's issue in `issueId`, `issueKey`, `issue` or `self`, found none"
    );
    assert_eq!(unknown.key.as_deref(), Some("5"));
    assert!(
        rejected(Some(Parent { id: None, key: Some("SHIP-7") })).to_string().starts_with("issueKey: the record names")
    );
}
