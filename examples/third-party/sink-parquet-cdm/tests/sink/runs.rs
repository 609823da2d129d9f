use std::time::Duration;

use endpoint_api::{Commit, ErrorKind, Overlap, RunEnd};

use crate::support::*;

#[tokio::test]
async fn a_sink_that_is_not_provisioned_says_so() {
    let folder = folder();
    let endpoint = endpoint(folder.path()).await;
    let refused = error(endpoint.sink().unwrap().open_run(&spec("run")).await);
    assert_eq!(refused.kind(), ErrorKind::NotProvisioned);
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "and makes nothing");
}

#[tokio::test]
async fn a_failed_run_is_continued_with_its_id_its_plan_and_its_observation() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    let run = open_run(&endpoint, &spec("first")).await;
    let (fence, observation) = (run.resume().fence, run.resume().observation);
    assert_eq!(fence, observation);
    run.record_plan(&plan(2)).await.unwrap();
    let mut load = begin(run.as_ref(), &plan(2)[0]).await;
    write(load.as_mut(), &[put("a", "x", 1)]).await;
    let receipt = load.commit(Commit::default()).await.unwrap();
    run.finish(RunEnd::Failed, &[]).await.unwrap();

    let run = open_run(&endpoint, &spec("second")).await;
    let resume = run.resume();
    assert_eq!((resume.run_id.as_str(), resume.observation), ("first", observation));
    assert!(resume.fence > fence);
    assert_eq!(resume.plan.as_deref(), Some(plan(2).as_slice()));
    assert_eq!(resume.committed.get(&0), Some(&receipt));
    assert_eq!(run.record_plan(&plan(3)).await.unwrap_err().kind(), ErrorKind::Conflict);
    run.record_plan(&plan(2)).await.unwrap();
    let fence = resume.fence;
    let refused = error(run.finish(RunEnd::Succeeded, &[]).await);
    assert_eq!(refused.kind(), ErrorKind::Internal, "slice 1 is not committed");

    // It stayed open, its process is gone, and a restart begins anew.
    let run = open_run(&endpoint, &spec("third").restart(true)).await;
    let resume = run.resume();
    assert_eq!((resume.run_id.as_str(), resume.plan.as_ref(), resume.committed.len()), ("third", None, 0));
    assert!(resume.fence > fence && resume.observation == resume.fence);
}

#[tokio::test]
async fn a_run_that_is_alive_is_respected() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    let run = open_run(&endpoint, &spec("one")).await;
    let sink = endpoint.sink().unwrap();
    assert_eq!(error(sink.open_run(&spec("two")).await).kind(), ErrorKind::Conflict);
    let waiting = spec("three").overlap(Overlap::Wait);
    let waiting = sink.open_run(&waiting);
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut waiting).await.is_err(), "it waits");
    run.finish(RunEnd::Succeeded, &[]).await.unwrap();
    let run = tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
    assert_eq!(run.resume().run_id.as_str(), "three");
    // One that has died does not stand in the way.
    drop(run);
    assert_eq!(open_run(&endpoint, &spec("four")).await.resume().run_id.as_str(), "three");
}

#[tokio::test]
async fn a_run_that_was_overtaken_commits_nothing_more() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    let overtaken = open_run(&endpoint, &spec("one")).await;
    let mut load = begin(overtaken.as_ref(), &plan(1)[0]).await;
    write(load.as_mut(), &[put("a", "x", 1)]).await;
    load.reject(vec![a_reject(1)]).await.unwrap();
    let newer = open_run(&endpoint, &spec("two").overlap(Overlap::Takeover)).await;
    assert_eq!(newer.resume().run_id.as_str(), "one", "it goes on with the run");

    assert_eq!(error(load.commit(Commit::default()).await).kind(), ErrorKind::Fenced);
    assert_eq!(error(overtaken.begin(&plan(1)[0]).await).kind(), ErrorKind::Fenced);
    assert_eq!(error(overtaken.record_plan(&plan(1)).await).kind(), ErrorKind::Fenced);
    assert_eq!(error(overtaken.finish(RunEnd::Failed, &[]).await).kind(), ErrorKind::Fenced);
    assert_eq!(files(folder.path()), [""; 0]);
    assert_eq!(rejects(&endpoint).await.len(), 0);
    let mut load = begin(newer.as_ref(), &plan(1)[0]).await;
    write(load.as_mut(), &[put("a", "x", 1)]).await;
    load.commit(Commit::default()).await.unwrap();
    newer.finish(RunEnd::Succeeded, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_that_are_loaded_at_once_add_up() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    let run = open_run(&endpoint, &spec("run")).await;
    let slices = plan(8);
    run.record_plan(&slices).await.unwrap();
    let keys: Vec<String> = (0..20).map(|key| format!("key-{key:02}")).collect();
    let mut loads = Vec::new();
    for slice in &slices {
        let mut load = begin(run.as_ref(), slice).await;
        let rows: Vec<Row<'_>> = keys.iter().map(|key| put(key, key, slice.index as i64)).collect();
        write(load.as_mut(), &rows).await;
        loads.push(load);
    }
    // In the order from the newest to the oldest only the first says something new.
    let mut inserted = 0;
    for (load, is_first) in loads.into_iter().rev().zip([true].into_iter().chain(std::iter::repeat(false))) {
        let counts = load.commit(Commit::default()).await.unwrap().counts;
        inserted += counts.inserted;
        assert_eq!(counts.stale, if is_first { 0 } else { 20 });
    }
    assert_eq!(inserted, 20);
    assert_eq!(run.finish(RunEnd::Succeeded, &[]).await.unwrap().rows, Some(20));
}

#[tokio::test]
async fn a_commit_of_which_the_answer_was_lost_is_there() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    let run = open_run(&endpoint, &spec("run")).await;
    let (mut one, mut other) = (begin(run.as_ref(), &plan(1)[0]).await, begin(run.as_ref(), &plan(1)[0]).await);
    for load in [&mut one, &mut other] {
        write(load.as_mut(), &[put("a", "x", 1)]).await;
    }
    let receipt = one.commit(Commit::default()).await.unwrap();
    assert_eq!(other.commit(Commit::default()).await.unwrap(), receipt, "the slice counts once");
    assert_eq!(committed(run.as_ref(), &plan(1)[0]).await, receipt);
    assert_eq!(files(folder.path()).len(), 1);
}
