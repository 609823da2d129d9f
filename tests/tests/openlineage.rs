//! What OpenLineage is told of runs: valid, in order, of nothing that is not there, and nothing lost.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../crates/openlineage/tests/official/mod.rs"]
mod official;

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use end_to_end::{Barrier, Mood, Received, Receiver, Sandbox, until};
use serde_json::Value;

/// Ten projects in each of three files, which are three slices, and somebody to be told of them.
fn sandbox(lineage: &str) -> Sandbox {
    let sandbox = Sandbox::provisioned();
    for file in 0..3 {
        let lines: Vec<String> = (0..10).map(|n| format!("{{\"id\":\"{}\",\"key\":\"P\"}}", file * 10 + n)).collect();
        sandbox.export(&format!("projects-{file}.jsonl"), &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
    sandbox.configure(|configuration| format!("{configuration}\n[lineage]\n{lineage}\n"));
    sandbox
}

fn told(sandbox: &Sandbox, url: &str) {
    sandbox.configure(|configuration| {
        let lines = configuration.lines().map(|line| match line.starts_with("openlineage_url") {
            true => format!("openlineage_url = \"{url}\"\n"),
            false => format!("{line}\n"),
        });
        lines.collect()
    });
}

fn url(url: &str) -> String {
    format!("openlineage_url = \"{url}\"\ntimeout_seconds = 1")
}

/// The events of runs, which must all be valid, as `STATE` and what the sender calls them beyond the run's id.
fn runs(taken: &[Received]) -> Vec<(String, Value)> {
    let events = taken.iter().map(|received| (received.id.clone(), received.event()));
    for (id, event) in events.clone() {
        assert_eq!(official::problems(&event), [""; 0], "{id}: {event:#}");
    }
    events.filter(|(_, event)| event.get("run").is_some()).collect()
}

fn states(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(_, event)| event["eventType"].as_str().unwrap()).collect()
}

fn ids(taken: &[Received]) -> BTreeSet<&str> {
    taken.iter().map(|received| received.id.as_str()).collect()
}

/// How many messages the sink keeps.
fn kept(sandbox: &Sandbox) -> String {
    sandbox.value("select count(*) from cdm_work._cdm_outbox")
}

fn waiting(sandbox: &Sandbox) -> String {
    sandbox.value("select count(*) from cdm_work._cdm_outbox where delivered_at is null")
}

#[test]
fn a_full_run_is_told_of_from_its_start_to_its_end() {
    let receiver = Receiver::new();
    let sandbox =
        sandbox(&format!("{}\napi_key = \"${{env:LINEAGE_KEY}}\"\nnamespace = \"acme\"", url(&receiver.url())));
    let mut command = sandbox.command(["ingest", "projects", "--parallel", "1"]);
    let output = command.env("LINEAGE_KEY", "hunter2").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run_id = &answer["runs"][0]["run_id"];

    let taken = receiver.taken();
    assert!(taken.iter().all(|received| received.authorization.as_deref() == Some("Bearer hunter2")));
    assert_eq!(ids(&taken).len(), taken.len(), "each event has an id of its own");
    let datasets: Vec<Value> =
        taken.iter().map(Received::event).filter(|event| event.get("dataset").is_some()).collect();
    let names: BTreeSet<&str> = datasets.iter().map(|event| event["dataset"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["cdm.work.project@warehouse", "jira.projects@acme_jira"]));

    let events = runs(&taken);
    assert_eq!(states(&events), ["START", "RUNNING", "RUNNING", "RUNNING", "COMPLETE"]);
    for (_, event) in &events {
        assert_eq!(event["run"]["runId"], *run_id);
        assert_eq!(event["job"]["name"], "acme_jira/jira.projects/warehouse/cdm");
        assert_eq!(event["job"]["namespace"], "acme");
        assert_eq!(event["inputs"][0]["name"], "jira.projects@acme_jira");
        assert_eq!(event["outputs"][0]["name"], "cdm.work.project@warehouse");
    }
    let (_, complete) = events.last().unwrap();
    assert_eq!(complete["inputs"][0]["inputFacets"]["dataQualityMetrics"]["rowCount"], 30);
    assert_eq!(complete["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"], 30);
    let facets = &complete["outputs"][0]["facets"];
    let fields = facets["schema"]["fields"].as_array().unwrap();
    assert!(fields.iter().any(|field| field["name"] == "source_project_key" && field["type"] == "text"), "{facets}");
    let made_of = &facets["columnLineage"]["fields"]["source_project_key"]["inputFields"][0];
    assert_eq!((&made_of["name"], &made_of["field"]), (&"jira.projects@acme_jira".into(), &"key".into()), "{facets}");
    assert_eq!(made_of["transformations"][0]["subtype"], "IDENTITY");
    assert_eq!(facets["dataSource"]["name"], "warehouse");
    assert!(facets["documentation"]["description"].is_string());
    assert_eq!(waiting(&sandbox), "0");

    // What was delivered does not pile up, and a dataset that is as it was is not told of again.
    let before = kept(&sandbox);
    for _ in 0..3 {
        let mut command = sandbox.command(["ingest", "projects", "--full", "--parallel", "1"]);
        assert!(command.env("LINEAGE_KEY", "hunter2").status().unwrap().success());
    }
    assert_eq!(kept(&sandbox), before);
    let again = &receiver.taken()[taken.len()..];
    assert_eq!(states(&runs(again)).len(), again.len(), "no dataset is told of again");
    let (_, complete) = runs(again).pop().unwrap();
    assert_eq!(complete["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"], 0, "nothing had changed");
}

#[test]
fn a_failed_run_is_told_of_with_its_reason_and_goes_on_as_the_same_run() {
    let receiver = Receiver::new();
    let sandbox = sandbox(&url(&receiver.url()));
    sandbox.ask(
        "create function cdm_work.refuse() returns trigger language plpgsql as
         $$ begin if new.source_id = '15' then raise exception 'no' using errcode = '42501'; end if; return new; end $$;
         create trigger refuse before insert on cdm_work.cdm_work_project
         for each row execute function cdm_work.refuse()",
    );
    let failed = sandbox.cdm(["ingest", "projects", "--parallel", "1"]).expect(1);
    let events = runs(&receiver.taken());
    assert_eq!(states(&events), ["START", "RUNNING", "FAIL"]);
    let (_, fail) = events.last().unwrap();
    let message = fail["run"]["facets"]["errorMessage"]["message"].as_str().unwrap();
    assert_eq!(failed["runs"][0]["error"], message);
    assert_eq!(fail["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"], 10, "what was committed stays");

    sandbox.ask("drop trigger refuse on cdm_work.cdm_work_project");
    let run = &sandbox.ingest(&["projects", "--parallel", "1"])[0];
    assert_eq!(run["run_id"], failed["runs"][0]["run_id"]);
    let events = runs(&receiver.taken());
    assert_eq!(
        states(&events),
        ["START", "RUNNING", "FAIL", "RUNNING", "RUNNING", "RUNNING", "COMPLETE"],
        "one more that says that it goes on"
    );
    assert!(events.iter().all(|(_, event)| event["run"]["runId"] == run["run_id"]));
    assert_eq!(ids(&receiver.taken()).len(), receiver.taken().len());
}

/// Each run of the ingestion has exactly one START, before all else, and one COMPLETE, after all else.
fn assert_told_once(events: &[(String, Value)]) {
    let all: BTreeSet<&str> = events.iter().map(|(_, event)| event["run"]["runId"].as_str().unwrap()).collect();
    assert!(!all.is_empty());
    for run in all {
        let of_run: Vec<&str> = events
            .iter()
            .filter(|(_, event)| event["run"]["runId"] == run)
            .map(|(_, event)| event["eventType"].as_str().unwrap())
            .collect();
        for once in ["START", "COMPLETE"] {
            assert_eq!(of_run.iter().filter(|state| **state == once).count(), 1, "{run}: {of_run:?}");
        }
        assert_eq!((of_run.first(), of_run.last()), (Some(&"START"), Some(&"COMPLETE")), "{run}: {of_run:?}");
    }
}

#[test]
fn with_the_endpoint_down_and_a_kill_each_run_has_exactly_one_complete() {
    let sandbox = sandbox(&url(&Receiver::nowhere()));
    let barrier = Barrier::before(&sandbox, "cdm_work_project");
    let running = sandbox.start(["ingest", "projects", "--parallel", "1"]);
    until("the load waits", || sandbox.waiting() == 1);
    running.signal("KILL");
    running.wait();
    barrier.lift();
    assert_eq!(waiting(&sandbox), "1", "it has begun, and nothing is loaded");

    let began = Instant::now();
    let run = &sandbox.ingest(&["projects", "--parallel", "1"])[0];
    assert_eq!(run["status"], "succeeded");
    assert!(began.elapsed() < Duration::from_secs(15), "an endpoint that is down held it up for {:?}", began.elapsed());
    sandbox.ingest(&["projects", "--full", "--parallel", "1"]);
    let message = sandbox.cdm(["lineage", "flush"]).error(1);
    assert!(message.contains("the OpenLineage endpoint cannot be reached"), "{message}");

    let receiver = Receiver::new();
    told(&sandbox, &receiver.url());
    let flushed = sandbox.cdm(["lineage", "flush"]).expect(0);
    let taken = receiver.taken();
    assert_eq!(flushed["delivered"], taken.len());
    let events = runs(&taken);
    assert_told_once(&events);
    assert_eq!(
        states(&events),
        [
            "START", "RUNNING", "RUNNING", "RUNNING", "RUNNING", "COMPLETE", "START", "RUNNING", "RUNNING", "RUNNING",
            "COMPLETE"
        ]
    );
    assert_eq!(ids(&taken).len(), taken.len());
    assert_eq!(sandbox.cdm(["lineage", "flush"]).expect(0)["delivered"], 0);
}

#[test]
fn a_kill_between_commit_and_delivery_loses_no_event() {
    let receiver = Receiver::new();
    receiver.be(Mood::Answers(503));
    let sandbox = sandbox(&url(&receiver.url()).replace("timeout_seconds = 1", "timeout_seconds = 60"));
    let running = sandbox.start(["ingest", "projects"]);
    let ended = "select count(*) from cdm_work._cdm_ingestion where status = 'succeeded'";
    until("the run has ended", || sandbox.value(ended) == "1");
    running.signal("KILL");
    running.wait();
    assert_eq!(runs(&receiver.taken()).len(), 0);
    receiver.be(Mood::Takes);
    sandbox.cdm(["lineage", "flush"]).expect(0);
    assert_told_once(&runs(&receiver.taken()));
    // The run is over: the next one is another.
    sandbox.ingest(&["projects"]);
    assert_told_once(&runs(&receiver.taken()));
}

#[test]
fn kills_at_any_moment_tell_of_nothing_that_is_not_there() {
    let receiver = Receiver::new();
    let sandbox = sandbox(&url(&receiver.url()));
    for milliseconds in (5..120).step_by(9) {
        let mut running = sandbox.start(["ingest", "projects", "--parallel", "1"]);
        std::thread::sleep(Duration::from_millis(milliseconds));
        if running.ended().is_none() {
            running.signal("KILL");
        }
        running.wait();
        let loaded: usize = sandbox.value("select count(*) / 10 from cdm_work.cdm_work_project").parse().unwrap();
        let taken = receiver.taken();
        let slices = ids(&taken).into_iter().filter(|id| id.contains("/slice/")).count();
        assert!(slices <= loaded, "told of {slices} slices, and {loaded} are there");
    }
    sandbox.ingest(&["projects"]);
    let taken = receiver.taken();
    // Whoever is killed after delivering and before saying so delivers again: the same, under the same id.
    let mut firsts: Vec<Received> = Vec::new();
    for received in taken {
        match firsts.iter().find(|first| first.id == received.id) {
            Some(first) => assert_eq!(*first, received),
            None => firsts.push(received),
        }
    }
    assert_told_once(&runs(&firsts));
}

#[test]
fn an_endpoint_that_is_slow_or_broken_holds_nothing_up_and_gets_everything_later() {
    let receiver = Receiver::new();
    let sandbox = sandbox(&url(&receiver.url()));
    for mood in [Mood::Answers(500), Mood::Answers(429), Mood::Slow(Duration::from_secs(20))] {
        receiver.be(mood);
        let began = Instant::now();
        sandbox.ingest(&["projects", "--full"]);
        assert!(began.elapsed() < Duration::from_secs(10), "{mood:?} held it up for {:?}", began.elapsed());
        assert_ne!(waiting(&sandbox), "0", "{mood:?}");
    }
    receiver.be(Mood::LosesTheAnswer);
    sandbox.cdm(["lineage", "flush"]).expect(1);
    receiver.be(Mood::Takes);
    sandbox.cdm(["lineage", "flush"]).expect(0);
    assert_eq!(waiting(&sandbox), "0");
    let mut firsts: Vec<Received> = Vec::new();
    let mut repeated = 0;
    for received in receiver.taken() {
        match firsts.iter().find(|first| first.id == received.id) {
            Some(first) => {
                assert_eq!(*first, received, "what is sent again is the same to the byte");
                repeated += 1;
            }
            None => firsts.push(received),
        }
    }
    assert!(repeated > 0, "an event whose answer was lost is sent again");
    let events = runs(&firsts);
    assert_told_once(&events);
    assert_eq!(states(&events).iter().filter(|state| **state == "COMPLETE").count(), 3);
}

#[test]
fn an_event_that_is_refused_for_good_holds_up_no_other() {
    let receiver = Receiver::new();
    receiver.be(Mood::Answers(422));
    let sandbox = sandbox(&url(&receiver.url()));
    let ran = sandbox.cdm(["ingest", "projects"]);
    ran.expect(0);
    assert!(ran.err.contains("refuses an event for good"), "{}", ran.err);
    assert_eq!(waiting(&sandbox), "0");
    receiver.be(Mood::Takes);
    sandbox.ingest(&["projects"]);
    assert_told_once(&runs(&receiver.taken()));
}

#[test]
fn a_run_that_is_given_up_is_told_of() {
    let receiver = Receiver::new();
    let sandbox = sandbox(&url(&receiver.url()));
    let barrier = Barrier::before(&sandbox, "cdm_work_project");
    let running = sandbox.start(["ingest", "projects", "--parallel", "1"]);
    until("the load waits", || sandbox.waiting() == 1);
    running.signal("KILL");
    running.wait();
    barrier.lift();
    sandbox.ingest(&["projects", "--full"]);
    let events = runs(&receiver.taken());
    let states = states(&events);
    assert_eq!(states[..3], ["START", "ABORT", "START"], "{states:?}");
    assert_eq!(states.last(), Some(&"COMPLETE"));
    assert_eq!(events[0].1["run"]["runId"], events[1].1["run"]["runId"]);
}

#[test]
fn a_run_that_is_told_to_stop_is_told_of_as_aborted() {
    let receiver = Receiver::new();
    let sandbox = sandbox(&url(&receiver.url()));
    let barrier = Barrier::before(&sandbox, "cdm_work_project");
    let running = sandbox.start(["ingest", "projects", "--parallel", "1"]);
    until("the load waits", || sandbox.waiting() == 1);
    running.signal("INT");
    barrier.lift();
    running.wait().expect(130);
    let events = runs(&receiver.taken());
    assert_eq!(states(&events).last(), Some(&"ABORT"), "{:?}", states(&events));
}

#[test]
fn a_sink_without_an_outbox_is_told_of_through_the_catalog() {
    let receiver = Receiver::new();
    let sandbox = sandbox(&url(&Receiver::nowhere()));
    sandbox.ingest(&["projects_raw"]);
    sandbox.ingest(&["projects_raw", "--full"]);
    told(&sandbox, &receiver.url());
    sandbox.cdm(["lineage", "flush"]).expect(0);
    let events = runs(&receiver.taken());
    assert_told_once(&events);
    assert_eq!(states(&events).iter().filter(|state| **state == "COMPLETE").count(), 2);
    let (_, complete) = events.last().unwrap();
    assert_eq!(complete["outputs"][0]["name"], "jira.projects@lake");
    assert_eq!(kept(&sandbox), "0", "the warehouse has nothing to do with it");
}

#[test]
fn a_file_that_is_a_sink_keeps_its_own_outbox() {
    let receiver = Receiver::new();
    let sandbox = sandbox(&url(&receiver.url()));
    sandbox.configure(|configuration| {
        let sink = "[endpoints.shelf]\ndriver = \"cdm.sqlite\"\npath = \"work.db\"\n";
        configuration.replace("[lineage]", &format!("{sink}\n[lineage]")).replacen(
            "sink = \"warehouse\"",
            "sink = \"shelf\"",
            1,
        )
    });
    sandbox.cdm(["provision", "shelf"]).expect(0);
    sandbox.ingest(&["projects"]);
    let events = runs(&receiver.taken());
    assert_told_once(&events);
    let connection = rusqlite::Connection::open(sandbox.path("work.db")).unwrap();
    let kept = "select count(*), count(delivered_at) from _cdm_outbox";
    let kept: (i64, i64) = connection.query_row(kept, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(kept, (5, 5));
}

#[test]
fn events_are_written_to_a_file_or_to_standard_output() {
    let sandbox = sandbox("file = \"events.jsonl\"");
    sandbox.ingest(&["projects"]);
    let lines = |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let written = lines(&fs::read_to_string(sandbox.path("events.jsonl")).unwrap());
    assert!(written.iter().all(|event| official::problems(event).is_empty()));
    assert_eq!(written.last().unwrap()["eventType"], "COMPLETE");

    sandbox.configure(|configuration| configuration.replace("file = \"events.jsonl\"", "stdout = true"));
    let refused = sandbox.cdm(["ingest", "projects"]).error(2);
    assert!(refused.starts_with("lineage.stdout: "), "{refused}");
    let ran = sandbox.people(&["ingest", "projects"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let events: Vec<Value> = ran.out.lines().filter(|line| line.starts_with('{')).flat_map(lines).collect();
    assert_eq!(events.last().unwrap()["eventType"], "COMPLETE", "{}", ran.out);
}

#[test]
fn where_nobody_is_told_nothing_is_put_into_any_outbox() {
    let sandbox = sandbox("");
    sandbox.ingest(&["projects", "projects_raw"]);
    assert_eq!(kept(&sandbox), "0");
    let catalog = rusqlite::Connection::open(sandbox.path("cdm-metadata.db")).unwrap();
    let kept: i64 = catalog.query_row("select count(*) from outbox", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
    let message = sandbox.cdm(["lineage", "flush"]).error(2);
    assert!(message.starts_with("lineage: nobody is configured to be told"), "{message}");
}
