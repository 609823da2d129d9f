//! Whatever befalls a sink, what lands is what lands without it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::num::NonZeroUsize;

use common::{
    State, TestSink, TestSource,
    faulty::{FaultySink, Mishap},
    run_into,
};
use endpoint_api::{Checkpoint, Counts, Mode, RunEnd};
use ingest::{Options, RunStatus};
use proptest::prelude::*;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// What is left of an ingestion.
#[derive(Debug, PartialEq)]
struct Picture {
    rows: Vec<String>,
    rejects: Vec<String>,
    checkpoint: Option<Checkpoint>,
    ledger: Vec<(u64, Counts)>,
}

impl Picture {
    fn of(state: &State) -> Self {
        let rejects = state.rejects.values().map(|reject| format!("{} {}", reject.origin, reject.reason));
        Self {
            rows: state.rows.values().cloned().collect(),
            rejects: rejects.collect(),
            checkpoint: state.checkpoint.clone(),
            ledger: state.receipts().map(|(slice, receipt)| (slice, receipt.counts)).collect(),
        }
    }
}

fn options(parallel: usize) -> Options {
    Options { parallel: NonZeroUsize::new(parallel).unwrap(), ..Options::default() }
}

/// Slices of records, some of which are none; no key is in two slices, so that their order does not matter.
fn slices() -> impl Strategy<Value = Vec<Vec<String>>> {
    let record = (0..4u8, 0..3u8, 0..6u8);
    prop::collection::vec(prop::collection::vec(record, 1..5), 1..5).prop_map(|slices| {
        let record = |slice: usize, (id, name, kind)| match kind {
            0 => "!no record".to_owned(),
            1 => r#"{"id":7}"#.to_owned(),
            _ => format!(r#"{{"id":"{slice}-{id}","name":"{name}"}}"#),
        };
        let slice = |(slice, records): (usize, Vec<_>)| records.into_iter().map(|it| record(slice, it)).collect();
        slices.into_iter().enumerate().map(slice).collect()
    })
}

fn passing() -> impl Strategy<Value = Vec<Mishap>> {
    let mishap = prop_oneof![
        Just(Mishap::None),
        Just(Mishap::FailAfterWrite),
        Just(Mishap::HoldResponse),
        Just(Mishap::RespondSlowly)
    ];
    prop::collection::vec(mishap, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_passes_leaves_no_trace(slices in slices(), mishaps in passing(), parallel in 1..4usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let slices: Vec<Vec<&str>> = slices.iter().map(|slice| slice.iter().map(String::as_str).collect()).collect();
            let slices: Vec<&[&str]> = slices.iter().map(Vec::as_slice).collect();
            let cancel = CancellationToken::new();
            let straight = FaultySink::new(TestSink::default(), &[]);
            let expected = run_into(&TestSource::new(&slices), &straight, Mode::Cdm, options(1), &cancel).await;
            let faulty = FaultySink::new(TestSink::default(), &mishaps);
            let report = run_into(&TestSource::new(&slices), &faulty, Mode::Cdm, options(parallel), &cancel).await;
            prop_assert_eq!((report.status, report.counts), (expected.status, expected.counts), "{:?}", report.error);
            prop_assert_eq!(Picture::of(&faulty.sink.state.lock().unwrap()), Picture::of(&straight.sink.state.lock().unwrap()));
            Ok(())
        })?;
    }
}

const A: &str = r#"{"id":"a"}"#;
const B: &str = r#"{"id":"b"}"#;
const C: &str = r#"{"id":"c"}"#;

#[tokio::test]
async fn a_row_that_the_sink_refuses_is_a_reject_and_the_rest_goes_on() {
    let source = TestSource::new(&[&[A], &[B, C]]);
    let sink = FaultySink::new(TestSink::default(), &[Mishap::Reject]);
    let report = run_into(&source, &sink, Mode::Cdm, options(1), &CancellationToken::new()).await;
    assert_eq!(report.counts, Counts { inserted: 2, rejected: 1, ..Counts::default() }, "{:?}", report.error);
    let state = sink.sink.state.lock().unwrap();
    assert_eq!(state.rows.keys().collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(state.rejects.values().map(|reject| reject.reason.as_str()).collect::<Vec<_>>(), ["refused"]);
}

#[tokio::test]
async fn a_run_into_a_slow_sink_can_be_interrupted_and_goes_on_later() {
    let records: Vec<String> = (0..200).map(|id| format!(r#"{{"id":"{id}"}}"#)).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let slices: Vec<&[&str]> = records.chunks(100).collect();
    let source = TestSource::new(&slices);
    let sink = FaultySink::new(TestSink::default(), &[Mishap::None, Mishap::RespondSlowly]);
    let cancel = CancellationToken::new();
    let interrupting = async {
        while sink.sink.state.lock().unwrap().checkpoint.is_none() {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (report, ()) = tokio::join!(run_into(&source, &sink, Mode::Cdm, options(1), &cancel), interrupting);
    assert_eq!((report.status, report.counts.inserted), (RunStatus::Interrupted, 100));
    {
        let state = sink.sink.state.lock().unwrap();
        assert_eq!((state.rows.len(), &state.checkpoint), (100, &Some(Checkpoint(json!(1)))));
        assert_eq!(state.ends, [RunEnd::Interrupted]);
    }
    let report = run_into(&source, &sink, Mode::Cdm, options(1), &CancellationToken::new()).await;
    assert_eq!((report.status, report.counts.inserted), (RunStatus::Succeeded, 200));
    assert_eq!(sink.sink.state.lock().unwrap().rows.len(), 200);
}
