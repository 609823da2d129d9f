//! Tables are made once, whoever asks and however often, and the catalog knows them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use end_to_end::{Barrier, Ran, Sandbox, until};
use serde_json::{Value, json};

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
    sandbox.ask("alter table cdm_work.cdm_work_item drop column closed_at cascade");
    let ingest = sandbox.cdm(["ingest", "issues"]);
    assert!(ingest.error(2).contains("run `cdm provision warehouse`"), "{ingest:?}");
    let done = sandbox.cdm(["provision", "warehouse"]).expect(0);
    let actions = [0, 1].map(|place| done["models"][1]["changes"][place]["action"].clone());
    assert_eq!(actions, ["mark rows", "add column"], "rows that were stored without the column are written again");
    sandbox.cdm(["provision", "warehouse", "--check"]).expect(0);

    sandbox.ask("drop view cdm_work.cdm_work_item_live");
    sandbox.ask("alter table cdm_work.cdm_work_item alter column summary type varchar(10)");
    let ran = sandbox.cdm(["provision", "warehouse"]);
    let message = ran.error(1);
    assert!(message.contains("`cdm_work.cdm_work_item.summary` is character varying(10), not text"), "{message}");
    let way_out = "alter table \"cdm_work\".\"cdm_work_item\" alter column \"summary\" type text";
    assert!(message.contains(way_out) && message.contains("another table prefix"), "{message}");
    let finding = &ran.json()["findings"][0];
    assert_eq!(
        (&finding["class"], &finding["object"]),
        (&json!("incompatible"), &json!("cdm_work.cdm_work_item.summary"))
    );
    sandbox.cdm(["provision", "warehouse", "--check"]).expect(3);
    let kept = sandbox.cdm(["provision", "warehouse", "--plan", "--out", "plan.json"]);
    assert!(kept.error(1).contains("summary") && !sandbox.path("plan.json").exists(), "{kept:?}");
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

/// Writes a plan of one model into `plan.json`; says what was answered.
fn keep_plan(sandbox: &Sandbox) -> Value {
    let arguments = ["provision", "warehouse", "--model", "cdm.work.project", "--plan", "--out", "plan.json"];
    sandbox.cdm(arguments).expect(3)
}

fn apply(sandbox: &Sandbox) -> Ran {
    sandbox.cdm(["provision", "warehouse", "--apply", "plan.json"])
}

fn is_untouched(sandbox: &Sandbox) -> bool {
    sandbox.value("select count(*) from pg_namespace where nspname = 'cdm_work'") == "0"
}

