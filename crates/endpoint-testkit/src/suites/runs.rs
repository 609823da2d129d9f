//! Fences, plans, receipts, checkpoints: who may commit, and where the next run begins.

use std::{sync::Arc, time::Duration};

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Batch, Begun, Checkpoint, Commit, EndpointId, ErrorKind, LoadReceipt, Overlap, RejectQuery, Retry, Run, RunEnd,
    RunId, RunReceipt, RunSpec, Slice, SourceIdentity, SourceSite,
};
use serde_json::json;

use super::{Test, provision::provisions, sink::is_greater, takes_things, test};
use crate::{
    model::{Other, Row, batch_of, model, newer_model, put, timeless},
    workbench::{
        Site, Workbench, begin, begin_beside, counts, failure, load_slice, new_run, open_after_the_dead, plan, reject,
        soon, spec, write,
    },
};

pub(super) const TESTS: &[Test] = &[
    test!("run", fences_rise, takes_things, "RUN-01"),
    test!("run", a_failed_run_is_continued, takes_things, "RUN-02", "RUN-08"),
    test!("run", what_a_run_has_seen_is_known_when_it_is_continued, takes_things, "RUN-02", "CDM-01"),
    test!("run", a_receipt_tells_how_many_rows_there_are, takes_things, "RUN-14"),
    test!("run", a_run_that_succeeded_is_not_continued, takes_things, "RUN-02"),
    test!("run", a_restart_begins_anew, takes_things, "RUN-03"),
    test!("run", an_overtaken_run_commits_nothing, takes_things, "RUN-04"),
    test!("run", an_overtaken_run_cannot_end, takes_things, "RUN-04"),
    test!("run", a_run_that_is_alive_is_respected, takes_things, "RUN-05"),
    test!("run", a_run_that_waits_goes_on_when_the_other_has_ended, takes_things, "RUN-05"),
    test!("run", a_run_that_has_died_is_not_in_the_way, takes_things, "RUN-06"),
    test!("run", a_plan_is_stored_once, takes_things, "RUN-07"),
    test!("run", a_committed_slice_answers_with_its_receipt, takes_things, "RUN-08"),
    test!("run", a_slice_that_is_begun_twice_counts_once, takes_things, "RUN-08"),
    test!("run", a_run_does_not_succeed_with_slices_left, takes_things, "RUN-10"),
    test!("run", the_checkpoint_moves_over_the_gap_free_prefix, takes_things, "RUN-11"),
    test!("run", the_checkpoint_outlives_runs_without_one, takes_things, "RUN-11"),
    test!("run", what_one_model_has_got_another_has_not, takes_things, "RUN-13", "CDM-05"),
    test!("run", each_major_version_of_a_model_stands_by_itself, takes_things, "RUN-13"),
    test!("run", a_checkpoint_comes_back_as_it_was, takes_things, "RUN-11"),
    test!("run", what_is_not_provisioned_is_told, provisions, "RUN-12"),
    test!("run", a_site_is_refused_by_the_check_and_by_the_run_alike, takes_things, "RUN-15"),
];

async fn open<'s>(site: &'s Site, run_id: &str) -> Box<dyn Run + 's> {
    soon(site.sink().open_run(&spec(run_id))).await.unwrap()
}

async fn finish(run: Box<dyn Run + '_>, end: RunEnd) -> RunReceipt {
    soon(run.finish(end, &[])).await.unwrap()
}

async fn fences_rise(workbench: Workbench) {
    let site = workbench.ready().await;
    let mut last = 0;
    for round in 0..6 {
        // They rise over the whole sink.
        let mut spec = spec(&new_run());
        spec.ingestion.source = EndpointId::from_static(if round % 2 == 0 { "acme" } else { "other" });
        let run = soon(site.sink().open_run(&spec)).await.unwrap();
        assert!(run.resume().fence > last, "a fence of {} after {last}", run.resume().fence);
        last = run.resume().fence;
        finish(run, RunEnd::Abandoned).await;
    }
}

