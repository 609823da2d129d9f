//! What people find in the catalog, and what they write there.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::thread;

use end_to_end::Sandbox;
use serde_json::{Value, json};

const USERS: &str = "cdm.work.user@warehouse";

/// Two users were loaded, and kept as they are as well.
fn loaded() -> Sandbox {
    let sandbox = Sandbox::provisioned();
    let user = |id| format!(r#"{{"accountId":"{id}","displayName":"Ada"}}"#);
    sandbox.export("users.jsonl", &[&user("a1"), &user("a2")]);
    sandbox.ingest(&["users"]);
    sandbox.ingest(&["users_raw"]);
    sandbox
}

/// From now on there is nothing but the catalog: no endpoint, and so no driver that is asked.
fn with_the_catalog_alone(sandbox: &Sandbox) {
    sandbox.write("cdm.toml", "[metadata]\nurl = \"sqlite:cdm-metadata.db\"\n");
}

fn versions(sandbox: &Sandbox, dataset: &str, aspect: &str) -> Vec<Value> {
    let history = sandbox.cdm(["catalog", "history", dataset]).expect(0);
    history["history"][aspect].as_array().unwrap().clone()
}

#[test]
fn the_catalog_alone_tells_what_a_column_is_made_of() {
    let sandbox = loaded();
    with_the_catalog_alone(&sandbox);
    let answer = sandbox.cdm(["catalog", "lineage", USERS]).expect(0);
    let lineage = &answer["lineage"];
    assert_eq!(lineage["upstream"], json!(["jira.users@acme_jira"]));
    assert_eq!(lineage["downstream"], json!([]));
    let columns = lineage["steps"][0]["columns"].as_array().unwrap();
    let email = columns.iter().find(|column| column["field"] == "email").unwrap();
    let expected =
        json!({ "field": "email", "place": "record", "path": "emailAddress", "derivation": "identity", "when": null });
    assert_eq!(email, &expected);

    let of_unit = sandbox.cdm(["catalog", "lineage", "jira.users@acme_jira", "--format", "mermaid"]).expect(0);
    assert_eq!(of_unit["lineage"]["downstream"], json!([USERS]), "JSON is asked for, and is what is printed");
    assert_eq!(of_unit["lineage"]["steps"], lineage["steps"]);

    let people = |format| sandbox.people(&["catalog", "lineage", USERS, "--format", format]);
    assert_eq!(serde_json::from_str::<Value>(&people("json").out).unwrap(), answer);
    insta::assert_snapshot!("lineage_for_people", people("text").out);
    insta::assert_snapshot!("lineage_as_a_chart", people("mermaid").out);
}

#[test]
fn history_tells_by_which_plan_and_which_run() {
    let sandbox = loaded();
    sandbox.cdm(["catalog", "annotate", USERS, "--owner", "Ada"]).expect(0);
    let plan = sandbox.value("select plan_hash from cdm_work._cdm_model where model = 'cdm.work.user'");
    let runs = sandbox.cdm(["runs"]).expect(0);
    let runs = runs["runs"].as_array().unwrap();
    let run = &runs.iter().find(|run| run["name"] == "users").unwrap()["run_id"];

    let system = versions(&sandbox, USERS, "system");
    let causes: Vec<&Value> = system.iter().map(|version| &version["cause"]).collect();
    assert_eq!(causes, [&json!({ "kind": "provisioning", "id": plan }), &json!({ "kind": "run", "id": run })]);
    let fed = json!([{ "what": "made from jira.users@acme_jira", "before": null, "after": "jira.users@acme_jira" }]);
    assert_eq!(system[1]["changes"], fed);
    let people = versions(&sandbox, USERS, "people");
    assert_eq!(people[0]["changes"], json!([{ "what": "owner", "before": null, "after": "Ada" }]));

    let shown = sandbox.people(&["catalog", "history", USERS]).out;
    let because = [format!("plan {plan}"), format!("run {}", run.as_str().unwrap())];
    let changes = ["registered in cdm_work.cdm_work_user with 11 fields", "+ made from jira.users@acme_jira"];
    for (because, change) in because.iter().zip(changes) {
        let is_told = |line: &str| line.contains(because) && line.ends_with(change);
        assert!(shown.lines().any(is_told), "{because} {change}: {shown}");
    }
    assert!(shown.ends_with("+ owner: Ada\n"), "{shown}");
    let error = sandbox.cdm(["catalog", "history", "cdm.work.user@lake"]).error(2);
    assert!(error.contains("`cdm catalog list` lists them"), "{error}");
}

#[test]
fn what_is_on_record_already_makes_no_version() {
    let sandbox = loaded();
    let all = || ["jira.users@acme_jira", USERS].map(|dataset| versions(&sandbox, dataset, "system"));
    let before = all();
    assert_eq!(before.each_ref().map(Vec::len), [1, 2]);
    sandbox.ingest(&["users"]);
    sandbox.ingest(&["users_raw"]);
    sandbox.cdm(["units", "acme_jira"]).expect(0);
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    assert_eq!(all(), before, "whichever command states it, in whichever mode");
}

#[test]
fn people_write_what_they_know_and_the_system_leaves_it_alone() {
    let sandbox = loaded();
    let annotate = |arguments: &[&str]| {
        let all: Vec<&str> = ["catalog", "annotate", USERS].iter().chain(arguments).copied().collect();
        sandbox.cdm(all)
    };
    let written = annotate(&[
        "--description",
        "People, one row each.",
        "--owner",
        "The data platform team",
        "--tag",
        "trusted",
        "--tag",
        "people",
        "--column",
        "email=Hidden by most=all people",
        "--expect-every",
        "1d 12h",
        "--expect-rows",
        "1..10",
    ])
    .expect(0);
    let dataset = &written["dataset"];
    assert_eq!(dataset["description"], "People, one row each.");
    assert_eq!(dataset["tags"], json!(["people", "trusted"]));
    assert_eq!(dataset["notes"], json!({ "email": "Hidden by most=all people" }));
    assert_eq!(dataset["expectations"], json!({ "every": "36h", "rows": { "from": 1, "to": 10 } }));

    sandbox.ingest(&["users", "--full"]);
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    let shown = sandbox.cdm(["catalog", "show", USERS]).expect(0);
    for member in ["description", "owner", "tags", "notes", "expectations", "annotated_at"] {
        assert_eq!(shown["dataset"][member], dataset[member], "{member}");
    }
    let people = sandbox.people(&["catalog", "show", USERS]).out;
    assert!(people.contains("» Hidden by most=all people"), "{people}");

    let left = annotate(&["--remove", "owner", "--remove", "tag=trusted", "--remove", "column=email"]).expect(0);
    assert_eq!((&left["dataset"]["owner"], &left["dataset"]["tags"]), (&Value::Null, &json!(["people"])));
    assert_eq!(left["dataset"]["notes"], json!({}));
    assert_eq!(versions(&sandbox, USERS, "people").len(), 2);
    annotate(&["--tag", "people"]).expect(0);
    assert_eq!(versions(&sandbox, USERS, "people").len(), 2, "it is there already");

    for (arguments, expected) in [
        (&[][..], "there is nothing to write"),
        (&["--column", "emial=Typing error"], "has no field `emial`; it has cdm_id, source_system"),
        (&["--column", "email"], "expected a column, `=` and what there is to say about it"),
        (&["--remove", "everything"], "expected description, owner, tag=TAG"),
        (&["--expect-every", "1 month"], "such as 24h, 90m or 1d 12h"),
        (&["--expect-rows", "9..1"], "100..5000, 1.. or ..5000"),
    ] {
        let message = annotate(arguments).error(2);
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
    assert_eq!(versions(&sandbox, USERS, "people").len(), 2, "nothing half done");
}

#[test]
fn people_who_write_at_the_same_moment_lose_no_word() {
    let sandbox = loaded();
    let words = ["a", "b", "c", "d", "e", "f"];
    thread::scope(|scope| {
        for word in words {
            let sandbox = &sandbox;
            scope.spawn(move || sandbox.cdm(["catalog", "annotate", USERS, "--tag", word]).expect(0));
        }
    });
    let shown = sandbox.cdm(["catalog", "show", USERS]).expect(0);
    assert_eq!(shown["dataset"]["tags"], json!(words));
    assert_eq!(versions(&sandbox, USERS, "people").len(), words.len());
}

#[test]
fn datasets_are_found_by_what_is_said_of_them() {
    let sandbox = loaded();
    sandbox.cdm(["catalog", "annotate", USERS, "--tag", "people", "--column", "email=Mostly hidden"]).expect(0);
    with_the_catalog_alone(&sandbox);
    let found = |words: &[&str]| -> Vec<Value> {
        let all: Vec<&str> = ["catalog", "search"].iter().chain(words).copied().collect();
        sandbox.cdm(all).expect(0)["datasets"].as_array().unwrap().clone()
    };
    let hits = found(&["People", "hidden"]);
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0]["id"], USERS);
    let places = json!([{ "place": "tag", "text": "people" }, { "place": "note on email", "text": "Mostly hidden" }]);
    assert_eq!(hits[0]["found"], places);
    assert_eq!(found(&["user"])[0]["id"], USERS, "its name counts most");
    assert!(found(&["nowhere to be found"]).is_empty());
    sandbox.cdm(["catalog", "search"]).error(2);
    insta::assert_snapshot!("search_for_people", sandbox.people(&["catalog", "search", "people", "hidden"]).out);
}

