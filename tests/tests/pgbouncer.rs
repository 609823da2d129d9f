//! A warehouse behind a pooler in transaction mode: statements of one session reach many of the server's, and
//! those outlive the program.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{thread, time::Duration};

use end_to_end::{Barrier, Line, Mishap, Moment, Pooler, Running, Sandbox, until};

/// A run that has given no sign for longer than this is dead.
const SILENCE: Duration = Duration::from_secs(10);

/// Ten projects in each of three files, which are three slices, in front of a provisioned warehouse.
fn sandbox(settings: &[(&str, &str)]) -> (Sandbox, Pooler) {
    let sandbox = Sandbox::new();
    let pooler = Pooler::before(&sandbox, settings);
    sandbox.connect(&pooler.url(&sandbox));
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    for file in 0..3 {
        let lines: Vec<String> = (0..10).map(|n| format!("{{\"id\":\"{}\",\"key\":\"P\"}}", file * 10 + n)).collect();
        sandbox.export(&format!("projects-{file}.jsonl"), &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
    (sandbox, pooler)
}

/// Starts a run that has come to its first load and waits there.
fn stuck(sandbox: &Sandbox) -> (Running, Barrier) {
    let barrier = Barrier::before(sandbox, "cdm_work_project");
    let running = sandbox.start(["ingest", "projects", "--parallel", "1"]);
    until("the load waits", || sandbox.waiting() == 1);
    (running, barrier)
}

/// Lets a run be killed after it was opened and before its first load begins: it has no transaction that would
/// take a session of the server's with it, and the pooler keeps them all.
fn killed_between_transactions(sandbox: &Sandbox, pooler: &Pooler) {
    let line = Line::to_server(&pooler.url(sandbox));
    sandbox.connect(&line.by(&pooler.url(sandbox)));
    line.strike(Moment::begin(2), Mishap::Frozen);
    let running = sandbox.start(["ingest", "projects", "--parallel", "1"]);
    until("the first load is about to begin", || line.has_struck());
    running.signal("KILL");
    running.wait();
    line.cut();
    sandbox.connect(&pooler.url(sandbox));
    let standing =
        "select status, plan is not null, (select count(*) from cdm_work._cdm_load) from cdm_work._cdm_ingestion";
    assert_eq!(sandbox.ask(standing), [["running", "t", "0"]]);
}

/// All thirty are there, each was put in once, and nothing is left to be read.
fn assert_landed_once(sandbox: &Sandbox) {
    let rows = "select count(*), count(distinct cdm_id) from cdm_work.cdm_work_project";
    assert_eq!(sandbox.ask(rows), [["30", "30"]]);
    let ledger = "select slice, receipt->>'inserted' from cdm_work._cdm_load order by slice";
    assert_eq!(sandbox.ask(ledger), [["0", "10"], ["1", "10"], ["2", "10"]]);
    assert_eq!(sandbox.ingest(&["projects"])[0]["read"], 0);
}

#[test]
fn everything_works_behind_a_pooler() {
    let (sandbox, _pooler) = sandbox(&[]);
    assert_eq!(sandbox.cdm(["provision", "warehouse"]).expect(0)["changed"], false);
    sandbox.cdm(["check", "warehouse"]).expect(0);
    sandbox.export("users.jsonl", &[r#"{"accountId":"a"}"#, r#"{"displayName":"nobody"}"#]);
    sandbox.export("issues.jsonl", &[r#"{"key":"P-1","fields":{}}"#, r#"{"id":"2","key":"P-2","fields":{}}"#]);
    let runs = sandbox.ingest(&["projects", "users", "issues"]);
    let counts: Vec<_> = runs.iter().map(|run| (&run["inserted"], &run["rejected"])).collect();
    assert_eq!(counts, [(&30.into(), &0.into()), (&1.into(), &1.into()), (&1.into(), &1.into())]);
    assert_eq!(sandbox.rejects("warehouse").len(), 2);
    assert_eq!(sandbox.ingest(&["projects"])[0]["read"], 0);

    assert_eq!(sandbox.ingest(&["projects", "--full"])[0]["unchanged"], 30);
    let changed: Vec<String> = (0..10).map(|n| format!("{{\"id\":\"{n}\",\"key\":\"Q\"}}")).collect();
    sandbox.export("projects-0.jsonl", &changed.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(sandbox.ingest(&["projects"])[0]["updated"], 10);
}

#[test]
fn nothing_of_one_session_stays_for_the_next_one_in_the_same_place() {
    // Two sessions of the server for all: whatever a run leaves behind there, the next one meets.
    let (sandbox, pooler) = sandbox(&[("max_db_connections", "2")]);
    for _ in 0..3 {
        assert_eq!(sandbox.ingest(&["projects", "--full"])[0]["read"], 30);
    }
    assert_eq!(sandbox.value("select count(*) from cdm_work.cdm_work_project"), "30");
    let left = "select (select count(*) from pg_prepared_statements), current_setting('search_path'), \
                current_setting('lock_timeout'), (select count(*) from pg_class where relpersistence = 't')";
    assert_eq!(pooler.ask(&sandbox, left), [["0", "\"$user\", public", "0", "0"]]);
}

#[test]
fn a_run_that_was_killed_is_continued_by_one_that_waits() {
    let (sandbox, pooler) = sandbox(&[]);
    killed_between_transactions(&sandbox, &pooler);
    let mut next = sandbox.start(["ingest", "projects", "--on-overlap", "wait"]);
    until("the run that waits gets through", || next.ended().is_some());
    let run = &next.wait().expect(0)["runs"][0];
    assert_eq!((&run["inserted"], &run["slices"]), (&30.into(), &3.into()));
    let runs = sandbox.cdm(["runs"]).expect(0);
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "it is the same run: {runs}");
    assert_landed_once(&sandbox);
}

#[test]
fn a_run_that_was_killed_is_continued_by_a_later_one() {
    let (sandbox, pooler) = sandbox(&[]);
    killed_between_transactions(&sandbox, &pooler);
    until("a later run gets through", || {
        let ran = sandbox.cdm(["ingest", "projects"]);
        if ran.code != Some(0) {
            assert!(ran.error(1).contains("another run of this ingestion is alive"), "{ran:?}");
        }
        ran.code == Some(0)
    });
    assert_landed_once(&sandbox);
}

#[test]
fn a_living_run_is_not_taken_for_dead_when_its_sessions_at_the_server_have_ended() {
    // The pooler closes the server's sessions after a second, the first of the run among them.
    let (sandbox, _pooler) = sandbox(&[("server_lifetime", "1"), ("server_idle_timeout", "1")]);
    let (first, barrier) = stuck(&sandbox);
    thread::sleep(SILENCE + Duration::from_secs(2));
    let mut patient = sandbox.start(["ingest", "projects", "--on-overlap", "wait"]);
    let refused = sandbox.cdm(["ingest", "projects"]);
    assert!(refused.error(1).contains("another run of this ingestion is alive"), "{refused:?}");
    assert_eq!(patient.ended(), None, "it waits");
    barrier.lift();
    let run = &first.wait().expect(0)["runs"][0];
    assert_eq!((&run["inserted"], &run["slices"]), (&30.into(), &3.into()));
    assert_eq!(patient.wait().expect(0)["runs"][0]["read"], 0);
    assert_landed_once(&sandbox);
}

#[test]
fn of_two_runs_at_once_one_loads_and_the_other_finds_nothing_to_do() {
    let (sandbox, _pooler) = sandbox(&[]);
    let both = ["wait", "wait"].map(|overlap| sandbox.start(["ingest", "projects", "--on-overlap", overlap]));
    let mut read = both.map(|running| running.wait().expect(0)["runs"][0]["read"].as_u64().unwrap());
    read.sort_unstable();
    assert_eq!(read, [0, 30]);
    assert_landed_once(&sandbox);
}

#[test]
fn a_run_that_was_overtaken_commits_nothing_more() {
    let (sandbox, _pooler) = sandbox(&[]);
    let (first, barrier) = stuck(&sandbox);
    let taking = sandbox.start(["ingest", "projects", "--on-overlap", "takeover", "--parallel", "1"]);
    until("the other has taken over", || sandbox.waiting() == 2);
    barrier.lift();
    assert_eq!(first.wait().expect(1)["runs"][0]["status"], "fenced");
    assert_eq!(taking.wait().expect(0)["runs"][0]["inserted"], 30);
    assert_landed_once(&sandbox);
}
