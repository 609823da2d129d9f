//! What is wrong with a configuration or a command is told by its place, before anything is touched.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{fs, path::Path};

use end_to_end::{Role, Sandbox};

/// A sandbox with a record to ingest and nothing provisioned.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.export("issues.jsonl", &[r#"{"id":"1","key":"A-1"}"#]);
    sandbox
}

/// Neither sink has anything in it.
fn assert_untouched(sandbox: &Sandbox) {
    assert_eq!(sandbox.value("select count(*) from pg_namespace where nspname = 'cdm_work'"), "0");
    assert!(!sandbox.path("raw").exists());
}

#[test]
fn a_mistake_in_the_file_is_named_by_its_place_and_nothing_is_touched() {
    let sandbox = sandbox();
    let good = fs::read_to_string(sandbox.path("cdm.toml")).unwrap();
    let ingest = ["ingest", "issues_raw"];
    for (from, to, expected) in [
        (
            "driver = \"jira.export\"",
            "driver = \"jira.cloud\"",
            "endpoints.acme_jira.driver: there is no driver `jira.cloud`; linked are cdm.postgres, cdm.sqlite, jira.export, raw.files",
        ),
        ("driver = \"raw.files\"", "", "endpoints.lake.driver: is missing"),
        (
            "path = \"export\"",
            "path = \"export\"\npth = 1",
            "endpoints.acme_jira.pth: is not known here; did you mean `path`?",
        ),
        (
            "path = \"raw\"",
            "paths = \"raw\"",
            "endpoints.lake.paths: is not known here; did you mean `path`?; also endpoints.lake.path: is missing",
        ),
        ("path = \"export\"", "path = 7", "endpoints.acme_jira.path: expected string or array"),
        (
            "path = \"export\"",
            "path = \"export\"\nmax_record_bytes = 12",
            "endpoints.acme_jira.max_record_bytes: value is less than the minimum of 1024",
        ),
        (
            "unit = \"jira.issues\"\nsink = \"lake\"",
            "unit = \"jira.boards\"\nsink = \"lake\"",
            "ingest.issues_raw.unit: `acme_jira` has no unit `jira.boards`; \
             it has jira.projects, jira.users, jira.issues, jira.comments, jira.worklogs",
        ),
        (
            "unit = \"jira.issues\"\nsink = \"lake\"",
            "unit = \"issues\"\nsink = \"lake\"",
            "ingest.issues_raw.unit: `issues` is malformed: a unit id is dotted lower case, such as `jira.issues`",
        ),
        (
            "unit = \"jira.issues\"\nsink = \"lake\"",
            "unit = \"jira.issues\"\nsink = \"sea\"",
            "ingest.issues_raw.sink: there is no endpoint `sea`; configured are acme_jira, warehouse, lake",
        ),
        (
            "unit = \"jira.issues\"\nsink = \"lake\"",
            "unit = \"jira.issues\"\nsink = \"acme_jira\"",
            "ingest.issues_raw.sink: `acme_jira` (jira.export) is no sink",
        ),
        (
            "unit = \"jira.issues\"\nsink = \"lake\"\nmode = \"raw\"",
            "unit = \"jira.issues\"\nsink = \"lake\"\nmode = \"cmd\"",
            "ingest.issues_raw.mode: expected `raw` or `cdm`",
        ),
        (
            "unit = \"jira.issues\"\nsink = \"lake\"\nmode = \"raw\"",
            "unit = \"jira.issues\"\nsink = \"lake\"",
            "ingest.issues_raw.mode: is missing",
        ),
        (
            "unit = \"jira.issues\"\nsink = \"lake\"",
            "units = 1\nunit = \"jira.issues\"\nsink = \"lake\"",
            "ingest.issues_raw.units: is not known here; did you mean `unit`?",
        ),
        ("[endpoints.lake]", "[endpoint.lake]", "endpoint: is not known here; did you mean `endpoints`?"),
        ("path = \"raw\"", "path = raw", "cdm.toml:12: string values must be quoted, expected literal string"),
        ("[endpoints.lake]", "[endpoints.lake", "cdm.toml:10: unclosed table, expected `]`"),
    ] {
        assert_eq!(good.matches(from).count(), 1, "{from}");
        sandbox.write("cdm.toml", good.replace(from, to));
        assert_eq!(sandbox.cdm(ingest).error(2), expected);
        let people = sandbox.people(&ingest);
        assert_eq!(people.code, Some(2), "{people:?}");
        assert!(people.err.contains(expected), "{people:?}");
    }
    assert_untouched(&sandbox);
    sandbox.write("cdm.toml", good);
    assert_eq!(sandbox.ingest(&["issues_raw"])[0]["inserted"], 1);
}

