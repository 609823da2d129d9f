//! Runs: what they find, what they continue, how they end.

use std::sync::Arc;

use endpoint_api::{Commit, ErrorKind, RunEnd, RunSpec};

use crate::support::*;

#[tokio::test]
async fn an_unfinished_run_is_continued() {
    for end in [None, Some(RunEnd::Failed), Some(RunEnd::Interrupted)] {
        let folder = folder();
        let endpoint = sink(folder.path()).await;
        let run = open_run(&endpoint, &spec("run-1")).await;
        assert_eq!((run.resume().fence, run.resume().observation), (1, 1));
        assert_eq!((run.resume().plan.as_ref(), run.resume().checkpoint.as_ref()), (None, None));
        run.record_plan(&plan(3)).await.unwrap();
        let receipts = [load(&*run, 0).await, load(&*run, 2).await];
        match end {
            None => drop(run),
            Some(end) => drop(run.finish(end, &[]).await.unwrap()),
        }

        let endpoint = sink(folder.path()).await;
        let run = open_run(&endpoint, &spec("run-2")).await;
        let resume = run.resume();
        assert_eq!((resume.run_id.as_str(), resume.fence, resume.observation), ("run-1", 2, 1));
        assert_eq!((resume.plan.as_ref(), resume.checkpoint.as_ref()), (Some(&plan(3)), Some(&checkpoint(0))));
        assert_eq!(resume.committed, [(0, receipts[0].clone()), (2, receipts[1].clone())].into());
        assert_eq!(committed(&*run, 2).await, receipts[1]);
        load(&*run, 1).await;
        let receipt = run.finish(RunEnd::Succeeded, &[]).await.unwrap();
        assert_eq!((receipt.rows, receipt.checkpoint), (Some(3), Some(checkpoint(2))));
        assert_eq!(records(folder.path()), [record(0), record(2), record(1)]);
    }
}

#[tokio::test]
async fn a_run_that_has_ended_for_good_is_followed_by_a_new_one() {
    for end in [RunEnd::Succeeded, RunEnd::Abandoned] {
        let folder = folder();
        let endpoint = sink(folder.path()).await;
        let run = open_run(&endpoint, &spec("run-1")).await;
        run.record_plan(&plan(1)).await.unwrap();
        load(&*run, 0).await;
        run.finish(end, &[]).await.unwrap();

        let run = open_run(&endpoint, &spec("run-2")).await;
        let resume = run.resume();
        assert_eq!((resume.run_id.as_str(), resume.fence, resume.observation), ("run-2", 2, 2));
        assert_eq!((resume.plan.as_ref(), resume.committed.len()), (None, 0));
        assert_eq!(resume.checkpoint, Some(checkpoint(0)), "the next run reads on from there");
        run.record_plan(&plan(2)).await.unwrap();
        load(&*run, 0).await;
        assert_eq!(run.finish(RunEnd::Interrupted, &[]).await.unwrap().rows, Some(2), "of all runs together");
    }
}

#[tokio::test]
async fn a_restart_gives_up_the_unfinished_run() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    run.record_plan(&plan(3)).await.unwrap();
    load(&*run, 0).await;
    load(&*run, 2).await;
    drop(run);

    // Even one that was given the same id.
    for (id, fence) in [("run-2", 2), ("run-2", 3)] {
        let run = open_run(&endpoint, &spec(id).restart(true)).await;
        let resume = run.resume();
        assert_eq!((resume.run_id.as_str(), resume.fence, resume.observation), (id, fence, fence));
        assert_eq!((resume.plan.as_ref(), resume.committed.len()), (None, 0));
        assert_eq!(resume.checkpoint, Some(checkpoint(0)));
        load(&*run, 2).await;
    }
    assert_eq!(records(folder.path()), [record(0), record(2), record(2), record(2)]);
}

