//! What a source gives, and gives again.

use std::{collections::HashSet, time::Duration};

use endpoint_api::{Capabilities, Checkpoint, ErrorKind, Mode, PlanRequest, RawBatch, Slice, Source, UnitId};
use futures::StreamExt as _;
use serde_json::Value;

use super::{Test, test};
use crate::workbench::{Author, Workbench, failure, soon};

pub(super) const TESTS: &[Test] = &[
    test!("source", units_are_unique_and_stay, is_source, "SRC-01"),
    test!("source", an_unknown_unit_is_refused, is_source, "SRC-04"),
    test!("source", plans_are_numbered_and_the_same_again, has_units, "SRC-02", "SRC-03"),
    test!("source", every_record_comes_once, has_units, "SRC-06", "SRC-12"),
    test!("source", a_reject_has_a_reason_and_its_bytes, has_units, "SRC-06"),
    test!("source", a_slice_gives_the_same_records_again, has_units, "SRC-05"),
    test!("source", another_process_reads_the_same_slices, has_units, "SRC-05"),
    test!("source", a_reading_that_is_given_up_changes_nothing, has_units, "SRC-07"),
    test!("source", batches_are_bounded, has_units, "SRC-08"),
    Test { alone: true, ..test!("source", what_nobody_asks_for_is_not_read, has_a_large_place, "SRC-07") },
    Test { alone: true, ..test!("source", memory_does_not_grow_with_a_slice, has_a_large_place, "SRC-08") },
    test!("source", the_last_batch_says_where_to_go_on, has_units, "SRC-09"),
    test!("source", after_the_checkpoint_there_is_nothing_more, is_incremental, "SRC-10"),
    test!("source", reading_goes_on_after_any_checkpoint, is_incremental, "SRC-10"),
    test!(
        "source",
        what_is_added_is_read,
        |capabilities, author| {
            capabilities.source.is_some_and(|source| source.incremental) && author.append.is_some()
        },
        "SRC-10",
        "SRC-13"
    ),
    test!("source", plans_and_checkpoints_hold_no_secret, has_units, "SRC-11"),
];

fn is_source(capabilities: &Capabilities, _: &Author) -> bool {
    capabilities.source.is_some()
}

fn has_units(capabilities: &Capabilities, author: &Author) -> bool {
    is_source(capabilities, author) && !author.units.is_empty()
}

fn has_a_large_place(capabilities: &Capabilities, author: &Author) -> bool {
    is_source(capabilities, author) && author.large.is_some()
}

fn is_incremental(capabilities: &Capabilities, author: &Author) -> bool {
    has_units(capabilities, author) && capabilities.source.is_some_and(|source| source.incremental)
}

/// No batch holds more than this; a record may be as large as the source allows.
const MOST_BYTES: usize = 32 << 20;

/// A large place has more than this.
const LARGE: usize = 64 << 20;

fn everything(mode: Mode) -> PlanRequest {
    PlanRequest::new(mode, None)
}

async fn plan(source: &dyn Source, unit: &UnitId, request: &PlanRequest) -> Vec<Slice> {
    soon(source.plan(unit, request)).await.unwrap()
}

async fn read(source: &dyn Source, unit: &UnitId, slice: &Slice) -> Vec<RawBatch> {
    let batches: Vec<_> = soon(source.read(unit, slice).collect()).await;
    let batches: Vec<RawBatch> = batches.into_iter().map(|batch| batch.unwrap()).collect();
    for batch in &batches {
        assert_eq!((batch.unit(), batch.endpoint()), (unit, &source.identity().endpoint), "whose records a batch has");
    }
    batches
}

/// What a record or a reject is known by.
type Item = (String, String);

