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
    // The server takes a moment to notice that nobody is there any more.
    until("the run is lost", || status_in_catalog(&sandbox) == "lost");
    let lost = sandbox.cdm(["runs", "--status", "lost"]).expect(0);
    assert_eq!((&lost["runs"][0]["verified"], &lost["runs"][0]["error"]), (&true.into(), &Value::Null), "{lost}");
    assert_eq!(sandbox.cdm(["runs", "--status", "running"]).expect(0)["runs"], Value::Array(Vec::new()));
    let shown = sandbox.people(&["runs", lost["runs"][0]["run_id"].as_str().unwrap()]);
    assert!(shown.out.contains("`cdm ingest projects` continues it"), "{shown:?}");
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
    let message = refused.error(1);
    assert!(message.contains("another run of this ingestion is alive"), "{message}");
    let alive = &sandbox.cdm(["runs", "--status", "running"]).expect(0)["runs"][0];
    for what in ["run_id", "host", "process"] {
        let value = alive[what].as_str().map_or_else(|| alive[what].to_string(), str::to_owned);
        assert!(message.contains(&format!(": {value}")), "{what} {value}: {message}");
    }
    assert!(message.contains(", since: 20"), "{message}");
    assert_eq!(refused.json()["runs"][0]["status"], "failed");

    let skipped = sandbox.cdm(["ingest", "projects", "--on-overlap", "skip"]).expect(0);
    assert_eq!((&skipped["runs"][0]["status"], &skipped["error"]), (&"skipped".into(), &Value::Null));
    assert!(skipped["runs"][0]["skipped_because"].as_str().unwrap().contains("is alive"), "{skipped}");
    assert_eq!(skipped["runs"][0]["error"], Value::Null);

    let mut patient = sandbox.start(["ingest", "projects", "--on-overlap", "wait"]);
    patient.until_it_says("waiting for another run to end (run: ");
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
fn an_export_that_was_replaced_is_read_after_a_run_with_too_many_rejects() {
    let sandbox = Sandbox::provisioned();
    let project = |n: u32| format!("{{\"id\":\"{n}\",\"key\":\"P{n}\"}}");
    let export = |bad: &dyn Fn(u32) -> bool| {
        let lines: Vec<String> =
            (0..2_500).map(|n| if bad(n) { "{\"key\":\"none\"}".to_owned() } else { project(n) }).collect();
        sandbox.export("projects.jsonl", &lines.iter().map(String::as_str).collect::<Vec<_>>());
    };
    for limit in ["100", "5%"] {
        export(&|n| n % 5 == 0);
        let ran = sandbox.cdm(["ingest", "projects", "--max-rejects", limit]);
        assert!(ran.error(4).contains("500 of 2500 records were rejected"), "{ran:?}");
        let failed = &sandbox.cdm(["runs", "--failed"]).expect(0)["runs"][0];
        assert_eq!((&failed["status"], &failed["rejected"]), (&"failed".into(), &500.into()), "{failed}");
        assert!(failed["error"].as_str().unwrap().contains("more than --max-rejects"), "{failed}");

        export(&|_| false);
        let next = sandbox.cdm(["ingest", "projects", "--max-rejects", limit]).expect(0);
        let run = &next["runs"][0];
        assert_eq!((&run["status"], &run["read"]), (&"succeeded".into(), &2_500.into()), "{run}");
        assert_ne!(run["run_id"], failed["run_id"]);
        assert_eq!(rows(&sandbox), "2500");
    }
}

