//! A Jira export, through the built program, into tables and into files: ours and, where
//! `CDM_REAL_PAYLOADS` names a folder, one that real servers answered with.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod pages;
mod people;
mod reading;
mod row;
mod values;

use std::{
    collections::BTreeMap,
    env, fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use end_to_end::Sandbox;
use endpoint_api::{EndpointId, Ingestion, Mode};
use reading::{Export, Records, UNITS};
use serde_json::{Map, Value};

/// The folders of the exports to try: a usual one, one that is full of oddities, and real payloads.
fn exports() -> Vec<PathBuf> {
    let ours = ["jira", "jira_odd"].map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name));
    ours.into_iter().chain(env::var_os("CDM_REAL_PAYLOADS").map(PathBuf::from)).collect()
}

/// A sandbox whose export is a copy of that one.
fn sandbox_of(export: &Path) -> Sandbox {
    let sandbox = Sandbox::provisioned();
    for unit in UNITS {
        sandbox.write(&format!("export/{unit}.jsonl"), fs::read(export.join(format!("{unit}.jsonl"))).unwrap());
    }
    sandbox
}

fn run_of<'r>(runs: &'r [Value], name: &str) -> &'r Value {
    runs.iter().find(|run| run["name"] == name).unwrap_or_else(|| panic!("no run of {name}"))
}

fn count(run: &Value, name: &str) -> u64 {
    run[name].as_u64().unwrap_or_else(|| panic!("no {name} in {run}"))
}

const OUTCOMES: [&str; 6] = ["inserted", "updated", "unchanged", "stale", "duplicate", "rejected"];

const ENTITIES: [(&str, &str); 5] =
    [("projects", "project"), ("users", "user"), ("issues", "item"), ("comments", "comment"), ("worklogs", "worklog")];

fn rows(sandbox: &Sandbox, entity: &str) -> BTreeMap<String, Map<String, Value>> {
    let query = format!("set timezone = 'utc'; select row_to_json(t) from cdm_work.cdm_work_{entity} t");
    let rows = sandbox.ask(&query).into_iter().map(|row| {
        let row: Map<String, Value> = serde_json::from_str(&row[0]).unwrap();
        (row["cdm_id"].as_str().unwrap().to_owned(), row::row(row))
    });
    rows.collect()
}

#[test]
fn every_record_is_accounted_for_and_stands_in_its_table_as_it_was_exported() {
    for folder in exports() {
        let (sandbox, export) = (sandbox_of(&folder), Export::read(&folder));
        let runs = sandbox.ingest(&UNITS);
        let rejects = sandbox.rejects("warehouse");
        let mut rejected = 0;
        for (unit, entity) in ENTITIES {
            let (run, records) = (run_of(&runs, unit), export.unit(unit));
            assert_eq!(count(run, "read"), records.read, "{unit} of {}", folder.display());
            assert_eq!(OUTCOMES.map(|outcome| count(run, outcome)).iter().sum::<u64>(), records.read, "{run}");
            assert_eq!(count(run, "slices") > 0, records.read > 0);
            rejected += count(run, "rejected");

            let identified = records.read - records.without_identity;
            let mapped = records.read - count(run, "rejected");
            println!("{unit}: {} read, {identified} with an identity, {mapped} mapped", records.read);
            assert!(mapped * 1000 >= identified * 995, "{unit}: {mapped} of {identified} mapped; {rejects:#?}");
            compare(&rows(&sandbox, entity), &records, unit);
        }
        assert_eq!(rejected, u64::try_from(rejects.len()).unwrap(), "every reject is listed: {rejects:#?}");
        println!("{}", rejects.join("\n"));
    }
}

