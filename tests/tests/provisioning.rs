//! Tables are made once, whoever asks and however often, and the catalog knows them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use end_to_end::Sandbox;
use serde_json::Value;

fn changes(answer: &Value) -> usize {
    let of_models = answer["models"].as_array().unwrap().iter().map(|model| model["changes"].as_array().unwrap().len());
    answer["support"]["changes"].as_array().unwrap().len() + of_models.sum::<usize>()
}

/// The transactions that made what is in the schema, and how many objects each made.
fn makers(sandbox: &Sandbox) -> Vec<Vec<String>> {
    sandbox.ask(
        "select c.xmin::text, count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where n.nspname = 'cdm_work' group by 1",
    )
}

#[test]
fn a_plan_is_shown_carried_out_and_then_empty() {
    let sandbox = Sandbox::new();
    let plan = sandbox.cdm(["provision", "warehouse", "--plan"]).expect(3);
    assert_eq!((&plan["sink"], &plan["changed"]), (&"warehouse".into(), &false.into()));
    assert_eq!(
        sandbox.value("select count(*) from pg_namespace where nspname = 'cdm_work'"),
        "0",
        "a plan changes nothing"
    );
    sandbox.cdm(["provision", "warehouse", "--check"]).expect(3);

    let item = &plan["models"][1];
    assert_eq!(item["model"], "cdm.work.item");
    assert_eq!((&item["version"], &item["table"]), (&"1.0.0".into(), &"cdm_work.cdm_work_item".into()));
    assert_eq!(item["dataset_id"], "cdm.work.item@warehouse");
    let steps: Vec<&Value> = item["changes"].as_array().unwrap().iter().collect();
    assert_eq!(steps[0]["action"], "create table");
    assert!(
        steps[0]["sql"].as_str().unwrap().starts_with("create table \"cdm_work\".\"cdm_work_item\""),
        "{}",
        steps[0]
    );
    assert_eq!((&steps[steps.len() - 1]["action"], &steps[steps.len() - 1]["sql"]), (&"register".into(), &Value::Null));
    assert!(steps.iter().all(|step| !step["reason"].as_str().unwrap().is_empty()));

    let done = sandbox.cdm(["provision", "warehouse"]).expect(0);
    assert_eq!((&done["changed"], changes(&done)), (&true.into(), changes(&plan)));
    let made = makers(&sandbox);
    assert_eq!(made.len(), 1, "one transaction makes all of it");
    let catalog = sandbox.cdm(["catalog", "list"]).expect(0);

    let again = sandbox.cdm(["provision", "warehouse"]).expect(0);
    assert_eq!((&again["changed"], changes(&again)), (&false.into(), 0));
    assert_eq!(changes(&sandbox.cdm(["provision", "warehouse", "--plan"]).expect(0)), 0);
    sandbox.cdm(["provision", "warehouse", "--check"]).expect(0);
    assert_eq!(makers(&sandbox), made, "no DDL");
    assert_eq!(sandbox.cdm(["catalog", "list"]).expect(0), catalog);
}

#[test]
fn sixteen_provisioners_at_once_make_one_set_of_tables() {
    let sandbox = Sandbox::new();
    let running: Vec<_> = (0..16).map(|_| sandbox.start(["provision", "warehouse"])).collect();
    let answers: Vec<Value> = running.into_iter().map(|provision| provision.wait().expect(0)).collect();
    let made = makers(&sandbox);
    assert_eq!(made.len(), 1, "one transaction made everything: {made:?}");
    let with_ddl = answers.iter().filter(|answer| !answer["support"]["changes"].as_array().unwrap().is_empty());
    assert_eq!(with_ddl.count(), 1, "the others found it done");
    let versions: Vec<Value> = ["item", "user", "comment", "worklog", "project"]
        .map(|entity| {
            sandbox.cdm(["catalog", "show", &format!("cdm.work.{entity}@warehouse")]).expect(0)["dataset"]["version"]
                .clone()
        })
        .to_vec();
    assert_eq!(versions, [1, 1, 1, 1, 1], "registered once");
    assert!(!sandbox.cdm(["provision", "warehouse"]).expect(0)["changed"].as_bool().unwrap());
}

#[test]
fn only_the_models_that_match_are_provisioned() {
    let sandbox = Sandbox::new();
    let models = |answer: &Value| -> Vec<String> {
        answer["models"].as_array().unwrap().iter().map(|model| model["model"].as_str().unwrap().to_owned()).collect()
    };
    let one = sandbox.cdm(["provision", "warehouse", "--model", "cdm.work.item"]).expect(0);
    assert_eq!(models(&one), ["cdm.work.item"]);
    let two = sandbox.cdm(["provision", "warehouse", "--model", "cdm.*.user", "--model", "cdm.work.item"]).expect(0);
    assert_eq!(models(&two), ["cdm.work.item", "cdm.work.user"]);
    assert_eq!(two["models"][0]["changes"], Value::Array(Vec::new()));
    let tables =
        sandbox.ask("select relname from pg_class where relname like 'cdm_work_%' and relkind = 'r' order by 1");
    assert_eq!(tables, [["cdm_work_item"], ["cdm_work_user"]]);
    let ran = sandbox.cdm(["provision", "warehouse", "--model", "cdm.work.epic"]);
    assert_eq!(
        ran.error(2),
        "no model matches `cdm.work.epic`; the sink takes cdm.work.comment, cdm.work.item, cdm.work.project, \
         cdm.work.user, cdm.work.worklog"
    );
}