#[test]
fn a_run_with_nothing_but_rejects_is_not_succeeded() {
    let sandbox = Sandbox::provisioned();
    sandbox.export("projects.jsonl", &[r#"{"key":"none"}"#, "[]"]);
    let ran = sandbox.cdm(["ingest", "projects", "projects_raw"]);
    assert!(ran.error(4).contains("all 2 records that were read were rejected"), "{ran:?}");
    assert_eq!(ran.json()["runs"][0]["status"], "failed");
    assert_eq!(ran.json()["runs"][1]["status"], "succeeded", "as they are they are records");
    let next = sandbox.ingest(&["projects"]);
    assert_eq!((&next[0]["status"], &next[0]["read"]), (&"succeeded".into(), &0.into()), "there is nothing new");
}

#[test]
fn a_sink_that_was_given_up_is_not_tried_for_as_long_again() {
    let sandbox = sandbox();
    sandbox.connect("postgresql://nobody:x@127.0.0.1:1/nowhere");
    let began = std::time::Instant::now();
    let ran = sandbox.cdm(["ingest", "projects", "users", "issues", "--retry-for", "2s"]);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(6), "{took:?}");
    let message = ran.error(1);
    assert!(message.contains("attempts: ") && message.contains("retried for: 2s"), "{message}");
    for run in &ran.json()["runs"].as_array().unwrap()[1..] {
        let error = run["error"].as_str().unwrap();
        assert!(error.contains("ingest.projects has just given up on the same sink"), "{error}");
    }
    assert!(ran.err.contains("failed at attempt 1; trying again in "), "{}", ran.err);
    assert!(ran.err.contains(", for 2s more"), "{}", ran.err);

    let shown = sandbox.people(&["ingest", "projects", "users", "--retry-for", "0s"]).err;
    assert!(shown.contains("error: ingest.users: the same error as ingest.projects\n"), "{shown}");

    let people = sandbox.people(&["ingest", "projects", "--retry-for", "0s"]);
    assert_eq!((people.code, people.err.matches("error: ingest.projects: ").count()), (Some(1), 1), "{people:?}");
    let error = people.err.lines().find_map(|line| line.strip_prefix("error: ingest.projects: ")).unwrap();
    assert!(!people.out.contains(error), "an error is printed once: {people:?}");
}

#[test]
fn a_run_whose_sink_cannot_be_asked_is_not_called_lost() {
    let sandbox = sandbox();
    let (running, barrier) = stuck(&sandbox);
    running.signal("KILL");
    running.wait();
    sandbox.connect("postgresql://nobody:x@127.0.0.1:1/nowhere");
    let run = &sandbox.cdm(["runs"]).expect(0)["runs"][0];
    assert_eq!((&run["status"], &run["verified"]), (&"running".into(), &false.into()));
    assert!(sandbox.people(&["runs"]).out.contains("running (not verified)"));
    barrier.lift();
}

#[test]
fn log_lines_say_whose_they_are() {
    let sandbox = sandbox();
    let ran = sandbox.cdm(["ingest", "projects", "-v", "--log-format", "json"]);
    let run_id = ran.expect(0)["runs"][0]["run_id"].clone();
    let lines: Vec<Value> = ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let commits: Vec<&Value> = lines.iter().filter(|line| line["fields"]["message"] == "slice committed").collect();
    assert_eq!(commits.len(), 3, "{}", ran.err);
    for commit in commits {
        let (run, slice) = (&commit["spans"][0], &commit["spans"][1]);
        assert_eq!((&run["run"], &run["attempt"]), (&run_id, &1.into()), "{commit}");
        assert_eq!(run["ingestion"], "acme_jira/jira.projects/warehouse/cdm", "{commit}");
        assert!(slice["slice"].is_u64(), "{commit}");
    }
    assert!(lines.iter().any(|line| line["fields"]["message"] == "run ended" && line["spans"][0]["run"] == run_id));

    let text = sandbox.people(&["ingest", "projects", "--full", "-v"]).err;
    let commit = text.lines().find(|line| line.contains("slice committed")).unwrap_or_else(|| panic!("{text}"));
    for what in ["ingestion=acme_jira/jira.projects/warehouse/cdm", "run=", "attempt=1", "slice="] {
        assert!(commit.contains(what), "{what}: {commit}");
    }
}

#[test]
fn runs_are_chosen_by_what_they_are() {
    let sandbox = sandbox();
    sandbox.export("users.jsonl", &["[]"]);
    sandbox.ingest(&["projects"]);
    assert_eq!(sandbox.cdm(["ingest", "users"]).code, Some(4));
    let names = |arguments: &[&str]| -> Vec<String> {
        let answer = sandbox.cdm(["runs"].into_iter().chain(arguments.iter().copied())).expect(0);
        let runs = answer["runs"].as_array().unwrap().iter();
        runs.map(|run| run["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&[]), ["users", "projects"]);
    assert_eq!(names(&["--failed"]), ["users"]);
    assert_eq!(names(&["--status", "succeeded"]), ["projects"]);
    assert_eq!(names(&["--ingestion", "projects"]), ["projects"]);
    assert_eq!(names(&["--since", "1h"]), ["users", "projects"]);
    assert!(names(&["--since", "0s"]).is_empty());
    assert!(names(&["--since", "2999-01-01"]).is_empty());
    assert!(sandbox.cdm(["runs", "--since", "yesterday"]).error(2).contains("neither a duration"));
}

#[test]
fn runs_can_be_read_at_eighty_columns_and_one_is_shown_in_full() {
    let sandbox = sandbox();
    let id = sandbox.ingest(&["projects"])[0]["run_id"].as_str().unwrap().to_owned();
    let narrow = sandbox.people_at(80, &["runs"]).out;
    assert!(narrow.lines().take(2).all(|line| line.len() <= 80), "{narrow}");
    for head in ["NAME", "STATUS", "RUN", "STARTED", "TOOK", "READ", "REJECTED"] {
        assert!(narrow.lines().next().unwrap().contains(head), "{head}: {narrow}");
    }
    let ending = &id[id.len() - 12..];
    assert!(narrow.contains(ending) && !narrow.contains(&id), "{narrow}");
    let shown = sandbox.people(&["runs", ending]).out;
    for what in [id.as_str(), "3 of 3 committed", "checkpoint", "process ", "acme_jira/jira.projects/warehouse/cdm"] {
        assert!(shown.contains(what), "{what}: {shown}");
    }
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

#[test]
fn a_run_that_was_killed_and_replaced_by_a_full_one_has_an_end_on_record() {
    let sandbox = sandbox();
    let (running, barrier) = stuck(&sandbox);
    running.signal("KILL");
    running.wait();
    barrier.lift();
    until("the run is lost", || status_in_catalog(&sandbox) == "lost");
    let full = &sandbox.ingest(&["projects", "--full"])[0];
    let runs = sandbox.cdm(["runs"]).expect(0);
    let [new, old] = runs["runs"].as_array().unwrap().as_slice() else { panic!("{runs}") };
    assert_eq!((&new["run_id"], &new["status"]), (&full["run_id"], &"succeeded".into()));
    assert_eq!((&old["status"], &old["verified"]), (&"fenced".into(), &Value::Null), "{old}");
    let error = old["error"].as_str().unwrap();
    assert!(error.contains(full["run_id"].as_str().unwrap()), "{error}");
    for status in ["running", "lost"] {
        assert_eq!(sandbox.cdm(["runs", "--status", status]).expect(0)["runs"], Value::Array(Vec::new()));
    }
}
