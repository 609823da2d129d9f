//! Rejects that are loaded again once nothing speaks against them any more.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use end_to_end::Sandbox;
use serde_json::{Value, json};

fn issue(id: u32, summary: &str) -> String {
    let updated = format!("2024-01-01T00:00:{id:02}.000+0000");
    let comment = json!({ "id": "7", "body": "bad", "created": updated });
    json!({ "id": id.to_string(), "key": format!("A-{id}"), "fields": {
        "summary": summary, "updated": updated, "comment": { "comments": [comment], "total": 1 },
    }})
    .to_string()
}

/// Four issues, of which the second has a bad summary and the third no id, and a bad comment on each.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::provisioned();
    sandbox.ask(
        "alter table cdm_work.cdm_work_item add constraint good check (summary <> 'bad');
         alter table cdm_work.cdm_work_comment add constraint good check (body <> 'bad')",
    );
    sandbox.export(
        "issues.jsonl",
        &[&issue(1, "one"), &issue(2, "bad"), r#"{"id":"","fields":{}}"#, &issue(4, "four"), "no record"],
    );
    let run = &sandbox.ingest(&["issues"])[0];
    assert_eq!((&run["inserted"], &run["rejected"]), (&2.into(), &3.into()));
    sandbox
}

fn counts(answer: &Value) -> Vec<u64> {
    ["replayed", "inserted", "updated", "unchanged", "stale", "rejected", "skipped"]
        .map(|name| answer[name].as_u64().unwrap())
        .to_vec()
}

fn stages(sandbox: &Sandbox) -> String {
    sandbox.value("select coalesce(string_agg(stage, ' ' order by stage), '') from cdm_work._cdm_reject")
}

#[test]
fn what_can_be_stored_now_is_no_reject_any_more() {
    let sandbox = sandbox();
    let refused = sandbox.cdm(["rejects", "replay", "warehouse"]).expect(0);
    assert_eq!(counts(&refused), [2, 0, 0, 0, 0, 2, 1], "nothing has changed");
    assert_eq!(stages(&sandbox), "map sink source");

    sandbox.ask("alter table cdm_work.cdm_work_item drop constraint good");
    let done = sandbox.cdm(["rejects", "replay", "warehouse"]).expect(0);
    assert_eq!(counts(&done), [2, 1, 0, 0, 0, 1, 1]);
    assert_eq!(stages(&sandbox), "map source");
    assert_eq!(sandbox.value("select summary from cdm_work.cdm_work_item where source_id = '2'"), "bad");
    // As if it had been loaded with the others.
    let verified = sandbox.cdm(["verify", "warehouse"]).expect(0);
    assert!(
        verified["tables"].as_array().unwrap().iter().all(|model| model["rows"] == model["inserted"]),
        "{verified}"
    );
    let full = &sandbox.ingest(&["issues", "--full"])[0];
    assert_eq!((&full["unchanged"], &full["rejected"]), (&3.into(), &2.into()));
    assert_eq!(counts(&sandbox.cdm(["rejects", "replay", "warehouse"]).expect(0)), [1, 0, 0, 0, 0, 1, 1]);
}

#[test]
fn a_record_keeps_what_came_with_it() {
    let sandbox = sandbox();
    let run = &sandbox.cdm(["ingest", "comments"]).expect(4)["runs"][0];
    assert_eq!((&run["inserted"], &run["rejected"]), (&0.into(), &3.into()), "{run}");
    sandbox.ask("alter table cdm_work.cdm_work_comment drop constraint good");
    let done = sandbox.cdm(["rejects", "replay", "warehouse", "--ingestion", "comments"]).expect(0);
    assert_eq!(counts(&done)[1], 3, "{done}");
    let of = "select string_agg(item_cdm_id, ' ' order by item_cdm_id) from cdm_work.cdm_work_comment";
    assert_eq!(sandbox.value(of), "cdm:work:item:jira:1 cdm:work:item:jira:2 cdm:work:item:jira:4");
    assert_eq!(sandbox.ingest(&["comments", "--full"])[0]["unchanged"], 3);
}