#[test]
fn a_sink_without_tables_has_nothing_to_provision() {
    let ran = Sandbox::new().cdm(["provision", "lake"]);
    assert_eq!(ran.error(2), "`lake` (raw.files) has no tables to provision; see `cdm drivers`");
}

#[test]
fn a_catalog_that_was_lost_is_filled_again_by_provision() {
    let sandbox = Sandbox::provisioned();
    let made = makers(&sandbox);
    remove_catalog(&sandbox);
    let plan = sandbox.cdm(["provision", "warehouse", "--plan"]).expect(3);
    assert_eq!(changes(&plan), 5, "five registrations and no DDL");
    assert!(sandbox.cdm(["provision", "warehouse"]).expect(0)["changed"].as_bool().unwrap());
    assert_eq!(makers(&sandbox), made);
    assert_eq!(sandbox.cdm(["catalog", "list"]).expect(0)["datasets"].as_array().unwrap().len(), 5);
}

#[test]
fn a_catalog_that_was_lost_is_filled_again_by_ingest() {
    let sandbox = Sandbox::provisioned();
    remove_catalog(&sandbox);
    sandbox.export("projects.jsonl", &[r#"{"id":"1","key":"A"}"#]);
    sandbox.ingest(&["projects"]);
    let datasets = sandbox.cdm(["catalog", "list"]).expect(0);
    let ids: Vec<&str> = datasets["datasets"].as_array().unwrap().iter().map(|d| d["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["cdm.work.project@warehouse", "jira.projects@acme_jira"]);
    let project = sandbox.cdm(["catalog", "show", "cdm.work.project@warehouse"]).expect(0);
    assert_eq!((&project["dataset"]["rows"], &project["dataset"]["version"]), (&1.into(), &1.into()));
    assert_eq!(
        project["dataset"]["labels"],
        serde_json::json!(["cdm_model:cdm.work.project", "sink-endpoint:warehouse"])
    );
}

fn remove_catalog(sandbox: &Sandbox) {
    for entry in fs::read_dir(sandbox.folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("cdm-metadata.db") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn a_role_that_may_not_make_schemas_provisions_one_that_is_there() {
    let sandbox = Sandbox::new();
    let role = format!("modest_{}", sandbox.database().name());
    sandbox.ask(&format!(
        "create role {role} login password 'pw'; create schema cdm_work; grant usage, create on schema cdm_work to {role}"
    ));
    let (_, host) = sandbox.database_url().rsplit_once('@').unwrap();
    let url = format!("postgres://{role}:pw@{host}");
    let mut command = sandbox.command(["provision", "warehouse"]);
    let output = command.env("WAREHOUSE_URL", url).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(sandbox.value("select count(*) from cdm_work._cdm_model"), "5");
    sandbox.ask(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn a_nullable_column_that_is_missing_is_added_and_any_other_difference_is_refused() {
    let sandbox = Sandbox::provisioned();
    sandbox.ask("alter table cdm_work.cdm_work_item drop column closed_at");
    let ingest = sandbox.cdm(["ingest", "issues"]);
    assert!(ingest.error(2).contains("run `cdm provision warehouse`"), "{ingest:?}");
    let done = sandbox.cdm(["provision", "warehouse"]).expect(0);
    assert_eq!(done["models"][1]["changes"][0]["action"], "add column");
    sandbox.cdm(["provision", "warehouse", "--check"]).expect(0);

    sandbox.ask("alter table cdm_work.cdm_work_item alter column summary type varchar(10)");
    let ran = sandbox.cdm(["provision", "warehouse"]);
    let message = ran.error(1);
    assert!(message.contains("summary") && message.contains("cdm_work_item"), "{message}");
    assert_eq!(sandbox.value("select count(*) from information_schema.columns where column_name = 'summary' and character_maximum_length = 10"), "1");
}

#[test]
fn the_catalog_can_be_in_postgres_beside_the_tables() {
    let sandbox = Sandbox::new();
    sandbox.configure(|configuration| format!("[metadata]\nurl = \"${{env:WAREHOUSE_URL}}\"\n{configuration}"));
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    sandbox.export("projects.jsonl", &[r#"{"id":"1","key":"A"}"#]);
    sandbox.ingest(&["projects"]);
    assert_eq!(sandbox.value("select count(distinct dataset_id) from cdm_metadata.dataset_version"), "6");
    assert_eq!(sandbox.value("select status from cdm_metadata.run"), "succeeded");
    assert!(!sandbox.path("cdm-metadata.db").exists());
}