#[test]
fn a_file_that_is_missing_or_no_text_is_named() {
    let sandbox = sandbox();
    sandbox.write("latin.toml", b"# caf\xE9\n");
    sandbox.write("empty.toml", "");
    for (file, expected) in [
        ("nowhere.toml", "there is no such file; make one with `cdm init`, or name one with --config"),
        ("export", "the file cannot be read: Is a directory (os error 21)"),
        ("latin.toml", "the file cannot be read: stream did not contain valid UTF-8"),
    ] {
        for command in ["ingest", "check", "runs"] {
            assert_eq!(sandbox.cdm(["--config", file, command]).error(2), format!("{file}: {expected}"));
        }
    }
    assert_eq!(
        sandbox.cdm(["--config", "empty.toml", "ingest"]).error(2),
        "ingest: nothing is configured; write an [ingest.NAME] for each unit to load"
    );
}

#[test]
fn what_a_command_names_wrongly_is_told_with_what_there_is() {
    let sandbox = sandbox();
    let endpoints = "configured are acme_jira, warehouse, lake";
    for (arguments, expected) in [
        (
            &["ingest", "issues_raw", "boards"][..],
            "there is no ingestion `boards`; configured are projects, users, issues, comments, worklogs, projects_raw, \
             users_raw, issues_raw, comments_raw, worklogs_raw",
        ),
        (
            &["provision", "wharehouse"],
            &format!("there is no endpoint `wharehouse`; {endpoints}; did you mean `warehouse`?"),
        ),
        (&["check", "lake", "sea"], &format!("there is no endpoint `sea`; {endpoints}")),
        (&["units", "sea"], &format!("there is no endpoint `sea`; {endpoints}")),
        (&["rejects", "list", "sea"], &format!("there is no endpoint `sea`; {endpoints}")),
        (&["rejects", "list", "acme_jira"], "`acme_jira` (jira.export) is no sink"),
        (
            &["rejects", "list", "lake", "--ingestion", "boards"],
            "there is no ingestion `boards`; configured are projects, users, issues, comments, worklogs, projects_raw, \
             users_raw, issues_raw, comments_raw, worklogs_raw",
        ),
        (
            &["provision", "warehouse", "--model", "cdm.sales.*"],
            "no model matches `cdm.sales.*`; the sink takes cdm.work.comment, cdm.work.item, cdm.work.project, \
             cdm.work.user, cdm.work.worklog",
        ),
    ] {
        assert_eq!(sandbox.cdm(arguments.iter().copied()).error(2), expected, "{arguments:?}");
    }
    let malformed = sandbox.cdm(["provision", "warehouse", "--model", "cdm.**.item"]).error(2);
    assert!(malformed.contains("`cdm.**.item` is no model pattern: expected dotted segments"), "{malformed}");
    assert_untouched(&sandbox);
}

#[test]
fn a_sink_gets_only_what_it_takes() {
    let sandbox = sandbox();
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    sandbox.configure(|configuration| {
        configuration
            .replace("mode = \"cdm\"", "mode = \"RAW\"")
            .replace("\"raw\"\n", "\"cdm\"\n")
            .replace("RAW", "raw")
            .replace("path = \"cdm\"", "path = \"raw\"")
    });
    assert_eq!(
        sandbox.cdm(["ingest", "issues_raw"]).error(2),
        "ingest.issues_raw.mode: `lake` (raw.files) takes no rows of cdm.work.item; use mode \"raw\" or another sink"
    );
    assert_eq!(
        sandbox.cdm(["ingest", "issues"]).error(2),
        "ingest.issues.mode: `warehouse` (cdm.postgres) takes no source-shaped records; use mode \"cdm\" or another sink"
    );
    assert_eq!(sandbox.value("select count(*) from cdm_work._cdm_ingestion"), "0");
    assert!(!sandbox.path("raw").exists());
    assert_eq!(sandbox.cdm(["runs"]).expect(0)["runs"], serde_json::json!([]));
}

