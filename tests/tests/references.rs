//! References of records in files that have not changed: a full load brings them up to date, and then changes nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use end_to_end::Sandbox;
use serde_json::{Value, json};

/// So many that it is no chance if all of them are brought up to date.
const ISSUES: u32 = 24;

/// Issues that name their reporter by a login name and their parent, epic and project by keys.
fn issues() -> String {
    let time = "2024-01-02T03:04:05.678+0000";
    let issue = |id: u32| {
        json!({ "id": id.to_string(), "key": format!("AB-{id}"), "fields": {
            "updated": time, "reporter": { "name": "ada" }, "parent": { "key": "ZZ-1" }, "customfield_1": "ZZ-2",
            "project": { "key": "AB" },
        } })
    };
    (1..=ISSUES).map(|id| format!("{}\n", issue(id))).collect()
}

fn counts(run: &Value) -> [u64; 4] {
    ["inserted", "updated", "unchanged", "stale"].map(|count| run[count].as_u64().unwrap())
}

/// A full load updates all issues, and a second one none.
#[track_caller]
fn assert_refreshed(sandbox: &Sandbox, inserted: u64, unchanged: u64) {
    let all = u64::from(ISSUES);
    assert_eq!(counts(&sandbox.ingest(&["issues", "--full"])[0]), [inserted, all, unchanged, 0]);
    let rows = sandbox.value("select count(*) from cdm_work.cdm_work_item").parse::<u64>().unwrap();
    assert_eq!(counts(&sandbox.ingest(&["issues", "--full"])[0]), [0, 0, rows, 0], "nothing has changed");
}

fn distinct(sandbox: &Sandbox, column: &str) -> String {
    sandbox.value(&format!(
        "select coalesce(string_agg(distinct {column}, ' '), '') from cdm_work.cdm_work_item where source_issue_key like 'AB-%'"
    ))
}

#[test]
fn references_follow_other_files_at_a_full_load_and_settings_at_every_load() {
    let sandbox = Sandbox::provisioned();
    sandbox.write("export/issues.jsonl", issues());
    sandbox.ingest(&["issues"]);
    assert_eq!(distinct(&sandbox, "reporter_cdm_id"), "cdm:work:user:jira:ada");

    sandbox.write("export/users.jsonl", r#"{"key":"JIRAUSER1","name":"ada"}"#);
    assert_eq!(sandbox.ingest(&["issues"])[0]["read"], 0);
    assert_refreshed(&sandbox, 0, 0);
    assert_eq!(distinct(&sandbox, "reporter_cdm_id"), "cdm:work:user:jira:JIRAUSER1");

    sandbox.write("export/issues-2.jsonl", r#"{"id":"901","key":"ZZ-1","fields":{}}"#);
    assert_refreshed(&sandbox, 1, 0);
    assert_eq!(distinct(&sandbox, "parent_cdm_id"), "cdm:work:item:jira:901");

    assert_eq!(distinct(&sandbox, "project_cdm_id"), "", "the key is no id");
    sandbox.write("export/projects.jsonl", r#"{"id":"10","key":"AB"}"#);
    assert_eq!(sandbox.ingest(&["issues"])[0]["read"], 0);
    assert_refreshed(&sandbox, 0, 1);
    assert_eq!(distinct(&sandbox, "project_cdm_id"), "cdm:work:project:jira:10");

    sandbox.configure(|text| text.replace("path = \"export\"", "path = \"export\"\nsite_url = \"https://a.example\""));
    let run = &sandbox.ingest(&["issues"])[0];
    assert_eq!(counts(run), [0, u64::from(ISSUES) + 1, 0, 0], "a setting has changed");
    assert_eq!(sandbox.ingest(&["issues"])[0]["read"], 0);
    assert!(distinct(&sandbox, "source_url").starts_with("https://a.example/browse/AB-1 "));
}
