//! A load is there whole or not at all; what it cannot store is kept as a reject.

use std::{sync::Arc, time::Duration};

use cdm_models::Timestamp;
use endpoint_api::{
    Batch, Begun, Capabilities, Checkpoint, Commit, EndpointId, Incomplete, RawBatch, RejectQuery, Replay, RunEnd,
    batch::Rank,
};

use super::{Test, is_transactional, takes_things, test};
use crate::{
    model::{Other, batch, batch_of, model, put, timeless, unit},
    workbench::{
        Author, Site, Workbench, begin, counts, failure, ingestion, load_slice, new_run, plan, reject, soon, spec,
        write,
    },
};

pub(super) const TESTS: &[Test] = &[
    test!("sink", an_aborted_load_leaves_nothing, takes_things, "LOAD-03"),
    test!("sink", a_dropped_load_leaves_nothing, takes_things, "LOAD-03", "EP-05"),
    test!("sink", what_is_committed_is_there_for_whoever_opens_the_place_anew, takes_things, "LOAD-02"),
    test!("sink", an_empty_slice_commits, takes_things, "LOAD-09"),
    test!("sink", several_loads_are_open_at_once, takes_things, "RUN-09"),
    test!("sink", slices_with_the_same_keys_at_once_end_as_one_after_the_other, takes_things, "RUN-09", "CDM-01"),
    test!("sink", rejects_are_kept_once_with_all_they_tell, takes_things, "LOAD-07"),
    test!("sink", rejects_are_listed_newest_first, takes_things, "LOAD-08"),
    test!("sink", a_batch_of_another_shape_is_refused, takes_things, "RUN-12"),
    test!("transaction", rejects_go_with_an_aborted_load, is_transactional, "LOAD-04"),
    test!("transaction", nothing_is_to_be_seen_before_the_commit, is_transactional, "LOAD-04"),
    test!("transaction", a_call_that_is_given_up_can_be_made_again, is_transactional, "EP-05"),
    test!("transaction", a_commit_that_is_given_up_has_happened_or_not, is_transactional, "EP-05", "LOAD-04"),
    test!("replay", what_is_replayed_is_no_reject_any_more, replays, "RPL-01", "RUN-14"),
    test!("replay", a_replay_that_is_given_up_keeps_the_reject, replays, "RPL-01", "LOAD-03"),
    test!(
        "replay",
        what_is_replayed_counts_where_it_goes,
        |capabilities, author| replays(capabilities, author) && verifies(capabilities, author),
        "RUN-13",
        "VFY-01"
    ),
    test!("verify", what_was_loaded_is_found_as_it_was, verifies, "VFY-01"),
    test!(
        "verify",
        what_somebody_has_changed_is_found_and_mended,
        |capabilities, author| verifies(capabilities, author) && author.damage.is_some(),
        "VFY-02",
        "VFY-03"
    ),
];

fn replays(capabilities: &Capabilities, author: &Author) -> bool {
    takes_things(capabilities, author) && capabilities.sink.is_some_and(|sink| sink.replay)
}

fn verifies(capabilities: &Capabilities, author: &Author) -> bool {
    takes_things(capabilities, author) && capabilities.sink.is_some_and(|sink| sink.verify)
}

async fn an_aborted_load_leaves_nothing(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-1", 1).await;
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    write(load.as_mut(), &[put("a", "aborted", 9)]).await.unwrap();
    soon(load.abort()).await.unwrap();
    site.assert_stored(&[]).await;
    let counted = load_slice(run.as_ref(), &plan(1)[0], &[&[put("a", "kept", 1)]]).await.unwrap();
    assert_eq!(counted, counts(1, 0, 0, 0, 0), "the aborted row is not there, and the slice can be loaded");
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    site.assert_stored(&[("a", "kept")]).await;
}

async fn a_dropped_load_leaves_nothing(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-1", 1).await;
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    write(load.as_mut(), &[put("a", "dropped", 9), put("b", "dropped", 9)]).await.unwrap();
    drop(load);
    let counted = load_slice(run.as_ref(), &plan(1)[0], &[&[put("a", "kept", 1)]]).await.unwrap();
    assert_eq!(counted, counts(1, 0, 0, 0, 0));
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    site.assert_stored(&[("a", "kept")]).await;
}

