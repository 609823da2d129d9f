//! Files of `cdm.sqlite` and the `sqlite3` of Debian 12, which is older than ours.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::process::{Command, Stdio};

use end_to_end::Sandbox;
use rusqlite::Connection;

/// What `sqlite3` answers; `None` where there is none.
fn sqlite3(sandbox: &Sandbox, file: &str, statement: &str) -> Option<String> {
    let output = Command::new("sqlite3").arg(sandbox.path(file)).arg(statement).output().ok()?;
    Some(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// Loads the dump of a file into a new one; says what `sqlite3` complains of.
fn restore(sandbox: &Sandbox) -> String {
    let mut dump = Command::new("sqlite3");
    let mut dump = dump.arg(sandbox.path("work.db")).arg(".dump").stdout(Stdio::piped()).spawn().unwrap();
    let restored = Command::new("sqlite3").arg(sandbox.path("restored.db")).stdin(dump.stdout.take().unwrap()).output();
    dump.wait().unwrap();
    String::from_utf8(restored.unwrap().stderr).unwrap()
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let line = "driver = \"cdm.postgres\"\nconnection_url = \"${env:WAREHOUSE_URL}\"";
    sandbox.configure(|configuration| configuration.replace(line, "driver = \"cdm.sqlite\"\npath = \"work.db\""));
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    sandbox.export("projects.jsonl", &[r#"{"id":"1","key":"A"}"#, r#"{"id":"","key":"B"}"#]);
    sandbox.export("issues.jsonl", &[r#"{"id":"1","key":"A-1","fields":{"summary":"s"}}"#]);
    sandbox
}

#[test]
fn an_older_sqlite_finds_nothing_wrong_and_loads_a_dump() {
    let sandbox = sandbox();
    sandbox.ingest(&["projects", "issues"]);
    let Some(found) = sqlite3(&sandbox, "work.db", "pragma integrity_check") else {
        println!("NOT RUN: there is no sqlite3 here");
        return;
    };
    assert_eq!(found.trim(), "ok");
    assert_eq!(restore(&sandbox), "");
    let count = "select (select count(*) from cdm_work_item) || (select count(*) from _cdm_load)";
    assert_eq!(sqlite3(&sandbox, "restored.db", count), sqlite3(&sandbox, "work.db", count));
}

/// Puts the conditions of earlier versions into the file.
fn as_earlier_versions_left_it(file: &Connection) {
    file.execute_batch("pragma writable_schema = on").unwrap();
    let mut tables =
        file.prepare("select rowid, sql from sqlite_schema where sql like '%is null or json_valid%'").unwrap();
    let found: Vec<(i64, String)> =
        tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    assert!(found.len() > 3, "{found:?}");
    for (row, sql) in found {
        let words: Vec<&str> = sql.split(" is null or json_valid(").collect();
        // `check ("a" is null or json_valid("a"))` becomes `check (json_valid("a"))`.
        let (last, before) = words.split_last().unwrap();
        let before: String = before
            .iter()
            .map(|words| words.rsplit_once('"').unwrap().0.rsplit_once('"').unwrap().0.to_owned() + "json_valid(")
            .collect();
        file.execute("update sqlite_schema set sql = ?2 where rowid = ?1", (row, before + last)).unwrap();
    }
    file.execute_batch("pragma writable_schema = reset; create table bump (x); drop table bump").unwrap();
}

#[test]
fn the_conditions_of_earlier_versions_are_renewed() {
    let sandbox = sandbox();
    let file = Connection::open(sandbox.path("work.db")).unwrap();
    as_earlier_versions_left_it(&file);
    sandbox.ingest(&["projects", "issues"]);
    let check = sandbox.cdm(["provision", "warehouse", "--check"]).expect(3);
    let found = check["findings"].to_string();
    assert!(found.contains("SQLite before 3.43") && !found.contains("incompatible"), "{found}");
    if let Some(found) = sqlite3(&sandbox, "work.db", "select json_valid(null), sqlite_version()")
        && found.starts_with('0')
    {
        assert!(sqlite3(&sandbox, "work.db", "pragma integrity_check").unwrap().contains("CHECK constraint failed"));
        assert_ne!(restore(&sandbox), "");
        std::fs::remove_file(sandbox.path("restored.db")).unwrap();
    }
    assert_eq!(sandbox.cdm(["provision", "warehouse"]).expect(0)["changed"], true);
    sandbox.cdm(["provision", "warehouse", "--check"]).expect(0);
    assert_eq!(file.query_row("pragma integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    if let Some(found) = sqlite3(&sandbox, "work.db", "pragma integrity_check") {
        assert_eq!(found.trim(), "ok");
        assert_eq!(restore(&sandbox), "");
    }
    file.execute("update cdm_work_item set properties = '{'", []).unwrap_err();
    sandbox.export("issues-2.jsonl", &[r#"{"id":"2","key":"A-2","fields":{"summary":"s"}}"#]);
    assert_eq!(sandbox.ingest(&["issues"])[0]["inserted"], 1);
    sandbox.cdm(["verify", "warehouse"]).expect(0);
}
