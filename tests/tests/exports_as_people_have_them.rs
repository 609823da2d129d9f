//! Exports as people have them: files of any name, pages that announce more, names of custom fields.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use end_to_end::Sandbox;
use serde_json::{Value, json};

/// An issue with every member that a full export has.
fn issue(id: u32) -> Value {
    let time = "2024-01-02T03:04:05.678+0000";
    json!({ "id": id.to_string(), "key": format!("AB-{id}"), "fields": {
        "summary": format!("issue {id}"), "status": { "name": "Open" }, "issuetype": { "name": "Bug" },
        "project": { "id": "1" }, "description": null, "assignee": null, "labels": [], "resolution": null,
        "created": time, "updated": time,
    } })
}

fn notes(run: &Value) -> Vec<String> {
    let note = |note: &Value| format!("{} {}", note["resource"].as_str().unwrap(), note["what"].as_str().unwrap());
    run["incomplete"].as_array().unwrap().iter().map(note).collect()
}

#[test]
fn files_of_any_name_are_loaded_and_those_that_are_not_are_named() {
    let sandbox = Sandbox::provisioned();
    let page = |id| json!({ "issues": [issue(id)] }).to_string();
    let time = "2024-01-02T03:04:05.678+0000";
    let comment = json!({ "id": "7", "body": "b", "created": time, "updated": time });
    std::fs::create_dir(sandbox.path("export/2024")).unwrap();
    for (name, contents) in [
        ("issues.ndjson", format!("{}\n", issue(1))),
        ("issues-page-1.json", page(2)),
        ("issues (2).json", page(3)),
        ("2024/Issues_ACME.JSONL", page(4)),
        ("AB-5.json", serde_json::to_string_pretty(&issue(5)).unwrap()),
        ("issues-all.jsonl", serde_json::to_string_pretty(&issue(6)).unwrap()),
        ("comments-AB-1.json", json!({ "total": 1, "comments": [comment] }).to_string()),
        ("statuses.json", json!([{ "id": "1", "name": "Open", "statusCategory": {} }]).to_string()),
    ] {
        sandbox.write(&format!("export/{name}"), contents);
    }
    let runs = sandbox.ingest(&["issues", "comments"]);
    assert_eq!((&runs[0]["inserted"], &runs[0]["rejected"], &runs[1]["inserted"]), (&6.into(), &0.into(), &1.into()));
    let [note] = &notes(&runs[0])[..] else { panic!("{}", runs[0]) };
    assert!(note.starts_with("statuses.json is not read: neither its name nor its first record tells"), "{note}");
    assert_eq!(notes(&runs[1]), [""; 0]);
    let item = "select item_cdm_id from cdm_work.cdm_work_comment";
    assert_eq!(sandbox.value(item), "cdm:work:item:jira:1", "the file's name tells the issue");
    let checks = &sandbox.cdm(["check", "acme_jira"]).expect(0)["endpoints"][0]["checks"];
    let named = checks.as_array().unwrap().iter().find(|check| check["name"] == "unread").unwrap();
    assert!(named["detail"].as_str().unwrap().starts_with("`statuses.json` is not read"), "{named}");

    assert_eq!(sandbox.ingest(&["issues"])[0]["slices"], 0, "nothing is new");
    std::fs::remove_file(sandbox.path("export/AB-5.json")).unwrap();
    let run = &sandbox.ingest(&["issues"])[0];
    assert!(notes(run)[0].starts_with("AB-5.json is gone since an earlier run"), "{run}");
    assert_eq!(sandbox.value("select count(*) from cdm_work.cdm_work_item"), "6", "what was loaded stays");
}

#[test]
fn what_pages_announce_and_do_not_hold_is_said_by_the_run() {
    let sandbox = Sandbox::provisioned();
    let page = json!({ "startAt": 0, "maxResults": 1, "total": 120, "issues": [issue(1)], "warningMessages": ["w"] });
    sandbox.write("export/issues.json", page.to_string());
    let run = &sandbox.ingest(&["issues"])[0];
    assert_eq!((&run["inserted"], &run["status"]), (&1.into(), &"succeeded".into()));
    let announced = "issues.json its pages announce 120 issues (`total`), 1 was found; no page holds those from `startAt` 1 \
                     to 119";
    let warned = "issues.json its pages tell of problems in `warningMessages`: records may be missing";
    assert_eq!(notes(run), [announced, warned]);
    assert_eq!((&run["incomplete"][0]["announced"], &run["incomplete"][0]["found"]), (&120.into(), &1.into()));
    let people = sandbox.people(&["ingest", "issues", "--full"]);
    assert!(people.out.contains("its pages announce 120 issues (`total`), 1 was found"), "{}", people.out);
}

#[test]
fn the_names_of_custom_fields_are_in_the_catalog_and_survive_a_reload() {
    let sandbox = Sandbox::provisioned();
    let page = json!({
        "issues": [issue(1)],
        "names": { "customfield_10016": "Story Points" },
        "schema": { "customfield_10016": { "type": "number" } },
    });
    sandbox.write("export/issues.json", page.to_string());
    for arguments in [&["issues"][..], &["issues"], &["issues", "--full"]] {
        sandbox.ingest(arguments);
        let shown = sandbox.cdm(["catalog", "show", "jira.issues@acme_jira"]).expect(0).to_string();
        assert!(shown.contains(r#""name":"fields.customfield_10016""#), "{shown}");
        let shown = sandbox.people(&["catalog", "show", "jira.issues@acme_jira"]).out;
        assert!(shown.contains("Story Points; schema"), "{shown}");
    }
}

#[test]
fn an_internal_note_stays_one_although_its_issue_embeds_it_without_its_properties() {
    let sandbox = Sandbox::provisioned();
    let time = "2024-01-02T03:04:05.678+0000";
    let comment =
        |id: u32| json!({ "id": id.to_string(), "body": format!("note {id}"), "created": time, "updated": time });
    let internal = |id: u32| {
        let mut comment = comment(id);
        comment["issueId"] = "1".into();
        comment["properties"] = json!([{ "key": "sd.public.comment", "value": { "internal": true } }]);
        comment.to_string()
    };
    let embedding = |summary: &str| {
        let mut issue = issue(1);
        issue["fields"]["summary"] = summary.into();
        issue["fields"]["comment"] = json!({ "total": 20, "comments": (0..20).map(comment).collect::<Vec<_>>() });
        issue.to_string()
    };
    let internal_ones = "select count(*) from cdm_work.cdm_work_comment where visibility = 'internal'";
    // Twenty of them: by chance alone, half would be right.
    let notes: Vec<String> = (0..20).map(internal).collect();
    sandbox.export("issues.jsonl", &[&embedding("first")]);
    sandbox.ingest(&["comments"]);
    assert_eq!(sandbox.value(internal_ones), "0", "nothing has stated it yet");
    sandbox.export("comments.jsonl", &notes.iter().map(String::as_str).collect::<Vec<_>>());
    sandbox.ingest(&["comments"]);
    assert_eq!(sandbox.value(internal_ones), "20");
    sandbox.export("issues.jsonl", &[&embedding("seen later")]);
    for arguments in [&["comments"][..], &["comments", "--full"]] {
        sandbox.ingest(arguments);
        assert_eq!(sandbox.value(internal_ones), "20", "{arguments:?}");
    }
}
