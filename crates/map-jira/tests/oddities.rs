//! What is odd costs its own field at most, is kept, and is noted; a restriction never looks like none.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{ON_ISSUE, map, map_from, map_noting, record};
use endpoint_api::Mapper as _;
use endpoint_api::batch::{Aliases, Parent, Rank, RawRecord};
use map_jira::{JiraComments, JiraIssues, JiraProjects, JiraUsers, JiraWorklogs};
use serde_json::{Value, json};

fn visibility(restriction: Value) -> Option<String> {
    let mut record = json!({ "id": "5" });
    record.as_object_mut().unwrap().extend(restriction.as_object().unwrap().clone());
    let of = |row: &Value| row["visibility"].as_str().map(str::to_owned);
    let (comment, _) = map::<JiraComments>(&record.to_string(), ON_ISSUE).unwrap();
    let (worklog, _) = map::<JiraWorklogs>(&record.to_string(), ON_ISSUE).unwrap();
    assert_eq!(of(&comment), of(&worklog), "{record}");
    of(&comment)
}

#[test]
fn a_restriction_that_cannot_be_read_is_never_shown_as_public() {
    for (restriction, expected) in [
        (json!({ "visibility": { "type": "group", "value": "staff" } }), "group:staff"),
        (json!({ "visibility": { "type": "role", "value": 10002 } }), "role:10002"),
        (json!({ "visibility": { "type": "group", "value": null, "identifier": "276f-955c" } }), "group:276f-955c"),
        (json!({ "visibility": { "type": "group", "value": "", "identifier": "276f-955c" } }), "group:276f-955c"),
        (json!({ "visibility": { "value": "staff" } }), "restricted:unreadable"),
        (json!({ "visibility": { "value": "" } }), "restricted:unreadable"),
        (json!({ "visibility": { "type": "group", "value": " " } }), "restricted:unreadable"),
        (json!({ "visibility": {} }), "restricted:unreadable"),
        (json!({ "visibility": [] }), "restricted:unreadable"),
        (json!({ "visibility": "staff" }), "restricted:unreadable"),
        (json!({ "visibility": false }), "restricted:unreadable"),
        (json!({ "roleLevel": "Administrators" }), "role:Administrators"),
        (json!({ "groupLevel": "staff" }), "group:staff"),
        (json!({ "groupLevel": "" }), "restricted:unreadable"),
        (json!({ "roleLevel": { "id": 1 }, "visibility": null }), "restricted:unreadable"),
        (json!({ "jsdPublic": false }), "internal"),
        (json!({ "jsdPublic": "no" }), "internal"),
        (json!({ "properties": [{ "key": "sd.public.comment", "value": { "internal": true } }] }), "internal"),
        (json!({ "properties": [{ "key": "sd.public.comment", "value": "?" }] }), "internal"),
        (json!({ "jsdPublic": false, "visibility": { "type": "group", "value": "staff" } }), "group:staff"),
        (json!({ "jsdPublic": false, "visibility": {} }), "restricted:unreadable"),
        (json!({ "properties": ["sd.public.comment"] }), "internal"),
        (json!({ "properties": [{ "key": ["sd.public.comment"] }] }), "internal"),
        (json!({ "properties": { "sd.public.comment": { "internal": true } } }), "internal"),
    ] {
        assert_eq!(visibility(restriction.clone()).as_deref(), Some(expected), "{restriction}");
    }
    for public in [
        json!({}),
        json!({ "visibility": null }),
        json!({ "roleLevel": null, "groupLevel": null }),
        json!({ "jsdPublic": true }),
        json!({ "jsdPublic": null, "properties": [] }),
        json!({ "properties": [{ "key": "sd.public.comment", "value": { "internal": false } }] }),
        json!({ "properties": [{ "key": "other", "value": { "internal": true } }] }),
    ] {
        assert_eq!(visibility(public.clone()), None, "{public}");
    }
}