async fn what_is_committed_is_there_for_whoever_opens_the_place_anew(workbench: Workbench) {
    let site = workbench.ready().await;
    let rows = [put("a", "one", 1), put("b", "two", 1)];
    site.load(&[&[&rows]]).await;
    soon(site.endpoint.close()).await.unwrap();
    let site = site.anew().await;
    assert_eq!(site.load(&[&[&rows]]).await, counts(0, 0, 2, 0, 0), "another process finds what was committed");
    site.assert_stored(&[("a", "one"), ("b", "two")]).await;
}

async fn an_empty_slice_commits(workbench: Workbench) {
    let site = workbench.ready().await;
    assert_eq!(site.load(&[&[], &[&[]], &[&[put("a", "a", 1)]]]).await, counts(1, 0, 0, 0, 0));
    assert_eq!(site.load(&[]).await, counts(0, 0, 0, 0, 0), "a plan without slices");
    site.assert_stored(&[("a", "a")]).await;
}

async fn several_loads_are_open_at_once(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = soon(site.sink().open_run(&spec("run-1"))).await.unwrap();
    let slices = plan(3);
    soon(run.record_plan(&slices)).await.unwrap();
    let mut loads = Vec::new();
    for slice in &slices {
        loads.push(begin(run.as_ref(), slice).await);
    }
    for (at, load) in loads.iter_mut().enumerate() {
        write(load.as_mut(), &[put(&format!("k{at}"), "x", 1)]).await.unwrap();
    }
    // In another order than they were begun.
    for load in loads.into_iter().rev() {
        assert_eq!(soon(load.commit(Commit::default())).await.unwrap().counts, counts(1, 0, 0, 0, 0));
    }
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    site.assert_stored(&[("k0", "x"), ("k1", "x"), ("k2", "x")]).await;
}

async fn slices_with_the_same_keys_at_once_end_as_one_after_the_other(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = soon(site.sink().open_run(&spec("run-1"))).await.unwrap();
    let slices = plan(4);
    soon(run.record_plan(&slices)).await.unwrap();
    let rows = |slice: usize| -> Vec<_> {
        (0..40).map(|key| put(&format!("k{key:02}"), &format!("v{slice}"), slice as i64 + 1)).collect()
    };
    let loads = slices.iter().enumerate().map(|(at, slice)| {
        let run = run.as_ref();
        async move { load_slice(run, slice, &[&rows(at)]).await.unwrap() }
    });
    let counted = futures::future::join_all(loads).await;
    assert_eq!(counted.iter().map(|counts| counts.inserted).sum::<u64>(), 40, "{counted:?}");
    assert_eq!(counted.iter().map(|counts| counts.total()).sum::<u64>(), 160, "{counted:?}");
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    let expected: Vec<String> = (0..40).map(|key| format!("k{key:02}")).collect();
    site.assert_stored(&expected.iter().map(|key| (key.as_str(), "v3")).collect::<Vec<_>>()).await;
}

/// Loads one slice with these rejects; says the id of the run.
async fn load_rejects(site: &Site, rejects: Vec<endpoint_api::Reject>) -> String {
    let run_id = new_run();
    let run = site.planned(&run_id, 1).await;
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    let given = rejects.len() as u64;
    soon(load.reject(rejects)).await.unwrap();
    write(load.as_mut(), &[put("good", "good", 1)]).await.unwrap();
    let receipt = soon(load.commit(Commit::default())).await.unwrap();
    assert_eq!((receipt.counts.rejected, receipt.counts.total()), (given, given + 1));
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    run_id
}

