//! A run whose line to the server goes dumb holds its locks, and neither end learns of it. A newer run that takes
//! over gets through all the same, because the server gives up on a transaction that nothing more comes of.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::thread;

use end_to_end::{Line, Mishap, Moment, Ran, Sandbox, until};

/// Freezes a run at a moment, lets a newer one take over, and then lets the first go on; how that ends.
fn take_over_from_a_run_frozen_at(moment: Moment) -> Ran {
    let sandbox = Sandbox::provisioned();
    for file in 0..3 {
        let lines: Vec<String> = (0..10).map(|n| format!("{{\"id\":\"{}\",\"key\":\"P\"}}", file * 10 + n)).collect();
        sandbox.export(&format!("projects-{file}.jsonl"), &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let line = Line::to(&sandbox);
    sandbox.connect(&line.url(&sandbox));
    line.strike(moment.clone(), Mishap::Frozen);
    let first = sandbox.start(["ingest", "projects"]);
    until("the line goes dumb", || line.has_struck());

    sandbox.connect(sandbox.database_url());
    let taking = sandbox.cdm(["ingest", "projects", "--on-overlap", "takeover"]);
    assert_eq!(taking.code, Some(0), "{moment:?}: {taking:?}");
    let run = &taking.json()["runs"][0];
    assert_eq!((&run["read"], &run["inserted"], &run["slices"]), (&30.into(), &30.into(), &3.into()), "{moment:?}");
    let ledger = "select slice, fence, receipt->>'inserted', committed_at from cdm_work._cdm_load order by slice";
    let committed = sandbox.ask(ledger);

    line.thaw();
    let overtaken = first.wait();
    assert_eq!(sandbox.ask(ledger), committed, "{moment:?}: it has committed something");
    assert_eq!(sandbox.value("select count(*) from cdm_work.cdm_work_project"), "30");
    assert_eq!(sandbox.value("select status from cdm_work._cdm_ingestion"), "succeeded");
    overtaken
}

fn assert_fenced(overtaken: &Ran) {
    assert_eq!(overtaken.expect(1)["runs"][0]["status"], "fenced", "{overtaken:?}");
}

/// One test of both, because each takes the minute after which the server gives up.
#[test]
fn a_run_that_is_frozen_before_its_commit_or_while_it_copies_is_overtaken() {
    thread::scope(|scope| {
        for moment in [Moment::commit(3), Moment::copy()] {
            scope.spawn(|| assert_fenced(&take_over_from_a_run_frozen_at(moment)));
        }
    });
}

/// Then it holds the line of its ingestion, for which every other run waits.
#[test]
fn a_run_that_is_frozen_while_it_is_opened_or_ended_holds_up_the_next_one_for_seconds_only() {
    thread::scope(|scope| {
        scope.spawn(|| {
            let opened_again = take_over_from_a_run_frozen_at(Moment::commit(1));
            assert_eq!(opened_again.expect(0)["runs"][0]["read"], 0, "the newer run has read everything");
        });
        scope.spawn(|| assert_fenced(&take_over_from_a_run_frozen_at(Moment::statement("sum(rows_inserted)"))));
    });
}
