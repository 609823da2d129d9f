//! A server that breaks a load off: out of disk, a time-out, a deadlock, a conflict. The slice is rolled back and
//! tried again; when that does not help the run ends with the server's message, and the next one goes on.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{fs::File, io::Read as _, thread};

use end_to_end::{Barrier, Ran, Sandbox, SmallDisk, until};
use local_postgres::{Cluster, Options, Programs};

/// Three files of ten projects, each a slice, and each project with a description.
fn export(sandbox: &Sandbox, description: impl Fn() -> String) {
    for file in 0..3 {
        let project = |id: u32| format!(r#"{{"id":"{id}","key":"P","description":"{}"}}"#, description());
        let lines: Vec<String> = (0..10).map(|n| project(file * 10 + n)).collect();
        sandbox.export(&format!("projects-{file}.jsonl"), &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// A provisioned sandbox with something to ingest.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::provisioned();
    export(&sandbox, || "short".to_owned());
    sandbox
}

fn tries(ran: &Ran) -> usize {
    ran.err.matches("loading the slice failed at attempt").count()
}

/// It was tried again until the time for it was over, and the error counts the attempts that the log has. In 8 s there
/// is time for at least five pauses; how many more depends on their jitter.
fn assert_tried_to_the_end(ran: &Ran) {
    let failed = tries(ran);
    assert!(failed >= 5, "{}", ran.err);
    let (attempts, message) = (format!("(attempts: {}, retried for: ", failed + 1), ran.error(1));
    assert!(message.contains(&attempts), "{attempts} is not in {message}");
}

/// All thirty are there, each was put in once, and nothing is left to be read.
fn assert_landed_once(sandbox: &Sandbox) {
    let found = "select count(*), (select count(*) from cdm_work._cdm_load), \
                 (select sum((receipt->>'inserted')::int) from cdm_work._cdm_load), \
                 (select count(*) from cdm_work._cdm_reject) from cdm_work.cdm_work_project";
    assert_eq!(sandbox.ask(found), [["30", "3", "30", "0"]]);
    assert_eq!(sandbox.ingest(&["projects"])[0]["read"], 0);
}

/// From now on the server breaks a load off at that moment: always, or the first time.
fn break_off(sandbox: &Sandbox, code: &str, moment: &str, times: &str) {
    sandbox.ask(&format!(
        "create sequence times; \
         create function break_off() returns trigger language plpgsql as $$ begin \
         if nextval('public.times') <= {times} then raise exception 'broken off' using errcode = '{code}'; end if; \
         return new; end $$; \
         create trigger break_off before {moment} for each row execute function break_off()"
    ));
}

fn leave_off(sandbox: &Sandbox) {
    sandbox.ask("drop function break_off cascade; drop sequence times");
}

/// In the midst of a load, and at its end.
const MOMENTS: [&str; 2] = ["insert on cdm_work.cdm_work_project", "update on cdm_work._cdm_load"];

#[test]
fn what_passes_is_tried_again() {
    thread::scope(|scope| {
        for code in ["53100", "53200", "57014", "40P01", "40001", "55P03"] {
            scope.spawn(move || {
                for moment in MOMENTS {
                    let sandbox = sandbox();
                    break_off(&sandbox, code, moment, "2");
                    let ran = sandbox.cdm(["ingest", "projects"]);
                    assert_eq!(ran.expect(0)["runs"][0]["inserted"], 30, "{code} at {moment}");
                    assert_eq!(tries(&ran), 2, "{code} at {moment}: {}", ran.err);
                    leave_off(&sandbox);
                    assert_landed_once(&sandbox);
                }
            });
        }
    });
}

#[test]
fn what_does_not_pass_ends_the_run_with_the_servers_message_and_the_next_one_goes_on() {
    thread::scope(|scope| {
        for (code, kind, expected) in [
            ("53100", "exhausted", "the server's disk is full"),
            ("57014", "unavailable", "the server cancelled the statement, as statement_timeout or a person told it to"),
            ("40001", "conflict", "another session was in the way"),
        ] {
            scope.spawn(move || {
                let sandbox = sandbox();
                break_off(&sandbox, code, MOMENTS[1], "1000000");
                let ran = sandbox.cdm(["ingest", "projects", "--parallel", "1"]);
                let message = ran.error(1);
                assert!(message.starts_with(&format!("ingest.projects: {expected}")), "{message}");
                let ends = message.ends_with(&format!("is in the server's log only (SQLSTATE {code})"));
                assert!(ends && !message.contains("broken off"), "{message}");
                assert_tried_to_the_end(&ran);
                assert_eq!(ran.json()["error"]["kind"], kind);
                assert_eq!(sandbox.value("select count(*) from cdm_work.cdm_work_project"), "0");
                leave_off(&sandbox);
                assert_eq!(sandbox.ingest(&["projects"])[0]["inserted"], 30);
                assert_landed_once(&sandbox);
            });
        }
    });
}

#[test]
fn of_a_deadlock_the_load_is_the_victim_and_is_tried_again() {
    let sandbox = sandbox();
    // The sessions of the load look for a deadlock after two seconds, and the other one never does.
    let database = sandbox.database().name();
    sandbox.ask(&format!("alter database {database} set deadlock_timeout = '2s'"));
    let barrier = Barrier::before(&sandbox, "cdm_work_project");
    let mut running = sandbox.start(["ingest", "projects", "--parallel", "1"]);
    until("the load is in its transaction", || sandbox.waiting() == 1);
    thread::scope(|scope| {
        let crossing = scope.spawn(|| {
            sandbox.ask(
                "begin; set local deadlock_timeout = '1h'; \
                 select 1 from cdm_work._cdm_ingestion for update; \
                 do $$ begin while not exists (select from pg_locks where locktype = 'transactionid' and not granted) \
                 loop perform pg_sleep(0.02); end loop; end $$; \
                 insert into cdm_work._cdm_load (ingestion, run_id, slice, fence, committed_at) \
                 select ingestion, run_id, 0, 0, now() from cdm_work._cdm_ingestion; \
                 rollback",
            );
        });
        let locked = "select count(*) from pg_locks where relation = 'cdm_work._cdm_ingestion'::regclass \
                      and mode = 'RowShareLock' and granted";
        until("the other session has its lock", || sandbox.value(locked) != "0");
        barrier.lift();
        running.until_it_says("SQLSTATE 40P01");
        crossing.join().unwrap();
    });
    assert_eq!(running.wait().expect(0)["runs"][0]["inserted"], 30);
    assert_landed_once(&sandbox);
}

#[test]
fn a_server_out_of_disk_is_waited_for_and_the_run_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::new("1m") else {
        println!("NOT RUN: only root may mount the small file system that this test fills");
        return;
    };
    let cluster = Cluster::start(&Programs::find().unwrap(), &Options::default()).unwrap();
    let sandbox = Sandbox::in_cluster(&cluster);
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    sandbox.ask(&format!("create tablespace small location '{}'", disk.folder().display()));
    sandbox.ask("alter table cdm_work.cdm_work_project set tablespace small");
    let dice = File::open("/dev/urandom").unwrap();
    let noise = || {
        let mut bytes = [0; 50_000];
        (&dice).read_exact(&mut bytes).unwrap();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    export(&sandbox, noise);

    let ran = sandbox.cdm(["ingest", "projects", "--parallel", "1"]);
    let message = ran.error(1);
    assert!(message.starts_with("ingest.projects: the server's disk is full"), "{message}");
    assert!(message.ends_with("No space left on device (SQLSTATE 53100)"), "{message}");
    assert_tried_to_the_end(&ran);
    let consistent = "select (select count(*) from cdm_work.cdm_work_project) = \
                      (select coalesce(sum((receipt->>'inserted')::int), 0) from cdm_work._cdm_load)";
    assert_eq!(sandbox.value(consistent), "t");

    disk.grow("64m");
    assert_eq!(sandbox.ingest(&["projects"])[0]["status"], "succeeded");
    assert_landed_once(&sandbox);
    sandbox.ask("alter table cdm_work.cdm_work_project set tablespace pg_default");
}