async fn a_site_is_refused_by_the_check_and_by_the_run_alike(workbench: Workbench) {
    let site = workbench.ready().await;
    let of = |endpoint: &'static str, name: &str| {
        let mut spec = spec(&new_run());
        spec.ingestion.source = EndpointId::from_static(endpoint);
        let identity = SourceIdentity::new(spec.ingestion.source.clone(), "things");
        spec.site(Some(SourceSite::new(&identity).at(Some(name.to_owned()))))
    };
    for (endpoint, name, is_same) in [
        ("acme", "acme.example", true),
        ("acme", "acme.example", true),
        ("acme_api", "acme.example", true),
        ("lab", "lab.example", false),
        ("acme", "lab.example", false),
        ("acme", "acme.example", true),
    ] {
        let spec = of(endpoint, name);
        let checked = soon(site.sink().check_site(&spec.ingestion, spec.site.as_ref().unwrap())).await;
        match soon(site.sink().open_run(&spec)).await {
            Ok(run) => {
                assert!(checked.is_ok(), "the check refuses what the run does not: {checked:?}");
                soon(run.record_plan(&plan(1))).await.unwrap();
                load_slice(run.as_ref(), &plan(1)[0], &[&[put("a", "one", 1)]]).await.unwrap();
                finish(run, RunEnd::Succeeded).await;
            }
            Err(error) => {
                let told = failure("the check of a site that the run refuses", checked);
                assert_eq!((error.kind(), told.kind()), (ErrorKind::Config, ErrorKind::Config), "{error}");
                assert!(!is_same, "the site of the rows is refused: {error}");
            }
        }
    }
}

async fn a_failed_run_is_continued(workbench: Workbench) {
    let site = workbench.ready().await;
    for end in [RunEnd::Failed, RunEnd::Interrupted] {
        let name = new_run();
        let run = site.planned(&name, 3).await;
        let (fence, observation) = (run.resume().fence, run.resume().observation);
        let counted = load_slice(run.as_ref(), &plan(3)[1], &[&[put(&name, "x", 1)]]).await.unwrap();
        finish(run, end).await;

        let run = open(&site, "another").await;
        let resume = run.resume();
        assert_eq!((resume.run_id.as_str(), resume.observation), (name.as_str(), observation), "after {end:?}");
        assert!(resume.fence > fence);
        assert_eq!(resume.plan.as_deref(), Some(plan(3).as_slice()));
        assert_eq!(
            resume.committed.iter().map(|(slice, receipt)| (*slice, receipt.counts)).collect::<Vec<_>>(),
            [(1, counted)]
        );
        assert!(
            matches!(soon(run.begin(&plan(3)[1])).await.unwrap(), Begun::Committed(receipt) if receipt.counts == counted)
        );
        for slice in [0, 2] {
            load_slice(run.as_ref(), &plan(3)[slice], &[]).await.unwrap();
        }
        finish(run, RunEnd::Succeeded).await;
    }
}

async fn what_a_run_has_seen_is_known_when_it_is_continued(workbench: Workbench) {
    let site = workbench.ready().await;
    let (greater, smaller) = if is_greater("x", "y") { ("x", "y") } else { ("y", "x") };
    site.load(&[&[&[timeless("k", greater)]]]).await;
    let run = site.planned("run-a", 2).await;
    let counted = load_slice(run.as_ref(), &plan(2)[0], &[&[timeless("k", greater)]]).await.unwrap();
    assert_eq!(counted, counts(0, 0, 1, 0, 0));
    finish(run, RunEnd::Failed).await;
    let elsewhere = site.reopened().await;
    let run = soon(elsewhere.sink().unwrap().open_run(&spec("run-b"))).await.unwrap();
    let counted = load_slice(run.as_ref(), &plan(2)[1], &[&[timeless("k", smaller)]]).await.unwrap();
    assert_eq!(counted, counts(0, 0, 0, 1, 0), "inside one run the greater hash wins");
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    site.assert_stored(&[("k", greater)]).await;
}

