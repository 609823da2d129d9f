//! Everything works under roles that have the least rights, and these may do nothing else.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{fs, path::Path};

use end_to_end::{Barrier, Pooler, Roles, Sandbox, until};
use serde_json::Value;

const UNITS: [&str; 5] = ["projects", "users", "issues", "comments", "worklogs"];

/// With the fixtures exported, and nothing provisioned.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/jira");
    for file in fs::read_dir(fixtures).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), sandbox.path("export").join(file.file_name())).unwrap();
    }
    sandbox
}

/// Provisioned by the provisioner, with the rights on what it made given.
fn provisioned(sandbox: &Sandbox) -> Roles<'_> {
    let roles = Roles::create(sandbox);
    roles.connect("provisioner");
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    roles.grant(&[]);
    roles
}

/// The check of that name, as `ok detail`.
fn check(sandbox: &Sandbox, name: &str) -> String {
    let answer = sandbox.cdm(["check", "warehouse"]).json();
    let checks = answer["endpoints"][0]["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{answer}"));
    format!("{} {}", check["ok"], check["detail"].as_str().unwrap())
}

/// Who has which right on what, in the sandbox's schema.
fn rights(sandbox: &Sandbox) -> Vec<Vec<String>> {
    sandbox.ask(
        "select c.relname::text, a.attname::text, (coalesce(a.attacl, c.relacl))::text, pg_get_userbyid(c.relowner)::text \
         from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 where c.relnamespace = 'cdm_work'::regnamespace \
         union all select nspname::text, '', nspacl::text, '' from pg_namespace where nspname !~ '^pg_' \
         union all select defaclnamespace::regnamespace::text, '', defaclacl::text, '' from pg_default_acl order by 1, 2, 3",
    )
}

#[test]
fn the_provisioner_provisions_and_reads_nothing() {
    let sandbox = sandbox();
    let roles = Roles::create(&sandbox);
    roles.connect("provisioner");
    let role = roles.name("provisioner");
    assert_eq!(check(&sandbox, "provisioning"), format!("true role {role} may provision"));
    sandbox.cdm(["provision", "warehouse", "--plan"]).expect(3);
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    let again = sandbox.cdm(["provision", "warehouse"]).expect(0);
    assert_eq!(again["changed"], false);
    sandbox.cdm(["provision", "warehouse", "--check"]).expect(0);
    sandbox.cdm(["check", "warehouse"]).expect(0);
    let owners =
        "select distinct pg_get_userbyid(relowner) from pg_class where relnamespace = 'cdm_work'::regnamespace";
    assert_eq!(sandbox.ask(owners), [[roles.name("owner")]]);

    // A column that is missing is added, by whoever has the right to.
    sandbox.ask("alter table cdm_work.cdm_work_item drop column closed_at cascade");
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    for table in ["cdm_work_item", "_cdm_reject", "_cdm_load", "_cdm_ingestion", "_cdm_fence", "_cdm_model"] {
        roles.assert_denied("provisioner", &format!("select from cdm_work.{table}"));
        roles.assert_denied("provisioner", &format!("insert into cdm_work.{table} default values"));
    }
    let refused = sandbox.cdm(["ingest", "projects"]);
    assert!(refused.json()["runs"][0]["error"].as_str().unwrap().contains("lacks a privilege"), "{refused:?}");
}

