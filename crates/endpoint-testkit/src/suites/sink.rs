//! What becomes of rows: the total order, and accounting.

use std::collections::BTreeMap;

use endpoint_api::{Commit, Counts, Mentions, RunEnd, Slice};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{Test, takes_things, test};
use crate::{
    model::{Row, batch, hashes, mapped, part, put, stated, timeless},
    workbench::{Site, Workbench, begin, counts, load_slice, new_run, plan, resource, soon, spec, write},
};

pub(super) const TESTS: &[Test] = &[
    test!("sink", a_model_of_the_kit_is_stored, takes_things, "CDM-05", "LOAD-01"),
    test!("sink", the_same_again_writes_nothing, takes_things, "CDM-02"),
    test!("sink", a_stale_version_never_wins, takes_things, "CDM-01"),
    test!("sink", a_newer_version_wins, takes_things, "CDM-01"),
    test!("sink", without_a_time_the_newer_run_wins, takes_things, "CDM-01"),
    test!("sink", a_time_is_above_none, takes_things, "CDM-01"),
    test!("sink", what_has_not_changed_since_is_not_newer_for_being_read_again, takes_things, "CDM-01"),
    test!("sink", of_one_record_the_newer_mapper_wins, takes_things, "CDM-01"),
    test!("sink", of_two_records_of_one_time_both_orders_end_alike, takes_things, "CDM-01"),
    test!("sink", of_one_key_in_a_slice_the_greatest_is_stored, takes_things, "CDM-01", "LOAD-01"),
    test!("sink", any_order_repetition_and_cut_ends_alike, takes_things, "CDM-01", "LOAD-01"),
    test!("sink", a_part_never_replaces_a_whole, takes_things, "CDM-03"),
    test!("sink", a_copy_that_does_not_state_who_may_read_it_never_replaces_one_that_does, takes_things, "CDM-01"),
    test!("sink", mentions_are_counted_apart, takes_things, "LOAD-10"),
    test!("sink", a_deletion_stands_until_the_record_is_seen_again, takes_things, "CDM-04"),
    test!("sink", what_was_never_there_can_be_deleted, takes_things, "CDM-04", "LOAD-01"),
    test!("sink", a_record_is_recognised_only_when_its_row_is_there, takes_things, "LOAD-06"),
    test!("sink", a_record_that_was_deleted_is_not_recognised, takes_things, "LOAD-06", "CDM-04"),
    test!("sink", many_rows_are_stored, takes_things, "LOAD-01"),
];

async fn a_model_of_the_kit_is_stored(workbench: Workbench) {
    let site = workbench.ready().await;
    assert_eq!(
        site.load(&[&[&[put("a", "one", 1), put("b", "two", 1)]], &[&[put("c", "three", 1)]]]).await,
        counts(3, 0, 0, 0, 0)
    );
    site.assert_stored(&[("a", "one"), ("b", "two"), ("c", "three")]).await;
}

async fn the_same_again_writes_nothing(workbench: Workbench) {
    let site = workbench.ready().await;
    let rows = [put("a", "one", 1), timeless("b", "two"), part("c", "three")];
    assert_eq!(site.load(&[&[&rows]]).await, counts(3, 0, 0, 0, 0));
    let mut with_a_mention = counts(0, 0, 3, 0, 0);
    with_a_mention.mentions.unchanged = 1;
    for _ in 0..2 {
        assert_eq!(site.load(&[&[&rows]]).await, with_a_mention, "the same again is unchanged");
    }
    // Of a host that has not asked which records are known.
    let counted = site.load_batch(&spec(&new_run()), &plan(1)[0], &batch(&rows, &[]).unwrap()).await;
    assert_eq!(counted, with_a_mention, "a row that is stored exactly so is unchanged");
    site.assert_stored(&[("a", "one"), ("b", "two"), ("c", "three")]).await;
}

async fn a_stale_version_never_wins(workbench: Workbench) {
    let site = workbench.ready().await;
    site.load(&[&[&[put("a", "new", 9)]]]).await;
    assert_eq!(site.load(&[&[&[put("a", "old", 3)]]]).await, counts(0, 0, 0, 1, 0));
    site.assert_stored(&[("a", "new")]).await;
}

async fn a_newer_version_wins(workbench: Workbench) {
    let site = workbench.ready().await;
    site.load(&[&[&[put("a", "old", 3), put("b", "b", 1)]]]).await;
    assert_eq!(site.load(&[&[&[put("a", "new", 9), put("b", "b", 1)]]]).await, counts(0, 1, 1, 0, 0));
    site.assert_stored(&[("a", "new"), ("b", "b")]).await;
}

