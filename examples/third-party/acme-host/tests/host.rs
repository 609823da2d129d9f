//! What a host of another team can do: all that `cdm` can, with its own driver beside ours.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

const CONFIGURATION: &str = r#"
[endpoints.acme_jira]
driver = "jira.export"
path = "export"

[endpoints.lake]
driver = "acme.parquet"
path = "lake"

[ingest.issues]
source = "acme_jira"
unit = "jira.issues"
sink = "lake"
mode = "cdm"
"#;

fn issue(id: u32, summary: &str, updated: &str) -> String {
    format!(
        r#"{{"id":"{id}","key":"ACME-{id}","fields":{{"summary":"{summary}","created":"2021-03-04T05:06:07.000+0000","updated":"{updated}","labels":["a"]}}}}"#
    )
}

/// A folder with a configuration and an export of three issues, the second of which has no id.
fn sandbox() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cdm.toml"), CONFIGURATION).unwrap();
    fs::create_dir(folder.path().join("export")).unwrap();
    let no_id = r#"{"key":"ACME-2","fields":{"summary":"no id"}}"#.to_owned();
    export(folder.path(), &[issue(1, "The pump leaks", T1), no_id, issue(3, "The light is out", T1)]);
    folder
}

const T1: &str = "2021-03-05T05:06:07.000+0000";
const T2: &str = "2021-03-06T05:06:07.000+0000";

fn export(folder: &Path, issues: &[String]) {
    fs::write(folder.join("export/issues.jsonl"), format!("{}\n", issues.join("\n"))).unwrap();
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_acme-host"));
    command.args(arguments).args(["--output", "json"]).current_dir(folder).env_remove("CDM_CONFIG").output().unwrap()
}

/// Runs a command that must end with that code; says its answer.
fn acme(folder: &Path, arguments: &[&str], code: i32) -> Value {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The counts of the one run of an ingestion, in the order of the table.
fn counts(answer: &Value) -> [u64; 7] {
    let run = &answer["runs"][0];
    ["read", "inserted", "updated", "unchanged", "stale", "duplicate", "rejected"]
        .map(|name| run[name].as_u64().unwrap())
}

/// The files of rows.
fn files(folder: &Path) -> usize {
    let mut found = 0;
    let mut open = vec![folder.join("lake/cdm.work.item")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found += usize::from(path.extension().is_some_and(|extension| extension == "parquet"));
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    found
}

#[test]
fn its_driver_stands_beside_ours() {
    let folder = tempfile::tempdir().unwrap();
    let answer = acme(folder.path(), &["drivers"], 0);
    let drivers = answer["drivers"].as_array().unwrap();
    let ids: Vec<&str> = drivers.iter().map(|driver| driver["id"].as_str().unwrap()).collect();
    for id in ["acme.parquet", "cdm.postgres", "jira.export", "raw.files"] {
        assert!(ids.contains(&id), "{ids:?}");
    }
    let parquet = drivers.iter().find(|driver| driver["id"] == "acme.parquet").unwrap();
    let keys = ["sink.autoprovision", "sink.cdm", "sink.cdm.work", "sink.transactional"];
    assert_eq!(parquet["capabilities"], serde_json::json!(keys));
    assert_eq!(parquet["supported_cdm_models"].as_array().unwrap().len(), 5);
    assert_eq!(parquet["config_schema"]["required"], serde_json::json!(["path"]));
}

#[test]
fn an_export_is_provisioned_loaded_and_found() {
    let sandbox = sandbox();
    let folder = sandbox.path();
    assert_eq!(acme(folder, &["ingest"], 2)["error"]["kind"], "not_provisioned");
    assert_eq!(acme(folder, &["provision", "lake"], 0)["changed"], true);
    acme(folder, &["provision", "lake", "--check"], 0);

    assert_eq!(counts(&acme(folder, &["ingest"], 0)), [3, 2, 0, 0, 0, 0, 1]);
    assert_eq!(files(folder), 1);
    assert_eq!(counts(&acme(folder, &["ingest"], 0)), [0; 7], "there is nothing new");
    assert_eq!(counts(&acme(folder, &["ingest", "--full"], 0)), [3, 0, 0, 2, 0, 0, 1]);
    assert_eq!(files(folder), 1, "what is there already is not written again");

    export(folder, &[issue(1, "The pump leaks", T1), issue(3, "The light is on", T2), issue(4, "New", T2)]);
    assert_eq!(counts(&acme(folder, &["ingest"], 0)), [3, 1, 1, 1, 0, 0, 0]);
    let dataset = &acme(folder, &["catalog", "show", "cdm.work.item@lake"], 0)["dataset"];
    assert_eq!((&dataset["location"], &dataset["rows"]), (&"cdm.work.item".into(), &3.into()));

    let rejects = acme(folder, &["rejects", "list", "lake"], 0);
    let rejects = rejects["rejects"].as_array().unwrap();
    assert_eq!(rejects.len(), 1, "the same reject twice is one");
    assert_eq!((&rejects[0]["origin"], &rejects[0]["field"]), (&"issues.jsonl:2".into(), &"id".into()));
    let shown = run(folder, &["rejects", "show", "lake", rejects[0]["id"].as_str().unwrap()]);
    assert!(String::from_utf8(shown.stdout).unwrap().contains("ACME-2"), "its bytes are kept");
    for undeclared in [&["verify", "lake"][..], &["rejects", "replay", "lake"]] {
        let error = &acme(folder, undeclared, 2)["error"];
        assert!(error["message"].is_string(), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_program_that_is_killed_leaves_nothing_half_done() {
    use std::os::unix::process::ExitStatusExt as _;

    let sandbox = sandbox();
    let folder = sandbox.path();
    acme(folder, &["provision", "lake"], 0);
    // Enough issues that the program is at work when it is killed, a little later each time.
    let issues: Vec<String> = (1..=20_000).map(|id| issue(id, "The pump leaks", T1)).collect();
    export(folder, &issues);
    let mut killed = 0;
    for pause in 1..=8 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_acme-host"));
        command.args(["ingest", "--output", "json"]).current_dir(folder).env_remove("CDM_CONFIG");
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(60 * pause));
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().signal() == Some(9));
    }
    assert!(killed > 0, "no program was killed in the midst of its work");
    acme(folder, &["ingest"], 0);
    assert_eq!(counts(&acme(folder, &["ingest", "--full"], 0)), [20_000, 0, 0, 20_000, 0, 0, 0]);
    let dataset = &acme(folder, &["catalog", "show", "cdm.work.item@lake"], 0)["dataset"];
    assert_eq!(dataset["rows"], 20_000);
}