#[test]
fn the_loader_loads_everything_with_its_rights() {
    let sandbox = sandbox();
    let roles = provisioned(&sandbox);
    roles.connect("loader");
    sandbox.cdm(["check", "warehouse"]).expect(0);
    assert_eq!(check(&sandbox, "loading"), format!("true role {} may load", roles.name("loader")));
    sandbox.cdm(["provision", "warehouse", "--check"]).expect(0);

    let content = "select count(*), min(cdm_id) from cdm_work.cdm_work_item";
    sandbox.ingest(&UNITS);
    let loaded = sandbox.ask(content);
    assert_ne!(loaded[0][0], "0");
    for run in sandbox.ingest(&[&UNITS[..], &["--full"]].concat()) {
        assert_eq!((&run["inserted"], &run["updated"]), (&0.into(), &0.into()), "{run}");
    }

    // A changed record is staged in a temporary table and merged.
    let issues = fs::read_to_string(sandbox.path("export/issues.jsonl")).unwrap();
    let changed = issues.replace("Summary of DOCK-1", "Another summary");
    assert_ne!(changed, issues);
    sandbox.write("export/issues.jsonl", changed.replacen("\"updated\":\"20", "\"updated\":\"21", 1));
    let run = &sandbox.ingest(&["issues"])[0];
    assert_eq!(run["updated"], 1, "{run}");

    let rejects = sandbox.rejects("warehouse").len();
    assert!(rejects > 0);
    let replayed = sandbox.cdm(["rejects", "replay", "warehouse"]).expect(0);
    assert_eq!(replayed["replayed"], replayed["rejected"], "{replayed}");
    sandbox.cdm(["verify", "warehouse"]).expect(0);

    sandbox.ask("update cdm_work.cdm_work_item set summary = 'edited' where cdm_id = (select min(cdm_id) from cdm_work.cdm_work_item)");
    sandbox.cdm(["verify", "warehouse"]).expect(1);
    sandbox.cdm(["verify", "warehouse", "--repair"]).expect(0);
    assert_eq!(sandbox.ingest(&["issues"])[0]["updated"], 1);
    sandbox.cdm(["verify", "warehouse"]).expect(0);
    assert_eq!(sandbox.ask(content), loaded);
}