#[tokio::test]
async fn a_plan_is_recorded_once() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    run.record_plan(&plan(2)).await.unwrap();
    run.record_plan(&plan(2)).await.unwrap();
    assert_eq!(run.record_plan(&plan(3)).await.unwrap_err().kind(), ErrorKind::Conflict);
    drop(run);
    let run = open_run(&endpoint, &spec("run-2")).await;
    assert_eq!(run.resume().plan, Some(plan(2)));
}

#[tokio::test]
async fn a_run_cannot_succeed_with_a_slice_missing() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    run.record_plan(&plan(2)).await.unwrap();
    load(&*run, 0).await;
    let refused = error(run.finish(RunEnd::Succeeded, &[]).await);
    assert_eq!(refused.kind(), ErrorKind::Internal);
    assert!(refused.to_string().contains("slice: 1"), "{refused}");
    let run = open_run(&endpoint, &spec("run-2")).await;
    assert_eq!(run.resume().run_id.as_str(), "run-1", "it can still be continued");
}

#[tokio::test]
async fn a_folder_belongs_to_one_sink() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    drop(open_run(&endpoint, &spec("run-1")).await);
    let mut other = spec("run-1");
    other.ingestion.sink = "warehouse".parse().unwrap();
    let refused = error(endpoint.sink().unwrap().open_run(&other).await);
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(refused.to_string().contains("found: acme/test.things/archive/raw"), "{refused}");
}

#[tokio::test]
async fn ingestions_do_not_stand_in_each_others_way() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let things = open_run(&endpoint, &spec("run-1")).await;
    let others = open_run(&endpoint, &RunSpec::new(ingestion_of("test.others"), "run-1".parse().unwrap())).await;
    assert_eq!((things.resume().fence, others.resume().fence), (1, 2));
    load(&*things, 0).await;
    others.finish(RunEnd::Succeeded, &[]).await.unwrap();
    assert_eq!(records(folder.path()), [record(0)]);
}

#[test]
fn fences_are_unique_and_rising_whoever_takes_them() {
    let folder = folder();
    let threads: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..16)
            .map(|thread| {
                let folder = folder.path();
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                    runtime.block_on(async {
                        let endpoint = sink(folder).await;
                        let mut fences = Vec::new();
                        for run in 0..4 {
                            // Every second run is one of an ingestion that all have in common.
                            let unit = if run % 2 == 0 { format!("test.unit{thread}") } else { "test.all".to_owned() };
                            let spec = RunSpec::new(ingestion_of(&unit), "run-1".parse().unwrap());
                            let spec = spec.overlap(endpoint_api::Overlap::Takeover);
                            fences.push(open_run(&endpoint, &spec).await.resume().fence);
                        }
                        fences
                    })
                })
            })
            .collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).collect()
    });
    for fences in &threads {
        assert!(fences.is_sorted_by(|a, b| a < b), "{fences:?}");
    }
    let mut all: Vec<u64> = threads.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=64).collect::<Vec<_>>());
    assert_eq!(files(&folder.path().join("_cdm/fences")), ["000000000064", "lock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_at_once_are_all_committed() {
    let folder = folder();
    let endpoint = compressing_sink(folder.path()).await;
    let run: Arc<dyn endpoint_api::Run + '_> = open_run(&endpoint, &spec("run-1")).await.into();
    let mut loads = Vec::new();
    for index in (0..12).rev() {
        let mut load = begin(&*run, index).await;
        loads.push(async move {
            load.write(batch(&[record(index)])).await.unwrap();
            load.commit(Commit::new(Some(checkpoint(index)), Vec::new())).await.unwrap();
        });
    }
    futures::future::join_all(loads).await;
    drop(run);
    let run = open_run(&endpoint, &spec("run-2")).await;
    assert_eq!((run.resume().committed.len(), run.resume().checkpoint.as_ref()), (12, Some(&checkpoint(11))));
    let mut found = records(folder.path());
    found.sort();
    let mut expected: Vec<_> = (0..12).map(record).collect();
    expected.sort();
    assert_eq!(found, expected);
}
