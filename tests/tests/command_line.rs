//! What people and scripts see of the command line itself.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use end_to_end::Sandbox;
use serde_json::Value;

#[test]
fn help_teaches_each_command() {
    let sandbox = Sandbox::new();
    let mut help = String::new();
    for command in [
        "",
        "demo",
        "init",
        "drivers",
        "check",
        "units",
        "provision",
        "ingest",
        "runs",
        "rejects",
        "lineage",
        "catalog",
        "catalog lineage",
        "catalog annotate",
        "catalog search",
        "catalog health",
        "new-driver",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let ran = sandbox.people(&arguments);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{command}");
        help.push_str(&format!("$ cdm {}\n{}\n", arguments.join(" "), ran.out));
    }
    insta::assert_snapshot!(help);
}

#[test]
fn a_wrong_command_line_says_what_is_right() {
    let sandbox = Sandbox::new();
    for (arguments, expected) in [
        (&["ingets"][..], "unrecognized subcommand 'ingets'"),
        (&["provision"], "<SINK>"),
        (&["provision", "warehouse", "--plan", "--check"], "cannot be used with"),
        (&["provision", "warehouse", "--model", "cdm..item"], "cdm..item"),
        (&["ingest", "--max-rejects", "many"], "expected a number of records or a share"),
        (&["ingest", "--on-overlap", "ignore"], "fail, skip, wait, takeover"),
    ] {
        let message = sandbox.cdm(arguments.iter().copied()).error(2);
        assert!(message.contains(expected), "{arguments:?}: {message}");
        let people = sandbox.people(arguments);
        assert_eq!((people.code, people.out.as_str()), (Some(2), ""));
        assert!(people.err.contains(expected), "{people:?}");
    }
}

#[test]
fn drivers_are_described_for_scripts() {
    let sandbox = Sandbox::new();
    let answer = sandbox.cdm(["drivers"]).expect(0);
    let drivers = answer["drivers"].as_array().unwrap();
    for driver in drivers {
        let expected = [
            "id",
            "aliases",
            "title",
            "vendor",
            "family",
            "docs",
            "roles",
            "capabilities",
            "cdm_model_patterns",
            "supported_cdm_models",
            "config_schema",
            "sample_config",
        ];
        let members: Vec<&String> = driver.as_object().unwrap().keys().collect();
        assert_eq!(members, expected);
    }
    let summary: Vec<Value> = drivers
        .iter()
        .map(|driver| {
            let mut summary = driver.clone();
            for long in ["config_schema", "docs"] {
                summary.as_object_mut().unwrap().remove(long);
            }
            summary
        })
        .collect();
    insta::assert_json_snapshot!(summary);

    let by_alias = sandbox.cdm(["drivers", "cdm.jdbc"]).expect(0);
    assert_eq!(by_alias["drivers"][0]["id"], "cdm.postgres");
    let schema = sandbox.cdm(["drivers", "cdm.postgres", "--schema"]).expect(0);
    assert_eq!(schema["config_schema"]["properties"]["password"]["x-cdm-secret"], true);
    let keys: Vec<&String> = schema["config_schema"]["properties"].as_object().unwrap().keys().collect();
    assert_eq!(keys[..3], ["connection_url", "host", "port"], "in the order in which they are declared");
    assert_eq!(
        sandbox.cdm(["drivers", "cdm.oracle"]).error(2),
        "there is no driver `cdm.oracle`; linked are cdm.postgres, cdm.sqlite, jira.export, raw.files"
    );
}

#[test]
fn units_are_listed_and_registered() {
    let sandbox = Sandbox::new();
    let units = sandbox.cdm(["units", "acme_jira"]).expect(0);
    let fed: Vec<String> = units["units"]
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| format!("{} {}", unit["id"].as_str().unwrap(), unit["cdm_model_id"].as_str().unwrap()))
        .collect();
    assert_eq!(
        fed,
        [
            "jira.projects cdm.work.project",
            "jira.users cdm.work.user",
            "jira.issues cdm.work.item",
            "jira.comments cdm.work.comment",
            "jira.worklogs cdm.work.worklog",
        ]
    );
    let field = &units["units"][2]["fields"][0];
    assert!(["name", "type", "description"].iter().all(|member| field[*member].is_string()), "{field}");
    let datasets = sandbox.cdm(["catalog", "list"]).expect(0);
    assert_eq!(datasets["datasets"].as_array().unwrap().len(), 5);
    assert_eq!(sandbox.cdm(["units", "warehouse"]).error(2), "`warehouse` (cdm.postgres) is no source");
}

