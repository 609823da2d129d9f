//! Runs that are told to stop, are killed, meet each other or are told their limits.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{thread, time::Duration};

use end_to_end::{Barrier, Line, Mishap, Moment, Running, Sandbox, until};
use serde_json::Value;

/// Ten projects in each of three files, which are three slices.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::provisioned();
    for file in 0..3 {
        let lines: Vec<String> = (0..10).map(|n| format!("{{\"id\":\"{}\",\"key\":\"P\"}}", file * 10 + n)).collect();
        sandbox.export(&format!("projects-{file}.jsonl"), &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
    sandbox
}

fn rows(sandbox: &Sandbox) -> String {
    sandbox.value("select count(*) from cdm_work.cdm_work_project")
}

/// Starts a run that has come to its first load and waits there.
fn stuck(sandbox: &Sandbox) -> (Running, Barrier) {
    let barrier = Barrier::before(sandbox, "cdm_work_project");
    let running = sandbox.start(["ingest", "projects", "--parallel", "1"]);
    until("the load waits", || sandbox.waiting() == 1);
    (running, barrier)
}

fn status_in_catalog(sandbox: &Sandbox) -> String {
    sandbox.cdm(["runs"]).expect(0)["runs"][0]["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_that_is_told_to_stop_ends_as_interrupted_and_the_next_one_goes_on() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let sandbox = sandbox();
        let (running, barrier) = stuck(&sandbox);
        running.signal(signal);
        barrier.lift();
        let ran = running.wait();
        let answer = ran.expect(code);
        let run = &answer["runs"][0];
        assert_eq!(run["status"], "interrupted", "{run}");
        assert_eq!(answer["error"]["kind"], "interrupted");
        assert_eq!(status_in_catalog(&sandbox), "interrupted");
        let kept: u64 = rows(&sandbox).parse().unwrap();
        assert_eq!(run["read"], kept, "what is counted is what was committed");

        let next = &sandbox.ingest(&["projects"])[0];
        assert_eq!(next["run_id"], run["run_id"], "the run is continued");
        assert_eq!((&next["read"], rows(&sandbox).as_str()), (&30.into(), "30"));
    }
}

#[test]
fn a_run_that_was_killed_is_continued_by_the_next_one_at_once() {
    let sandbox = sandbox();
    let (running, barrier) = stuck(&sandbox);
    assert_eq!(status_in_catalog(&sandbox), "running");
    running.signal("KILL");
    assert_eq!(running.wait().code, None);
    barrier.lift();
    let run = &sandbox.ingest(&["projects"])[0];
    assert_eq!((&run["inserted"], rows(&sandbox).as_str()), (&30.into(), "30"));
    let runs = sandbox.cdm(["runs"]).expect(0);
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "it is the same run: {runs}");
    assert_eq!((&runs["runs"][0]["status"], &runs["runs"][0]["attempt"]), (&"succeeded".into(), &2.into()));
    assert_eq!(sandbox.ingest(&["projects"])[0]["read"], 0);
}

#[test]
fn kills_at_any_moment_lose_nothing_and_double_nothing() {
    let sandbox = sandbox();
    // Each start gets a little further before it is killed: before it connects, while it opens the run,
    // in a load, in a commit, and after the end.
    let mut kills = 0;
    for milliseconds in (0..).step_by(4) {
        let mut running = sandbox.start(["ingest", "projects"]);
        thread::sleep(Duration::from_millis(milliseconds));
        if running.ended().is_some_and(|status| status.success()) {
            break;
        }
        running.signal("KILL");
        kills += 1;
        if running.wait().code == Some(0) {
            break;
        }
    }
    assert!(kills > 3, "it was too fast to be killed");
    sandbox.ingest(&["projects"]);
    let counted = "select count(*), count(distinct cdm_id) from cdm_work.cdm_work_project";
    assert_eq!(sandbox.ask(counted), [["30", "30"]]);
    let ledger = "select sum((receipt->>'inserted')::int), count(distinct run_id) from cdm_work._cdm_load";
    assert_eq!(sandbox.ask(ledger)[0][0], "30", "each row was inserted once");
    assert_eq!(sandbox.ingest(&["projects", "--full"])[0]["unchanged"], 30);
}