/// Each row must be that of the greatest record with its key; of several that are equally great, that of
/// one.
fn compare(rows: &BTreeMap<String, Map<String, Value>>, records: &Records, unit: &str) {
    let mut by_key = BTreeMap::<&str, Vec<_>>::new();
    for expected in &records.expected {
        by_key.entry(&expected.key).or_default().push(expected);
    }
    let lost: Vec<_> = by_key.keys().filter(|key| !rows.contains_key(**key)).collect();
    assert!(lost.len() * 200 <= by_key.len(), "{unit}: rows are missing: {lost:?}");
    let mut wrong = Vec::new();
    for (key, row) in rows {
        let candidates = by_key.get(key.as_str()).unwrap_or_else(|| panic!("{unit}: where does {key} come from?"));
        let greatest = candidates.iter().map(|expected| (expected.rank, expected.version_us)).max().unwrap();
        let equals = candidates.iter().filter(|expected| (expected.rank, expected.version_us) == greatest);
        let differences: Vec<String> =
            equals.map(|expected| row::difference(row, expected).unwrap_or_default()).collect();
        if !differences.iter().any(String::is_empty) {
            wrong.push(format!("{key}: {}", differences.join("; or ")));
        }
        assert_eq!(row["_cdm_version_at"], serde_json::json!(greatest.1), "{unit} {key}");
    }
    assert!(wrong.is_empty(), "{unit}: {} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn raw_files_hold_the_export_byte_for_byte() {
    for folder in exports() {
        let sandbox = sandbox_of(&folder);
        let names = UNITS.map(|unit| format!("{unit}_raw"));
        let runs = sandbox.ingest(&names.each_ref().map(String::as_str));
        for unit in UNITS {
            let ingestion = Ingestion {
                source: EndpointId::from_static("acme_jira"),
                unit: format!("jira.{unit}").parse().unwrap(),
                sink: EndpointId::from_static("lake"),
                mode: Mode::Raw,
            };
            let mut kept = Vec::new();
            for slice in sink_files_raw::committed_slices(sandbox.path("raw"), &ingestion).unwrap() {
                slice.unwrap().records.open().unwrap().read_to_end(&mut kept).unwrap();
            }
            let exported = fs::read(sandbox.path(format!("export/{unit}.jsonl"))).unwrap();
            assert!(kept == exported, "{unit}: {} bytes of {}", kept.len(), exported.len());
            let run = run_of(&runs, &format!("{unit}_raw"));
            let lines = exported.iter().filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!((count(run, "read"), count(run, "inserted")), (lines, lines));
        }
    }
}

/// Where and by whom every row of every model table was written, and everything in it.
fn traces(sandbox: &Sandbox) -> Vec<Vec<String>> {
    let tables = ENTITIES.map(|(_, entity)| {
        format!("select cdm_id, xmin::text, xmax::text, ctid::text, md5(t::text) from cdm_work.cdm_work_{entity} t")
    });
    sandbox.ask(&format!("{} order by 1", tables.join(" union all ")))
}

#[test]
fn what_has_not_changed_is_not_touched() {
    for folder in exports() {
        let sandbox = sandbox_of(&folder);
        sandbox.ingest(&UNITS);
        let before = traces(&sandbox);
        for arguments in [&["--full"][..], &[], &["--full"]] {
            let runs = sandbox.ingest(&[&UNITS[..], arguments].concat());
            for run in &runs {
                assert_eq!((count(run, "inserted"), count(run, "updated")), (0, 0), "{run}");
                assert_eq!(count(run, "read") > 0, !arguments.is_empty(), "{run}");
            }
            assert!(traces(&sandbox) == before, "rows were touched");
        }
    }
}

#[test]
fn only_the_file_that_changed_is_read_again() {
    for folder in exports() {
        let (sandbox, export) = (sandbox_of(&folder), Export::read(&folder));
        sandbox.ingest(&UNITS);
        let rows_before = rows(&sandbox, "worklog").len();
        let name = "export/worklogs.jsonl";
        let mut worklogs = fs::read_to_string(sandbox.path(name)).unwrap();
        worklogs.push_str(
            "{\"id\":\"424242\",\"issueId\":\"4242\",\"timeSpentSeconds\":60,\"author\":{\"accountId\":\"new-one\"}}\n",
        );
        sandbox.write(name, worklogs);

        let runs = sandbox.ingest(&UNITS);
        let own = u64::try_from(export.own("worklogs").len()).unwrap() + 1;
        assert_eq!(count(run_of(&runs, "worklogs"), "read"), own, "those that issues embed are not read again");
        assert_eq!(count(run_of(&runs, "worklogs"), "inserted"), 1);
        assert_eq!(rows(&sandbox, "worklog").len(), rows_before + 1);
        assert!((1..=2 * own).contains(&count(run_of(&runs, "users"), "read")), "users whom worklogs embed");
        assert_eq!(count(run_of(&runs, "users"), "inserted"), 1);
        for unit in ["projects", "issues", "comments"] {
            assert_eq!(count(run_of(&runs, unit), "read"), 0, "{unit}");
        }
    }
}