#[test]
fn sixteen_who_apply_one_plan_of_a_file_get_one_receipt() {
    let sandbox = Sandbox::new();
    let plan = keep_plan(&sandbox);
    let file: Value = serde_json::from_slice(&fs::read(sandbox.path("plan.json")).unwrap()).unwrap();
    assert_eq!(file["hash"], plan["plan_hash"]);
    assert_eq!(file["plan"]["sink"], json!({ "endpoint": "warehouse", "driver": "cdm.postgres" }));
    let (_, address) = sandbox.database_url().split_once("://").unwrap();
    let (_, password) = address.split_once('@').unwrap().0.split_once(':').unwrap();
    assert!(!file.to_string().contains(password), "no secret is in it");

    let applying: Vec<_> = (0..16).map(|_| sandbox.start(["provision", "warehouse", "--apply", "plan.json"])).collect();
    let answers: Vec<Value> = applying.into_iter().map(|apply| apply.wait().expect(0)).collect();
    assert_eq!(answers.iter().filter(|answer| answer["changed"] == true).count(), 1);
    for answer in &answers {
        assert_eq!(answer["plan_hash"], plan["plan_hash"]);
        assert_eq!(answer["models"][0]["provisioned"], answers[0]["models"][0]["provisioned"], "one receipt");
        assert_eq!(answer["models"][0]["provisioned"]["plan_hash"], plan["plan_hash"]);
        // Whoever did it: each answer is the plan of the file with its receipt.
        let applied = &answer["applied_plan"];
        assert_eq!(applied["plan_hash"], plan["plan_hash"]);
        assert_eq!(applied["applied_at"], answer["models"][0]["provisioned"]["provisioned_at"]);
        assert_eq!(applied["applied_by_this_call"], answer["changed"]);
        assert_eq!(applied["support"], plan["support"]);
        assert_eq!(applied["models"][0]["table"], plan["models"][0]["table"]);
        assert_eq!(applied["models"][0]["changes"][0], plan["models"][0]["changes"][0]);
    }
    let people = sandbox.people(&["provision", "warehouse", "--apply", "plan.json"]).out;
    assert!(people.contains("+ create table"), "{people}");
    let hash = plan["plan_hash"].as_str().unwrap();
    assert!(people.contains(&format!("Plan {hash} had been applied at 20")), "{people}");
    assert!(people.trim_end().ends_with("; this call has changed nothing"), "{people}");
    assert_eq!(makers(&sandbox).len(), 1, "one transaction made everything");
    let show = sandbox.cdm(["catalog", "show", "cdm.work.project@warehouse"]).expect(0);
    assert!(show.to_string().contains(plan["plan_hash"].as_str().unwrap()), "the catalog names the plan: {show}");

    // Later, whatever else has changed, the receipt is the answer; a plan for what is there now is another one.
    sandbox.ask("alter table cdm_work.cdm_work_project drop column url cascade");
    let again = apply(&sandbox).expect(0);
    assert_eq!((&again["changed"], &again["plan_hash"]), (&json!(false), &plan["plan_hash"]));
    assert_ne!(keep_plan(&sandbox)["plan_hash"], plan["plan_hash"]);
    assert_eq!(apply(&sandbox).expect(0)["changed"], true);
    sandbox.cdm(["provision", "warehouse", "--model", "cdm.work.project", "--check"]).expect(0);
}

#[test]
fn a_plan_for_a_state_that_is_there_no_more_is_refused_and_says_what_has_changed() {
    let sandbox = Sandbox::provisioned();
    sandbox.ask("alter table cdm_work.cdm_work_project drop column url cascade");
    keep_plan(&sandbox);
    sandbox.ask("alter table cdm_work.cdm_work_project add column theirs text");
    let ran = apply(&sandbox);
    assert_eq!(
        ran.error(1),
        "the sink has changed since the plan was made: cdm_work.cdm_work_project has changed; plan again"
    );
    assert_eq!(sandbox.value("select count(*) from information_schema.columns where table_name = 'cdm_work_project' and column_name = 'url'"), "0");
}

#[test]
fn a_plan_that_is_not_what_was_planned_is_refused_before_anything_is_done() {
    let sandbox = Sandbox::new();
    keep_plan(&sandbox);
    let text = fs::read_to_string(sandbox.path("plan.json")).unwrap();

    sandbox.write("plan.json", text.replace("\"name\\\" text", "\"name\\\" varchar"));
    assert_ne!(fs::read_to_string(sandbox.path("plan.json")).unwrap(), text);
    assert_eq!(
        apply(&sandbox).error(1),
        "plan.json: it was changed after it was written: its hash is another. Plan again"
    );
    sandbox.write("plan.json", &text[..text.len() / 2]);
    assert_eq!(apply(&sandbox).error(1), "plan.json: it ends too early; it was truncated. Plan again");
    sandbox.write("plan.json", "");
    assert_eq!(apply(&sandbox).error(1), "plan.json: it ends too early; it was truncated. Plan again");
    sandbox.write("plan.json", [0xff, 0xfe, 0x00]);
    assert_eq!(apply(&sandbox).error(1), "plan.json: it is no plan: it is no text");
    sandbox.write("plan.json", text.replacen("\"format\": 1", "\"format\": 2", 1));
    assert!(apply(&sandbox).error(2).contains("it has format 2, and this program reads format 1"));
    fs::remove_file(sandbox.path("plan.json")).unwrap();
    assert!(apply(&sandbox).error(2).starts_with("plan.json: the plan cannot be read"));
    let unknown = sandbox.cdm(["provision", "warehouse", "--apply", "plan.json", "--adopt"]);
    assert_eq!(unknown.code, Some(2), "what a plan says is not for the command line to change: {unknown:?}");

    sandbox.write("plan.json", &text);
    sandbox.configure(|configuration| {
        format!("{configuration}\n[endpoints.other]\ndriver = \"cdm.postgres\"\nconnection_url = \"${{env:WAREHOUSE_URL}}\"\n")
    });
    let other = sandbox.cdm(["provision", "other", "--apply", "plan.json"]);
    assert_eq!(
        other.error(2),
        "the plan is for the endpoint `warehouse` (cdm.postgres) and not for `other` (cdm.postgres); plan for it"
    );
    assert!(is_untouched(&sandbox));
    assert_eq!(apply(&sandbox).expect(0)["changed"], true, "the plan itself is sound");
}