#[test]
fn a_run_that_was_killed_still_knows_which_rows_it_has_seen_again() {
    let sandbox = Sandbox::provisioned();
    let project = "select source_project_key from cdm_work.cdm_work_project where source_id = '1'";
    // The same project in two files, neither newer than the other: the greater hash wins.
    let export = |[first, second]: [&str; 2], more: &str| {
        for (file, key) in [first, second].into_iter().enumerate() {
            let (project, more) = (format!("{{\"id\":\"1\",\"key\":\"{key}\"}}"), more.replace('?', &file.to_string()));
            sandbox.export(&format!("projects-{file}.jsonl"), &[project.as_str(), more.as_str()]);
        }
    };
    export(["A", "B"], r#"{"id":"2?"}"#);
    sandbox.ingest(&["projects"]);
    let (winner, loser) = if sandbox.value(project) == "A" { ("A", "B") } else { ("B", "A") };

    // In a later run the winner comes first, and is unchanged. The run is killed before it meets the other.
    export([winner, loser], r#"{"id":"3?"}"#);
    let line = Line::to(&sandbox);
    sandbox.connect(&line.url(&sandbox));
    line.strike(Moment::commit(3), Mishap::Frozen);
    let running = sandbox.start(["ingest", "projects", "--parallel", "1"]);
    until("the second slice is about to be committed", || line.has_struck());
    running.signal("KILL");
    running.wait();
    line.snap();
    let run = &sandbox.ingest(&["projects"])[0];
    assert_eq!(sandbox.value(project), winner, "inside one run the greater hash wins, however often it is continued");
    assert_eq!((&run["inserted"], &run["unchanged"], &run["stale"]), (&2.into(), &1.into(), &1.into()), "{run}");
}

#[test]
fn a_run_that_meets_a_living_one_fails_or_waits_or_takes_over() {
    let sandbox = sandbox();
    let (first, barrier) = stuck(&sandbox);
    let refused = sandbox.cdm(["ingest", "projects"]);
    assert!(refused.error(1).contains("another run of this ingestion is alive"), "{refused:?}");
    assert_eq!(refused.json()["runs"][0]["status"], "failed");

    let patient = sandbox.start(["ingest", "projects", "--on-overlap", "wait"]);
    let taking = sandbox.start(["ingest", "projects", "--on-overlap", "takeover", "--parallel", "1"]);
    // It has the fence and is about to load the slice that the first one is loading.
    until("the other has taken over", || sandbox.waiting() == 2);
    barrier.lift();
    let overtaken = first.wait();
    let answer = overtaken.expect(1);
    assert_eq!(answer["runs"][0]["status"], "fenced", "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("a newer run has taken over"));
    assert_eq!(taking.wait().expect(0)["runs"][0]["read"], 30);
    patient.wait().expect(0);
    assert_eq!(rows(&sandbox), "30");
}

#[test]
fn more_rejects_than_allowed_fail_the_run_and_what_was_loaded_stays() {
    let sandbox = Sandbox::provisioned();
    sandbox.export("projects.jsonl", &[r#"{"id":"1"}"#, r#"{"id":"2"}"#, r#"{"key":"none"}"#, "[]"]);
    let ran = sandbox.cdm(["ingest", "projects", "--max-rejects", "1"]);
    let message = ran.error(4);
    assert!(message.contains("2 of 4 records were rejected"), "{message}");
    assert_eq!(ran.json()["runs"][0]["status"], "failed");
    assert_eq!((rows(&sandbox).as_str(), sandbox.rejects("warehouse").len()), ("2", 2));

    for (limit, code) in [("2", 0), ("49%", 4), ("50%", 0)] {
        assert_eq!(sandbox.cdm(["ingest", "projects", "--full", "--max-rejects", limit]).code, Some(code), "{limit}");
    }
    sandbox.configure(|configuration| configuration.replace("mode = \"cdm\"", "mode = \"cdm\"\nmax_rejects = 0"));
    assert_eq!(sandbox.cdm(["ingest", "projects", "--full"]).code, Some(4), "the configuration has a limit, too");
}

#[test]
fn one_run_that_fails_does_not_keep_the_others_from_being_tried() {
    let sandbox = sandbox();
    sandbox.write("export/issues.json", "[{\"id\":");
    sandbox.export("users.jsonl", &[r#"{"accountId":"a"}"#]);
    let ran = sandbox.cdm(["ingest", "projects", "issues", "users_raw"]);
    let answer = ran.expect(1);
    let statuses: Vec<&Value> = answer["runs"].as_array().unwrap().iter().map(|run| &run["status"]).collect();
    assert_eq!(statuses, ["succeeded", "failed", "succeeded"], "{answer}");
    assert_eq!(answer["error"]["path"], "ingest.issues");
    assert_eq!(rows(&sandbox), "30");
}

#[test]
fn raw_mode_works_whatever_happens_in_cdm_mode() {
    let sandbox = Sandbox::new();
    sandbox.export("issues.jsonl", &[r#"{"id":"1","fields":{"created":"never"}}"#]);
    sandbox.cdm(["ingest", "issues"]).expect(2);
    let run = &sandbox.ingest(&["issues_raw"])[0];
    assert_eq!((&run["mode"], &run["model"], &run["inserted"]), (&"raw".into(), &Value::Null, &1.into()));
    assert_eq!(sandbox.cdm(["rejects", "list", "lake"]).expect(0)["rejects"], Value::Array(Vec::new()));
}

#[test]
fn runs_are_listed_the_newest_first() {
    let sandbox = sandbox();
    let first = sandbox.ingest(&["projects"])[0]["run_id"].clone();
    let second = sandbox.ingest(&["projects_raw"])[0]["run_id"].clone();
    let runs = sandbox.cdm(["runs"]).expect(0);
    let ids: Vec<&Value> = runs["runs"].as_array().unwrap().iter().map(|run| &run["run_id"]).collect();
    assert_eq!(ids, [&second, &first]);
    let one = sandbox.cdm(["runs", first.as_str().unwrap()]).expect(0);
    assert_eq!((&one["runs"][0]["inserted"], &one["runs"][0]["slices"]), (&30.into(), &3.into()));
    assert_eq!(sandbox.cdm(["runs", "--limit", "1"]).expect(0)["runs"].as_array().unwrap().len(), 1);
    assert!(sandbox.cdm(["runs", "no-such-run"]).error(2).contains("there is no run `no-such-run`"));
}