async fn without_a_time_the_newer_run_wins(workbench: Workbench) {
    let site = workbench.ready().await;
    for (name, expected) in [("z", counts(1, 0, 0, 0, 0)), ("a", counts(0, 1, 0, 0, 0)), ("m", counts(0, 1, 0, 0, 0))] {
        assert_eq!(site.load(&[&[&[timeless("k", name)]]]).await, expected);
        site.assert_stored(&[("k", name)]).await;
    }
}

async fn a_time_is_above_none(workbench: Workbench) {
    let site = workbench.ready().await;
    site.load(&[&[&[put("k", "timed", 1)]]]).await;
    assert_eq!(site.load(&[&[&[timeless("k", "timeless")]]]).await, counts(0, 0, 0, 1, 0));
    site.assert_stored(&[("k", "timed")]).await;
}

/// Loads one slice of a resource in some state.
async fn load_of(site: &Site, fingerprint: &str, rows: &[Row]) -> Counts {
    let run = soon(site.sink().open_run(&spec(&new_run()).restart(true))).await.unwrap();
    let slices: Vec<Slice> = plan(1).into_iter().map(|slice| slice.of(resource(fingerprint))).collect();
    soon(run.record_plan(&slices)).await.unwrap();
    let counts = load_slice(run.as_ref(), &slices[0], &[rows]).await.unwrap();
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    counts
}

async fn what_has_not_changed_since_is_not_newer_for_being_read_again(workbench: Workbench) {
    let site = workbench.ready().await;
    let (greater, smaller) = if is_greater("x", "y") { ("x", "y") } else { ("y", "x") };
    load_of(&site, "first", &[timeless("k", "first")]).await;
    assert_eq!(load_of(&site, "second", &[timeless("k", greater)]).await, counts(0, 1, 0, 0, 0));
    // Another process reads the second state once more.
    let again = load_of(&site, "second", &[timeless("k", smaller)]).await;
    assert_eq!(again, counts(0, 0, 0, 1, 0), "two records of one state do not take turns");
    let again = load_of(&site, "second", &[timeless("k", greater), timeless("k", smaller)]).await;
    assert_eq!((again.inserted, again.updated), (0, 0));
    site.assert_stored(&[("k", greater)]).await;
    assert_eq!(
        load_of(&site, "third", &[timeless("k", smaller)]).await,
        counts(0, 1, 0, 0, 0),
        "a third state is news"
    );
    site.assert_stored(&[("k", smaller)]).await;
}

async fn of_one_record_the_newer_mapper_wins(workbench: Workbench) {
    let site = workbench.ready().await;
    // The older mapper makes of it what has the greater hash.
    let (older, newer) = if is_greater("x", "y") { ("x", "y") } else { ("y", "x") };
    let slice = plan(1)[0].clone().of(resource("the same"));
    let load = async |name: &str, revision: u32| {
        let batch = mapped(&[put("k", name, 5)], &[], revision).unwrap();
        site.load_batch(&spec(&new_run()), &slice, &batch).await
    };
    assert_eq!(load(older, 1).await, counts(1, 0, 0, 0, 0));
    assert_eq!(load(newer, 2).await, counts(0, 1, 0, 0, 0), "the newer revision is the greater");
    assert_eq!(load(older, 1).await, counts(0, 0, 0, 1, 0));
    site.assert_stored(&[("k", newer)]).await;
}

/// Whether a row of that name has the greater content hash.
pub(super) fn is_greater(name: &str, than: &str) -> bool {
    let hash = |name| batch(&[timeless("k", name)], &[]).unwrap().content_hash(0);
    hash(name) > hash(than)
}

async fn of_two_records_of_one_time_both_orders_end_alike(workbench: Workbench) {
    let (one, two) = (workbench.ready().await, workbench.ready().await);
    let rows = [put("k", "x", 5), put("k", "y", 5)];
    one.load(&[&[&rows[..1]], &[&rows[1..]]]).await;
    two.load(&[&[&rows[1..]], &[&rows[..1]]]).await;
    assert_eq!(one.stored().await, two.stored().await);
    let winner = if is_greater("x", "y") { "x" } else { "y" };
    one.assert_stored(&[("k", winner)]).await;
}