#[test]
fn a_unit_that_no_mapper_makes_rows_of_is_only_ingested_raw() {
    let sandbox = Sandbox::new();
    sandbox.configure(|configuration| {
        let fleet = "[endpoints.fleet]\ndriver = \"acme.fleet\"\nships = ['{\"id\":\"1\",\"name\":\"Vega\"}']\n\
                     ports = ['{\"name\":\"Oslo\"}']\n";
        let ingest = |name: &str, sink: &str, mode: &str| {
            format!(
                "[ingest.{name}]\nsource = \"fleet\"\nunit = \"fleet.ports\"\nsink = \"{sink}\"\nmode = \"{mode}\"\n"
            )
        };
        [&configuration, fleet, &ingest("ports", "warehouse", "cdm"), &ingest("ports_raw", "lake", "raw")].concat()
    });
    let toy = |arguments: &[&str]| {
        let host = Path::new(env!("CARGO_BIN_EXE_toy-host"));
        sandbox.run(host, arguments.iter().copied())
    };
    toy(&["provision", "warehouse"]).expect(0);
    assert_eq!(
        toy(&["ingest", "ports"]).error(2),
        "ingest.ports.mode: no mapper is linked for the unit `fleet.ports`; use mode \"raw\""
    );
    assert_eq!(sandbox.value("select count(*) from cdm_work._cdm_ingestion"), "0");
    let units = toy(&["units", "fleet"]).expect(0);
    assert_eq!(
        (&units["units"][1]["id"], &units["units"][1]["cdm_model_id"]),
        (&"fleet.ports".into(), &None::<&str>.into())
    );
    assert_eq!(toy(&["ingest", "ports_raw"]).expect(0)["runs"][0]["inserted"], 1);
}

#[test]
fn a_sink_that_is_not_provisioned_says_which_command_does_it() {
    let sandbox = sandbox();
    let expected = "the sink `warehouse` is not provisioned for cdm.work.item 1.0.0; run `cdm provision warehouse`";
    assert_eq!(sandbox.cdm(["ingest", "issues"]).error(2), format!("ingest.issues.sink: {expected}"));
    assert_eq!(
        sandbox.cdm(["rejects", "list", "warehouse"]).error(2),
        "the sink holds no rejects, because nothing is provisioned on it yet; run `cdm provision warehouse`"
    );
    // Not one of several is begun when one cannot be.
    assert_eq!(sandbox.cdm(["ingest", "issues_raw", "issues"]).error(2), format!("ingest.issues.sink: {expected}"));
    assert_untouched(&sandbox);

    // Other models are no help.
    sandbox.cdm(["provision", "warehouse", "--model", "cdm.work.user"]).expect(0);
    assert_eq!(sandbox.cdm(["ingest", "issues"]).error(2), format!("ingest.issues.sink: {expected}"));
    assert_eq!(sandbox.value("select count(*) from cdm_work._cdm_ingestion"), "0");
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    assert_eq!(sandbox.ingest(&["issues"])[0]["inserted"], 1);
}

/// What nobody but the file and the server may see.
const SECRET: &str = "hunter2-and-more";

/// Everything that the program says, in every form, must be without the secret, and so must be what it
/// leaves in the folder.
fn assert_secret_is_kept(sandbox: &Sandbox, commands: &[&[&str]]) {
    for command in commands {
        for form in [["--output", "json", "--log-format", "text"], ["--output", "table", "--log-format", "json"]] {
            let all = [*command, &form, &["-vv"]].concat();
            let ran = sandbox.people(&all);
            assert!(!ran.out.contains(SECRET) && !ran.err.contains(SECRET), "{all:?}: {ran:?}");
            assert!(!ran.out.is_empty() || !ran.err.is_empty(), "{all:?} says nothing");
        }
    }
    for entry in fs::read_dir(sandbox.folder()).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file()
            && !["cdm.toml", "secret"].contains(&entry.file_name().to_str().unwrap())
        {
            let bytes = fs::read(entry.path()).unwrap();
            let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
            assert!(!found, "{} holds the secret", entry.path().display());
        }
    }
}

