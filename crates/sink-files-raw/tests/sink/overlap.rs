//! Two runs of one ingestion.
//!
//! Where time is paused, it goes on only while no file work is under way: what waits is always found
//! between two looks.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use endpoint_api::{Commit, ErrorKind, Overlap, RunEnd};

use crate::support::*;

#[tokio::test]
async fn a_second_run_fails_while_the_first_is_alive() {
    let folder = folder();
    let (first, second) = (sink(folder.path()).await, sink(folder.path()).await);
    let run = open_run(&first, &spec("run-1")).await;
    let refused = error(second.sink().unwrap().open_run(&spec("run-2")).await);
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let message = refused.to_string();
    for part in ["acme/test.things/archive/raw", "run-1", "--on-overlap wait", "--on-overlap takeover"] {
        assert!(message.contains(part), "{message}");
    }
    load(&*run, 0).await;
    drop(run);
    let run = open_run(&second, &spec("run-2")).await;
    assert_eq!((run.resume().run_id.as_str(), run.resume().fence), ("run-1", 2));
}

#[tokio::test(start_paused = true)]
async fn a_run_can_wait_for_the_other() {
    let folder = folder();
    let (first, second) = (sink(folder.path()).await, sink(folder.path()).await);
    let run = open_run(&first, &spec("run-1")).await;
    let waiting_spec = spec("run-2").overlap(Overlap::Wait);
    let mut waiting = second.sink().unwrap().open_run(&waiting_spec);
    let early = tokio::time::timeout(Duration::from_millis(500), &mut waiting).await;
    assert!(early.is_err(), "it did not wait");
    load(&*run, 0).await;
    run.finish(RunEnd::Succeeded, &[]).await.unwrap();
    let run = waiting.await.unwrap();
    assert_eq!((run.resume().run_id.as_str(), run.resume().fence), ("run-2", 2));
    assert_eq!(run.resume().checkpoint, Some(checkpoint(0)));
}

#[tokio::test]
async fn an_overtaken_run_can_commit_nothing_more() {
    let folder = folder();
    let (first, second) = (sink(folder.path()).await, sink(folder.path()).await);
    let old = open_run(&first, &spec("run-1")).await;
    old.record_plan(&plan(3)).await.unwrap();
    load(&*old, 0).await;
    let mut late = begin(&*old, 1).await;
    late.write(batch(&[record(100)])).await.unwrap();
    let mut later = begin(&*old, 2).await;

    let new = open_run(&second, &spec("run-2").overlap(Overlap::Takeover)).await;
    assert_eq!((new.resume().run_id.as_str(), new.resume().fence, new.resume().observation), ("run-1", 2, 1));
    assert_eq!(new.resume().committed.len(), 1);
    // Before the new run has committed the slice, and after.
    assert_eq!(error(late.commit(Commit::default()).await).kind(), ErrorKind::Fenced);
    load(&*new, 2).await;
    later.write(batch(&[record(200)])).await.unwrap();
    assert_eq!(error(later.commit(Commit::default()).await).kind(), ErrorKind::Fenced);
    assert_eq!(error(old.begin(&slice(1)).await).kind(), ErrorKind::Fenced);
    assert_eq!(error(old.record_plan(&plan(3)).await).kind(), ErrorKind::Fenced);
    assert_eq!(error(old.finish(RunEnd::Failed, &[]).await).kind(), ErrorKind::Fenced);

    load(&*new, 1).await;
    new.finish(RunEnd::Succeeded, &[]).await.unwrap();
    assert_eq!(records(folder.path()), [record(0), record(2), record(1)]);
    assert_eq!(record_files(folder.path()), named_files(folder.path()));
}

#[tokio::test]
async fn an_overtaken_run_is_told_so_even_when_its_files_were_swept_away() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let old = open_run(&endpoint, &spec("run-1")).await;
    let (mut writes, mut rejects, commits) = (begin(&*old, 0).await, begin(&*old, 1).await, begin(&*old, 2).await);
    writes.write(batch(&[record(0)])).await.unwrap();
    let new = open_run(&endpoint, &spec("run-2").overlap(Overlap::Takeover)).await;
    assert_eq!(record_files(folder.path()), [""; 0], "nothing of the overtaken run can be committed");
    let rejected = rejects.reject(vec![crate::rejects::reject(1, b"bad")]).await;
    assert_eq!(rejected.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(error(commits.commit(Commit::default()).await).kind(), ErrorKind::Fenced);
    assert_eq!(error(writes.commit(Commit::default()).await).kind(), ErrorKind::Fenced);
    load(&*new, 0).await;
    assert_eq!(records(folder.path()), [record(0)]);
}