async fn a_receipt_tells_how_many_rows_there_are(workbench: Workbench) {
    let site = workbench.ready().await;
    for (name, keys) in [("first", 0..3_u64), ("second", 1..5)] {
        let run = soon(site.sink().open_run(&spec(&new_run()).restart(true))).await.unwrap();
        soon(run.record_plan(&plan(1))).await.unwrap();
        let rows: Vec<Row> = keys.clone().map(|key| timeless(&format!("k{key}"), name)).collect();
        load_slice(run.as_ref(), &plan(1)[0], &[&rows]).await.unwrap();
        let receipt = finish(run, RunEnd::Succeeded).await;
        assert!(receipt.rows.is_none_or(|rows| rows == keys.end), "{receipt:?}");
    }
}

async fn a_run_that_succeeded_is_not_continued(workbench: Workbench) {
    let site = workbench.ready().await;
    for (name, end) in [("run-a", RunEnd::Succeeded), ("run-b", RunEnd::Abandoned)] {
        let run = site.planned(name, 0).await;
        assert_eq!(run.resume().run_id.as_str(), name);
        assert_eq!((run.resume().plan.is_none(), run.resume().committed.len()), (true, 0));
        finish(run, end).await;
    }
    let run = open(&site, "run-c").await;
    assert_eq!((run.resume().run_id.as_str(), run.resume().observation), ("run-c", run.resume().fence));
}

async fn a_restart_begins_anew(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-a", 2).await;
    load_slice(run.as_ref(), &plan(2)[0], &[&[put("k", "x", 1)]]).await.unwrap();
    finish(run, RunEnd::Failed).await;
    let run = soon(site.sink().open_run(&spec("run-b").restart(true))).await.unwrap();
    assert_eq!(run.resume().run_id.as_str(), "run-b");
    assert_eq!(run.resume().abandoned.as_ref().map(RunId::as_str), Some("run-a"), "it is told which run that gives up");
    assert!(run.resume().plan.is_none() && run.resume().committed.is_empty());
    soon(run.record_plan(&plan(1))).await.unwrap();
    let counted = load_slice(run.as_ref(), &plan(1)[0], &[&[put("k", "x", 1)]]).await.unwrap();
    assert_eq!(counted, counts(0, 0, 1, 0, 0), "what the abandoned run has committed stays");
    finish(run, RunEnd::Succeeded).await;
}

async fn an_overtaken_run_commits_nothing(workbench: Workbench) {
    let site = workbench.ready().await;
    let old = site.planned("run-a", 2).await;
    let mut load = begin(old.as_ref(), &plan(2)[0]).await;
    write(load.as_mut(), &[put("zombie", "zombie", 9)]).await.unwrap();
    soon(load.reject(vec![reject(1, "no thing")])).await.unwrap();
    let elsewhere = site.reopened().await;
    let takeover = spec("run-b").overlap(Overlap::Takeover);
    let new = soon(elsewhere.sink().unwrap().open_run(&takeover)).await.unwrap();
    assert!(new.resume().fence > old.resume().fence);
    let error = failure("a commit of a run that was overtaken", soon(load.commit(Commit::default())).await);
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    assert_eq!(error.retry(), Retry::Never, "trying again would fail again");
    for slice in plan(2) {
        // It may show only at the commit.
        let attempt = load_slice(old.as_ref(), &slice, &[&[put("zombie", "zombie", 9)]]).await;
        assert_eq!(failure("a load of a run that was overtaken", attempt).kind(), ErrorKind::Fenced);
    }
    for slice in plan(2) {
        load_slice(new.as_ref(), &slice, &[&[put(&format!("k{}", slice.index), "new", 1)]]).await.unwrap();
    }
    soon(new.finish(RunEnd::Succeeded, &[])).await.unwrap();
    site.assert_stored(&[("k0", "new"), ("k1", "new")]).await;
    let rejects = soon(site.sink().rejects(&RejectQuery::newest(10))).await.unwrap();
    assert_eq!(rejects, [], "nor are its rejects there");
}