#[test]
fn a_secret_is_seen_nowhere_while_all_goes_well() {
    for fields in [false, true] {
        let sandbox = sandbox();
        let role = Role::create(&sandbox, SECRET, "");
        sandbox.ask(&format!("grant create on database {} to {}", sandbox.database().name(), role.name()));
        let url = role.url();
        let (host, port) = url.rsplit_once('@').unwrap().1.split_once('/').unwrap().0.split_once(':').unwrap();
        let by_fields = format!(
            "host = \"{host}\"\nport = {port}\nuser = \"{}\"\npassword = \"{SECRET}\"\ndatabase = \"{}\"",
            role.name(),
            sandbox.database().name()
        );
        let by_url = format!("connection_url = \"{url}\"");
        sandbox.configure(|configuration| {
            configuration
                .replace("connection_url = \"${env:WAREHOUSE_URL}\"", if fields { &by_fields } else { &by_url })
        });
        assert_secret_is_kept(
            &sandbox,
            &[
                &["check"],
                &["ingest"],
                &["provision", "warehouse", "--plan"],
                &["provision", "warehouse"],
                &["ingest"],
                &["units", "acme_jira"],
                &["runs"],
                &["rejects", "list", "warehouse"],
                &["catalog", "list"],
                &["catalog", "show", "cdm.work.item@warehouse"],
                &["drivers", "cdm.postgres"],
            ],
        );
        assert_eq!(sandbox.value("select count(*) from cdm_work.cdm_work_item"), "1", "it was no idle exercise");
    }
}

#[test]
fn a_secret_is_seen_nowhere_when_something_is_wrong() {
    let sandbox = sandbox();
    sandbox.write("secret", SECRET);
    let good = fs::read_to_string(sandbox.path("cdm.toml")).unwrap();
    for (wrong, expected) in [
        (format!("connection_url = \"postgres://ada:{SECRET}@127.0.0.1:1/work\""), "the server cannot be reached"),
        (
            "connection_url = \"postgres://ada:${file:secret}@127.0.0.1:1/work\"".to_owned(),
            "the server cannot be reached",
        ),
        (
            format!("connection_url = \"postgres://ada:{SECRET}@127.0.0.1:port/work\""),
            "connection_url: is no URL such as",
        ),
        (format!("connection_url = \"host=127.0.0.1 password={SECRET}\""), "connection_url: is no URL such as"),
        (format!("connection_url = [\"postgres://ada:{SECRET}@db/work\"]"), "connection_url: expected string"),
        (format!("connection_url = \"postgres://ada:${{{SECRET}\""), "connection_url: holds a reference without"),
        (format!("connection_url = \"postgres://ada@db/work\"\npassword = \"{SECRET}\""), "password: stands beside"),
        (format!("host = \"db\"\npassword = [\"{SECRET}\"]"), "password: expected string"),
        (format!("host = \"db\"\npassword = {SECRET}"), "cdm.toml:9: "),
        (format!("host = \"db\"\npassword = \"{SECRET}"), "cdm.toml:9: "),
        (format!("host = \"db\"\npassword = \"{SECRET}\""), "user: is missing"),
    ] {
        sandbox.write("cdm.toml", good.replace("connection_url = \"${env:WAREHOUSE_URL}\"", &wrong));
        let ran = sandbox.people(&["provision", "warehouse"]);
        assert!(ran.err.contains(expected), "{wrong}: {ran:?}");
        assert_secret_is_kept(&sandbox, &[&["check", "warehouse"], &["provision", "warehouse"]]);
    }
    let metadata = format!("[metadata]\nurl = \"postgres://ada:{SECRET}@127.0.0.1:1/work\"\n{good}");
    for (wrong, expected) in [
        (metadata.clone(), "metadata.url: the catalog's server cannot be reached"),
        (metadata.replace("postgres:", "mysql:"), "metadata.url: the metadata URL has an unknown scheme"),
        (metadata.replace(":1/", ":one/"), "metadata.url: "),
    ] {
        sandbox.write("cdm.toml", wrong);
        let ran = sandbox.people(&["runs"]);
        assert!(ran.err.contains(expected), "{ran:?}");
        assert_secret_is_kept(&sandbox, &[&["runs"], &["ingest", "issues_raw"], &["catalog", "list"]]);
    }
}
