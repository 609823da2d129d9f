//! Rejects that are loaded again once nothing speaks against them any more.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use end_to_end::Sandbox;
use endpoint_api::Reject;
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
fn what_was_loaded_since_is_no_reject_any_more() {
    let sandbox = sandbox();
    let id = sandbox.value("select id from cdm_work._cdm_reject where stage = 'sink'");
    sandbox.ask("alter table cdm_work.cdm_work_item drop constraint good");
    sandbox.export("issues-2.jsonl", &[&issue(2, "better").replace(":02.000", ":59.000")]);
    assert_eq!(sandbox.ingest(&["issues"])[0]["inserted"], 1);
    let gone = sandbox.cdm(["rejects", "replay", "warehouse", &id]).error(2);
    assert!(gone.contains("holds no reject"), "{gone}");
    assert_eq!(stages(&sandbox), "map source", "it went with the commit of the newer record from another file");
    assert_eq!(sandbox.value("select summary from cdm_work.cdm_work_item where source_id = '2'"), "better");

    // So does one that is mended in its own file.
    sandbox.ask("alter table cdm_work.cdm_work_project add constraint good check (name <> 'bad')");
    sandbox.export("projects.jsonl", &[r#"{"id":"1","name":"bad"}"#]);
    sandbox.cdm(["ingest", "projects"]).expect(4);
    sandbox.export("projects.jsonl", &[r#"{"id":"1","name":"good"}"#]);
    sandbox.ingest(&["projects"]);
    sandbox.ask("alter table cdm_work.cdm_work_project drop constraint good");
    let done = sandbox.cdm(["rejects", "replay", "warehouse", "--ingestion", "projects"]).expect(0);
    assert_eq!(counts(&done), [0; 7]);
    assert_eq!(sandbox.value("select name from cdm_work.cdm_work_project"), "good");
}

#[test]
fn what_cannot_be_replayed_is_told() {
    let sandbox = sandbox();
    let lost = sandbox.cdm(["rejects", "replay", "warehouse", "0123"]).error(2);
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

/// The sandbox with the warehouse in a file.
fn in_a_file(sandbox: Sandbox) -> Sandbox {
    sandbox.configure(|configuration| {
        configuration.replace(
            "driver = \"cdm.postgres\"\nconnection_url = \"${env:WAREHOUSE_URL}\"",
            "driver = \"cdm.sqlite\"\npath = \"work.db\"",
        )
    });
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    sandbox
}

/// 6 rejects on each sink: 3 that are no JSON, each at another place, and 3 without an id.
fn many(sandbox: &Sandbox) {
    let none = |id: u32| format!(r#"{{"id":"","key":"A-{id}","fields":{{}}}}"#);
    sandbox.export("issues.jsonl", &[&none(1), &none(2), &none(3), "x", "  x", r#"{"id":"1","#, &issue(7, "seven")]);
    for name in ["issues", "issues_raw"] {
        sandbox.ingest(&[name]);
    }
}

fn groups(answer: &Value, of: &str) -> Vec<(String, u64)> {
    let groups = answer["groups"].as_array().unwrap().iter();
    groups.map(|group| (group[of].as_str().unwrap_or("-").to_owned(), group["count"].as_u64().unwrap())).collect()
}

#[test]
fn rejects_are_counted_in_all_and_by_what_they_have_in_common() {
    for sandbox in [Sandbox::provisioned(), in_a_file(Sandbox::new())] {
        many(&sandbox);
        let list = sandbox.cdm(["rejects", "list", "warehouse", "--limit", "2"]).expect(0);
        assert_eq!((list["rejects"].as_array().unwrap().len(), &list["total"]), (2, &6.into()), "{list}");
        let people = sandbox.people(&["rejects", "list", "warehouse", "--limit", "2"]).out;
        assert!(people.contains("showing 2 of 6 rejects; "), "{people}");
        let by = |what: &str| sandbox.cdm(["rejects", "list", "warehouse", "--group-by", what]).expect(0);
        assert_eq!(groups(&by("stage"), "stage"), [("map".to_owned(), 3), ("source".to_owned(), 3)]);
        assert_eq!(groups(&by("ingestion"), "ingestion").len(), 1);
        let reasons = by("reason,stage");
        assert_eq!(reasons["total"], 6);
        let not_json = "not JSON: expected value at column N";
        assert!(groups(&reasons, "reason").contains(&(not_json.to_owned(), 2)), "{reasons}");
        // What a group shows finds its rejects.
        let found = sandbox.cdm(["rejects", "list", "warehouse", "--rejected-for", not_json]).expect(0);
        assert_eq!((&found["total"], found["rejects"].as_array().unwrap().len()), (&2.into(), 2));
        let found = sandbox.cdm(["rejects", "list", "warehouse", "--stage", "map", "--field", "id"]).expect(0);
        assert_eq!(found["total"], 3, "{found}");
        assert_eq!(
            sandbox.cdm(["rejects", "list", "warehouse", "--stage", "map", "--field", "x"]).expect(0)["total"],
            0
        );
        let refused = sandbox.cdm(["rejects", "list", "warehouse", "--group-by", "colour"]);
        assert_eq!(refused.code, Some(2));

        // Raw files count them, too.
        let raw = sandbox.cdm(["rejects", "list", "lake", "--group-by", "stage"]).expect(0);
        assert_eq!(groups(&raw, "stage"), [("source".to_owned(), 3)]);
        assert_eq!(sandbox.cdm(["rejects", "list", "lake", "--stage", "source"]).expect(0)["total"], 3);
        assert_eq!(sandbox.cdm(["rejects", "list", "lake", "--stage", "map"]).expect(0)["total"], 0);
    }
}

#[test]
fn what_is_dismissed_stays_on_record_and_out_of_the_way() {
    for sandbox in [Sandbox::provisioned(), in_a_file(Sandbox::new())] {
        many(&sandbox);
        let cdm = |arguments: &[&str]| sandbox.cdm(arguments.iter().copied());
        let total = || cdm(&["rejects", "list", "warehouse"]).expect(0)["total"].as_u64().unwrap();
        let rejects = cdm(&["rejects", "list", "warehouse", "--stage", "map"]).expect(0);
        let id = rejects["rejects"][0]["id"].as_str().unwrap();

        let one = cdm(&["rejects", "dismiss", "warehouse", id, "--reason", "a test project", "--by", "ada"]).expect(0);
        assert_eq!((&one["dismissed"], total()), (&1.into(), 5));
        let again = cdm(&["rejects", "dismiss", "warehouse", id, "--reason", "twice"]).expect(0);
        assert_eq!(again["dismissed"], 0);
        let shown = cdm(&["rejects", "show", "warehouse", id]).expect(0);
        let dismissal = &shown["reject"]["dismissal"];
        assert_eq!((&dismissal["reason"], &dismissal["by"]), (&"a test project".into(), &"ada".into()));
        assert!(dismissal["at"].as_str().unwrap().starts_with("20"), "{dismissal}");
        let list = cdm(&["rejects", "list", "warehouse", "--dismissed"]).expect(0);
        assert_eq!((&list["total"], &list["rejects"][0]["dismissal"]), (&1.into(), dismissal));
        let people = sandbox.people(&["rejects", "list", "warehouse"]).out;
        assert!(people.contains("5 rejects; 1 dismissed: `cdm rejects list warehouse --dismissed`"), "{people}");

        // It is not replayed, neither by its id nor with the others.
        let refused = cdm(&["rejects", "replay", "warehouse", id]).error(2);
        assert!(refused.contains("is dismissed; `cdm rejects reopen warehouse"), "{refused}");
        let replayed = cdm(&["rejects", "replay", "warehouse"]).expect(0);
        assert_eq!((&replayed["replayed"], &replayed["skipped"]), (&2.into(), &3.into()), "{replayed}");

        // Rejected once more for the same it stays dismissed; for something else it is open again.
        let full = &sandbox.ingest(&["issues", "--full"])[0];
        assert_eq!((&full["rejected"], total()), (&6.into(), 5));
        let other = "update {}_cdm_reject set reason = 'expected something else' where dismissed_at is not null";
        if sandbox.path("work.db").exists() {
            let file = rusqlite::Connection::open(sandbox.path("work.db")).unwrap();
            file.execute(&other.replace("{}", ""), []).unwrap();
        } else {
            sandbox.ask(&other.replace("{}", "cdm_work."));
        }
        assert_eq!(total(), 6);
        let filtered = cdm(&["rejects", "dismiss", "warehouse", "--stage", "map", "--reason", "not ours"]).expect(0);
        assert_eq!((&filtered["dismissed"], total()), (&3.into(), 3));
        let reopened = cdm(&["rejects", "reopen", "warehouse", "--ingestion", "issues"]).expect(0);
        assert_eq!((&reopened["reopened"], total()), (&3.into(), 6));

        // Nothing is dismissed by mistake.
        for wrong in [
            &["rejects", "dismiss", "warehouse", "--reason", "all"][..],
            &["rejects", "dismiss", "warehouse", id],
            &["rejects", "dismiss", "warehouse", id, "--reason", " "],
            &["rejects", "dismiss", "warehouse", id, "0123", "--reason", "x"],
            &["rejects", "dismiss", "warehouse", id, "--stage", "map", "--reason", "x"],
            &["rejects", "dismiss", "lake", id, "--reason", "x"],
            &["rejects", "list", "lake", "--dismissed"],
            &["rejects", "reopen", "warehouse"],
        ] {
            assert_eq!(cdm(wrong).code, Some(2), "{wrong:?}");
        }
        assert_eq!(total(), 6);
    }
}

#[test]
fn a_sink_that_was_provisioned_before_works_without_dismissals_until_it_is_provisioned_again() {
    let columns = ["dismissed_at", "dismissed_by", "dismissed_reason", "dismissed_verdict"];
    for sandbox in [Sandbox::provisioned(), in_a_file(Sandbox::new())] {
        for column in columns {
            if sandbox.path("work.db").exists() {
                let file = rusqlite::Connection::open(sandbox.path("work.db")).unwrap();
                file.execute(&format!("alter table _cdm_reject drop column {column}"), []).unwrap();
            } else {
                sandbox.ask(&format!("alter table cdm_work._cdm_reject drop column {column}"));
            }
        }
        many(&sandbox);
        let list = sandbox.cdm(["rejects", "list", "warehouse"]).expect(0);
        assert_eq!((&list["total"], &list["dismissed"]), (&6.into(), &0.into()), "it loads and lists as before");
        let id = list["rejects"][0]["id"].as_str().unwrap();
        let dismiss = ["rejects", "dismiss", "warehouse", id, "--reason", "x"];
        let refused = sandbox.cdm(dismiss).error(2);
        assert!(refused.ends_with("run `cdm provision warehouse`, which adds it"), "{refused}");
        sandbox.cdm(["provision", "warehouse"]).expect(0);
        assert_eq!(sandbox.cdm(dismiss).expect(0)["dismissed"], 1);
        sandbox.cdm(["provision", "warehouse", "--check"]).expect(0);
    }
}

#[test]
fn a_bad_record_that_moves_stays_dismissed_and_goes_when_the_file_is_mended() {
    for sandbox in [Sandbox::provisioned(), in_a_file(Sandbox::new())] {
        many(&sandbox);
        let list = |sink: &str, more: &[&str]| {
            sandbox.cdm(["rejects", "list", sink].into_iter().chain(more.iter().copied())).expect(0)
        };
        let dismissed = &list("warehouse", &["--stage", "map"])["rejects"][0];
        let id = dismissed["id"].as_str().unwrap();
        sandbox.cdm(["rejects", "dismiss", "warehouse", id, "--reason", "not ours"]).expect(0);

        // Two records above all others, and one of the bad ones is mended.
        let none = |id: u32| format!(r#"{{"id":"","key":"A-{id}","fields":{{}}}}"#);
        let lines = [&issue(8, "eight"), &issue(9, "nine"), &none(1), &none(2), &none(3), "x", "  x"];
        sandbox.export("issues.jsonl", &lines);
        for name in ["issues", "issues_raw"] {
            sandbox.ingest(&[name]);
        }
        let open = list("warehouse", &[]);
        assert_eq!((&open["total"], &open["dismissed"]), (&4.into(), &1.into()), "{open}");
        let moved = &list("warehouse", &["--dismissed"])["rejects"][0];
        assert_eq!((&moved["id"], &moved["rejected_at"]), (&dismissed["id"], &dismissed["rejected_at"]));
        assert_ne!((&moved["origin"], &moved["run_id"]), (&dismissed["origin"], &dismissed["run_id"]));
        assert_eq!(list("lake", &[])["total"], 2);

        sandbox.export("issues.jsonl", &[&issue(8, "eight")]);
        for name in ["issues", "issues_raw"] {
            sandbox.ingest(&[name]);
        }
        assert_eq!(list("warehouse", &[])["total"], 0);
        assert_eq!(
            (&list("warehouse", &["--dismissed"])["total"], &list("lake", &[])["total"]),
            (&0.into(), &0.into())
        );
    }
}

#[test]
fn the_beginning_of_an_id_is_enough() {
    for sandbox in [Sandbox::provisioned(), in_a_file(Sandbox::new())] {
        let lines: Vec<String> = (0..17).map(|number| format!("no record {number}")).collect();
        sandbox.export("issues.jsonl", &lines.iter().map(String::as_str).collect::<Vec<_>>());
        for name in ["issues", "issues_raw"] {
            assert_eq!(sandbox.cdm(["ingest", name]).code, Some(4));
        }
        for sink in ["warehouse", "lake"] {
            let list = sandbox.cdm(["rejects", "list", sink]).expect(0);
            let ids = list["rejects"].as_array().unwrap().iter().map(|reject| reject["id"].as_str().unwrap());
            let ids: Vec<&str> = ids.collect();
            assert_eq!((ids.len(), ids[0].len()), (17, 32));
            let people = sandbox.people(&["rejects", "list", sink]).out;
            assert!(people.contains(&ids[0][..12]) && !people.contains(ids[0]), "{people}");
            let shown = sandbox.cdm(["rejects", "show", sink, &ids[0][..12]]).expect(0);
            assert_eq!(shown["reject"]["id"], ids[0]);
            // Of 17 ids two begin with the same of 16 characters.
            let shared = (0..16).map(|digit| format!("{digit:x}"));
            let shared = shared.max_by_key(|digit| ids.iter().filter(|id| id.starts_with(digit)).count()).unwrap();
            let refused = sandbox.cdm(["rejects", "show", sink, &shared]).error(2);
            let candidate = ids.iter().find(|id| refused.contains(**id));
            assert!(candidate.is_some_and(|id| id.starts_with(&shared)), "{refused}");
            for unknown in ["", "%", "zz"] {
                assert_eq!(sandbox.cdm(["rejects", "show", sink, unknown]).code, Some(2), "{unknown}");
            }
        }
        let id = sandbox.cdm(["rejects", "list", "warehouse"]).expect(0)["rejects"][0]["id"].as_str().unwrap()[..12]
            .to_owned();
        let dismissed = sandbox.cdm(["rejects", "dismiss", "warehouse", &id, "--reason", "x"]).expect(0);
        assert_eq!(dismissed["dismissed"], 1);
        assert_eq!(sandbox.cdm(["rejects", "reopen", "warehouse", &id]).expect(0)["reopened"], 1);
        assert_eq!(sandbox.cdm(["rejects", "replay", "warehouse", &id]).expect(0)["skipped"], 1);
    }
}

#[test]
fn an_id_of_an_earlier_version_stays_valid() {
    for sandbox in [Sandbox::provisioned(), in_a_file(Sandbox::new())] {
        many(&sandbox);
        let list = || sandbox.cdm(["rejects", "list", "warehouse", "--stage", "map"]).expect(0);
        let known = list()["rejects"][0].clone();
        let text = |name: &str| known[name].as_str().unwrap().to_owned();
        let mut reject = Reject::at_source(text("origin"), "", b"");
        reject.raw_hash = text("raw_hash");
        let earlier = reject.earlier_id(&text("ingestion").parse().unwrap());
        let update = format!("update {{}}_cdm_reject set id = '{earlier}' where id = '{}'", text("id"));
        if sandbox.path("work.db").exists() {
            let file = rusqlite::Connection::open(sandbox.path("work.db")).unwrap();
            file.execute(&update.replace("{}", ""), []).unwrap();
        } else {
            sandbox.ask(&update.replace("{}", "cdm_work."));
        }
        sandbox.cdm(["rejects", "dismiss", "warehouse", &earlier, "--reason", "not ours"]).expect(0);
        sandbox.ingest(&["issues", "--full"]);
        assert_eq!((&list()["total"], &list()["dismissed"]), (&2.into(), &1.into()));
        sandbox.cdm(["rejects", "reopen", "warehouse", &earlier]).expect(0);
        let replayed = sandbox.cdm(["rejects", "replay", "warehouse", &earlier]).expect(0);
        assert_eq!(replayed["rejected"], 1, "{replayed}");
        assert_eq!(sandbox.cdm(["rejects", "show", "warehouse", &earlier]).expect(0)["reject"]["id"], earlier);
        assert_eq!(list()["total"], 3);
    }
}
