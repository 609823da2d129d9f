//! An index on a table that holds rows is built beside those who use it, for the role that the table belongs to.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use end_to_end::{Barrier, Pooler, Roles, Sandbox};
use serde_json::{Value, json};

const INDEX: &str = "cdm_work_project_lead_cdm_id_idx";

/// Whether the index is valid and whose it is; nothing when it is not there.
fn index(sandbox: &Sandbox) -> Vec<Vec<String>> {
    sandbox.ask(&format!(
        "select i.indisvalid::text, pg_get_userbyid(c.relowner)::text from pg_index i join pg_class c on c.oid = \
         i.indexrelid where c.relname = '{INDEX}'"
    ))
}

/// Loads a row, and takes the index away, as from before the model had it.
fn loaded_without_index(sandbox: &Sandbox) {
    sandbox.export("projects.jsonl", &[r#"{"id":"1","key":"A"}"#]);
    assert_eq!(sandbox.ingest(&["projects"])[0]["inserted"], 1);
    assert_eq!(index(sandbox).len(), 1, "the model has that index");
    sandbox.ask(&format!("drop index cdm_work.{INDEX}"));
}

/// Provisioned by the provisioner for the owner, with a row in the table and without the index.
fn owned(sandbox: &Sandbox) -> Roles<'_> {
    let roles = Roles::create(sandbox);
    roles.connect("provisioner");
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    roles.grant(&[]);
    roles.connect("loader");
    loaded_without_index(sandbox);
    roles
}

/// What is planned for the projects: actions and the stages that they are done in.
fn planned(sandbox: &Sandbox) -> Value {
    let plan = sandbox.cdm(["provision", "warehouse", "--plan"]).expect(3);
    let of_projects = plan["models"].as_array().unwrap().iter().find(|model| model["model"] == "cdm.work.project");
    let changes = of_projects.unwrap()["changes"].as_array().unwrap();
    let built = changes.iter().filter(|change| change["object"] == INDEX);
    built
        .map(|change| json!([change["action"], change["sql"].as_str().unwrap().contains(" index concurrently ")]))
        .collect()
}

/// Lets the building of the index fail: it waits for whoever wrote before, longer than it may.
fn fail_to_build(sandbox: &Sandbox) {
    let limits = "provisioning = { index_timeout_ms = 500, lock_attempts = 1 }\nconnection_url";
    sandbox.configure(|configuration| configuration.replace("connection_url", limits));
    let writer = Barrier::holding(sandbox, "update cdm_work.cdm_work_project set name = name where false");
    let error = sandbox.cdm(["provision", "warehouse"]).error(1);
    assert!(error.contains(INDEX), "{error}");
    writer.lift();
    sandbox.configure(|configuration| configuration.replace(limits, "connection_url"));
}

#[test]
fn the_provisioner_builds_an_index_for_the_owner_beside_those_who_use_the_table() {
    let sandbox = Sandbox::new();
    let roles = owned(&sandbox);
    roles.connect("provisioner");
    assert_eq!(planned(&sandbox), json!([["create index", true]]));
    assert_eq!(sandbox.cdm(["provision", "warehouse"]).expect(0)["changed"], true);
    assert_eq!(index(&sandbox), [["true".to_owned(), roles.name("owner")]]);
    sandbox.cdm(["provision", "warehouse", "--check"]).expect(0);
    roles.assert_denied("provisioner", "select from cdm_work.cdm_work_project");
}

#[test]
fn the_provisioner_builds_an_index_again_whose_building_has_failed() {
    let sandbox = Sandbox::new();
    let roles = owned(&sandbox);
    roles.connect("provisioner");
    fail_to_build(&sandbox);
    assert_eq!(index(&sandbox), [["false".to_owned(), roles.name("owner")]]);
    assert_eq!(planned(&sandbox), json!([["drop index", true], ["create index", true]]));
    assert_eq!(sandbox.cdm(["provision", "warehouse"]).expect(0)["changed"], true);
    assert_eq!(index(&sandbox), [["true".to_owned(), roles.name("owner")]]);
    sandbox.cdm(["provision", "warehouse", "--check"]).expect(0);
}

#[test]
fn through_a_pooler_no_index_is_built_for_an_owner_and_people_are_told_the_way_out() {
    let sandbox = Sandbox::new();
    let roles = owned(&sandbox);
    sandbox.ask("alter table cdm_work.cdm_work_project drop column archived cascade");
    let pooler = Pooler::to(&roles.url("provisioner"), &[]);
    sandbox.connect(&pooler.url(&sandbox));
    let error = sandbox.cdm(["provision", "warehouse"]).error(2);
    let expected = format!(
        "there is a pooler in between, through which no session can be `{}`, which `owner_role` names, for as long as \
         an index is built; what comes before is done. Connect to the server itself and provision again, or let the \
         owner run the statement (action: create index, object: {INDEX}",
        roles.name("owner")
    );
    assert!(error.starts_with(&expected), "{error}");
    assert!(index(&sandbox).is_empty(), "nothing half done");
    assert_eq!(pooler.ask(&sandbox, "select current_user = session_user"), [["t"]], "nobody else becomes the owner");
    assert_eq!(planned(&sandbox), json!([["create index", true]]));
    let column = "select count(*) from information_schema.columns where table_name = 'cdm_work_project' and column_name = 'archived'";
    assert_eq!(sandbox.value(column), "1", "what comes before is done");

    // Rows fit without the index; the column that came back is filled.
    roles.connect("loader");
    assert_eq!(sandbox.ingest(&["projects", "--full"])[0]["updated"], 1);
    roles.connect("provisioner");
    assert_eq!(sandbox.cdm(["provision", "warehouse"]).expect(0)["changed"], true);
    assert_eq!(index(&sandbox), [["true".to_owned(), roles.name("owner")]]);
}

#[test]
fn through_a_pooler_an_index_is_built_and_built_again_where_tables_belong_to_who_provisions() {
    let sandbox = Sandbox::new();
    // Room for three sessions at the server.
    let pooler = Pooler::before(&sandbox, &[("max_db_connections", "3")]);
    sandbox.connect(&pooler.url(&sandbox));
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    loaded_without_index(&sandbox);
    assert_eq!(planned(&sandbox), json!([["create index", true]]));
    assert_eq!(sandbox.cdm(["provision", "warehouse"]).expect(0)["changed"], true);
    assert_eq!(index(&sandbox), [["true", "postgres"]]);
    sandbox.cdm(["provision", "warehouse", "--check"]).expect(0);

    sandbox.ask(&format!("update pg_index set indisvalid = false where indexrelid = 'cdm_work.{INDEX}'::regclass"));
    assert_eq!(planned(&sandbox), json!([["drop index", true], ["create index", true]]));
    assert_eq!(sandbox.cdm(["provision", "warehouse"]).expect(0)["changed"], true);
    assert_eq!(index(&sandbox), [["true", "postgres"]]);
    let left = "select current_setting('lock_timeout'), current_setting('statement_timeout'), current_setting('role')";
    assert_eq!(pooler.ask(&sandbox, left), [["0", "0", "none"]]);
}
