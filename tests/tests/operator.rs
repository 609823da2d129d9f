//! What an operator relies on at night, whatever the command: exit codes, tables that can be read, each error once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use end_to_end::Sandbox;

fn loaded() -> Sandbox {
    let sandbox = Sandbox::provisioned();
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/jira");
    for file in std::fs::read_dir(fixtures).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), sandbox.path("export").join(file.file_name())).unwrap();
    }
    let bad = format!(r#"{{"id":"9001","key":"{}","fields":{{"created":"the day before"}}}}"#, "LONG-".repeat(20));
    sandbox.export("issues-bad.jsonl", &[&bad, "this is no record", r#"{"id":"","fields":{}}"#]);
    sandbox.ingest(&["projects", "users", "issues"]);
    sandbox
}

/// Runs a command as people do, on a terminal of that width.
fn at_width(sandbox: &Sandbox, columns: &str, arguments: &[&str]) -> String {
    let mut command = sandbox.people_command(arguments);
    let output = command.env("COLUMNS", columns).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tables_fit_into_80_columns() {
    let sandbox = loaded();
    let id = sandbox.value("select id from cdm_work._cdm_reject where stage = 'map' limit 1");
    sandbox.cdm(["catalog", "annotate", "cdm.work.item@warehouse", "--expect-rows", "1..5000000", "--tag", "gold"]);
    let words = ["catalog", "search", "issue"];
    for arguments in [
        &["drivers"][..],
        &["check"],
        &["units", "acme_jira"],
        &["catalog", "list"],
        &["catalog", "show", "cdm.work.item@warehouse"],
        &["catalog", "history", "cdm.work.item@warehouse"],
        &["catalog", "lineage", "cdm.work.item@warehouse"],
        &["catalog", "health"],
        &words,
        &["rejects", "list", "warehouse"],
        &["rejects", "list", "lake"],
        &["rejects", "replay", "warehouse"],
        &["rejects", "show", "warehouse", &id],
        &["verify", "warehouse"],
        &["ingest", "projects", "users", "--full"],
        &["runs"],
    ] {
        let narrow = at_width(&sandbox, "80", arguments);
        assert!(!narrow.is_empty(), "{arguments:?}");
        // A record is shown as it was received.
        let lines = narrow.lines().filter(|line| !line.starts_with('{'));
        let longest = lines.max_by_key(|line| line.chars().count()).unwrap();
        assert!(longest.chars().count() <= 80, "cdm {arguments:?}\n{longest}\n\n{narrow}");
    }
    // Nothing is hidden: what is left out is named, and --wide or a pipe shows it.
    let narrow = at_width(&sandbox, "80", &["rejects", "list", "warehouse"]);
    assert!(narrow.contains("left out: "), "{narrow}");
    for wide in [
        at_width(&sandbox, "80", &["rejects", "list", "warehouse", "--wide"]),
        sandbox.people(&["rejects", "list", "warehouse"]).out,
    ] {
        let heads: Vec<&str> = wide.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(heads, ["ID", "INGESTION", "STAGE", "ORIGIN", "KEY", "FIELD", "REASON"]);
        assert!(!wide.contains("left out"), "{wide}");
    }
}

#[test]
fn what_is_named_and_is_not_there_is_a_usage_error_in_every_command() {
    let sandbox = Sandbox::provisioned();
    let run = "01a22499-e7eb-72ce-bd8c-a5b0a69571ab";
    let dataset = "cdm.work.item@nowhere";
    for arguments in [
        &["drivers", "cdm.nothing"][..],
        &["drivers", "cdm.nothing", "--schema"],
        &["check", "nowhere"],
        &["units", "nowhere"],
        &["provision", "nowhere"],
        &["provision", "nowhere", "--plan"],
        &["provision", "warehouse", "--model", "cdm.work.nothing"],
        &["provision", "warehouse", "--apply", "nowhere.json"],
        &["grants", "nowhere"],
        &["grants", "warehouse", "--model", "cdm.work.nothing"],
        &["ingest", "nothing"],
        &["runs", run],
        &["runs", "nothing"],
        &["runs", "--ingestion", "nothing"],
        &["rejects", "list", "nowhere"],
        &["rejects", "list", "warehouse", "--ingestion", "nothing"],
        &["rejects", "show", "nowhere", "0123"],
        &["rejects", "show", "warehouse", "0123"],
        &["rejects", "show", "lake", "0123"],
        &["rejects", "replay", "nowhere"],
        &["rejects", "replay", "warehouse", "0123"],
        &["rejects", "replay", "warehouse", "--ingestion", "nothing"],
        &["verify", "nowhere"],
        &["verify", "warehouse", "--model", "cdm.work.nothing"],
        &["catalog", "show", dataset],
        &["catalog", "show", "nothing"],
        &["catalog", "history", dataset],
        &["catalog", "lineage", dataset],
        &["catalog", "annotate", dataset, "--tag", "gold"],
        &["catalog", "health", dataset],
    ] {
        let ran = sandbox.cdm(arguments.iter().copied());
        assert_eq!(ran.code, Some(2), "cdm {arguments:?}: {ran:?}");
        assert!(ran.json()["error"]["message"].is_string(), "{ran:?}");
    }
}

#[test]
fn a_check_of_nothing_is_not_green() {
    let sandbox = Sandbox::new();
    for arguments in [&["verify", "warehouse"][..], &["rejects", "list", "warehouse"], &["catalog", "health"]] {
        let ran = sandbox.cdm(arguments.iter().copied());
        assert!(ran.error(2).contains("`cdm provision"), "cdm {arguments:?}: {ran:?}");
        assert_eq!(ran.json()["error"]["kind"], "not_provisioned");
    }
}

#[test]
fn an_error_is_printed_once() {
    let sandbox = loaded();
    // Two ingestions of a sink that nobody answers for, each with an error of its own.
    let url = "postgres://nobody@127.0.0.1:1/nothing?connect_timeout=1";
    for arguments in [
        &["ingest", "projects"][..],
        &["verify", "warehouse"],
        &["rejects", "list", "warehouse"],
        &["provision", "warehouse"],
        &["lineage", "flush"],
        &["catalog", "show", "cdm.work.item@nowhere"],
    ] {
        let mut command = sandbox.people_command(arguments);
        let output = command.env("WAREHOUSE_URL", url).env("CDM_LOG", "off").output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let errors: Vec<&str> = err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "cdm {arguments:?}\n{out}\n{err}");
        let message = errors[0].rsplit(": ").next().unwrap();
        assert!(!out.contains(message), "cdm {arguments:?}\n{out}\n{err}");
    }
}

#[test]
fn what_is_in_the_way_of_provisioning_is_printed_once() {
    let sandbox = Sandbox::new();
    sandbox.ask("create schema cdm_work; create table cdm_work.cdm_work_item (cdm_id int primary key)");
    let ran = sandbox.people(&["provision", "warehouse"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!((ran.out.matches("--adopt").count(), ran.err.matches("--adopt").count()), (1, 0), "{ran:?}");
    assert!(ran.err.ends_with("shown above are in the way; nothing was changed\n"), "{ran:?}");
    let message = sandbox.cdm(["provision", "warehouse"]).error(1);
    assert!(message.contains("--adopt"), "scripts get the whole message: {message}");
}

#[test]
fn every_failed_ingestion_has_its_error_once() {
    let sandbox = Sandbox::provisioned();
    sandbox.export("issues.jsonl", &[r#"{"id":"1","key":"A-1","fields":{}}"#]);
    sandbox.export("projects.jsonl", &[r#"{"id":"1","name":"one"}"#]);
    for table in ["item", "project"] {
        sandbox.ask(&format!(
            "create function stop_{table}() returns trigger language plpgsql as \
             $$ begin raise disk_full using message = 'no room for {table}'; end $$;
             create trigger stop before insert on cdm_work.cdm_work_{table} \
             for each row execute function stop_{table}()"
        ));
    }
    let mut command = sandbox.people_command(&["ingest", "projects", "issues"]);
    let output = command.env("CDM_LOG", "off").output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    for name in ["projects", "issues"] {
        assert_eq!(err.matches(&format!("error: ingest.{name}: ")).count(), 1, "{out}\n{err}");
    }
    assert_eq!(err.lines().filter(|line| line.starts_with("error: ")).count(), 2, "{out}\n{err}");
    assert!(!out.contains("no room"), "{out}\n{err}");
    let mut command = sandbox.people_command(&["ingest", "projects", "--log-format", "json", "--retry-for", "0s"]);
    let err = String::from_utf8(command.output().unwrap().stderr).unwrap();
    let lines: Vec<serde_json::Value> = err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let errors: Vec<_> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{err}");
    assert_eq!(errors[0]["fields"]["path"], "ingest.projects", "{err}");
    let usage = sandbox.people(&["ingest", "--log-format", "json", "--parallel", "none"]).err;
    assert!(serde_json::from_str::<serde_json::Value>(&usage).unwrap()["fields"]["message"].is_string(), "{usage}");
    // The history keeps them.
    let runs = sandbox.people(&["runs"]).out;
    assert!(runs.contains("projects: "), "{runs}");
}

#[test]
fn no_color_is_honoured() {
    let sandbox = Sandbox::new();
    for arguments in [&["provision", "warehouse", "--plan"][..], &["--help"], &["nothing"]] {
        let escapes = |no_color: Option<&str>| {
            let mut command = sandbox.people_command(arguments);
            command.env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR");
            if let Some(value) = no_color {
                command.env("NO_COLOR", value);
            }
            let output = command.output().unwrap();
            output.stdout.contains(&0x1b) || output.stderr.contains(&0x1b)
        };
        assert!(escapes(None), "{arguments:?}");
        assert!(!escapes(Some("1")), "{arguments:?}");
    }
}

#[test]
fn after_too_many_rejects_a_run_that_reads_nothing_says_what_is_open_and_is_not_fresh() {
    const PROJECTS: &str = "cdm.work.project@warehouse";
    let sandbox = Sandbox::provisioned();
    sandbox.cdm(["catalog", "annotate", PROJECTS, "--expect-every", "1h"]).expect(0);
    let found = |code| {
        let health = sandbox.cdm(["catalog", "health"]).expect(code);
        health["datasets"][0]["checks"][0]["found"].as_str().unwrap().to_owned()
    };
    sandbox.export("projects-1.jsonl", &[r#"{"id":"","key":"A"}"#, "no record"]);
    sandbox.cdm(["ingest", "projects"]).expect(4);
    assert_eq!(found(1), "never loaded", "every record was rejected");

    let run = &sandbox.ingest(&["projects"])[0];
    assert_eq!((&run["status"], &run["read"], &run["open_rejects"]), (&"succeeded".into(), &0.into(), &2.into()));
    let people = at_width(&sandbox, "80", &["ingest", "projects"]);
    let line = "projects: 2 open rejects of earlier runs; see\n  `cdm rejects list warehouse --ingestion projects`\n";
    assert!(people.contains(line), "{people}");
    assert_eq!(found(1), "never loaded", "nothing was read");

    sandbox.export("projects-2.jsonl", &[r#"{"id":"2","key":"B"}"#]);
    let good = &sandbox.ingest(&["projects"])[0];
    assert_eq!((&good["inserted"], &good["open_rejects"]), (&1.into(), &serde_json::Value::Null));
    let good = good["run_id"].as_str().unwrap();
    assert!(found(0).ends_with(&format!("ago, by run {good}")), "{}", found(0));
    let idle = sandbox.ingest(&["projects"])[0]["run_id"].as_str().unwrap().to_owned();
    let since = found(0);
    assert!(since.contains(&format!("ago, by run {good}; run {idle} found nothing new at 20")), "{since}");

    // A run that fails does not count, although it has loaded something.
    sandbox.export("projects-3.jsonl", &[r#"{"id":"3","key":"C"}"#, "no record"]);
    let failed = sandbox.cdm(["ingest", "projects", "--max-rejects", "0"]).expect(4);
    let failed = failed["runs"][0]["run_id"].as_str().unwrap();
    let since = found(0);
    assert!(since.contains(&format!("by run {good}; run {failed} loaded records since and failed")), "{since}");
    let last = "select run_id from dataset_load";
    let catalog = rusqlite::Connection::open(sandbox.path("cdm-metadata.db")).unwrap();
    assert_eq!(catalog.query_row(last, [], |row| row.get::<_, String>(0)).unwrap(), failed);
    catalog.execute("update run set status = 'failed'", []).unwrap();
    assert_eq!(found(1), format!("no run that loaded records has succeeded; the last one that failed is {failed}"));
}
