//! Servers that are down, refuse, run out or go away: what is said, what is kept, and that a run after the
//! repair lands the rest, each record once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{fs, thread};

use end_to_end::{Barrier, Line, Ran, Role, Running, Sandbox, until};
use local_postgres::{Cluster, Options, Programs};
use serde_json::Value;

/// Ten projects in each of three files, which are three slices.
fn export(sandbox: &Sandbox) {
    for file in 0..3 {
        let lines: Vec<String> = (0..10).map(|n| format!("{{\"id\":\"{}\",\"key\":\"P\"}}", file * 10 + n)).collect();
        sandbox.export(&format!("projects-{file}.jsonl"), &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// A provisioned sandbox with something to ingest.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::provisioned();
    export(&sandbox);
    sandbox
}

/// From now on the warehouse is at that URL.
fn connect(sandbox: &Sandbox, url: &str) {
    sandbox.connect(url);
}

fn rows(sandbox: &Sandbox) -> String {
    sandbox.value("select count(*) from cdm_work.cdm_work_project")
}

/// What the sink's ledger says: how many slices are committed, and how many rows they put in.
fn ledger(sandbox: &Sandbox) -> Vec<String> {
    let committed = "select count(*), coalesce(sum((receipt->>'inserted')::int), 0) from cdm_work._cdm_load";
    sandbox.ask(committed).remove(0)
}

/// All thirty are there, each was put in once, and nothing is left to be read.
fn assert_landed_once(sandbox: &Sandbox) {
    assert_eq!((rows(sandbox).as_str(), ledger(sandbox)), ("30", vec!["3".to_owned(), "30".to_owned()]));
    assert_eq!(sandbox.rejects("warehouse"), [""; 0]);
    assert_eq!(sandbox.ingest(&["projects"])[0]["read"], 0);
}

/// The first run of a command that failed with exit code 1, with an error of that kind whose message begins
/// so.
fn failed_run(ran: &Ran, kind: &str, expected: &str) -> Value {
    let message = ran.error(1);
    assert!(message.starts_with(&format!("ingest.projects: {expected}")), "{message}");
    let answer = ran.json();
    assert_eq!(answer["error"]["kind"], kind);
    let run = &answer["runs"][0];
    assert_eq!(run["status"], "failed");
    assert!(run["error"].as_str().unwrap().starts_with(expected), "{run}");
    run.clone()
}

/// The detail of the check that failed.
fn failed_check(sandbox: &Sandbox) -> String {
    let answer = sandbox.cdm(["check", "warehouse"]).expect(1);
    let checks = answer["endpoints"][0]["checks"].as_array().unwrap();
    let failed: Vec<&Value> = checks.iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(failed.len(), 1, "{answer}");
    failed[0]["detail"].as_str().unwrap().to_owned()
}

#[test]
fn a_server_that_is_down_fails_its_runs_and_no_others() {
    let sandbox = sandbox();
    // Nothing listens there: the port is not one that a system gives away.
    let place = format!("127.0.0.1:1/{}", sandbox.database().name());
    connect(&sandbox, &format!("postgres://ada:pw@{place}"));
    let expected = format!("the server cannot be reached (server: {place}): Connection refused");
    assert!(failed_check(&sandbox).starts_with(&expected));
    assert!(sandbox.cdm(["provision", "warehouse"]).error(1).starts_with(&expected));
    assert!(sandbox.cdm(["rejects", "list", "warehouse"]).error(1).starts_with(&expected));

    let ran = sandbox.cdm(["ingest", "projects", "projects_raw"]);
    let retried = format!("the server cannot be reached (server: {place}, attempts: ");
    let run = failed_run(&ran, "unavailable", &retried);
    assert_eq!((&run["read"], &run["slices"], &run["checkpoint"]), (&0.into(), &0.into(), &Value::Null));
    assert!(ran.err.matches("asking `warehouse` for its tables failed at attempt").count() > 2, "{}", ran.err);
    assert_eq!(
        (&ran.json()["runs"][1]["status"], &ran.json()["runs"][1]["inserted"]),
        (&"succeeded".into(), &30.into())
    );
    assert_eq!(sandbox.cdm(["runs"]).expect(0)["runs"][1]["status"], "failed", "the catalog knows of it, too");

    connect(&sandbox, sandbox.database_url());
    assert_eq!(sandbox.ingest(&["projects"])[0]["inserted"], 30);
    assert_landed_once(&sandbox);
}

#[test]
fn a_server_that_refuses_the_password_is_not_asked_again() {
    const WRONG: &str = "hunter2-and-more";
    let cluster = Cluster::start(&Programs::find().unwrap(), &Options::default()).unwrap();
    let sandbox = Sandbox::new();
    export(&sandbox);
    let right = cluster.url("postgres");
    connect(&sandbox, &right);
    sandbox.cdm(["provision", "warehouse"]).expect(0);

    connect(&sandbox, &right.replace(cluster.password(), WRONG));
    let expected = format!(
        "the server refuses the password; check `user` and `password` or `connection_url` \
         (server: 127.0.0.1:{}/postgres): password authentication failed for user \"postgres\" (SQLSTATE 28P01)",
        cluster.port()
    );
    assert_eq!(failed_check(&sandbox), expected);
    assert_eq!(sandbox.cdm(["provision", "warehouse"]).error(1), expected);
    let ran = sandbox.cdm(["ingest", "projects", "-vv"]);
    failed_run(&ran, "denied", &expected);
    assert!(!ran.err.contains("trying again"), "{}", ran.err);
    assert!(!ran.out.contains(WRONG) && !ran.err.contains(WRONG), "{ran:?}");
    let loaded =
        || cluster.query("postgres", "select count(*) from cdm_work.cdm_work_project").unwrap().remove(0).remove(0);
    assert_eq!(loaded().as_deref(), Some("0"));

    connect(&sandbox, &right);
    assert_eq!(sandbox.ingest(&["projects"])[0]["inserted"], 30);
    assert_eq!(loaded().as_deref(), Some("30"));
}

#[test]
fn a_database_that_does_not_exist_is_named() {
    let sandbox = sandbox();
    let (server, name) = sandbox.database_url().rsplit_once('/').unwrap();
    connect(&sandbox, &format!("{server}/{name}_2"));
    let expected = "the database does not exist; create it or check `database` or `connection_url` (server: ";
    assert!(failed_check(&sandbox).starts_with(expected));
    assert!(sandbox.cdm(["provision", "warehouse"]).error(1).starts_with(expected));
    let ran = sandbox.cdm(["ingest", "projects"]);
    let run = failed_run(&ran, "denied", expected);
    assert!(run["error"].as_str().unwrap().contains(&format!("database \"{name}_2\" does not exist")), "{run}");
    assert!(!ran.err.contains("trying again"), "{}", ran.err);

    connect(&sandbox, sandbox.database_url());
    assert_eq!(sandbox.ingest(&["projects"])[0]["inserted"], 30);
    assert_landed_once(&sandbox);
}

#[test]
fn a_server_that_is_read_only_is_told_by_check_and_takes_nothing() {
    let sandbox = Sandbox::new();
    export(&sandbox);
    let name = sandbox.database().name().to_owned();
    let set = |on: &str| {
        let set = format!("alter database {name} set default_transaction_read_only = {on}");
        sandbox.ask(&format!("begin read write; {set}; commit"));
    };
    let expected = "the server is read-only; connect to the primary";
    set("on");
    assert_eq!(failed_check(&sandbox), expected);
    let refused = sandbox.cdm(["provision", "warehouse"]).error(1);
    assert!(refused.starts_with(expected), "{refused}");
    assert_eq!(sandbox.value("select count(*) from pg_namespace where nspname = 'cdm_work'"), "0");
    set("off");
    sandbox.cdm(["provision", "warehouse"]).expect(0);

    set("on");
    let ran = sandbox.cdm(["ingest", "projects"]);
    let run = failed_run(&ran, "denied", expected);
    assert!(run["error"].as_str().unwrap().ends_with("(SQLSTATE 25006)"), "{run}");
    assert!(ran.err.matches("trying again").count() > 2, "a standby may be promoted: {}", ran.err);
    assert_eq!(sandbox.value("select count(*) from cdm_work._cdm_ingestion"), "0");
    set("off");
    assert_eq!(sandbox.ingest(&["projects"])[0]["inserted"], 30);
    assert_landed_once(&sandbox);
}

#[test]
fn a_server_without_a_connection_left_is_waited_for() {
    let sandbox = sandbox();
    let role = Role::create(&sandbox, "pw", "connection limit 0");
    let limit = |most: u32| sandbox.ask(&format!("alter role {} connection limit {most}", role.name()));
    sandbox.ask(&format!(
        "grant usage on schema cdm_work to {0}; grant all on all tables in schema cdm_work to {0}",
        role.name()
    ));
    connect(&sandbox, &role.url());
    let expected = "the server has no connection left; raise max_connections or the limit of the role or the database, \
                    or close others (server: ";
    let refused = failed_check(&sandbox);
    assert!(refused.starts_with(expected) && refused.ends_with("(SQLSTATE 53300)"), "{refused}");
    assert!(sandbox.cdm(["provision", "warehouse"]).error(1).starts_with(expected));

    // One is enough to open the run, and a load needs another.
    limit(1);
    let mut running = sandbox.start(["ingest", "projects"]);
    running.until_it_says(&format!(" more error={expected}"));
    limit(2);
    assert_eq!(running.wait().expect(0)["runs"][0]["inserted"], 30);
    assert_landed_once(&sandbox);
}

#[test]
fn a_privilege_that_is_lacking_is_named_and_the_run_goes_on_when_it_is_granted() {
    let sandbox = Sandbox::new();
    export(&sandbox);
    let role = Role::create(&sandbox, "pw", "");
    let (name, database) = (role.name(), sandbox.database().name());
    let lacking = "the role lacks a privilege; grant it, or connect as another role";
    connect(&sandbox, &role.url());
    let advice = "schema cdm_work is not there, and role";
    assert!(failed_check(&sandbox).starts_with(advice));
    let refused = sandbox.cdm(["provision", "warehouse"]).error(1);
    let expected = format!("permission denied for database {database} (SQLSTATE 42501)");
    assert!(refused.starts_with(lacking) && refused.ends_with(&expected), "{refused}");
    assert_eq!(sandbox.value("select count(*) from pg_namespace where nspname = 'cdm_work'"), "0");

    connect(&sandbox, sandbox.database_url());
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    connect(&sandbox, &role.url());
    let answer = sandbox.cdm(["check", "warehouse"]).expect(1);
    for missing in [
        format!("role {name} may not load; it lacks USAGE on schema cdm_work, SELECT, INSERT, UPDATE on _cdm_fence, "),
        format!("role {name} may not provision; it lacks USAGE and CREATE on schema cdm_work (tables go there), "),
    ] {
        assert!(answer.to_string().contains(&missing), "{missing}: {answer}");
    }
    sandbox.ask(&format!("revoke temporary on database {database} from public"));
    let mut run_id = None;
    for (missing, grant) in [
        ("permission denied for schema cdm_work", "usage on schema cdm_work"),
        ("permission denied for table _cdm_model", "select on all tables in schema cdm_work"),
        ("permission denied for table _cdm_ingestion", "insert, update on cdm_work._cdm_ingestion"),
        ("permission denied for table _cdm_fence", "insert, update on cdm_work._cdm_fence"),
        ("permission denied for table _cdm_site", "insert, update on cdm_work._cdm_site"),
        ("permission denied for table _cdm_load", "insert, update on cdm_work._cdm_load"),
        ("permission denied for table cdm_work_project", "insert, update on cdm_work.cdm_work_project"),
    ] {
        let ran = sandbox.cdm(["ingest", "projects"]);
        let run = failed_run(&ran, "denied", lacking);
        assert!(run["error"].as_str().unwrap().contains(missing), "{missing}: {run}");
        assert!(!ran.err.contains("trying again"), "{}", ran.err);
        assert_eq!((&run["read"], rows(&sandbox).as_str()), (&0.into(), "0"));
        if missing.ends_with("_cdm_load") {
            run_id = Some(run["run_id"].clone());
        }
        sandbox.ask(&format!("grant {grant} to {name}"));
    }
    let run = &sandbox.ingest(&["projects"])[0];
    assert_eq!((&run["inserted"], Some(&run["run_id"])), (&30.into(), run_id.as_ref()), "what was opened is continued");
    assert_eq!((rows(&sandbox).as_str(), ledger(&sandbox)), ("30", vec!["3".to_owned(), "30".to_owned()]));

    // New rows need no temporary table, and those that have changed do.
    sandbox.export("projects-0.jsonl", &[r#"{"id":"0","key":"changed"}"#]);
    let ran = sandbox.cdm(["ingest", "projects"]);
    let run = failed_run(&ran, "denied", lacking);
    let missing = "permission denied to create temporary tables in database";
    assert!(run["error"].as_str().unwrap().contains(missing), "{run}");
    sandbox.ask(&format!("grant temporary on database {database} to {name}"));
    assert_eq!(sandbox.ingest(&["projects"])[0]["updated"], 1);
}

/// Starts a run that waits in the load of its first slice.
fn stuck(sandbox: &Sandbox) -> (Running, Barrier) {
    let barrier = Barrier::before(sandbox, "cdm_work_project");
    let running = sandbox.start(["ingest", "projects", "--parallel", "1"]);
    until("the load waits", || sandbox.waiting() == 1);
    (running, barrier)
}

#[test]
fn a_load_whose_connection_is_lost_is_done_again() {
    for whose in ["and wait_event_type = 'Lock'", ""] {
        let sandbox = sandbox();
        let (running, barrier) = stuck(&sandbox);
        // One that loads, or all of them, as when a server is started anew.
        let killed = sandbox.ask(&format!(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = current_database() and application_name like 'cdm%' {whose}"
        ));
        assert_eq!(killed.len(), if whose.is_empty() { 2 } else { 1 });
        barrier.lift();
        let ran = running.wait();
        let answer = ran.expect(0);
        assert!(ran.err.contains("loading the slice failed at attempt"), "{}", ran.err);
        let run = &answer["runs"][0];
        assert_eq!((&run["read"], &run["inserted"], &run["slices"]), (&30.into(), &30.into(), &3.into()));
        assert_landed_once(&sandbox);
    }
}

#[test]
fn a_run_whose_server_stays_away_keeps_its_slices_and_the_next_one_goes_on() {
    let sandbox = sandbox();
    sandbox.ingest(&["projects"]);
    // The same thirty with another key. Of the second slice one row is locked.
    for file in 0..3 {
        let name = format!("export/projects-{file}.jsonl");
        sandbox.write(&name, fs::read_to_string(sandbox.path(&name)).unwrap().replace("\"P\"", "\"Q\""));
    }
    let changed = || sandbox.value("select count(*) from cdm_work.cdm_work_project where source_project_key = 'Q'");
    let line = Line::to(&sandbox);
    connect(&sandbox, &line.url(&sandbox));
    let row = "select from cdm_work.cdm_work_project where source_id = '10' for update";
    let barrier = Barrier::holding(&sandbox, row);
    let running = sandbox.start(["ingest", "projects", "--parallel", "1"]);
    until("the second load waits", || sandbox.waiting() == 1);
    line.cut();
    let ran = running.wait();
    barrier.lift();
    let run = failed_run(&ran, "unavailable", "the server cannot be reached (server: ");
    assert!(ran.err.matches("loading the slice failed at attempt").count() > 2, "{}", ran.err);
    assert_eq!((&run["read"], &run["updated"], &run["slices"]), (&10.into(), &10.into(), &1.into()));
    assert_eq!(changed(), "10");
    let read = "select string_agg(name, ' ') from cdm_work._cdm_ingestion, json_object_keys(checkpoint->'files') name";
    assert_eq!(sandbox.value(read), "projects-0.jsonl", "the checkpoint is at the end of the first slice");
    assert!(failed_check(&sandbox).starts_with("the server cannot be reached (server: "));

    line.mend();
    let next = &sandbox.ingest(&["projects"])[0];
    assert_eq!((&next["run_id"], &next["updated"], &next["slices"]), (&run["run_id"], &30.into(), &3.into()));
    assert_eq!((changed().as_str(), rows(&sandbox).as_str()), ("30", "30"));
    let updates = "select count(*), sum((receipt->>'updated')::int) from cdm_work._cdm_load where run_id = ";
    let run_id = run["run_id"].as_str().unwrap();
    assert_eq!(sandbox.ask(&format!("{updates}'{run_id}'")), [["3", "30"]], "each slice was committed once");
    assert_eq!(sandbox.ingest(&["projects"])[0]["read"], 0);
}

/// Stops the processes of a server until it is dropped: it accepts connections and answers nothing.
struct Frozen(Vec<String>);

impl Frozen {
    /// The server of a sandbox that has a cluster of its own.
    fn server(sandbox: &Sandbox, cluster: &Cluster) -> Self {
        let postmaster = fs::read_to_string(cluster.data_folder().join("postmaster.pid")).unwrap();
        let mut processes =
            sandbox.ask("select pid::text from pg_stat_activity where pid <> pg_backend_pid()").concat();
        processes.push(postmaster.lines().next().unwrap().to_owned());
        let frozen = Self(processes);
        frozen.signal("-STOP");
        frozen
    }

    fn signal(&self, signal: &str) {
        let sent = std::process::Command::new("kill").arg(signal).args(&self.0).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

/// A run that is in the midst of a statement when its server freezes.
fn run_of_a_frozen_server(cluster: &Cluster) -> (Sandbox, Running, Frozen) {
    let sandbox = Sandbox::in_cluster(cluster);
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    export(&sandbox);
    let barrier = Barrier::holding(&sandbox, "lock table cdm_work.cdm_work_project in access exclusive mode");
    let running = sandbox.start(["ingest", "projects", "--retry-for", "1s"]);
    until("the load waits for the lock", || sandbox.waiting() > 0);
    let frozen = Frozen::server(&sandbox, cluster);
    drop(barrier);
    (sandbox, running, frozen)
}

#[test]
fn a_server_that_answers_nothing_any_more_is_not_waited_for() {
    // Both wait for most of a minute, so they wait at once.
    thread::scope(|scope| {
        scope.spawn(a_run_fails_and_the_next_one_goes_on);
        scope.spawn(a_run_that_is_told_to_stop_ends);
    });
}

fn a_run_fails_and_the_next_one_goes_on() {
    let cluster = Cluster::start(&Programs::find().unwrap(), &Options::default()).unwrap();
    let (sandbox, running, frozen) = run_of_a_frozen_server(&cluster);
    let ran = running.wait();
    failed_run(&ran, "unavailable", "the server accepts connections and does not answer");
    assert!(ran.err.contains("the server does not answer; the connection is given up"), "{}", ran.err);
    drop(frozen);
    sandbox.ingest(&["projects"]);
    assert_landed_once(&sandbox);
}

fn a_run_that_is_told_to_stop_ends() {
    let cluster = Cluster::start(&Programs::find().unwrap(), &Options::default()).unwrap();
    let (sandbox, running, frozen) = run_of_a_frozen_server(&cluster);
    running.signal("TERM");
    let ran = running.wait();
    assert_eq!(ran.code, Some(143), "{}", ran.err);
    assert!(ran.err.contains("the work has not ended within 30 s"), "{}", ran.err);
    drop(frozen);
    sandbox.ingest(&["projects"]);
    assert_landed_once(&sandbox);
}