#[test]
fn null_behind_a_restriction_does_not_take_it_back() {
    for (members, expected) in [
        (r#""visibility":{"type":"role","value":"staff"},"visibility":null"#, "role:staff"),
        (r#""visibility":{},"visibility":null"#, "restricted:unreadable"),
        (r#""roleLevel":"staff","roleLevel":null"#, "role:staff"),
        (r#""groupLevel":"staff","groupLevel":null,"roleLevel":null"#, "group:staff"),
        (r#""jsdPublic":false,"jsdPublic":null"#, "internal"),
        (r#""jsdPublic":false,"jsdPublic":true"#, "internal"),
        (r#""properties":[{"key":"sd.public.comment","value":{"internal":true}}],"properties":[]"#, "internal"),
    ] {
        let json = format!(r#"{{"id":"5",{members}}}"#);
        assert_eq!(map::<JiraComments>(&json, ON_ISSUE).unwrap().0["visibility"], expected, "{json}");
        assert_eq!(map::<JiraWorklogs>(&json, ON_ISSUE).unwrap().0["visibility"], expected, "{json}");
    }
}

#[test]
fn a_record_of_another_kind_is_rejected_and_one_that_lacks_members_is_not() {
    let comment = r#"{"id":"5","author":{"accountId":"a"},"body":"b"}"#;
    let worklog = r#"{"id":"5","author":{"accountId":"a"},"timeSpentSeconds":60,"comment":"c"}"#;
    let issue = r#"{"id":"5","key":"AB-1","fields":{"summary":"s"}}"#;
    let project = r#"{"id":"5","key":"AB","name":"N","projectTypeKey":"software"}"#;
    let user = r#"{"id":"5","key":"k","accountId":"a","emailAddress":"a@x.example"}"#;
    fn reason<M: endpoint_api::Mapper>(json: &str) -> Option<String> {
        map::<M>(json, ON_ISSUE).err().map(|rejection| rejection.reason)
    }
    let other = |expected: &str, found: &str| {
        Some(format!("expected {expected}, found {found}; put it into a file of its own kind"))
    };
    for (json, found) in
        [(comment, "a comment"), (worklog, "a worklog"), (issue, "an issue"), (project, "a project"), (user, "a user")]
    {
        for (expected, reason) in [
            ("an issue", reason::<JiraIssues>(json)),
            ("a comment", reason::<JiraComments>(json)),
            ("a worklog", reason::<JiraWorklogs>(json)),
            ("a project", reason::<JiraProjects>(json)),
            ("a user", reason::<JiraUsers>(json)),
        ] {
            assert_eq!(reason, if expected == found { None } else { other(expected, found) }, "{json}");
        }
    }
    for few in [r#"{"id":"5"}"#, r#"{"id":"5","key":"AB-1","name":"n"}"#] {
        assert_eq!([reason::<JiraIssues>(few), reason::<JiraComments>(few)], [None, None]);
        assert_eq!([reason::<JiraWorklogs>(few), reason::<JiraProjects>(few)], [None, None]);
    }
}

#[test]
fn who_or_what_is_named_without_an_id_is_noted_and_kept() {
    let unidentified = |member: &str| {
        format!(
            "names users or projects without an id; the references are null, and what is there is kept in `raw_source` \
             (`{member}`)"
        )
    };
    let unreadable = |member: &str| {
        format!("has values that cannot be read; they are null in the rows and kept in `raw_source` (`{member}`)")
    };
    for (user, expected) in [
        (json!({ "displayName": "Ada" }), unidentified as fn(&str) -> String),
        (json!({ "accountId": "" }), unidentified),
        (json!("ada"), unreadable),
        (json!(["ada"]), unreadable),
    ] {
        let comment = json!({ "id": "5", "body": "b", "author": user }).to_string();
        let worklog = json!({ "id": "5", "timeSpentSeconds": 1, "author": user }).to_string();
        let project = json!({ "id": "5", "lead": user }).to_string();
        let issue = json!({ "id": "5", "fields": { "assignee": user } }).to_string();
        for (field, (row, notes)) in [
            ("author", map_noting::<JiraComments>(&record(&comment, ON_ISSUE))),
            ("author", map_noting::<JiraWorklogs>(&record(&worklog, ON_ISSUE))),
            ("lead", map_noting::<JiraProjects>(&record(&project, None))),
            ("fields.assignee", map_noting::<JiraIssues>(&record(&issue, None))),
        ] {
            assert!(notes.contains(&expected(field)), "{user} {notes:?}");
            assert!(row["raw_source"].to_string().contains(&user.to_string()), "{row}");
        }
    }
    let issue =
        json!({ "id": "5", "fields": { "project": { "key": "AB" }, "assignee": null, "reporter": { "name": "a" } } });
    let (_, notes) = map_noting::<JiraIssues>(&record(&issue.to_string(), None));
    let noted: Vec<&String> = notes.iter().filter(|note| note.contains("without an id")).collect();
    assert_eq!(noted, [&unidentified("fields.project")]);
}

#[test]
fn a_time_of_change_that_cannot_be_read_says_what_becomes_of_the_record() {
    let undated = |notes: Vec<String>| notes.iter().any(|note| note.starts_with("has records whose time of change"));
    let issue = |updated: Value| {
        let issue = json!({ "id": "5", "fields": { "updated": updated } }).to_string();
        undated(map_noting::<JiraIssues>(&record(&issue, None)).1)
    };
    assert!(issue(json!("soon")) && issue(json!(5)));
    assert!(!issue(json!(null)) && !issue(json!("")) && !issue(json!("2021-03-04T05:06:07.000+0000")));
    let comment = json!({ "id": "5", "body": "b", "updated": "soon" }).to_string();
    assert!(undated(map_noting::<JiraComments>(&record(&comment, ON_ISSUE)).1));
    let worklog = json!({ "id": "5", "updated": "soon" }).to_string();
    assert!(undated(map_noting::<JiraWorklogs>(&record(&worklog, ON_ISSUE)).1));
}

#[test]
fn a_page_of_comments_that_has_no_list_stays_in_the_row() {
    for (comment, is_kept) in [
        (json!({ "comments": [], "total": 0 }), false),
        (json!([]), false),
        (json!({ "comments": "none" }), true),
        (json!("none"), true),
        (json!({ "total": 3 }), true),
    ] {
        let issue = json!({ "id": "5", "fields": { "comment": comment, "worklog": comment } }).to_string();
        let (row, _) = map::<JiraIssues>(&issue, None).unwrap();
        assert_eq!(row["properties"].get("comment").is_some(), is_kept, "{comment}");
    }
}

/// A field with an odd value: null in the row, kept at its place, and noted.
#[test]
fn an_odd_value_costs_its_own_field_and_nothing_else() {
    for (name, value) in [
        ("summary", json!(5)),
        ("summary", json!({ "value": "x" })),
        ("created", json!("hunter2")),
        ("updated", json!(1_614_834_367)),
        ("duedate", json!("2021-02-30")),
        ("resolutiondate", json!([])),
        ("status", json!("Open")),
        ("project", json!(7)),
        ("labels", json!("a")),
        ("description", json!({ "value": "x" })),
        ("description", json!(["x"])),
    ] {
        let issue = json!({ "id": "7", "key": "AB-7", "fields": { name: value, "customfield_1": "kept" } }).to_string();
        let (row, notes) = map_noting::<JiraIssues>(&record(&issue, None));
        assert_eq!(row["properties"], json!({ "customfield_1": "kept" }), "{issue}");
        let raw: Value = row["raw_source"].clone();
        assert_eq!(raw, json!({ "fields": { name: value } }), "{issue}");
        let expected = format!(
            "has values that cannot be read; they are null in the rows and kept in `raw_source` (`fields.{name}`)"
        );
        assert!(notes.contains(&expected), "{notes:?}");
    }
    let issue = json!({ "id": "7", "fields": { "reporter": { "accountId": "x".repeat(600) }, "labels": ["a", null] } });
    let (row, notes) = map_noting::<JiraIssues>(&record(&issue.to_string(), None));
    assert_eq!((row.get("reporter_cdm_id"), &row["labels"]), (None, &json!(["a"])));
    assert!(notes.iter().any(|note| note.contains("`fields.reporter.accountId`")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("`fields.labels`")), "{notes:?}");
    let worklog = json!({ "id": 6, "timeSpentSeconds": "60", "started": 1_614_834_367_000_u64, "created": "" });
    let (row, _) = map::<JiraWorklogs>(&worklog.to_string(), ON_ISSUE).unwrap();
    assert_eq!((&row["time_spent_seconds"], &row["started_at"]), (&json!(60), &json!("2021-03-04T05:06:07Z")));
}

#[test]
fn a_document_in_a_string_is_read_and_the_string_is_kept() {
    let document = json!({ "type": "doc", "content": [{ "type": "paragraph", "content": [{ "type": "text", "text": "hello" }] }] });
    let issue = json!({ "id": "7", "fields": { "description": document.to_string() } });
    let (row, _) = map::<JiraIssues>(&issue.to_string(), None).unwrap();
    assert_eq!(row["description"], "hello");
    let raw: Value = row["raw_source"].clone();
    assert_eq!(raw["fields"]["description"], document.to_string());
    for typed in ["{\"doc\"", "{code}x{code}", "{\"a\":\"doc\"}", " {} "] {
        let issue = json!({ "id": "7", "fields": { "description": typed } });
        assert_eq!(map::<JiraIssues>(&issue.to_string(), None).unwrap().0["description"], typed);
    }
}

#[test]
fn what_is_nested_too_deeply_is_kept_as_text() {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let document = format!("{{\"type\":\"doc\",\"content\":{deep}}}");
    let json = format!(r#"{{"id":"1","x":{deep},"fields":{{"y":{deep},"description":{document},"summary":{deep}}}}}"#);
    let (row, notes) = map_noting::<JiraIssues>(&record(&json, None));
    assert_eq!(row.get("properties"), None);
    let raw: Value = row["raw_source"].clone();
    assert_eq!((&raw["x"], &raw["fields"]["y"], &raw["fields"]["summary"]), (&json!(deep), &json!(deep), &json!(deep)));
    assert_eq!((&raw["fields"]["description"], &row["description"]), (&json!(document), &json!("")));
    assert!(notes.iter().any(|note| note.contains("nested too deeply")), "{notes:?}");
}

#[test]
fn of_a_repeated_member_the_last_counts_and_all_are_kept() {
    let both = |json: &str| {
        let mapper: JiraIssues = common::mapper();
        let record = record(json, None);
        let row = mapper.map(&record).unwrap().row;
        let properties = row.properties.map(|json| json.as_str().to_owned()).unwrap_or_default();
        let raw = row.raw_source.map(|json| json.as_str().to_owned()).unwrap_or_default();
        (row.summary.unwrap_or_default().into_owned(), properties, raw)
    };
    let expect =
        |summary: &str, properties: &str, raw: &str| (summary.to_owned(), properties.to_owned(), raw.to_owned());
    assert_eq!(
        both(r#"{"id":"1","fields":{"labels":["x"],"customfield_2":1,"a":0,"customfield_2":2}}"#),
        expect("", r#"{"a":0,"customfield_2":2}"#, r#"{"fields":{"customfield_2":1,"customfield_2":2}}"#)
    );
    assert_eq!(
        both(r#"{"id":"1","fields":{"summary":"a","customfield_2":1,"summary":"b","customfield_2":2,"duedate":null}}"#),
        expect(
            "b",
            r#"{"customfield_2":2}"#,
            r#"{"fields":{"summary":"a","customfield_2":1,"summary":"b","customfield_2":2}}"#
        )
    );
    assert_eq!(
        both(r#"{"id":"1","changelog":{"total":1},"changelog":{"total":2}}"#),
        expect("", r#"{"@record":{"changelog":{"total":2}}}"#, r#"{"changelog":{"total":1},"changelog":{"total":2}}"#)
    );
    assert_eq!(both(r#"{"id":"1","fields":{"summary":"a","summary":null}}"#).0, "");
    let (summary, _, raw) = both(r#"{"id":"1","fields":{"summary":"a"},"fields":{"summary":"b"}}"#);
    assert_eq!((summary.as_str(), raw.contains(r#""fields":{"summary":"a"}"#)), ("b", true), "{raw}");
}

#[test]
fn members_that_a_full_export_has_are_missed() {
    let lacking = |json: &str| {
        let (_, notes) = map_noting::<JiraIssues>(&record(json, None));
        let lacking = notes.iter().filter(|note| note.starts_with("has records without members"));
        let lacking = lacking.filter_map(|note| note.split('`').nth(1));
        lacking.map(str::to_owned).collect::<Vec<_>>()
    };
    let full = r#"{"id":"1","key":"A-1","fields":{"summary":null,"status":{},"issuetype":{},"project":{},"created":null,
        "updated":null,"description":null,"assignee":null,"labels":[],"resolution":null}}"#;
    assert_eq!(lacking(full), [""; 0]);
    assert_eq!(
        lacking(&full.replace("\"summary\"", "\"other\"").replace("\"key\"", "\"k\"")),
        ["key", "fields.summary"]
    );
    for without in [
        r#"{"id":"1","key":"A-1"}"#,
        r#"{"id":"1","key":"A-1","fields":null}"#,
        r#"{"id":"1","key":"A-1","summary":"s"}"#,
    ] {
        assert_eq!(lacking(without), ["fields"], "{without}");
    }
    let user = RawRecord { rank: Rank::Part, ..record(r#"{"name":"ada"}"#, None) };
    assert_eq!(map_noting::<JiraUsers>(&user).1, [""; 0], "of a part nothing is missed");
}

#[test]
fn the_parent_is_told_by_id_by_key_or_by_the_epic() {
    let parent = |fields: Value, found: Option<Parent<'_>>| {
        let issue = json!({ "id": "7", "fields": fields }).to_string();
        let (row, notes) = map_noting::<JiraIssues>(&record(&issue, found));
        let unresolved =
            notes.iter().any(|note| note.starts_with("names issues by keys that no issue of the export has"));
        (row["parent_cdm_id"].as_str().map(str::to_owned), unresolved)
    };
    let is = |id: &str| (Some(format!("cdm:work:item:jira:{id}")), false);
    let by_key = |id| Some(Parent { id, key: Some("AB-1") });
    assert_eq!(parent(json!({ "parent": { "id": "1", "key": "AB-1" } }), None), is("1"));
    assert_eq!(parent(json!({ "parent": { "key": "AB-1" } }), by_key(Some("1"))), is("1"));
    assert_eq!(parent(json!({ "epic": { "id": 3, "key": "AB-3" } }), None), is("3"));
    assert_eq!(parent(json!({ "parent": { "key": "AB-1" }, "epic": { "id": 3 } }), by_key(Some("1"))), is("1"));
    assert_eq!(parent(json!({ "parent": { "key": "AB-1" } }), by_key(None)), (None, true));
    assert_eq!(parent(json!({ "parent": null }), None), (None, false));
}

#[test]
fn a_page_is_of_the_configured_site_or_of_the_record_and_never_made_up() {
    let gateway = "https://api.atlassian.com/ex/jira/11111111-2222-3333-4444-555555555555/rest/api/3";
    let url = |site, resource: &str| {
        let issue = json!({ "id": "1", "key": "AB-1", "self": format!("{resource}/issue/1") }).to_string();
        let project = json!({ "id": "10", "key": "AB", "self": format!("{resource}/project/10") }).to_string();
        let comment = json!({ "id": "7", "self": format!("{resource}/issue/1/comment/7") }).to_string();
        let user = json!({ "accountId": "a-1", "self": format!("{resource}/user?accountId=a-1") }).to_string();
        let rows = [
            map_from::<JiraIssues>("jira", site, &issue, None),
            map_from::<JiraProjects>("jira", site, &project, None),
            map_from::<JiraComments>("jira", site, &comment, ON_ISSUE),
            map_from::<JiraUsers>("jira", site, &user, None),
        ];
        rows.map(|row| {
            let (row, _) = row.unwrap();
            assert!(row["raw_source"].to_string().contains(resource), "`self` is kept: {row}");
            row["source_url"].as_str().map(str::to_owned)
        })
    };
    assert_eq!(url(None, gateway), [const { None }; 4]);
    let pages = |site: &str| {
        let tab = "page=com.atlassian.jira.plugin.system.issuetabpanels:comment-tabpanel";
        let comment = format!("browse/SHIP-7?focusedCommentId=7&{tab}");
        ["browse/AB-1", "browse/AB", &comment, "jira/people/a-1"].map(|page| Some(format!("{site}/{page}")))
    };
    assert_eq!(url(Some("https://acme.example"), gateway), pages("https://acme.example"));
    assert_eq!(url(None, "https://x.example/ctx/rest/api/2"), pages("https://x.example/ctx"));
    let comment = r#"{"id":"7","self":"https://x.example/rest/api/2/issue/1/comment/7"}"#;
    let (row, _) = map::<JiraComments>(comment, Some(Parent { id: Some("1"), key: None })).unwrap();
    assert_eq!(row.get("source_url"), None, "without the issue's key there is no page");
}

#[test]
fn a_project_that_is_named_by_its_key_is_found_where_the_source_knows_its_id() {
    let aliases = Aliases::new(Some("project\tAB\t10\n"));
    for (project, expected, is_noted) in [
        (r#"{"key":"AB"}"#, json!("cdm:work:project:jira:10"), false),
        (r#"{"key":"AB","id":null}"#, json!("cdm:work:project:jira:10"), false),
        (r#"{"key":"AB","id":"7"}"#, json!("cdm:work:project:jira:7"), false),
        (r#"{"key":"CD"}"#, Value::Null, true),
        (r#"{"name":"AB"}"#, Value::Null, true),
    ] {
        let issue = format!(r#"{{"id":"5","fields":{{"project":{project}}}}}"#);
        let (row, notes) = map_noting::<JiraIssues>(&RawRecord { aliases, ..record(&issue, None) });
        assert_eq!(row.get("project_cdm_id").cloned().unwrap_or_default(), expected, "{project}");
        assert_eq!(notes.iter().any(|note| note.contains("`fields.project`")), is_noted, "{project}");
        assert_eq!(row["raw_source"]["fields"]["project"], serde_json::from_str::<Value>(project).unwrap());
    }
}

#[test]
fn a_user_with_a_better_id_is_one_user_everywhere() {
    let aliases = Aliases::new(Some("name\tjdoe\tJIRAUSER10100\n"));
    let user = "cdm:work:user:jira:JIRAUSER10100";
    let comment = RawRecord { aliases, ..record(r#"{"id":"5","author":{"name":"jdoe"}}"#, ON_ISSUE) };
    assert_eq!(map_noting::<JiraComments>(&comment).0["author_cdm_id"], user);
    let issue = RawRecord { aliases, ..record(r#"{"id":"5","fields":{"assignee":{"name":"jdoe"}}}"#, None) };
    assert_eq!(map_noting::<JiraIssues>(&issue).0["assignee_cdm_id"], user);
    let project = RawRecord { aliases, ..record(r#"{"id":"5","lead":{"name":"jdoe"}}"#, None) };
    assert_eq!(map_noting::<JiraProjects>(&project).0["lead_cdm_id"], user);
    let (row, _) = map_noting::<JiraUsers>(&RawRecord { aliases, ..record(r#"{"name":"jdoe"}"#, None) });
    assert_eq!((&row["cdm_id"], &row["source_user_id"]), (&json!(user), &json!("JIRAUSER10100")));
    assert_eq!(row["raw_source"], json!({ "name": "jdoe" }));
    let other = RawRecord { aliases, ..record(r#"{"id":"5","author":{"key":"jdoe"}}"#, ON_ISSUE) };
    assert_eq!(map_noting::<JiraComments>(&other).0["author_cdm_id"], "cdm:work:user:jira:jdoe", "a key is no name");
}