async fn an_overtaken_run_cannot_end(workbench: Workbench) {
    let site = workbench.ready().await;
    let old = site.planned("run-a", 1).await;
    let elsewhere = site.reopened().await;
    let new = soon(elsewhere.sink().unwrap().open_run(&spec("run-b").overlap(Overlap::Takeover))).await.unwrap();
    let error = failure("storing a plan after being overtaken", soon(old.record_plan(&plan(1))).await);
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    let error = failure("ending after being overtaken", soon(old.finish(RunEnd::Failed, &[])).await);
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    load_slice(new.as_ref(), &plan(1)[0], &[]).await.unwrap();
    soon(new.finish(RunEnd::Succeeded, &[])).await.unwrap();
}

async fn a_run_that_is_alive_is_respected(workbench: Workbench) {
    let site = workbench.ready().await;
    let alive = site.planned("run-a", 1).await;
    let elsewhere = site.reopened().await;
    let error = failure("a second run", soon(elsewhere.sink().unwrap().open_run(&spec("run-b"))).await);
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    load_slice(alive.as_ref(), &plan(1)[0], &[&[put("k", "x", 1)]]).await.expect("the first run goes on");
    finish(alive, RunEnd::Succeeded).await;
    drop(soon(elsewhere.sink().unwrap().open_run(&spec("run-b"))).await.expect("the first run has ended"));
}

async fn a_run_that_waits_goes_on_when_the_other_has_ended(workbench: Workbench) {
    let site = workbench.ready().await;
    let alive = site.planned("run-a", 0).await;
    let elsewhere = site.reopened().await;
    let waiting = spec("run-b").overlap(Overlap::Wait);
    let opening = elsewhere.sink().unwrap().open_run(&waiting);
    tokio::pin!(opening);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut opening).await.is_err(), "it does not wait");
    let (_, run) = futures::join!(finish(alive, RunEnd::Succeeded), soon(opening));
    assert_eq!(run.unwrap().resume().run_id.as_str(), "run-b");
}

async fn a_run_that_has_died_is_not_in_the_way(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-a", 2).await;
    let mut load = begin(run.as_ref(), &plan(2)[0]).await;
    write(load.as_mut(), &[put("k", "half", 1)]).await.unwrap();
    drop(load);
    drop(run);
    let elsewhere = site.reopened().await;
    let run = open_after_the_dead(elsewhere.sink().unwrap(), &spec("run-b")).await;
    assert_eq!(run.resume().run_id.as_str(), "run-a", "and it is continued");
    for slice in plan(2) {
        load_slice(run.as_ref(), &slice, &[]).await.unwrap();
    }
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    site.assert_stored(&[]).await;
}