#[test]
fn the_catalog_is_listed_for_scripts() {
    let sandbox = Sandbox::provisioned();
    sandbox.export("issues.jsonl", &[r#"{"id":"1","key":"A-1","fields":{"updated":"2021-03-04T05:06:07.000+0000"}}"#]);
    sandbox.ingest(&["issues"]);
    let answer = sandbox.cdm(["catalog", "list"]).expect(0);
    let item = answer["datasets"].as_array().unwrap().iter().find(|dataset| dataset["id"] == "cdm.work.item@warehouse");
    insta::assert_json_snapshot!(item.unwrap());
    assert!(sandbox.cdm(["catalog", "show", "cdm.work.item@lake"]).error(2).contains("`cdm catalog list` lists them"));
    assert!(sandbox.cdm(["catalog", "show", "item"]).error(2).contains("a dataset id is a model or unit id"));
}

#[test]
fn endpoints_are_checked_and_a_bad_one_does_not_hide_the_others() {
    let sandbox = Sandbox::new();
    sandbox.export("users.jsonl", &[]);
    let answer = sandbox.cdm(["check"]).expect(0);
    let endpoints = answer["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), 3);
    assert!(endpoints.iter().all(|endpoint| endpoint["ok"] == true), "{answer}");
    assert!(endpoints[1]["server_version"].as_str().unwrap().starts_with("1"), "{answer}");

    sandbox.configure(|configuration| configuration.replace("path = \"export\"", "path = \"nowhere\""));
    let answer = sandbox.cdm(["check"]).expect(1);
    let oks: Vec<&Value> = answer["endpoints"].as_array().unwrap().iter().map(|endpoint| &endpoint["ok"]).collect();
    assert_eq!(oks, [false, true, true]);
    assert_eq!(sandbox.cdm(["check", "lake"]).expect(0)["endpoints"].as_array().unwrap().len(), 1);
}

#[test]
fn a_check_of_everything_looks_at_the_ingestions_and_the_catalog() {
    let sandbox = Sandbox::new();
    sandbox.export("users.jsonl", &[]);
    let answer = sandbox.cdm(["check"]).expect(0);
    assert_eq!(answer["ingestions"].as_array().unwrap().len(), 10, "{answer}");
    assert!(answer["ingestions"].as_array().unwrap().iter().all(|ingestion| ingestion["ok"] == true), "{answer}");
    assert!(answer["metadata"]["detail"].as_str().unwrap().contains("not there yet"), "{answer}");
    assert!(!sandbox.path("cdm-metadata.db").exists(), "a check makes nothing");
    sandbox.cdm(["catalog", "list"]).expect(0);
    let answer = sandbox.cdm(["check"]).expect(0);
    assert_eq!(answer["metadata"], serde_json::json!({ "ok": true, "detail": "the catalog can be opened; layout 6" }));
    let one = sandbox.cdm(["check", "lake"]).expect(0);
    assert_eq!((&one["ingestions"], &one["metadata"]), (&Value::Null, &Value::Null));

    let written = std::fs::read_to_string(sandbox.path("cdm.toml")).unwrap();
    let broken = |from: &str, to: &str| {
        sandbox.write("cdm.toml", written.replacen(from, to, 1));
        let ran = sandbox.cdm(["check"]);
        let answer = ran.expect(2);
        assert!(answer["endpoints"].as_array().unwrap().iter().all(|endpoint| endpoint["ok"] == true), "{answer}");
        let bad = answer["ingestions"].as_array().unwrap().iter().filter(|ingestion| ingestion["ok"] == false).count();
        assert_eq!(bad, 1, "{answer}");
        ran.error(2)
    };
    let users = "[ingest.users]\nsource = \"acme_jira\"\nunit = \"jira.users\"\nsink = \"warehouse\"\nmode = \"cdm\"";
    let with = |from: &str, to: &str| broken(users, &users.replace(from, to));
    assert!(with("acme_jira", "acme_jra").ends_with("did you mean `acme_jira`?"));
    assert!(with("jira.users", "jira.user").starts_with("ingest.users.unit: "));
    assert!(with("\"warehouse\"", "\"acme_jira\"").starts_with("ingest.users.sink: "));
    assert!(with("\"cdm\"", "\"raw\"").starts_with("ingest.users.mode: "));
    assert!(with("\"warehouse\"", "\"lake\"").starts_with("ingest.users.mode: "));

    sandbox.write("cdm.toml", format!("[metadata]\nurl = \"sqlite:nowhere/catalog.db\"\n{written}"));
    let answer = sandbox.cdm(["check"]);
    assert!(answer.error(2).starts_with("metadata.url: the folder of the metadata file does not exist"), "{answer:?}");
    sandbox.write("no-catalog.db", "this is no catalog");
    sandbox.write("cdm.toml", format!("[metadata]\nurl = \"sqlite:no-catalog.db\"\n{written}"));
    let people = sandbox.people(&["check"]);
    assert_ne!(people.code, Some(0));
    assert!(people.out.lines().any(|line| line.starts_with("metadata ") && line.contains(" FAILED ")), "{people:?}");
}

#[test]
fn references_take_the_type_that_the_schema_asks_for() {
    let sandbox = Sandbox::new();
    let (_, rest) = sandbox.database_url().split_once("://").unwrap();
    let (login, place) = rest.rsplit_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (host, database) = place.split_once('/').unwrap();
    let (host, port) = host.split_once(':').unwrap();
    sandbox.write("password", format!("{password}\n"));
    sandbox.configure(|configuration| {
        configuration.replace(
            "connection_url = \"${env:WAREHOUSE_URL}\"",
            &format!(
                "host = \"{host}\"\nport = \"${{env:PORT}}\"\nuser = \"{user}\"\npassword = \"${{file:password}}\"\ndatabase = \"{database}\""
            ),
        )
    });
    let run = |port: &str| sandbox.command(["check", "warehouse"]).env("PORT", port).output().unwrap();
    assert_eq!(run(port).status.code(), Some(0));
    let wrong: Value = serde_json::from_slice(&run("many").stdout).unwrap();
    assert_eq!(wrong["error"]["path"], "endpoints.warehouse.port");
    assert!(!wrong.to_string().contains("many"), "{wrong}");
}

#[test]
fn logs_go_to_standard_error_in_the_form_that_is_asked_for() {
    let sandbox = Sandbox::provisioned();
    sandbox.export("projects.jsonl", &[r#"{"id":"1"}"#]);
    let ran = sandbox.cdm(["ingest", "projects", "-v", "--log-format", "json"]);
    ran.expect(0);
    let lines: Vec<Value> = ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["fields"]["message"] == "run opened"), "{lines:?}");
    let quiet = sandbox.cdm(["ingest", "projects"]);
    assert_eq!(quiet.err, "");
}
