//! A model, a source and a mapper that only another team's crate has work everywhere, with no change
//! elsewhere.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use end_to_end::Sandbox;
use serde_json::Value;

const CONFIGURATION: &str = r#"
[endpoints.fleet]
driver = "acme.fleet"
ships = [
    '{"id":"1","name":"Vega","tonnes":1200.5,"crew":14,"ports":["Oslo","Łódź"],"launched":"1999-12-31T23:59:59+01:00","more":{"b":1,"a":[]}}',
    '{"id":"2","name":"Ørn"}',
    '{"id":"3","name":"Sirius","launched":"in spring"}',
]

[endpoints.harbour]
driver = "cdm.postgres"
connection_url = "${env:WAREHOUSE_URL}"
schema = "acme"
table_prefix = ""

[ingest.ships]
source = "fleet"
unit = "fleet.ships"
sink = "harbour"
mode = "cdm"
"#;

fn toy(sandbox: &Sandbox, arguments: &[&str], code: i32) -> Value {
    let host = Path::new(env!("CARGO_BIN_EXE_toy-host"));
    let output = sandbox.command_of(host, arguments.iter().copied()).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_model_of_another_crate_is_provisioned_loaded_and_found() {
    let sandbox = Sandbox::new();
    sandbox.write("cdm.toml", CONFIGURATION);

    let drivers = toy(&sandbox, &["drivers"], 0);
    let drivers = drivers["drivers"].as_array().unwrap();
    let ids: Vec<&str> = drivers.iter().map(|driver| driver["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["acme.fleet", "cdm.postgres", "cdm.sqlite", "jira.export", "raw.files"]);
    let takes = drivers[1]["supported_cdm_models"].as_array().unwrap();
    assert!(takes.contains(&Value::from("acme.fleet.ship")), "{takes:?}");

    let plan = toy(&sandbox, &["provision", "harbour", "--model", "acme.**", "--plan"], 3);
    assert_eq!(plan["models"][0]["table"], "acme.acme_fleet_ship_v2");
    toy(&sandbox, &["provision", "harbour", "--model", "acme.**"], 0);
    toy(&sandbox, &["provision", "harbour", "--model", "acme.**", "--check"], 0);

    let run = &toy(&sandbox, &["ingest"], 0)["runs"][0];
    assert_eq!((&run["read"], &run["inserted"], &run["rejected"]), (&3.into(), &2.into(), &1.into()));
    assert_eq!(run["model"], "acme.fleet.ship");
    assert_eq!(
        sandbox.ask("select cdm_id, name, tonnes, crew, ports, launched_at at time zone 'utc', properties from acme.acme_fleet_ship_v2 order by 1"),
        [
            ["acme:fleet:ship:acme:1", "Vega", "1200.5", "14", "{Oslo,Łódź}", "1999-12-31 22:59:59", r#"{"a": [], "b": 1}"#],
            ["acme:fleet:ship:acme:2", "Ørn", "null", "null", "{}", "null", "null"],
        ]
    );
    assert_eq!(toy(&sandbox, &["ingest"], 0)["runs"][0]["read"], 0);
    assert_eq!(toy(&sandbox, &["ingest", "--full"], 0)["runs"][0]["unchanged"], 2);

    let dataset = &toy(&sandbox, &["catalog", "show", "acme.fleet.ship.v2@harbour"], 0)["dataset"];
    assert_eq!((&dataset["domain"], &dataset["rows"]), (&"acme.fleet".into(), &2.into()));
    assert_eq!(dataset["upstream"], serde_json::json!(["fleet.ships@fleet"]));
    assert_eq!(dataset["fields"][2]["type"], "float64");
}

#[test]
fn our_own_program_does_not_know_them() {
    let sandbox = Sandbox::new();
    sandbox.write("cdm.toml", CONFIGURATION);
    let ran = sandbox.cdm(["ingest"]);
    assert_eq!(
        ran.error(2),
        "endpoints.fleet.driver: there is no driver `acme.fleet`; linked are cdm.postgres, cdm.sqlite, jira.export, raw.files"
    );
}
