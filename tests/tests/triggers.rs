//! Triggers that somebody has put on a table: rows that they refuse or drop are rejects, and what they say is not shown.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use end_to_end::{Ran, Sandbox};
use rusqlite::Connection;

const CANARY: &str = "canary-of-a-cell";

/// Thirty projects in three files, of which one holds the canary.
fn export(sandbox: &Sandbox) {
    for file in 0..3 {
        let project = |id: u32| {
            let description = if id == 17 { CANARY } else { "short" };
            format!(r#"{{"id":"{id}","key":"P{id}","name":"N","description":"{description}"}}"#)
        };
        let lines: Vec<String> = (0..10).map(|n| project(file * 10 + n)).collect();
        sandbox.export(&format!("projects-{file}.jsonl"), &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

fn postgres() -> Sandbox {
    let sandbox = Sandbox::provisioned();
    export(&sandbox);
    sandbox
}

fn sqlite() -> (Sandbox, Connection) {
    let sandbox = Sandbox::new();
    let line = "driver = \"cdm.postgres\"\nconnection_url = \"${env:WAREHOUSE_URL}\"";
    sandbox.configure(|configuration| configuration.replace(line, "driver = \"cdm.sqlite\"\npath = \"work.db\""));
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    export(&sandbox);
    let file = Connection::open(sandbox.path("work.db")).unwrap();
    (sandbox, file)
}

fn assert_no_canary(ran: &Ran) {
    assert!(!ran.out.contains("canary") && !ran.err.contains("canary"), "{ran:?}");
}

/// One of thirty is rejected, and nothing shows what it holds.
fn assert_one_is_rejected(sandbox: &Sandbox, reason: &str, what: &str) {
    let ran = sandbox.cdm(["ingest", "projects", "-vv", "--max-rejects", "5", "--retry-for", "0s"]);
    assert_no_canary(&ran);
    let run = &ran.expect(0)["runs"][0];
    assert_eq!(
        (&run["inserted"], &run["rejected"], &run["stale"]),
        (&29.into(), &1.into(), &0.into()),
        "{what}: {run}"
    );
    let rejects = sandbox.rejects("warehouse");
    assert_eq!(rejects.len(), 1, "{what}");
    assert!(rejects[0].starts_with("sink projects-1.jsonl:8 ") && rejects[0].contains(reason), "{what}: {rejects:?}");
    assert!(!rejects[0].contains("canary"), "{rejects:?}");
    assert_no_canary(&sandbox.cdm(["runs"]));
    sandbox.cdm(["verify", "warehouse", "--model", "cdm.work.project"]).expect(0);
    assert_eq!(sandbox.ingest(&["projects"])[0]["read"], 0, "{what}: nothing is left");
}

/// Calls a function for each project before it is stored.
fn before_each(sandbox: &Sandbox, body: &str) {
    sandbox.ask(&format!(
        "create function refuse() returns trigger language plpgsql as $$ begin \
         if new.description like 'canary%' then {body} end if; return new; end $$; \
         create trigger refuse before insert or update on cdm_work.cdm_work_project \
         for each row execute function refuse()"
    ));
}

#[test]
fn a_row_that_a_trigger_of_the_server_refuses_is_rejected_alone() {
    for (body, reason) in [
        ("raise exception 'bad %', new.description;", "raise_exception; the message may hold data"),
        ("raise exception 'bad %', new.description using errcode = 'U0001';", "(SQLSTATE U0001)"),
        ("return null;", "dropped the row without an error"),
    ] {
        let sandbox = postgres();
        before_each(&sandbox, body);
        assert_one_is_rejected(&sandbox, reason, body);
    }
}

#[test]
fn what_a_trigger_of_the_server_raises_with_a_code_of_the_servers_is_not_shown() {
    for code in ["42501", "57014", "XX001"] {
        let sandbox = postgres();
        before_each(&sandbox, &format!("raise exception 'bad %', new.description using errcode = '{code}';"));
        let ran = sandbox.cdm(["ingest", "projects", "-vv", "--retry-for", "0s"]);
        assert_no_canary(&ran);
        assert!(ran.error(1).ends_with(&format!("(SQLSTATE {code})")), "{ran:?}");
        assert_no_canary(&sandbox.cdm(["runs", "--failed"]));
        let catalog = std::fs::read_dir(sandbox.folder()).unwrap().map(|entry| entry.unwrap().path());
        for file in catalog.filter(|path| path.is_file()) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(6).any(|bytes| bytes == b"canary"), "{}", file.display());
        }
    }
}

#[test]
fn a_row_that_a_trigger_of_a_file_refuses_is_rejected_alone() {
    for (body, reason) in [
        (
            "before insert on cdm_work_project when new.description like 'canary%' begin select raise(ignore); end",
            "dropped",
        ),
        (
            "after insert on cdm_work_project begin delete from cdm_work_project where description like 'canary%'; end",
            "dropped",
        ),
        (
            "before insert on cdm_work_project when new.description like 'canary%' begin select raise(abort, 'bad ' || new.description); end",
            "a trigger of the table refuses the row",
        ),
        (
            "after insert on cdm_work_project when new.description like 'canary%' begin select raise(fail, 'bad ' || new.description); end",
            "a trigger of the table refuses the row",
        ),
        (
            "before insert on cdm_work_project when new.description like 'canary%' begin select json_extract('{}', new.description); end",
            "fails for the row",
        ),
    ] {
        let (sandbox, file) = sqlite();
        file.execute_batch(&format!("create trigger refuse {body}")).unwrap();
        assert_one_is_rejected(&sandbox, reason, body);
        let stored: u32 = file.query_row("select count(*) from cdm_work_project", [], |row| row.get(0)).unwrap();
        assert_eq!(stored, 29, "{body}");
    }
}

#[test]
fn a_change_that_a_trigger_of_a_file_drops_is_a_reject() {
    let (sandbox, file) = sqlite();
    sandbox.ingest(&["projects"]);
    file.execute_batch(
        "create trigger keep before update on cdm_work_project when new.name = 'renamed 3' begin select raise(ignore); end",
    )
    .unwrap();
    let renamed: Vec<String> = (0..10)
        .map(|id| format!(r#"{{"id":"{id}","key":"P{id}","name":"renamed {id}","description":"short"}}"#))
        .collect();
    sandbox.export("projects-9.jsonl", &renamed.iter().map(String::as_str).collect::<Vec<_>>());
    let run = &sandbox.ingest(&["projects"])[0];
    assert_eq!((&run["updated"], &run["rejected"], &run["stale"]), (&9.into(), &1.into(), &0.into()), "{run}");
}

#[test]
fn a_trigger_of_a_file_that_rolls_everything_back_ends_the_run_and_leaves_nothing() {
    let (sandbox, file) = sqlite();
    file.execute_batch(
        "create trigger refuse before insert on cdm_work_project when new.description like 'canary%' \
         begin select raise(rollback, 'bad ' || new.description); end",
    )
    .unwrap();
    let ran = sandbox.cdm(["ingest", "projects", "--parallel", "1"]);
    assert!(ran.error(1).contains("raise(abort, …)"), "{ran:?}");
    assert_no_canary(&ran);
    let stored: u32 = file.query_row("select count(*) from cdm_work_project", [], |row| row.get(0)).unwrap();
    assert!(stored == 0 || stored == 10, "whole slices: {stored}");
    file.execute_batch("drop trigger refuse").unwrap();
    assert_eq!(sandbox.ingest(&["projects"])[0]["status"], "succeeded");
    let stored: u32 = file.query_row("select count(*) from cdm_work_project", [], |row| row.get(0)).unwrap();
    assert_eq!(stored, 30);
}
