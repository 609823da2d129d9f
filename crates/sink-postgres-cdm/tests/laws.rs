//! Any order, repetition and cut of the same records ends in the same table.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;

use common::{Bench, Row, Thing, part, put, timeless};
use proptest::{prelude::*, test_runner::TestRunner};

/// A key, a version time (0: none) and a content.
type Record = (u8, i64, u8);

fn row(&(key, version_at, content): &Record) -> Row<'static> {
    let thing = Thing::named(format!("t{key}"), format!("v{version_at} c{content}"));
    match version_at {
        0 => timeless(thing),
        version_at => put(thing, version_at),
    }
}

/// Slices of batches of records.
fn cut(records: &[Record], slice: usize, batch: usize) -> Vec<Vec<Vec<Row<'static>>>> {
    let slices =
        records.chunks(slice).map(|slice| slice.chunks(batch).map(|batch| batch.iter().map(row).collect()).collect());
    slices.collect()
}

async fn load(bench: &Bench, slices: &[Vec<Vec<Row<'static>>>]) -> endpoint_api::Counts {
    let batches: Vec<Vec<&[Row<'_>]>> = slices.iter().map(|slice| slice.iter().map(Vec::as_slice).collect()).collect();
    bench.load(&batches.iter().map(Vec::as_slice).collect::<Vec<_>>()).await
}

/// What law 5 compares.
async fn table(bench: &Bench) -> Vec<Vec<String>> {
    bench
        .ask(
            "select cdm_id, name, _cdm_rank, _cdm_version_at, _cdm_content_hash, _cdm_deleted_at is null \
             from cdm_work.cdm_test_thing order by cdm_id collate \"C\"",
        )
        .await
}

fn check<S: Strategy>(cases: u32, strategy: S, test: impl AsyncFn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: Clone,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { cases, max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config).run(&strategy, |value| runtime.block_on(test(value))).unwrap();
}

fn shuffled(records: impl Strategy<Value = Vec<Record>>) -> impl Strategy<Value = (Vec<Record>, Vec<Record>)> {
    records.prop_flat_map(|records| {
        let repeated = records.iter().chain(&records).copied().collect::<Vec<_>>();
        (Just(records), Just(repeated).prop_shuffle())
    })
}

#[test]
fn records_with_a_source_time_converge_in_any_order_and_cut() {
    // One content for each key and time: distinct times, as the law asks for.
    let record = (0..4u8, 1..6i64).prop_map(|(key, time)| (key, time, (key + time as u8) % 3));
    let runs = shuffled(prop::collection::vec(record, 1..12));
    check(24, (runs, 1..5usize, 1..4usize), async |((in_order, mixed), slice, batch)| {
        let (straight, crooked) = (Bench::new().await, Bench::new().await);
        let counts = load(&straight, &cut(&in_order, in_order.len(), in_order.len())).await;
        prop_assert_eq!(counts.total(), in_order.len() as u64);
        for run in mixed.chunks(7) {
            let counts = load(&crooked, &cut(run, slice, batch)).await;
            prop_assert_eq!(counts.total(), run.len() as u64, "every record is accounted for");
        }
        prop_assert_eq!(table(&crooked).await, table(&straight).await);
        let oracle: BTreeMap<u8, i64> =
            in_order.iter().map(|(key, time, _)| (*key, *time)).fold(BTreeMap::new(), |mut newest, (key, time)| {
                let entry = newest.entry(key).or_insert(time);
                *entry = (*entry).max(time);
                newest
            });
        let versions = crooked.ask("select cdm_id, (extract(epoch from _cdm_version_at) * 1000000)::bigint from cdm_work.cdm_test_thing order by 1").await;
        let expected: Vec<Vec<String>> =
            oracle.into_iter().map(|(key, time)| vec![format!("t{key}"), time.to_string()]).collect();
        prop_assert_eq!(versions, expected);
        Ok(())
    });
}

#[test]
fn records_without_a_time_follow_the_order_of_runs() {
    let runs = prop::collection::vec(prop::collection::vec((0..3u8, Just(0i64), 0..4u8), 1..6), 1..4);
    check(16, (runs, 1..4usize), async |(runs, batch)| {
        let (once, repeated) = (Bench::new().await, Bench::new().await);
        for run in &runs {
            load(&once, &cut(run, run.len(), batch)).await;
            let twice: Vec<Record> = run.iter().rev().chain(run).copied().collect();
            load(&repeated, &cut(&twice, twice.len(), batch)).await;
            // The same run again, as a later one: nothing is written.
            let again = load(&repeated, &cut(run, run.len(), 2)).await;
            prop_assert_eq!((again.inserted, again.updated), (0, 0));
        }
        prop_assert_eq!(table(&once).await, table(&repeated).await);
        Ok(())
    });
}

#[test]
fn parts_fill_gaps_and_never_replace() {
    let records = prop::collection::vec((0..3u8, 0..3u8, any::<bool>()), 1..10);
    check(
        16,
        records.prop_flat_map(|records| (Just(records.clone()), Just(records).prop_shuffle())),
        async |(records, mixed)| {
            let rows = |records: &[(u8, u8, bool)]| -> Vec<Row<'static>> {
                let row = |&(key, content, whole): &(u8, u8, bool)| match whole {
                    true => put(Thing::named(format!("t{key}"), format!("whole {content}")), i64::from(content) + 1),
                    false => part(Thing::named(format!("t{key}"), format!("part {content}"))),
                };
                records.iter().map(row).collect()
            };
            let (straight, crooked) = (Bench::new().await, Bench::new().await);
            straight.load(&[&[&rows(&records)]]).await;
            for run in mixed.chunks(3) {
                crooked.load(&[&[&rows(run)]]).await;
            }
            prop_assert_eq!(table(&crooked).await, table(&straight).await);
            for stored in crooked.names().await {
                let key: u8 = stored.0[1..].parse().unwrap();
                let has_whole = records.iter().any(|record| record.0 == key && record.2);
                prop_assert_eq!(stored.1.starts_with("whole"), has_whole);
            }
            Ok(())
        },
    );
}
