//! One row of a hundred thousand that the server refuses, and a program that is killed on the way.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{fs::File, io::Write as _};

use end_to_end::{Sandbox, until};

const ISSUES: u32 = 100_000;
const BAD: u32 = 54_321;

#[test]
fn all_but_that_row_arrive_and_every_count_is_right() {
    let sandbox = Sandbox::provisioned();
    sandbox.configure(|configuration| {
        configuration.replace("path = \"export\"", "path = \"export\"\nslice_bytes = 1048576")
    });
    sandbox.ask("alter table cdm_work.cdm_work_item add constraint good check (summary <> 'bad')");
    let mut export = File::create(sandbox.path("export/issues.jsonl")).map(std::io::BufWriter::new).unwrap();
    for id in 1..=ISSUES {
        let summary = if id == BAD { "bad" } else { "good" };
        let updated = "2024-01-01T00:00:00.000+0000";
        writeln!(export, r#"{{"id":"{id}","key":"A-{id}","fields":{{"summary":"{summary}","updated":"{updated}"}}}}"#)
            .unwrap();
    }
    drop(export);

    let committed = || sandbox.value("select count(*) from cdm_work._cdm_load where receipt is not null");
    let committed = || committed().parse::<u32>().unwrap();
    for enough in [2, 5] {
        let mut running = sandbox.start(["ingest", "issues"]);
        until("some slices are committed", || committed() >= enough || running.ended().is_some());
        running.signal("KILL");
        running.wait();
    }
    let planned = "select json_array_length(plan) from cdm_work._cdm_ingestion";
    let planned: u32 = sandbox.value(planned).parse().unwrap();
    assert!(committed() < planned, "the program was killed too late: all {planned} slices were committed");

    let run = &sandbox.ingest(&["issues"])[0];
    let told = ["read", "inserted", "updated", "unchanged", "stale", "duplicate", "rejected", "slices"];
    assert_eq!(
        told.map(|count| run[count].as_u64().unwrap()),
        [100_000, 99_999, 0, 0, 0, 0, 1, u64::from(planned)],
        "{run}"
    );
    assert_eq!(sandbox.value("select count(*) from cdm_work.cdm_work_item"), "99999");
    assert_eq!(sandbox.value("select rows_inserted from cdm_work._cdm_ingestion"), "99999");
    let ledger =
        "select count(*), sum((receipt->>'inserted')::int), sum((receipt->>'rejected')::int) from cdm_work._cdm_load";
    assert_eq!(sandbox.ask(ledger), [[planned.to_string().as_str(), "99999", "1"]]);
    let reject = "select stage, origin, key from cdm_work._cdm_reject";
    assert_eq!(sandbox.ask(reject), [["sink", "issues.jsonl:54321", "cdm:work:item:jira:54321"]]);
    assert_eq!(sandbox.ingest(&["issues"])[0]["read"], 0, "nothing is left");
}