fn items(batches: &[RawBatch]) -> Vec<Item> {
    let of_batch = |batch: &RawBatch| {
        let records = batch.records().map(|record| match batch.check(&record) {
            Ok(()) => (record.origin.to_string(), record.json.to_owned()),
            Err(reject) => (reject.origin, format!("rejected: {}", reject.reason)),
        });
        let rejects =
            batch.rejects().iter().map(|reject| (reject.origin.clone(), format!("rejected: {}", reject.reason)));
        records.chain(rejects).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

/// All that is planned, and where a later run may go on after it.
async fn all_of(source: &dyn Source, unit: &UnitId, request: &PlanRequest) -> (Vec<Item>, Option<Checkpoint>) {
    let (mut all, mut checkpoint) = (Vec::new(), None);
    for slice in plan(source, unit, request).await {
        let batches = read(source, unit, &slice).await;
        all.extend(items(&batches));
        checkpoint = batches.iter().filter_map(RawBatch::resume_at).next_back().cloned().or(checkpoint);
    }
    (all, checkpoint)
}

async fn units_are_unique_and_stay(workbench: Workbench) {
    let site = workbench.site().await;
    let source = site.endpoint.source().unwrap();
    let units = soon(source.units()).await.unwrap();
    let ids: HashSet<&str> = units.iter().map(|unit| unit.id.as_str()).collect();
    assert_eq!((ids.len(), ids.is_empty()), (units.len(), false), "{ids:?}");
    assert!(units.iter().all(|unit| !unit.title.is_empty()));
    assert_eq!(soon(source.units()).await.unwrap(), units);
    for (unit, _) in &workbench.author.units {
        assert!(ids.contains(unit.as_str()), "{unit} is no unit of the source");
    }
}

async fn an_unknown_unit_is_refused(workbench: Workbench) {
    let site = workbench.site().await;
    let unknown: UnitId = "testkit.no_such_unit".parse().unwrap();
    let planned = soon(site.endpoint.source().unwrap().plan(&unknown, &everything(Mode::Raw))).await;
    let error = failure("planning a unit that is not known", planned);
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

async fn plans_are_numbered_and_the_same_again(workbench: Workbench) {
    let site = workbench.site().await;
    let source = site.endpoint.source().unwrap();
    for (unit, _) in &workbench.author.units {
        for mode in [Mode::Raw, Mode::Cdm] {
            let slices = plan(source, unit, &everything(mode)).await;
            let indices: Vec<u64> = slices.iter().map(|slice| slice.index).collect();
            assert_eq!(indices, (0..slices.len() as u64).collect::<Vec<_>>(), "{unit}");
            assert_eq!(plan(source, unit, &everything(mode)).await, slices, "{unit}: the same plan again");
        }
    }
}

async fn every_record_comes_once(workbench: Workbench) {
    let site = workbench.site().await;
    let source = site.endpoint.source().unwrap();
    for (unit, expected) in &workbench.author.units {
        let (all, _) = all_of(source, unit, &everything(Mode::Cdm)).await;
        assert_eq!(all.len(), *expected, "{unit}: so many records and rejects come (left), so many there are (right)");
        let different: HashSet<&Item> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{unit}: no record comes twice from one place");
        for (origin, json) in all.iter().filter(|(_, json)| !json.starts_with("rejected: ")) {
            let value: Value = serde_json::from_str(json).unwrap_or_else(|_| panic!("{origin} is no JSON"));
            assert!(value.is_object(), "{origin} is no object");
        }
    }
}

async fn a_reject_has_a_reason_and_its_bytes(workbench: Workbench) {
    let site = workbench.site().await;
    let source = site.endpoint.source().unwrap();
    for (unit, _) in &workbench.author.units {
        for slice in plan(source, unit, &everything(Mode::Raw)).await {
            for reject in read(source, unit, &slice).await.iter().flat_map(RawBatch::rejects) {
                let told = (reject.reason.is_empty(), reject.origin.is_empty(), reject.raw.is_empty());
                assert_eq!(told, (false, false, false), "{unit}: {reject:?}");
                assert!(reject.raw_length >= reject.raw.len() as u64, "{unit}: {reject:?}");
            }
        }
    }
}

async fn a_slice_gives_the_same_records_again(workbench: Workbench) {
    let site = workbench.site().await;
    let source = site.endpoint.source().unwrap();
    for (unit, _) in &workbench.author.units {
        for slice in plan(source, unit, &everything(Mode::Cdm)).await {
            let first = items(&read(source, unit, &slice).await);
            assert_eq!(items(&read(source, unit, &slice).await), first, "{unit}, slice {}", slice.index);
        }
    }
}

async fn another_process_reads_the_same_slices(workbench: Workbench) {
    let site = workbench.site().await;
    let elsewhere = site.reopened().await;
    for (unit, _) in &workbench.author.units {
        let slices = plan(site.endpoint.source().unwrap(), unit, &everything(Mode::Cdm)).await;
        // As it is stored with the run, last slice first.
        let stored = serde_json::to_string(&slices).unwrap();
        let slices: Vec<Slice> = serde_json::from_str(&stored).unwrap();
        for slice in slices.iter().rev() {
            let here = items(&read(site.endpoint.source().unwrap(), unit, slice).await);
            assert_eq!(items(&read(elsewhere.source().unwrap(), unit, slice).await), here, "{unit}");
        }
    }
}

async fn a_reading_that_is_given_up_changes_nothing(workbench: Workbench) {
    let site = workbench.site().await;
    let source = site.endpoint.source().unwrap();
    for (unit, _) in &workbench.author.units {
        for slice in plan(source, unit, &everything(Mode::Cdm)).await {
            drop(source.read(unit, &slice));
            let mut begun = source.read(unit, &slice);
            let first = soon(begun.next()).await;
            drop(begun);
            let again = items(&read(source, unit, &slice).await);
            if let Some(first) = first {
                let first = items(&[first.unwrap()]);
                assert_eq!(again[..first.len()], first[..], "{unit}: a reading that was given up changes nothing");
            }
        }
    }
}

async fn batches_are_bounded(workbench: Workbench) {
    let site = workbench.site().await;
    let source = site.endpoint.source().unwrap();
    for (unit, _) in &workbench.author.units {
        for slice in plan(source, unit, &everything(Mode::Cdm)).await {
            for batch in read(source, unit, &slice).await {
                assert!(batch.bytes() < MOST_BYTES, "{unit}: a batch of {} bytes", batch.bytes());
            }
        }
    }
}

async fn what_nobody_asks_for_is_not_read(workbench: Workbench) {
    let (unit, place) = workbench.author.large.as_ref().expect("it was given");
    let site = workbench.site_in(place().unwrap()).await;
    let source = site.endpoint.source().unwrap();
    let slices = plan(source, unit, &everything(Mode::Raw)).await;
    let Some(before) = resident() else { return untold() };
    let mut readings: Vec<_> = slices.iter().map(|slice| source.read(unit, slice)).collect();
    for reading in &mut readings {
        soon(reading.next()).await.expect("a large place has records").unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let growth = resident().unwrap_or(0).saturating_sub(before);
    assert!(growth < LARGE / 2, "memory grows by {growth} bytes while nobody asks for more");
}

fn untold() {
    eprintln!("this system does not tell how much memory a process has");
}

async fn memory_does_not_grow_with_a_slice(workbench: Workbench) {
    let (unit, place) = workbench.author.large.as_ref().expect("it was given");
    let site = workbench.site_in(place().unwrap()).await;
    let source = site.endpoint.source().unwrap();
    let slices = plan(source, unit, &everything(Mode::Raw)).await;
    let Some(before) = resident() else { return untold() };
    let (mut all, mut most) = (0, before);
    for slice in slices {
        let mut batches = source.read(unit, &slice);
        while let Some(batch) = soon(batches.next()).await {
            let batch = batch.unwrap();
            assert!(batch.bytes() < MOST_BYTES, "a batch of {} bytes", batch.bytes());
            all += batch.bytes();
            most = most.max(resident().unwrap_or(0));
        }
    }
    assert!(all > LARGE, "a large place has more than {LARGE} bytes of records, not {all}");
    assert!(most - before < LARGE / 2, "memory grows by {} bytes while {all} are read", most - before);
}

/// How much memory this process has, in bytes, where the system tells it.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kib| kib * 1024)
}

async fn the_last_batch_says_where_to_go_on(workbench: Workbench) {
    let site = workbench.site().await;
    let source = site.endpoint.source().unwrap();
    for (unit, _) in &workbench.author.units {
        let slices = plan(source, unit, &everything(Mode::Cdm)).await;
        let Some(last) = slices.last() else { continue };
        let batches = read(source, unit, last).await;
        let resume_at = batches.last().and_then(RawBatch::resume_at);
        assert!(resume_at.is_some(), "{unit}: the last batch of the last slice has no checkpoint");
    }
}

async fn after_the_checkpoint_there_is_nothing_more(workbench: Workbench) {
    let site = workbench.site().await;
    let source = site.endpoint.source().unwrap();
    for (unit, _) in &workbench.author.units {
        let (_, checkpoint) = all_of(source, unit, &everything(Mode::Cdm)).await;
        let (more, _) = all_of(source, unit, &PlanRequest::new(Mode::Cdm, checkpoint)).await;
        assert_eq!(more, [], "{unit}: what was read before the checkpoint comes again");
    }
}

async fn reading_goes_on_after_any_checkpoint(workbench: Workbench) {
    let site = workbench.site().await;
    let source = site.endpoint.source().unwrap();
    for (unit, _) in &workbench.author.units {
        let mut batches = Vec::new();
        for slice in plan(source, unit, &everything(Mode::Cdm)).await {
            batches.extend(read(source, unit, &slice).await);
        }
        for (at, batch) in batches.iter().enumerate() {
            let Some(checkpoint) = batch.resume_at() else { continue };
            let (rest, _) = all_of(source, unit, &PlanRequest::new(Mode::Cdm, Some(checkpoint.clone()))).await;
            // Another plan may call the places otherwise.
            assert_eq!(texts(&rest), texts(&items(&batches[at + 1..])), "{unit}: what is read after {checkpoint:?}");
        }
    }
}

fn texts(items: &[Item]) -> Vec<&str> {
    let mut texts: Vec<&str> = items.iter().map(|(_, text)| text.as_str()).collect();
    texts.sort_unstable();
    texts
}

async fn what_is_added_is_read(workbench: Workbench) {
    let (unit, append) = workbench.author.append.as_ref().expect("it was given");
    let site = workbench.site().await;
    let source = site.endpoint.source().unwrap();
    let (before, checkpoint) = all_of(source, unit, &everything(Mode::Cdm)).await;
    let states = |slices: Vec<Slice>| -> HashSet<(String, String)> {
        let states = slices.into_iter().flat_map(|slice| slice.resources);
        states.map(|resource| (resource.name, resource.fingerprint)).collect()
    };
    let states_before = states(plan(source, unit, &everything(Mode::Cdm)).await);
    let added = append(&site.place);
    // As the next process finds it.
    let elsewhere = site.reopened().await;
    let source = elsewhere.source().unwrap();
    let (more, _) = all_of(source, unit, &PlanRequest::new(Mode::Cdm, checkpoint)).await;
    let known: HashSet<&str> = before.iter().map(|(_, text)| text.as_str()).collect();
    let new: Vec<&Item> = more.iter().filter(|(_, text)| !known.contains(text.as_str())).collect();
    assert_eq!(new.len(), added, "{unit}: of what was added comes (left), and there is (right): {more:?}");
    let states_after = states(plan(source, unit, &everything(Mode::Cdm)).await);
    let is_told = states_before.is_empty() || states_after != states_before;
    assert!(is_told, "{unit}: what has changed is said to be as it was: {states_before:?}");
}

async fn plans_and_checkpoints_hold_no_secret(workbench: Workbench) {
    let site = workbench.site().await;
    let source = site.endpoint.source().unwrap();
    let schema = serde_json::to_value(workbench.entry.config_schema()).unwrap();
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let secret = |(key, of_key): (String, Value)| {
        let secret = site.place.config()[&key].as_str().map(str::to_owned);
        secret.filter(|_| of_key.to_string().contains("x-cdm-secret"))
    };
    let secrets: Vec<String> = properties.into_iter().filter_map(secret).collect();
    for (unit, _) in &workbench.author.units {
        let slices = plan(source, unit, &everything(Mode::Cdm)).await;
        let (_, checkpoint) = all_of(source, unit, &everything(Mode::Cdm)).await;
        let stored = serde_json::to_string(&(slices, checkpoint)).unwrap();
        assert!(secrets.iter().all(|secret| !stored.contains(secret.as_str())), "{unit}: {stored}");
    }
}