async fn rejects_are_kept_once_with_all_they_tell(workbench: Workbench) {
    let site = workbench.ready().await;
    let given = reject(7, "no thing at all");
    load_rejects(&site, vec![given.clone()]).await;
    let first = soon(site.sink().rejects(&RejectQuery::newest(10))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    load_rejects(&site, vec![given.clone()]).await;
    let kept = soon(site.sink().rejects(&RejectQuery::newest(10))).await.unwrap();
    assert_eq!(kept.len(), 1, "the same reject twice is one: {kept:?}");
    assert_eq!(kept[0].rejected_at, first[0].rejected_at, "it was rejected when it was rejected first");
    let kept = &kept[0];
    let told = (kept.stage, kept.reason.as_str(), kept.origin.as_str(), kept.raw.as_slice(), kept.raw_length);
    assert_eq!(told, (given.stage, "no thing at all", "things.jsonl:7", given.raw.as_slice(), given.raw_length));
    assert_eq!((&kept.id, &kept.raw_hash), (&given.id(&ingestion(endpoint_api::Mode::Cdm)), &given.raw_hash));
    let by_id = soon(site.sink().rejects(&RejectQuery::by_id(&kept.id))).await.unwrap();
    assert_eq!(by_id.len(), 1);
    let none = soon(site.sink().rejects(&RejectQuery::by_id("nothing"))).await.unwrap();
    assert_eq!(none, []);
}

async fn rejects_are_listed_newest_first(workbench: Workbench) {
    let site = workbench.ready().await;
    for line in 1..=3 {
        load_rejects(&site, vec![reject(line, "no thing")]).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let origins = async |query: RejectQuery| -> Vec<String> {
        let listed = soon(site.sink().rejects(&query)).await.unwrap();
        listed.into_iter().map(|reject| reject.origin).collect()
    };
    assert_eq!(origins(RejectQuery::newest(2)).await, ["things.jsonl:3", "things.jsonl:2"]);
    assert_eq!(origins(RejectQuery::newest(2).skip(2)).await, ["things.jsonl:1"]);
    let mine = RejectQuery::newest(9).of(ingestion(endpoint_api::Mode::Cdm));
    assert_eq!(origins(mine).await.len(), 3);
    let other =
        endpoint_api::Ingestion { source: EndpointId::from_static("other"), ..ingestion(endpoint_api::Mode::Cdm) };
    assert_eq!(origins(RejectQuery::newest(9).of(other)).await, [""; 0]);
}

async fn a_batch_of_another_shape_is_refused(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-1", 1).await;
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    let at = Timestamp::from_microsecond(0).unwrap();
    let raw = RawBatch::builder(unit(), EndpointId::from_static("acme"), "things.jsonl", at).finish();
    let error = failure("writing a raw batch in a run of a model", soon(load.write(Batch::Raw(Box::new(raw)))).await);
    assert_eq!(error.kind(), endpoint_api::ErrorKind::Unsupported, "{error}");
}

async fn rejects_go_with_an_aborted_load(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-1", 1).await;
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    soon(load.reject(vec![reject(1, "no thing")])).await.unwrap();
    soon(load.abort()).await.unwrap();
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    soon(load.reject(vec![reject(2, "no thing")])).await.unwrap();
    drop(load);
    assert_eq!(soon(site.sink().rejects(&RejectQuery::newest(10))).await.unwrap(), []);
}

async fn nothing_is_to_be_seen_before_the_commit(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-1", 2).await;
    let mut load = begin(run.as_ref(), &plan(2)[0]).await;
    write(load.as_mut(), &[put("a", "a", 1)]).await.unwrap();
    soon(load.reject(vec![reject(1, "no thing")])).await.unwrap();
    site.assert_stored(&[]).await;
    assert_eq!(soon(site.sink().rejects(&RejectQuery::newest(10))).await.unwrap(), []);
    let receipt = soon(load.commit(Commit::new(None, vec![Incomplete::new("things.jsonl", "less", 1)]))).await.unwrap();
    assert_eq!(receipt.incomplete.len(), 1, "the receipt keeps what the source could not give");
    site.assert_stored(&[("a", "a")]).await;
    assert_eq!(soon(site.sink().rejects(&RejectQuery::newest(10))).await.unwrap().len(), 1);
}

async fn a_call_that_is_given_up_can_be_made_again(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-1", 1).await;
    let rows: Vec<_> = (0..500).map(|key| put(&format!("k{key}"), "x", 1)).collect();
    // Given up at ever later moments.
    for pause in [0, 1, 3, 10] {
        let attempt = async {
            let mut load = match run.begin(&plan(1)[0]).await? {
                Begun::Load(load) => load,
                Begun::Committed(_) => panic!("it was never committed"),
            };
            load.write(Batch::Cdm(Box::new(batch(&rows, &[]).unwrap()))).await?;
            std::future::pending::<endpoint_api::Result<()>>().await
        };
        let _ = tokio::time::timeout(Duration::from_millis(pause), attempt).await;
    }
    let counted = load_slice(run.as_ref(), &plan(1)[0], &[&rows]).await.unwrap();
    assert_eq!(counted, counts(500, 0, 0, 0, 0));
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
}

async fn a_commit_that_is_given_up_has_happened_or_not(workbench: Workbench) {
    const PAUSES: [u64; 6] = [0, 0, 1, 2, 5, 20];
    let site = workbench.ready().await;
    let run = soon(site.sink().open_run(&spec("run-1"))).await.unwrap();
    let slices = plan(PAUSES.len());
    soon(run.record_plan(&slices)).await.unwrap();
    let mut all = Vec::new();
    for (slice, pause) in slices.iter().zip(PAUSES) {
        let rows: Vec<_> = (0..100).map(|key| put(&format!("k{}-{key}", slice.index), "x", 1)).collect();
        let mut load = begin(run.as_ref(), slice).await;
        write(load.as_mut(), &rows).await.unwrap();
        let _ = tokio::time::timeout(Duration::from_millis(pause), load.commit(Commit::default())).await;
        let counted = load_slice(run.as_ref(), slice, &[&rows]).await.unwrap();
        assert_eq!(counted, counts(100, 0, 0, 0, 0), "given up after {pause} ms");
        all.extend(rows);
    }
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    site.assert_holds(&batch(&all, &[]).unwrap()).await;
}

async fn what_is_replayed_is_no_reject_any_more(workbench: Workbench) {
    let site = workbench.ready().await;
    let first = load_rejects(&site, vec![reject(1, "no thing"), reject(2, "no thing")]).await;
    // Since then a newer run has stored one of the keys.
    site.load(&[&[&[timeless("newer", "newer")]]]).await;
    let kept = soon(site.sink().rejects(&RejectQuery::newest(10))).await.unwrap();
    let ids: Vec<String> = kept.iter().map(|reject| reject.id.clone()).collect();
    let replay = Replay::new(
        ingestion(endpoint_api::Mode::Cdm),
        model(),
        first.parse().unwrap(),
        kept[0].observation,
        ids.clone(),
    );
    let mut load = soon(site.sink().replay(&replay)).await.unwrap();
    write(load.as_mut(), &[timeless("newer", "older"), timeless("again", "again")]).await.unwrap();
    soon(load.reject(vec![reject(2, "still no thing")])).await.unwrap();
    let receipt = soon(load.commit(Commit::default())).await.unwrap();
    assert_eq!((receipt.counts.inserted, receipt.counts.stale, receipt.counts.rejected), (1, 1, 1), "{receipt:?}");
    let left = soon(site.sink().rejects(&RejectQuery::newest(10))).await.unwrap();
    let left: Vec<(&str, &str)> = left.iter().map(|reject| (reject.origin.as_str(), reject.reason.as_str())).collect();
    assert_eq!(left, [("things.jsonl:2", "still no thing")]);
    site.assert_stored(&[("again", "again"), ("good", "good"), ("newer", "newer")]).await;
    // One that is gone already is no error.
    let load = soon(site.sink().replay(&replay)).await.unwrap();
    soon(load.commit(Commit::default())).await.unwrap();
    // What was replayed is as old as its reject, and counts among the rows.
    let run = soon(site.sink().open_run(&spec(&new_run()).restart(true))).await.unwrap();
    soon(run.record_plan(&plan(1))).await.unwrap();
    let counted = load_slice(run.as_ref(), &plan(1)[0], &[&[timeless("again", "newer")]]).await.unwrap();
    assert_eq!(counted, counts(0, 1, 0, 0, 0), "a later run wins over what was replayed");
    let receipt = soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    assert!(receipt.rows.is_none_or(|rows| rows == 3), "{receipt:?}");
}

async fn a_replay_that_is_given_up_keeps_the_reject(workbench: Workbench) {
    let site = workbench.ready().await;
    let first = load_rejects(&site, vec![reject(1, "no thing")]).await;
    let kept = soon(site.sink().rejects(&RejectQuery::newest(10))).await.unwrap();
    let ids = vec![kept[0].id.clone()];
    let replay =
        Replay::new(ingestion(endpoint_api::Mode::Cdm), model(), first.parse().unwrap(), kept[0].observation, ids);
    let mut load = soon(site.sink().replay(&replay)).await.unwrap();
    write(load.as_mut(), &[put("again", "again", 1)]).await.unwrap();
    soon(load.abort()).await.unwrap();
    assert_eq!(soon(site.sink().rejects(&RejectQuery::newest(10))).await.unwrap().len(), 1);
    site.assert_stored(&[("good", "good")]).await;
}

async fn what_is_replayed_counts_where_it_goes(workbench: Workbench) {
    let site = workbench.ready().await;
    let other = batch_of(Other { cdm_id: "good".into(), name: Some("other".into()), ..Other::default() }, 1);
    site.provision_for(other.model()).await;
    let run = load_rejects(&site, vec![reject(1, "no thing")]).await;
    let kept = soon(site.sink().rejects(&RejectQuery::newest(10))).await.unwrap().remove(0);
    // What was rejected for the one model is replayed into another, into which no run has loaded anything.
    let replay = Replay::new(
        ingestion(endpoint_api::Mode::Cdm),
        Arc::clone(other.model()),
        run.parse().unwrap(),
        kept.observation,
        vec![kept.id],
    );
    let mut load = soon(site.sink().replay(&replay)).await.unwrap();
    soon(load.write(Batch::Cdm(Box::new(other.clone())))).await.unwrap();
    assert_eq!(soon(load.commit(Commit::default())).await.unwrap().counts, counts(1, 0, 0, 0, 0));
    site.assert_holds(&other).await;
    site.assert_stored(&[("good", "good")]).await;
    let verified = soon(site.sink().verify(&[model(), Arc::clone(other.model())], false)).await.unwrap();
    let found: Vec<_> = verified.iter().map(|found| (found.rows, found.inserted, found.ok())).collect();
    assert_eq!(found, [(1, 1, true); 2], "{verified:?}");
}

async fn what_was_loaded_is_found_as_it_was(workbench: Workbench) {
    let site = workbench.ready().await;
    let part = crate::model::Row::Put(Box::new(crate::model::named("p", "part")), Rank::Part, None);
    site.load(&[&[&[put("a", "one", 1), put("b", "two", 2), part]]]).await;
    for repair in [false, true] {
        let verified = soon(site.sink().verify(&[model()], repair)).await.unwrap();
        assert_eq!(verified.len(), 1);
        assert_eq!((verified[0].rows, verified[0].inserted, verified[0].changed, verified[0].marked), (3, 3, 0, 0));
        assert!(verified[0].ok() && verified[0].model == model().id);
    }
    assert_eq!(site.load(&[&[&[put("a", "one", 1), put("b", "two", 2)]]]).await, counts(0, 0, 2, 0, 0));
}

async fn what_somebody_has_changed_is_found_and_mended(workbench: Workbench) {
    let site = workbench.ready().await;
    let rows = [put("a", "one", 1), put("b", "two", 2), timeless("c", "three")];
    let load = async || {
        let run = soon(site.sink().open_run(&spec(&new_run()))).await.unwrap();
        let checkpoint = run.resume().checkpoint.clone();
        soon(run.record_plan(&plan(1))).await.unwrap();
        let mut load = begin(run.as_ref(), &plan(1)[0]).await;
        write(load.as_mut(), &rows).await.unwrap();
        let commit = Commit::new(Some(Checkpoint("the end".into())), Vec::new());
        let counted = soon(load.commit(commit)).await.unwrap().counts;
        soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
        (checkpoint, counted)
    };
    let verify = async |repair| soon(site.sink().verify(&[model()], repair)).await.unwrap().remove(0);
    assert_eq!(load().await, (None, counts(3, 0, 0, 0, 0)));
    let damage = workbench.author.damage.as_ref().expect("it was given");
    damage(&site.place, &site.table().await, "b");
    for _ in 0..2 {
        let found = verify(false).await;
        assert_eq!((found.rows, found.changed, found.keys.as_slice(), found.marked), (3, 1, &["b".to_owned()][..], 0));
        assert!(!found.ok());
    }
    let found = verify(true).await;
    assert_eq!((found.changed, found.marked), (1, 1), "{found:?}");
    assert_eq!(load().await, (None, counts(0, 1, 2, 0, 0)), "the next run reads all there is, and mends the row");
    let found = verify(false).await;
    assert!(found.ok() && found.rows == 3, "{found:?}");
    site.assert_holds(&batch(&rows, &[]).unwrap()).await;
}