#[test]
fn a_plan_that_was_forged_with_a_hash_of_its_own_does_not_reach_the_server() {
    let sandbox = Sandbox::new();
    keep_plan(&sandbox);
    let mut file: Value = serde_json::from_slice(&fs::read(sandbox.path("plan.json")).unwrap()).unwrap();
    file["plan"]["support"][0]["sql"] = json!("create schema cdm_work; create table public.mine ()");
    // The hash is over the content without space.
    file["hash"] = json!(&blake3::hash(file["plan"].to_string().as_bytes()).to_hex()[..32]);
    sandbox.write("plan.json", file.to_string());
    let message = apply(&sandbox).error(1);
    assert!(message.starts_with("the plan was made by another version of this program"), "{message}");
    assert!(is_untouched(&sandbox));
    assert_eq!(sandbox.value("select count(*) from pg_tables where tablename = 'mine'"), "0");
}

#[test]
fn people_see_what_is_added_what_is_left_alone_and_what_is_in_the_way() {
    let sandbox = Sandbox::new();
    let plan = || sandbox.people(&["provision", "warehouse", "--model", "cdm.work.project", "--plan"]);
    let empty = plan();
    assert_eq!(empty.code, Some(3));
    // Not every server was built with lz4.
    insta::assert_snapshot!("plan_of_an_empty_sink", empty.out.replace(" compression lz4", ""));

    sandbox.cdm(["provision", "warehouse"]).expect(0);
    let nothing = plan();
    assert_eq!(nothing.code, Some(0));
    insta::assert_snapshot!("plan_of_an_up_to_date_sink", nothing.out);

    // As an older version of the model left it.
    sandbox.ask("alter table cdm_work.cdm_work_project drop column archived cascade, drop column lead_cdm_id cascade");
    let additive = plan();
    assert_eq!(additive.code, Some(3));
    insta::assert_snapshot!("plan_of_an_older_sink", additive.out);
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    assert_eq!(plan().code, Some(0));

    sandbox.ask(
        "alter table cdm_work.cdm_work_project add column theirs text;
         create index theirs_idx on cdm_work.cdm_work_project (theirs);
         comment on column cdm_work.cdm_work_project.name is 'changed by hand'",
    );
    sandbox.cdm(["provision", "warehouse", "--plan"]).expect(3);
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    let harmless = sandbox.people(&["provision", "warehouse", "--check"]);
    assert_eq!(harmless.code, Some(0), "what is somebody else's is no drift: {harmless:?}");
    assert!(harmless.out.contains("= cdm_work.cdm_work_project.theirs is a column of somebody else's"), "{harmless:?}");
    sandbox.ask(
        "drop view cdm_work.cdm_work_project_live;
         alter table cdm_work.cdm_work_project drop column url, alter column name type varchar(10),
         alter column _cdm_rank drop not null",
    );
    let drifted = plan();
    assert_eq!(drifted.code, Some(3));
    insta::assert_snapshot!("plan_of_a_drifted_sink", drifted.out);
    let refused = sandbox.people(&["provision", "warehouse"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.out.contains("! cdm_work.cdm_work_project.name") && refused.out.contains("run `alter"),
        "{refused:?}"
    );

    let coloured = |name: &str, value: &str| {
        let mut command = sandbox.command(["provision", "warehouse", "--check", "--output", "table"]);
        String::from_utf8(command.env(name, value).output().unwrap().stdout).unwrap()
    };
    let check = sandbox.people(&["provision", "warehouse", "--check"]).out;
    assert!(!check.contains('\u{1b}'), "no colour where it is no terminal: {check}");
    assert_eq!(coloured("NO_COLOR", "1"), check);
    let forced = coloured("CLICOLOR_FORCE", "1");
    assert!(forced.contains("\u{1b}[32m+") && forced.contains("\u{1b}[31m!"), "{forced:?}");
}

#[test]
fn a_table_that_somebody_made_is_taken_over_when_a_person_says_so() {
    let sandbox = Sandbox::new();
    let plan = sandbox.cdm(["provision", "warehouse", "--model", "cdm.work.project", "--plan"]).expect(3);
    let create = plan["models"][0]["changes"][0]["sql"].as_str().unwrap();
    sandbox.ask(&format!("create schema cdm_work; {create}"));
    let hint = "`cdm_work.cdm_work_project` is there and not on record: somebody else has made it \
                (`cdm provision warehouse --adopt` takes it over; or choose another table prefix)";
    let ran = sandbox.cdm(["provision", "warehouse"]);
    assert!(ran.error(1).contains(hint), "{ran:?}");
    assert_eq!(sandbox.value("select count(*) from pg_tables where schemaname = 'cdm_work'"), "1", "nothing was done");
    sandbox.export("projects.jsonl", &[r#"{"id":"1","key":"A"}"#]);
    let refused = sandbox.cdm(["ingest", "projects"]);
    assert!(refused.err.contains(hint) || refused.out.contains("--adopt"), "{refused:?}");

    // Somebody else approves of it, as of any plan.
    let plan = sandbox.cdm(["provision", "warehouse", "--adopt", "--plan", "--out", "plan.json"]).expect(3);
    assert_eq!(plan["findings"][0]["class"], "additive");
    let done = apply(&sandbox).expect(0);
    assert_eq!((&done["changed"], &done["plan_hash"]), (&json!(true), &plan["plan_hash"]));
    let project = done["models"].as_array().unwrap().iter().find(|model| model["model"] == "cdm.work.project").unwrap();
    assert_eq!(project["changes"][0]["action"], "adopt");
    sandbox.cdm(["provision", "warehouse", "--check"]).expect(0);
    assert_eq!(sandbox.ingest(&["projects"])[0]["inserted"], 1);
}

#[test]
fn a_run_that_died_leaves_no_table_that_is_not_on_record() {
    let sandbox = Sandbox::new();
    sandbox.cdm(["provision", "warehouse", "--model", "cdm.work.project"]).expect(0);
    // The tables are made, and their record, which is the last of the transaction, has to wait.
    let barrier = Barrier::holding(&sandbox, "lock table cdm_work._cdm_model in share mode");
    let running = sandbox.start(["provision", "warehouse"]);
    until("the record waits", || sandbox.waiting() == 1);
    running.signal("KILL");
    assert_ne!(running.wait().code, Some(0));
    barrier.lift();
    let answer = sandbox.cdm(["provision", "warehouse"]).expect(0);
    assert_eq!((&answer["changed"], &answer["findings"]), (&json!(true), &json!([])));
    assert_eq!(answer["models"][1]["changes"][0]["action"], "create table");
}