#[test]
fn a_reject_that_can_be_stored_now_is_removed_by_the_loader() {
    let sandbox = Sandbox::new();
    let roles = provisioned(&sandbox);
    roles.connect("loader");
    sandbox.ask("alter table cdm_work.cdm_work_project add constraint good check (name <> 'bad')");
    sandbox
        .export("projects.jsonl", &[r#"{"id":"1","key":"A","name":"bad"}"#, r#"{"id":"2","key":"B","name":"fine"}"#]);
    let run = &sandbox.ingest(&["projects"])[0];
    assert_eq!((&run["inserted"], &run["rejected"]), (&1.into(), &1.into()));
    sandbox.ask("alter table cdm_work.cdm_work_project drop constraint good");
    let replayed = sandbox.cdm(["rejects", "replay", "warehouse"]).expect(0);
    assert_eq!((&replayed["inserted"], sandbox.rejects("warehouse").len()), (&1.into(), 0), "{replayed}");
}

#[test]
fn what_is_old_is_removed_by_the_loader() {
    let sandbox = sandbox();
    let roles = provisioned(&sandbox);
    roles.connect("loader");
    sandbox.ingest(&["projects"]);
    sandbox.ask(
        "update cdm_work._cdm_reject set rejected_at = now() - interval '31 days';
         update cdm_work._cdm_load set committed_at = now() - interval '31 days'",
    );
    let ran = sandbox.cdm(["ingest", "projects"]);
    ran.expect(0);
    assert!(!ran.err.contains("could not be removed"), "{}", ran.err);
    let left = "select (select count(*) from cdm_work._cdm_reject), (select count(*) from cdm_work._cdm_load)";
    assert_eq!(sandbox.ask(left), [["0", "0"]]);
}

#[test]
fn a_run_of_the_loader_is_alive_to_others_and_can_be_taken_over() {
    let sandbox = Sandbox::new();
    let roles = provisioned(&sandbox);
    roles.connect("loader");
    for file in 0..3 {
        sandbox.export(&format!("projects-{file}.jsonl"), &[&format!("{{\"id\":\"{file}\",\"key\":\"P\"}}")]);
    }
    let barrier = Barrier::before(&sandbox, "cdm_work_project");
    let first = sandbox.start(["ingest", "projects", "--parallel", "1"]);
    until("the load waits", || sandbox.waiting() == 1);
    assert!(sandbox.cdm(["ingest", "projects"]).error(1).contains("another run of this ingestion is alive"));
    // Others than the loader do not see since when its sessions last, and take them for alive all the same.
    roles.connect("provisioner");
    let loader = roles.name("loader");
    sandbox.ask(&format!("create role other_{loader} login password 'pw' in role {loader} inherit"));
    let (_, place) =
        roles.url("loader").rsplit_once('@').map(|(user, place)| (user.to_owned(), place.to_owned())).unwrap();
    sandbox.connect(&format!("postgres://other_{loader}:pw@{place}"));
    assert!(sandbox.cdm(["ingest", "projects"]).error(1).contains("another run of this ingestion is alive"));
    sandbox.ask(&format!("drop role other_{loader}"));

    roles.connect("loader");
    let taking = sandbox.start(["ingest", "projects", "--on-overlap", "takeover", "--parallel", "1"]);
    until("the other has taken over", || sandbox.waiting() == 2);
    barrier.lift();
    assert_eq!(first.wait().expect(1)["runs"][0]["status"], "fenced");
    assert_eq!(taking.wait().expect(0)["runs"][0]["inserted"], 3);

    // Who is killed is in nobody's way.
    let barrier = Barrier::before(&sandbox, "cdm_work_project");
    let killed = sandbox.start(["ingest", "projects", "--full", "--parallel", "1"]);
    until("the load waits", || sandbox.waiting() == 1);
    killed.signal("KILL");
    killed.wait();
    barrier.lift();
    assert_eq!(sandbox.ingest(&["projects"])[0]["status"], "succeeded");
}

#[test]
fn a_session_of_another_role_that_is_no_load_is_no_run() {
    let sandbox = Sandbox::new();
    let roles = provisioned(&sandbox);
    roles.connect("loader");
    sandbox.export("projects.jsonl", &[r#"{"id":"1","key":"A"}"#]);
    sandbox.ingest(&["projects"]);
    // Somebody else's session has got the process id of a run that died; since when it lasts is not to be seen.
    let other = Barrier::holding(&sandbox, "select 1");
    sandbox.ask(
        "update cdm_work._cdm_ingestion set status = 'running', holder = (select pid || ' 1' from pg_stat_activity \
         where datname = current_database() and state = 'idle in transaction')",
    );
    assert_ne!(sandbox.value("select holder from cdm_work._cdm_ingestion"), "null");
    assert_eq!(sandbox.ingest(&["projects"])[0]["status"], "succeeded");
    other.lift();
}

#[test]
fn both_work_behind_a_pooler() {
    let sandbox = Sandbox::new();
    let roles = Roles::create(&sandbox);
    let pooler = Pooler::to(&roles.url("provisioner"), &[]);
    sandbox.connect(&pooler.url(&sandbox));
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    assert_eq!(sandbox.cdm(["provision", "warehouse"]).expect(0)["changed"], false);
    let leaked = "select current_user = session_user";
    assert_eq!(pooler.ask(&sandbox, leaked), [["t"]], "the session is no more the owner's");
    roles.grant(&[]);

    let pooler = Pooler::to(&roles.url("loader"), &[]);
    sandbox.connect(&pooler.url(&sandbox));
    sandbox.export("projects.jsonl", &[r#"{"id":"1","key":"A"}"#]);
    let barrier = Barrier::before(&sandbox, "cdm_work_project");
    let running = sandbox.start(["ingest", "projects", "--parallel", "1"]);
    until("the load waits", || sandbox.waiting() == 1);
    let holder = "select holder, beat_at > now() - interval '10 seconds' from cdm_work._cdm_ingestion";
    assert_eq!(sandbox.ask(holder), [["heartbeat", "t"]]);
    barrier.lift();
    assert_eq!(running.wait().expect(0)["runs"][0]["inserted"], 1);
    drop(pooler);
}

#[test]
fn the_loader_makes_alters_and_empties_nothing() {
    let sandbox = sandbox();
    let roles = provisioned(&sandbox);
    roles.connect("loader");
    sandbox.ingest(&["projects"]);
    for statement in [
        "create table cdm_work.mine (id int)",
        "create table public.mine (id int)",
        "create schema mine",
        "create view cdm_work.mine as select 1",
        "create index on cdm_work.cdm_work_project (name)",
        "alter table cdm_work.cdm_work_project add column mine int",
        "alter table cdm_work.cdm_work_project rename to mine",
        "comment on table cdm_work.cdm_work_project is 'mine'",
        "drop table cdm_work.cdm_work_project",
        "drop table cdm_work._cdm_load",
        "truncate cdm_work.cdm_work_project",
        "truncate cdm_work._cdm_load",
        "delete from cdm_work.cdm_work_project",
        "delete from cdm_work._cdm_ingestion",
        "delete from cdm_work._cdm_fence",
        "delete from cdm_work._cdm_model",
        "update cdm_work._cdm_model set version = '9.0.0'",
        "insert into cdm_work._cdm_model values ('a', 'b', 'c', 'd', now())",
        &format!("set role {}", roles.name("owner")),
        &format!("set role {}", roles.name("provisioner")),
        &format!("grant select on cdm_work.cdm_work_project to {}; select 1", roles.name("reader")),
    ] {
        let answer = roles.ask("loader", statement);
        let denied = ["permission denied", "must be owner"];
        // A grant of what one has and may not give only warns.
        let is_grant = statement.starts_with("grant") && answer == Ok(1);
        assert!(
            is_grant || answer.as_ref().is_err_and(|error| denied.iter().any(|denied| error.contains(denied))),
            "{statement}: {answer:?}"
        );
    }
    roles.assert_denied("reader", "select * from cdm_work.cdm_work_project");
    assert_eq!(sandbox.value("select count(*) from cdm_work.cdm_work_project"), "3");
}

#[test]
fn the_reader_sees_the_model_and_more_only_when_it_is_given() {
    let sandbox = sandbox();
    let roles = provisioned(&sandbox);
    roles.connect("loader");
    sandbox.ingest(&["issues"]);
    let model = "select cdm_id, summary, properties, raw_source from cdm_work.cdm_work_item";
    let plumbing = "select _cdm_run_id, _cdm_deleted_at from cdm_work.cdm_work_item";
    let rejects = "select * from cdm_work._cdm_reject";
    let items = roles.ask("reader", model).unwrap();
    assert!(items > 0);
    for statement in [
        plumbing,
        rejects,
        "select * from cdm_work.cdm_work_item",
        "select from cdm_work._cdm_load",
        "select from cdm_work._cdm_ingestion",
        "select from cdm_work._cdm_model",
        "update cdm_work.cdm_work_item set summary = ''",
        "delete from cdm_work.cdm_work_item",
        "create table cdm_work.mine (id int)",
        "create temporary table mine (id int)",
    ] {
        roles.assert_denied("reader", statement);
    }
    roles.grant(&["--with-plumbing"]);
    assert_eq!(roles.ask("reader", plumbing), Ok(items));
    roles.assert_denied("reader", rejects);
    roles.grant(&["--with-rejects"]);
    assert!(roles.ask("reader", rejects).unwrap() > 0);
    roles.assert_denied("reader", plumbing);
    roles.grant(&[]);
    assert_eq!(roles.ask("reader", model), Ok(items));
    for statement in [plumbing, rejects] {
        roles.assert_denied("reader", statement);
    }
}

#[test]
fn giving_the_rights_again_changes_nothing_and_takes_back_what_is_too_much() {
    let sandbox = Sandbox::new();
    let roles = provisioned(&sandbox);
    let before = rights(&sandbox);
    roles.grant(&[]);
    assert_eq!(rights(&sandbox), before);
    sandbox.ask(&format!(
        "grant truncate, delete on cdm_work.cdm_work_item to {0}; grant create on schema cdm_work to {0};
         grant select on cdm_work._cdm_reject to {1}; grant select on cdm_work.cdm_work_item to {2}",
        roles.name("loader"),
        roles.name("reader"),
        roles.name("provisioner"),
    ));
    assert_ne!(rights(&sandbox), before);
    roles.grant(&[]);
    assert_eq!(rights(&sandbox), before);
}

#[test]
fn tables_that_somebody_else_has_provisioned_are_taken_over() {
    let sandbox = Sandbox::provisioned();
    sandbox.export("projects.jsonl", &[r#"{"id":"1","key":"A"}"#]);
    sandbox.ingest(&["projects"]);
    let roles = Roles::create(&sandbox);
    roles.connect("provisioner");
    sandbox.ask("alter table cdm_work.cdm_work_item drop column closed_at cascade");
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    roles.connect("loader");
    sandbox.export("projects.jsonl", &[r#"{"id":"1","key":"A"}"#, r#"{"id":"2","key":"B"}"#]);
    let run = &sandbox.ingest(&["projects"])[0];
    assert_eq!((&run["inserted"], &run["unchanged"]), (&1.into(), &1.into()));
}

#[test]
fn a_check_says_which_right_is_missing_for_what() {
    let sandbox = Sandbox::new();
    let roles = provisioned(&sandbox);
    let (loader, provisioner, owner) = (roles.name("loader"), roles.name("provisioner"), roles.name("owner"));
    sandbox.ask(&format!(
        "revoke delete on cdm_work._cdm_reject from {loader}; revoke insert on cdm_work.cdm_work_item from {loader};
         revoke temporary on database {} from {loader}; revoke {owner} from {provisioner}",
        sandbox.database().name()
    ));
    roles.connect("loader");
    assert_eq!(
        check(&sandbox, "loading"),
        format!(
            "false role {loader} may not load; it lacks TEMPORARY on the database (rows that have changed are staged), \
             DELETE on _cdm_reject (rejects go when they are replayed, and when they are old), INSERT on cdm_work_item; \
             `cdm grants warehouse` says what gives it"
        )
    );
    sandbox.cdm(["check", "warehouse"]).expect(1);
    roles.connect("provisioner");
    assert_eq!(
        check(&sandbox, "provisioning"),
        format!(
            "false role {provisioner} may not provision; it lacks the right to become {owner}, which `owner_role` names \
             and tables belong to; `cdm grants warehouse` says what gives it"
        )
    );
    sandbox.ask("drop table cdm_work.cdm_work_item cascade");
    let refused = sandbox.cdm(["provision", "warehouse"]).error(1);
    assert!(refused.contains("permission denied for"), "what is on record cannot be read: {refused}");
    sandbox.ask(&format!(
        "grant usage on schema cdm_work to {provisioner}; grant select on cdm_work._cdm_model to {provisioner}"
    ));
    let refused = sandbox.cdm(["provision", "warehouse"]).error(1);
    let expected = format!("the role may not become `{owner}`, which `owner_role` names");
    assert!(refused.contains(&expected), "{refused}");
}

#[test]
fn whatever_a_name_holds_it_is_a_name_and_nothing_else() {
    let sandbox = Sandbox::new();
    let nasty = format!("a\"b'c\\$cdm$ {}", sandbox.database().name());
    sandbox.configure(|configuration| {
        configuration.replace(
            "connection_url",
            "schema = \"s\\n;\\\"'\\\\$cdm$\"\ntable_prefix = \"p'\\\"$cdm$_\"\nconnection_url",
        )
    });
    let names = ["o", "p", "l", "r"].map(|role| format!("{role} {nasty}"));
    let [owner, provisioner, loader, reader] = names.each_ref().map(String::as_str);
    sandbox.cdm(["provision", "warehouse", "--model", "cdm.work.project"]).expect(0);
    let arguments =
        ["grants", "warehouse", "--owner", owner, "--provisioner", provisioner, "--loader", loader, "--reader", reader];
    let ran = sandbox.people(&arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for _ in 0..2 {
        sandbox.ask(&ran.out);
    }
    let mut expected = names.to_vec();
    expected.sort();
    let literals: Vec<String> = names.iter().map(|name| format!("$q${name}$q$")).collect();
    let made = sandbox.ask(&format!(
        "select rolname from pg_roles where rolname in ({}) order by rolname collate \"C\"",
        literals.join(", ")
    ));
    assert_eq!(made.concat(), expected);
    let owners = "select distinct pg_get_userbyid(c.relowner) from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                  where n.nspname like 's%' and c.relkind = 'r'";
    assert_eq!(sandbox.ask(owners), [[owner]]);
    for name in &names {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        sandbox.ask(&format!("drop owned by {quoted} cascade; drop role {quoted}"));
    }
}

#[test]
fn a_role_that_cannot_be_is_refused() {
    let sandbox = Sandbox::new();
    let refused = |arguments: &[&str], expected: &str| {
        let all = ["grants", "warehouse"].iter().chain(arguments).copied();
        let message = sandbox.cdm(all).error(2);
        assert!(message.contains(expected), "{message}");
    };
    refused(&["--loader", "pg_loader"], "`pg_loader` is no name of a role: the server keeps it for itself");
    refused(&["--reader", "public"], "`public` is no name of a role");
    refused(&["--reader", ""], "a name must not be empty");
    refused(&["--provisioner", &"p".repeat(64)], "has 64 bytes as a name; databases take 63");
    refused(&["--reader", "cdm_loader"], "`cdm_loader` is to be two roles at once; each needs a name of its own");
    refused(&["--model", "cdm.work.epic"], "no model matches `cdm.work.epic`");
    let lake = sandbox.cdm(["grants", "lake"]).error(2);
    assert!(lake.contains("`lake` (raw.files) has no roles to give rights to"), "{lake}");
    sandbox.configure(|configuration| {
        configuration.replace("connection_url", "owner_role = \"its_owner\"\nconnection_url")
    });
    refused(
        &["--owner", "cdm_owner"],
        "tables are to belong to `cdm_owner`, but `owner_role` of warehouse is `its_owner`",
    );
    sandbox.configure(|configuration| configuration.replace("its_owner", "none"));
    let message = sandbox.cdm(["check", "warehouse"]).error(2);
    assert!(message.starts_with("endpoints.warehouse.owner_role: `none` is no name of a role"), "{message}");
}

#[test]
fn the_rights_are_printed_for_people_and_for_scripts() {
    let sandbox = Sandbox::new();
    let arguments = ["grants", "warehouse", "--model", "cdm.work.project"];
    insta::assert_snapshot!("rights_as_statements", sandbox.people(&arguments).out);
    let answer = sandbox.cdm(arguments).expect(0);
    assert_eq!(answer["script"], Value::from(sandbox.people(&arguments).out));
    let lines: Vec<String> = answer["roles"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|role| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let list = |value: &Value| value.as_array().unwrap().iter().map(text).collect::<Vec<_>>().join(", ");
            let (purpose, name) = (text(&role["purpose"]), text(&role["name"]));
            let rights = role["rights"].as_array().unwrap().iter().map(move |right| {
                let columns = match right["columns"].as_array().unwrap().len() {
                    0 => String::new(),
                    _ => format!(" ({})", list(&right["columns"])),
                };
                let (what, object, reason) =
                    (list(&right["privileges"]), text(&right["object"]), text(&right["reason"]));
                format!("{purpose} {name}: {what}{columns} on {object}: {reason}")
            });
            rights.collect::<Vec<_>>()
        })
        .collect();
    insta::assert_snapshot!("rights_as_data", lines.join("\n"));
}