#[test]
fn what_was_loaded_since_is_not_replaced_by_an_older_record() {
    let sandbox = sandbox();
    let id = sandbox.value("select id from cdm_work._cdm_reject where stage = 'sink'");
    sandbox.ask("alter table cdm_work.cdm_work_item drop constraint good");
    sandbox.export("issues-2.jsonl", &[&issue(2, "better").replace(":02.000", ":59.000")]);
    assert_eq!(sandbox.ingest(&["issues"])[0]["inserted"], 1);
    let done = sandbox.cdm(["rejects", "replay", "warehouse", &id]).expect(0);
    assert_eq!(counts(&done), [1, 0, 0, 0, 1, 0, 0], "stale, and so no reject any more");
    assert_eq!(sandbox.value("select summary from cdm_work.cdm_work_item where source_id = '2'"), "better");

    // Of records without a time those of the newer run win.
    sandbox.ask("alter table cdm_work.cdm_work_project add constraint good check (name <> 'bad')");
    sandbox.export("projects.jsonl", &[r#"{"id":"1","name":"bad"}"#]);
    sandbox.cdm(["ingest", "projects"]).expect(4);
    sandbox.export("projects.jsonl", &[r#"{"id":"1","name":"good"}"#]);
    sandbox.ingest(&["projects"]);
    sandbox.ask("alter table cdm_work.cdm_work_project drop constraint good");
    let done = sandbox.cdm(["rejects", "replay", "warehouse", "--ingestion", "projects"]).expect(0);
    assert_eq!(counts(&done), [1, 0, 0, 0, 1, 0, 0]);
    assert_eq!(sandbox.value("select name from cdm_work.cdm_work_project"), "good");
}

#[test]
fn what_cannot_be_replayed_is_told() {
    let sandbox = sandbox();
    let lost = sandbox.cdm(["rejects", "replay", "warehouse", "0123"]).error(1);
    assert!(lost.contains("holds no reject `0123`"), "{lost}");
    let raw = sandbox.cdm(["rejects", "replay", "lake"]).error(2);
    assert!(raw.contains("does not load rejects again"), "{raw}");
    sandbox.configure(|configuration| {
        configuration
            .replace("[endpoints.acme_jira]", "[endpoints.renamed]")
            .replace("source = \"acme_jira\"", "source = \"renamed\"")
    });
    let gone = sandbox.cdm(["rejects", "replay", "warehouse"]).error(2);
    assert!(gone.contains("there is no endpoint `acme_jira`"), "{gone}");
}

#[test]
fn old_rejects_and_old_lines_of_the_ledger_go_and_where_an_ingestion_stands_stays() {
    let sandbox = sandbox();
    sandbox.ask(
        "update cdm_work._cdm_reject set rejected_at = now() - interval '31 days' where stage = 'map';
         update cdm_work._cdm_load set committed_at = now() - interval '31 days'",
    );
    // Of the last run every line stays, however old.
    assert_eq!(sandbox.ingest(&["issues"])[0]["read"], 0);
    let ledger = "select count(*) from cdm_work._cdm_load";
    assert_eq!(
        (stages(&sandbox).as_str(), sandbox.value(ledger).as_str()),
        ("sink source", "0"),
        "it is not the last one now"
    );
    assert_eq!(sandbox.ingest(&["issues"])[0]["read"], 0, "the checkpoint is where it was");

    sandbox.configure(|configuration| {
        configuration.replace("connection_url = ", "retention_days = 1\nretention_rows = 1\nconnection_url = ")
    });
    sandbox.ingest(&["issues", "--full"]);
    assert_eq!(sandbox.value("select count(*) from cdm_work._cdm_reject"), "1");
    sandbox.configure(|configuration| configuration.replace("retention_days = 1", "retention_days = 0"));
    let refused = sandbox.cdm(["check", "warehouse"]).error(2);
    assert!(refused.starts_with("endpoints.warehouse.retention_days: "), "{refused}");
}
