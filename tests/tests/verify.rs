//! Rows that are not as they were loaded.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use end_to_end::Sandbox;
use serde_json::Value;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::provisioned();
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/jira");
    for file in std::fs::read_dir(fixtures).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), sandbox.path("export").join(file.file_name())).unwrap();
    }
    sandbox.ingest(&["projects", "users", "issues", "comments", "worklogs"]);
    sandbox
}

fn table<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer["tables"].as_array().unwrap().iter().find(|table| table["model"] == name).unwrap()
}

#[test]
fn what_was_loaded_is_as_it_was_loaded() {
    let sandbox = sandbox();
    let answer = sandbox.cdm(["verify", "warehouse"]).expect(0);
    let tables = answer["tables"].as_array().unwrap();
    assert_eq!(tables.len(), 5, "{answer}");
    for table in tables {
        assert_eq!(
            (&table["ok"], &table["changed"], &table["marked"]),
            (&true.into(), &0.into(), &0.into()),
            "{table}"
        );
        assert_eq!(table["rows"], table["inserted"]);
        assert!(table["rows"].as_u64().unwrap() > 0, "{table}");
    }
}

#[test]
fn a_row_that_somebody_edited_is_found_and_written_again_by_the_next_run() {
    let sandbox = sandbox();
    let content = "select string_agg(t::text, ' ' order by cdm_id) from (select cdm_id, summary, labels, properties, \
                   raw_source::text, _cdm_rank, _cdm_version_at, _cdm_content_hash from cdm_work.cdm_work_item) t";
    let before = sandbox.value(content);
    let items: u64 = sandbox.value("select count(*) from cdm_work.cdm_work_item").parse().unwrap();
    let edited = sandbox.value("select min(cdm_id) from cdm_work.cdm_work_item");
    let lost = sandbox.value("select max(cdm_id) from cdm_work.cdm_work_item");
    sandbox.ask(&format!("update cdm_work.cdm_work_item set summary = 'edited' where cdm_id = '{edited}'"));
    sandbox.ask(&format!("delete from cdm_work.cdm_work_item where cdm_id = '{lost}'"));

    let found = sandbox.cdm(["verify", "warehouse", "--model", "cdm.work.item"]);
    let message = found.error(1);
    assert!(message.starts_with("cdm_work.cdm_work_item is not as it was loaded"), "{message}");
    let answer = found.json();
    let table = table(&answer, "cdm.work.item");
    assert_eq!((&table["rows"], &table["inserted"]), (&(items - 1).into(), &items.into()));
    assert_eq!(
        (&table["changed"], &table["keys"][0], &table["marked"]),
        (&1.into(), &edited.as_str().into(), &0.into())
    );
    assert_eq!(sandbox.ingest(&["issues"])[0]["read"], 0, "to look changes nothing");

    let repaired = sandbox.cdm(["verify", "warehouse", "--repair"]).expect(0);
    assert_eq!(
        repaired["tables"].as_array().unwrap().iter().map(|table| table["marked"].as_u64().unwrap()).sum::<u64>(),
        1
    );
    let run = &sandbox.ingest(&["issues"])[0];
    assert_eq!((&run["inserted"], &run["updated"]), (&1.into(), &1.into()), "{run}");
    assert_eq!(sandbox.value(content), before);
    sandbox.cdm(["verify", "warehouse"]).expect(0);
    assert_eq!(sandbox.ingest(&["issues"])[0]["read"], 0);
}

#[test]
fn only_what_is_there_is_verified() {
    let sandbox = Sandbox::new();
    let nothing = sandbox.cdm(["verify", "warehouse"]);
    assert_eq!(
        nothing.error(2),
        "nothing is provisioned on `warehouse`, so there is nothing to verify; run `cdm provision warehouse`"
    );
    assert_eq!(nothing.json()["error"]["kind"], "not_provisioned");
    assert_eq!(nothing.json()["tables"], serde_json::json!([]));
    let missing = "cdm.work.item is not provisioned on `warehouse`; \
                   run `cdm provision warehouse --model cdm.work.item`";
    assert_eq!(sandbox.cdm(["verify", "warehouse", "--model", "cdm.work.item"]).error(2), missing);

    // Of a sink that has a part of the models, those have to be there that are loaded into it.
    sandbox.cdm(["provision", "warehouse", "--model", "cdm.work.project"]).expect(0);
    assert_eq!(sandbox.cdm(["verify", "warehouse", "--model", "cdm.work.item"]).error(2), missing);
    let partly = sandbox.cdm(["verify", "warehouse"]);
    assert!(partly.error(2).starts_with("cdm.work.comment, cdm.work.item, "), "{partly:?}");
    assert_eq!(partly.json()["tables"].as_array().unwrap().len(), 1);
    let configuration = std::fs::read_to_string(sandbox.path("cdm.toml")).unwrap();
    let (endpoints, _) = configuration.split_once("[ingest.users]").unwrap();
    sandbox.write("cdm.toml", endpoints);
    let enough = sandbox.cdm(["verify", "warehouse"]).expect(0);
    assert_eq!(enough["not_provisioned"].as_array().unwrap().len(), 4);
    assert!(
        sandbox.people(&["verify", "warehouse"]).out.contains("not provisioned, and so not verified: cdm.work.comment")
    );
    let raw = sandbox.cdm(["verify", "lake"]);
    assert_eq!(raw.code, Some(2), "{raw:?}");
}