async fn of_one_key_in_a_slice_the_greatest_is_stored(workbench: Workbench) {
    let site = workbench.ready().await;
    let batches: [&[Row]; 2] = [&[put("k", "2", 2), put("k", "9", 9)], &[put("k", "5", 5), put("l", "1", 1)]];
    assert_eq!(site.load(&[&batches]).await, counts(2, 0, 0, 0, 2));
    site.assert_stored(&[("k", "9"), ("l", "1")]).await;
}

/// A key and a version time: the name follows from both.
type Record = (u8, i64);

fn row(&(key, time): &Record) -> Row {
    put(&format!("k{key}"), &format!("v{time}"), time)
}

async fn any_order_repetition_and_cut_ends_alike(workbench: Workbench) {
    let config = Config { failure_persistence: None, ..Config::default() };
    // The same cases each time: a failure is there again when it is looked at.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let runs = prop::collection::vec((0..5u8, 1..6i64), 1..16).prop_flat_map(|records| {
        let repeated: Vec<Record> = records.iter().chain(&records).copied().collect();
        (Just(repeated).prop_shuffle(), 1..9usize, 1..5usize, 1..4usize)
    });
    for _ in 0..12 {
        let (records, of_run, of_slice, of_batch) = runs.new_tree(&mut runner).unwrap().current();
        let site = workbench.ready().await;
        let mut oracle: BTreeMap<u8, i64> = BTreeMap::new();
        for run in records.chunks(of_run) {
            let rows: Vec<Vec<Vec<Row>>> = run
                .chunks(of_slice)
                .map(|slice| slice.chunks(of_batch).map(|batch| batch.iter().map(row).collect()).collect())
                .collect();
            let batches: Vec<Vec<&[Row]>> =
                rows.iter().map(|slice| slice.iter().map(Vec::as_slice).collect()).collect();
            let counted = site.load(&batches.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
            let known = oracle.len() as u64;
            for (key, time) in run {
                let newest = oracle.entry(*key).or_insert(*time);
                *newest = (*newest).max(*time);
            }
            assert_eq!(counted.total(), run.len() as u64);
            assert_eq!(counted.inserted, oracle.len() as u64 - known, "{records:?}");
        }
        let expected: Vec<(String, String)> =
            oracle.iter().map(|(key, time)| (format!("k{key}"), format!("v{time}"))).collect();
        let expected: Vec<(&str, &str)> = expected.iter().map(|(key, name)| (key.as_str(), name.as_str())).collect();
        site.assert_stored(&expected).await;
        // What is there is what the oracle says: all of it is unchanged now.
        let all: Vec<Row> = oracle.iter().map(|(key, time)| row(&(*key, *time))).collect();
        assert_eq!(site.load(&[&[&all]]).await, counts(0, 0, all.len() as u64, 0, 0), "{records:?}");
    }
}

async fn a_part_never_replaces_a_whole(workbench: Workbench) {
    let site = workbench.ready().await;
    assert_eq!(site.load(&[&[&[part("k", "part"), part("l", "gap")]]]).await, counts(2, 0, 0, 0, 0));
    assert_eq!(site.load(&[&[&[put("k", "whole", 1)]]]).await, counts(0, 1, 0, 0, 0));
    let mut stale = counts(0, 0, 0, 1, 0);
    stale.mentions.stale = 1;
    assert_eq!(site.load(&[&[&[part("k", "another")]]]).await, stale);
    site.assert_stored(&[("k", "whole"), ("l", "gap")]).await;
}

async fn a_copy_that_does_not_state_who_may_read_it_never_replaces_one_that_does(workbench: Workbench) {
    let site = workbench.ready().await;
    let (greater, smaller) = if is_greater("x", "y") { ("x", "y") } else { ("y", "x") };
    assert_eq!(site.load(&[&[&[stated("k", smaller, 5)]]]).await, counts(1, 0, 0, 0, 0));
    assert_eq!(site.load(&[&[&[put("k", greater, 5)]]]).await, counts(0, 0, 0, 1, 0), "in a later run");
    site.assert_stored(&[("k", smaller)]).await;
    site.load(&[&[&[put("l", greater, 5)]]]).await;
    let both = [put("l", greater, 5), stated("l", smaller, 5)];
    assert_eq!(site.load(&[&[&both]]).await.updated, 1, "with the copy in one slice");
    site.assert_stored(&[("k", smaller), ("l", smaller)]).await;
    assert_eq!(site.load(&[&[&[put("k", greater, 6)]]]).await, counts(0, 1, 0, 0, 0), "a newer version replaces it");
    site.assert_stored(&[("k", greater), ("l", smaller)]).await;
}