async fn a_plan_is_stored_once(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-a", 2).await;
    soon(run.record_plan(&plan(2))).await.expect("the same plan again");
    let error = failure("another plan", soon(run.record_plan(&plan(3))).await);
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

async fn a_committed_slice_answers_with_its_receipt(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-a", 1).await;
    let counted = load_slice(run.as_ref(), &plan(1)[0], &[&[put("a", "a", 1), put("b", "b", 1)]]).await.unwrap();
    assert_eq!(counted, counts(2, 0, 0, 0, 0));
    match soon(run.begin(&plan(1)[0])).await.unwrap() {
        Begun::Committed(receipt) => assert_eq!(receipt.counts, counted),
        Begun::Load(_) => panic!("the slice is committed, and is to be loaded a second time"),
    }
    finish(run, RunEnd::Succeeded).await;
}

async fn a_slice_that_is_begun_twice_counts_once(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-a", 1).await;
    let receipts = commit_twice(run.as_ref(), &plan(1)[0], &[put("a", "a", 1), put("b", "b", 1)]).await;
    assert_eq!(receipts[0].counts, counts(2, 0, 0, 0, 0));
    assert_eq!(receipts[1], receipts[0], "the second load answers with the receipt of the first");
    finish(run, RunEnd::Succeeded).await;
    site.assert_stored(&[("a", "a"), ("b", "b")]).await;
}

async fn commit_twice(run: &dyn Run, slice: &Slice, rows: &[Row]) -> [LoadReceipt; 2] {
    let mut first = begin(run, slice).await;
    write(first.as_mut(), rows).await.unwrap();
    let (receipt, begun) = begin_beside(run, slice, first, Commit::default()).await;
    match begun {
        Begun::Committed(again) => [receipt, again],
        Begun::Load(mut second) => {
            write(second.as_mut(), rows).await.unwrap();
            [receipt, soon(second.commit(Commit::default())).await.unwrap()]
        }
    }
}

async fn a_run_does_not_succeed_with_slices_left(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-a", 2).await;
    load_slice(run.as_ref(), &plan(2)[0], &[]).await.unwrap();
    let error = failure("success with a slice left", soon(run.finish(RunEnd::Succeeded, &[])).await);
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
}

fn at(slice: u64) -> Checkpoint {
    Checkpoint(json!({ "after": slice }))
}

async fn commit(run: &dyn Run, slice: &Slice, resume_at: Option<Checkpoint>) {
    let mut load = begin(run, slice).await;
    write(load.as_mut(), &[put(&format!("k{}", slice.index), "x", 1)]).await.unwrap();
    soon(load.commit(Commit::new(resume_at, Vec::new()))).await.unwrap();
}

/// The checkpoint as a run that is opened now is told, which then gives up.
async fn checkpoint(site: &Site) -> Option<Checkpoint> {
    let run = open(site, "looks").await;
    let checkpoint = run.resume().checkpoint.clone();
    finish(run, RunEnd::Failed).await;
    checkpoint
}

async fn the_checkpoint_moves_over_the_gap_free_prefix(workbench: Workbench) {
    let site = workbench.ready().await;
    let steps = [(2, Some(at(2)), None), (0, Some(at(0)), Some(at(0))), (3, None, Some(at(0))), (1, None, Some(at(2)))];
    let run = site.planned("run-a", 4).await;
    finish(run, RunEnd::Failed).await;
    for (slice, resume_at, expected) in steps {
        let run = open(&site, "continues").await;
        commit(run.as_ref(), &plan(4)[slice], resume_at).await;
        finish(run, RunEnd::Failed).await;
        assert_eq!(checkpoint(&site).await, expected, "after slice {slice}");
    }
    let run = open(&site, "continues").await;
    assert_eq!(finish(run, RunEnd::Succeeded).await.checkpoint, Some(at(2)), "the receipt tells it");
}

async fn the_checkpoint_outlives_runs_without_one(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-a", 1).await;
    commit(run.as_ref(), &plan(1)[0], Some(at(7))).await;
    finish(run, RunEnd::Succeeded).await;
    let run = site.planned("run-b", 1).await;
    assert_eq!(run.resume().checkpoint, Some(at(7)));
    commit(run.as_ref(), &plan(1)[0], None).await;
    finish(run, RunEnd::Succeeded).await;
    assert_eq!(checkpoint(&site).await, Some(at(7)));
}

async fn what_one_model_has_got_another_has_not(workbench: Workbench) {
    let site = workbench.ready().await;
    // Of a key that a thing has, too.
    let other = batch_of(Other { cdm_id: "k0".into(), name: Some("other".into()), ..Other::default() }, 1);
    site.provision_for(other.model()).await;
    let of_other = |run_id: &str| spec(run_id).model(Arc::clone(other.model()));
    let run = site.planned("run-a", 1).await;
    commit(run.as_ref(), &plan(1)[0], Some(at(7))).await;
    finish(run, RunEnd::Succeeded).await;

    let run = soon(site.sink().open_run(&of_other("run-b"))).await.unwrap();
    assert_eq!(run.resume().checkpoint, None, "all of it is still to be read for the other model");
    soon(run.record_plan(&plan(2))).await.unwrap();
    let mut load = begin(run.as_ref(), &plan(2)[0]).await;
    soon(load.write(Batch::Cdm(Box::new(other.clone())))).await.unwrap();
    assert_eq!(soon(load.commit(Commit::default())).await.unwrap().counts, counts(1, 0, 0, 0, 0));
    finish(run, RunEnd::Failed).await;

    let run = site.planned("run-c", 1).await;
    assert_eq!((run.resume().run_id.as_str(), &run.resume().checkpoint), ("run-c", &Some(at(7))));
    assert_eq!(run.resume().committed.len(), 0);
    commit(run.as_ref(), &plan(1)[0], Some(at(8))).await;
    finish(run, RunEnd::Succeeded).await;

    let run = soon(site.sink().open_run(&of_other("run-d"))).await.unwrap();
    assert_eq!((run.resume().run_id.as_str(), run.resume().committed.len()), ("run-b", 1), "it is continued");
    load_slice(run.as_ref(), &plan(2)[1], &[]).await.unwrap();
    finish(run, RunEnd::Succeeded).await;
    site.assert_holds(&other).await;
    site.assert_stored(&[("k0", "x")]).await;
}

async fn each_major_version_of_a_model_stands_by_itself(workbench: Workbench) {
    let site = workbench.ready().await;
    let mut next = ModelDescriptor::clone(&model());
    next.version.major += 1;
    let next = Arc::new(next);
    site.provision_for(&next).await;
    for (model, reached, expected) in
        [(model(), 7, None), (Arc::clone(&next), 8, None), (model(), 9, Some(at(7))), (next, 9, Some(at(8)))]
    {
        let run = soon(site.sink().open_run(&spec(&new_run()).model(model))).await.unwrap();
        assert_eq!(run.resume().checkpoint, expected);
        soon(run.record_plan(&plan(1))).await.unwrap();
        let load = begin(run.as_ref(), &plan(1)[0]).await;
        soon(load.commit(Commit::new(Some(at(reached)), Vec::new()))).await.unwrap();
        finish(run, RunEnd::Succeeded).await;
    }
}

async fn a_checkpoint_comes_back_as_it_was(workbench: Workbench) {
    let site = workbench.ready().await;
    let odd = Checkpoint(json!({ "z": [1, "naïve \u{2028} '\"\\", null], "a": { "n": 9_007_199_254_740_993_u64 } }));
    let run = site.planned("run-a", 1).await;
    commit(run.as_ref(), &plan(1)[0], Some(odd.clone())).await;
    finish(run, RunEnd::Succeeded).await;
    let elsewhere = site.reopened().await;
    let run = soon(elsewhere.sink().unwrap().open_run(&spec("run-b"))).await.unwrap();
    assert_eq!(run.resume().checkpoint, Some(odd));
}

async fn what_is_not_provisioned_is_told(workbench: Workbench) {
    let site = workbench.site().await;
    let refused = async |what: &str, spec: RunSpec| {
        let error = failure(what, soon(site.sink().open_run(&spec)).await);
        assert_eq!(error.kind(), ErrorKind::NotProvisioned, "{error}");
    };
    refused("a run without a place for its model", spec("run-a")).await;
    site.provision_for(&model()).await;
    refused("a run without a place for what is new in its model", spec("run-b").model(newer_model())).await;
    let other = Arc::new(ModelDescriptor::of::<Other<'_>>().unwrap());
    refused("a run of a model with a place for another one only", spec("run-c").model(other)).await;
}
