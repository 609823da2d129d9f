//! A connection that is lost while a transaction is committed: whether or not the server got it, the same run or
//! the next one finds out, and every record lands once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use end_to_end::{Line, Mishap, Moment, Ran, Sandbox, until};
use serde_json::Value;

/// Ten projects and a reject in each of three files, which are three slices.
fn sandbox() -> (Sandbox, Line) {
    let sandbox = Sandbox::provisioned();
    for file in 0..3 {
        let mut lines: Vec<String> =
            (0..10).map(|n| format!("{{\"id\":\"{}\",\"key\":\"P\"}}", file * 10 + n)).collect();
        lines.push(format!("{{\"key\":\"none-{file}\"}}"));
        sandbox.export(&format!("projects-{file}.jsonl"), &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let line = Line::to(&sandbox);
    sandbox.connect(&line.url(&sandbox));
    (sandbox, line)
}

/// How often the ingestion of [`sandbox`] commits: when it is opened, for each slice and when it is finished.
const COMMITS: usize = 5;

/// Ingests while the nth commit meets with a mishap.
fn ingest_with(sandbox: &Sandbox, line: &Line, mishap: Mishap, nth: usize) -> Ran {
    line.strike(Moment::commit(nth), mishap);
    let ran = sandbox.cdm(["ingest", "projects"]);
    assert!(line.has_struck(), "there was no commit number {nth}: {ran:?}");
    ran
}

/// The counts of a run, and what they are of.
fn assert_accounted(run: &Value) {
    let count = |name: &str| run[name].as_u64().unwrap();
    let sum: u64 = ["inserted", "updated", "unchanged", "stale", "duplicate", "rejected"].map(count).iter().sum();
    assert_eq!((count("read"), count("inserted"), count("rejected")), (sum, 30, 3), "{run}");
    assert_eq!(count("slices"), 3, "{run}");
}

/// All thirty are there, each was put in once, and nothing is left to be read.
fn assert_landed_once(sandbox: &Sandbox) {
    let rows = "select count(*), count(distinct cdm_id) from cdm_work.cdm_work_project";
    assert_eq!(sandbox.ask(rows), [["30", "30"]]);
    let ledger = "select slice, receipt->>'inserted', receipt->>'rejected' from cdm_work._cdm_load order by slice";
    assert_eq!(sandbox.ask(ledger), [["0", "10", "1"], ["1", "10", "1"], ["2", "10", "1"]]);
    let standing = "select rows_inserted, status from cdm_work._cdm_ingestion";
    assert_eq!(sandbox.ask(standing), [["30", "succeeded"]]);
    assert_eq!(sandbox.rejects("warehouse").len(), 3);
    assert_eq!(sandbox.ingest(&["projects"])[0]["read"], 0);
}

#[test]
fn a_run_commits_as_often_as_these_tests_believe() {
    let (sandbox, line) = sandbox();
    ingest_with(&sandbox, &line, Mishap::AnswerLost, COMMITS);
    let (sandbox, line) = self::sandbox();
    line.strike(Moment::commit(COMMITS + 1), Mishap::LostOnTheWay);
    assert_accounted(&sandbox.ingest(&["projects"])[0]);
    assert!(!line.has_struck());
}

#[test]
fn a_slice_whose_commit_was_lost_is_settled_by_the_same_run() {
    for mishap in [Mishap::LostOnTheWay, Mishap::AnswerLost] {
        // The first commit is that of the opening, the last that of the end.
        for nth in 2..COMMITS {
            let (sandbox, line) = sandbox();
            let ran = ingest_with(&sandbox, &line, mishap, nth);
            let answer = ran.expect(0);
            assert_accounted(&answer["runs"][0]);
            assert_eq!(ran.err.matches("loading the slice failed at attempt").count(), 1, "{}", ran.err);
            assert_landed_once(&sandbox);
        }
    }
}

#[test]
fn a_slice_that_was_committed_is_not_loaded_again_when_only_the_answer_was_lost() {
    let (sandbox, line) = sandbox();
    sandbox.ask(
        "create table public.attempts (id text);
         create function public.note() returns trigger language plpgsql as \
         $$ begin insert into public.attempts values (new.cdm_id); return new; end $$;
         create trigger note before insert on cdm_work.cdm_work_project for each row execute function public.note()",
    );
    ingest_with(&sandbox, &line, Mishap::AnswerLost, 3).expect(0);
    let written = "select count(*), count(distinct id) from public.attempts";
    assert_eq!(sandbox.ask(written), [["30", "30"]]);
    assert_landed_once(&sandbox);
}

#[test]
fn a_run_whose_opening_was_lost_is_opened_again() {
    for mishap in [Mishap::LostOnTheWay, Mishap::AnswerLost] {
        let (sandbox, line) = sandbox();
        let ran = ingest_with(&sandbox, &line, mishap, 1);
        assert_accounted(&ran.expect(0)["runs"][0]);
        assert!(ran.err.contains("opening the run failed at attempt"), "{}", ran.err);
        assert_landed_once(&sandbox);
        let runs = sandbox.cdm(["runs"]).expect(0);
        assert_eq!(runs["runs"].as_array().unwrap().len(), 2, "the run, and the one that found nothing: {runs}");
    }
}

#[test]
fn a_run_whose_plan_was_lost_goes_on_with_it() {
    for mishap in [Mishap::LostOnTheWay, Mishap::AnswerLost] {
        let (sandbox, line) = sandbox();
        line.strike(Moment::statement("set plan = coalesce"), mishap);
        let first = sandbox.cdm(["ingest", "projects"]);
        assert!(line.has_struck());
        // Whether the same run or the next one gets over it: it is one run, with one plan.
        let run = match first.code {
            Some(0) => first.json()["runs"][0].clone(),
            _ => sandbox.ingest(&["projects"])[0].clone(),
        };
        assert_eq!(run["run_id"], first.json()["runs"][0]["run_id"]);
        assert_accounted(&run);
        assert_landed_once(&sandbox);
    }
}

#[test]
fn a_run_whose_end_was_lost_is_settled_by_the_same_run_or_the_next_one() {
    for mishap in [Mishap::LostOnTheWay, Mishap::AnswerLost] {
        let (sandbox, line) = sandbox();
        let ran = ingest_with(&sandbox, &line, mishap, COMMITS);
        assert_accounted(&ran.json()["runs"][0]);
        let next = &sandbox.ingest(&["projects"])[0];
        // Either its end was written down, and nothing is left to be read, or the run is continued.
        match next["run_id"] == ran.json()["runs"][0]["run_id"] {
            true => assert_accounted(next),
            false => assert_eq!(next["read"], 0, "{next}"),
        }
        assert_landed_once(&sandbox);
    }
}

#[test]
fn a_line_that_is_slow_and_loses_every_other_commit_only_takes_longer() {
    let (sandbox, line) = sandbox();
    line.delay(Duration::from_millis(2));
    for mishap in [Mishap::AnswerLost, Mishap::LostOnTheWay, Mishap::AnswerLost] {
        line.strike(Moment::commit(2), mishap);
        let mut running = sandbox.start(["ingest", "projects"]);
        until("the commit is lost or the run has ended", || line.has_struck() || running.ended().is_some());
        running.wait();
    }
    sandbox.ingest(&["projects"]);
    assert_landed_once(&sandbox);
}