async fn mentions_are_counted_apart(workbench: Workbench) {
    let site = workbench.ready().await;
    site.load(&[&[&[put("whole", "record", 1), part("known", "mention")]]]).await;
    let first = [part("whole", "mention"), part("new", "a"), put("new", "record", 1), put("new", "record", 1)];
    let second = [part("known", "mention"), part("other", "a"), part("other", "b"), part("whole", "mention")];
    let counted = site.load(&[&[&first, &second]]).await;
    // Of two mentions below a stored record the sink may call the second one stale or a duplicate.
    let found = (counted.inserted, counted.unchanged, counted.stale + counted.duplicate, counted.total());
    assert_eq!(found, (2, 1, 5, 8), "each record counts once, mentions included");
    let Mentions { unchanged, stale, duplicate } = counted.mentions;
    assert_eq!((unchanged, stale + duplicate), (1, 4), "a mention that changes nothing is counted as one");
    assert!(stale <= counted.stale && duplicate <= counted.duplicate, "{counted:?}");
}

async fn a_deletion_stands_until_the_record_is_seen_again(workbench: Workbench) {
    let site = workbench.ready().await;
    let rows = [put("k", "x", 1), put("l", "y", 1)];
    site.load(&[&[&rows]]).await;
    assert_eq!(site.load(&[&[&[Row::Delete("k".to_owned())]]]).await, counts(0, 1, 0, 0, 0));
    site.assert_stored(&[("l", "y")]).await;
    assert_eq!(site.load(&[&[&[Row::Delete("k".to_owned())]]]).await, counts(0, 0, 1, 0, 0), "it is deleted already");
    // Exactly as it was: it is live again.
    assert_eq!(site.load(&[&[&rows]]).await, counts(0, 1, 1, 0, 0));
    site.assert_stored(&[("k", "x"), ("l", "y")]).await;
}

async fn what_was_never_there_can_be_deleted(workbench: Workbench) {
    let site = workbench.ready().await;
    let counted = site.load(&[&[&[Row::Delete("nobody".to_owned()), put("a", "a", 1)]]]).await;
    assert_eq!((counted.inserted, counted.total()), (1, 2));
    site.assert_stored(&[("a", "a")]).await;
}

async fn a_record_is_recognised_only_when_its_row_is_there(workbench: Workbench) {
    let site = workbench.ready().await;
    let rows = [put("a", "x", 5), put("b", "x", 5)];
    site.load(&[&[&rows]]).await;
    let run = soon(site.sink().open_run(&spec(&new_run()).restart(true))).await.unwrap();
    soon(run.record_plan(&plan(1))).await.unwrap();
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    let strangers = [put("a", "other", 5), put("z", "x", 5), put("b", "x", 6)];
    assert_eq!(soon(load.recognize(&hashes(&strangers))).await.unwrap(), [false; 3], "nothing of this is stored");
    write(load.as_mut(), &strangers).await.unwrap();
    let counted = soon(load.commit(Commit::default())).await.unwrap().counts;
    assert_eq!(counted.total(), 3, "what was recognised counts once: {counted:?}");
    assert_eq!((counted.inserted, counted.unchanged), (1, 0));
}

async fn a_record_that_was_deleted_is_not_recognised(workbench: Workbench) {
    let site = workbench.ready().await;
    let rows = [put("a", "x", 5)];
    site.load(&[&[&rows]]).await;
    site.load(&[&[&[Row::Delete("a".to_owned())]]]).await;
    assert_eq!(site.load(&[&[&rows]]).await, counts(0, 1, 0, 0, 0), "it is live again");
    site.assert_stored(&[("a", "x")]).await;
}

async fn many_rows_are_stored(workbench: Workbench) {
    let site = workbench.ready().await;
    let rows: Vec<Row> = (0..5_000).map(|at| put(&format!("k{at}"), &format!("n{at}"), 1)).collect();
    let batches: Vec<&[Row]> = rows.chunks(700).collect();
    assert_eq!(site.load(&[&batches]).await, counts(5_000, 0, 0, 0, 0));
    site.assert_holds(&batch(&rows, &[]).unwrap()).await;
    assert_eq!(site.load(&[&batches]).await, counts(0, 0, 5_000, 0, 0));
}