#[tokio::test]
async fn a_run_that_took_over_is_alive_while_the_overtaken_one_still_is() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let old = open_run(&endpoint, &spec("run-1")).await;
    let new = open_run(&endpoint, &spec("run-2").overlap(Overlap::Takeover)).await;
    let open_third = || async { endpoint.sink().unwrap().open_run(&spec("run-3")).await };
    assert_eq!(error(open_third().await).kind(), ErrorKind::Conflict);
    // Neither the end of the overtaken one ...
    drop(old);
    assert_eq!(error(open_third().await).kind(), ErrorKind::Conflict);
    drop(new);
    let old = open_third().await.unwrap();
    let new = open_run(&endpoint, &spec("run-4").overlap(Overlap::Takeover)).await;
    drop(new);
    // ... nor its life says anything about the one that took over.
    assert_eq!(open_third().await.unwrap().resume().fence, 5);
    drop(old);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_dropped_while_it_waited_holds_nothing() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    let spec_2 = spec("run-2").overlap(Overlap::Wait);
    let waiting = endpoint.sink().unwrap().open_run(&spec_2);
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    drop(run);
    let run = open_run(&endpoint, &spec("run-3")).await;
    assert_eq!(run.resume().fence, 2);
}

#[tokio::test(start_paused = true)]
async fn an_opener_that_hangs_is_reported() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    drop(open_run(&endpoint, &spec("run-1")).await);
    let lock = std::fs::File::options().write(true).open(folder.path().join("_cdm/fences/lock")).unwrap();
    lock.try_lock().unwrap();
    let refused = error(endpoint.sink().unwrap().open_run(&spec("run-1")).await);
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    drop(lock);
    drop(open_run(&endpoint, &spec("run-1")).await);
}

/// Names the folder to a process that is to open a run there, and to be killed.
const VICTIM: &str = "CDM_TEST_RAW_FILES_VICTIM";

/// In the process that is to be killed: opens a run, commits a slice, writes half of another, says so
/// and goes on as if it had much to do.
async fn be_killed(folder: &Path) {
    let endpoint = sink(folder).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    run.record_plan(&plan(2)).await.unwrap();
    load(&*run, 0).await;
    let mut half = begin(&*run, 1).await;
    half.write(batch(&[record(1)])).await.unwrap();
    let mut output = std::io::stdout();
    output.write_all(b"\nopened\n").unwrap();
    output.flush().unwrap();
    std::thread::sleep(Duration::from_secs(600));
}

/// A process that is killed with SIGKILL when the value is dropped.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Starts this test again, in a process of its own, and waits until its run is open.
fn start_victim(test: &str, folder: &Path) -> Victim {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(VICTIM, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(victim.stdout.take().unwrap());
    assert!(output.lines().map_while(Result::ok).any(|line| line == "opened"), "it ended before it had opened a run");
    Victim(victim)
}

fn victims_folder() -> Option<std::path::PathBuf> {
    std::env::var_os(VICTIM).map(Into::into)
}

#[tokio::test]
async fn a_run_that_was_killed_stands_in_nobodys_way() {
    if let Some(folder) = victims_folder() {
        return be_killed(&folder).await;
    }
    let folder = folder();
    let victim = start_victim("overlap::a_run_that_was_killed_stands_in_nobodys_way", folder.path());
    let endpoint = sink(folder.path()).await;
    assert_eq!(error(endpoint.sink().unwrap().open_run(&spec("run-2")).await).kind(), ErrorKind::Conflict);
    assert_eq!(record_files(folder.path()).len(), 4);

    drop(victim);
    let run = open_run(&endpoint, &spec("run-2")).await;
    let resume = run.resume();
    assert_eq!((resume.run_id.as_str(), resume.fence, resume.observation), ("run-1", 2, 1));
    assert_eq!((resume.plan.as_ref(), resume.committed.len()), (Some(&plan(2)), 1));
    assert_eq!(record_files(folder.path()), named_files(folder.path()), "what it left behind was swept");
    load(&*run, 1).await;
    run.finish(RunEnd::Succeeded, &[]).await.unwrap();
    assert_eq!(records(folder.path()), [record(0), record(1)]);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_run_that_is_killed_goes_on() {
    if let Some(folder) = victims_folder() {
        return be_killed(&folder).await;
    }
    let folder = folder();
    let victim = start_victim("overlap::whoever_waits_for_a_run_that_is_killed_goes_on", folder.path());
    let endpoint = sink(folder.path()).await;
    let spec = spec("run-2").overlap(Overlap::Wait);
    let mut waiting = endpoint.sink().unwrap().open_run(&spec);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut waiting).await.is_err());
    drop(victim);
    assert_eq!(waiting.await.unwrap().resume().fence, 2);
}

#[tokio::test]
async fn a_run_takes_over_from_another_process() {
    if let Some(folder) = victims_folder() {
        return be_killed(&folder).await;
    }
    let folder = folder();
    let victim = start_victim("overlap::a_run_takes_over_from_another_process", folder.path());
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-2").overlap(Overlap::Takeover)).await;
    assert_eq!((run.resume().fence, run.resume().committed.len()), (2, 1));
    assert_eq!(error(endpoint.sink().unwrap().open_run(&spec("run-3")).await).kind(), ErrorKind::Conflict);
    load(&*run, 1).await;
    assert_eq!(records(folder.path()), [record(0), record(1)]);
    drop(victim);
}