#[test]
fn health_fails_when_something_is_not_as_people_expect() {
    let sandbox = loaded();
    let nothing = sandbox.people(&["catalog", "health"]);
    assert_eq!(nothing.code, Some(0));
    assert!(nothing.out.starts_with("nothing is expected of any dataset"), "{nothing:?}");

    let expect = |dataset, option, value| sandbox.cdm(["catalog", "annotate", dataset, option, value]).expect(0);
    expect(USERS, "--expect-every", "24h");
    expect(USERS, "--expect-rows", "2..2");
    let healthy = sandbox.cdm(["catalog", "health"]).expect(0);
    assert_eq!(healthy["datasets"][0]["ok"], true);
    assert_eq!(healthy["datasets"][0]["checks"][1]["found"], "2 rows");

    expect(USERS, "--expect-rows", "3..");
    expect("cdm.work.item@warehouse", "--expect-every", "24h");
    let ill = sandbox.cdm(["catalog", "health"]).expect(1);
    assert!(ill["error"].is_null(), "it is an answer: {ill}");
    let oks: Vec<(&str, bool)> = ill["datasets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dataset| (dataset["id"].as_str().unwrap(), dataset["ok"].as_bool().unwrap()))
        .collect();
    assert_eq!(oks, [("cdm.work.item@warehouse", false), (USERS, false)]);
    let found = "never loaded";
    assert_eq!(
        ill["datasets"][0]["checks"],
        json!([{ "name": "freshness", "ok": false, "expected": "24h", "found": found }])
    );
    let people = sandbox.people(&["catalog", "health", USERS]);
    assert_eq!(people.code, Some(1));
    assert!(people.out.contains("volume     MISSED  3..       2 rows"), "{}", people.out);
    sandbox.cdm(["catalog", "health", "cdm.work.project@warehouse"]).expect(0);
    assert!(sandbox.cdm(["catalog", "health", "cdm.work.user@lake"]).error(2).contains("has no dataset"));
}
