//! What becomes of records, and of runs that do not go straight through.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{num::NonZeroUsize, time::Duration};

use common::{Fault, TestSink, TestSource, run, run_until};
use endpoint_api::{Checkpoint, Counts, Error, ErrorKind, Mode, Retry, RunEnd};
use ingest::{MaxRejects, OnOverlap, Options, RunStatus};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const A: &str = r#"{"id":"a","name":"x"}"#;
const B: &str = r#"{ "id" : "b" }"#;
const C: &str = r#"{"id":"c"}"#;
const NOT_A_THING: &str = r#"{"id":7}"#;

fn faulty(faults: &[Fault]) -> TestSink {
    let sink = TestSink::default();
    sink.faults.lock().unwrap().extend(faults);
    sink
}

/// One slice after the other, so that it is known which one fails.
fn options() -> Options {
    Options { parallel: NonZeroUsize::MIN, ..Options::default() }
}

#[tokio::test]
async fn every_record_becomes_a_row_or_a_reject() {
    let (source, sink) = (TestSource::new(&[&[A, NOT_A_THING, "!oops"], &[B, A]]), TestSink::default());
    let report = run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!(report.status, RunStatus::Succeeded, "{:?}", report.error);
    assert_eq!(report.counts, Counts { inserted: 2, unchanged: 1, rejected: 2, ..Counts::default() });
    assert_eq!((report.slices, report.rows, report.checkpoint), (2, Some(2), Some(Checkpoint(json!(2)))));
    let incomplete = &report.incomplete[0];
    assert_eq!((incomplete.count, incomplete.first_at.as_str()), (5, "1"), "notes of the same thing are one");
    let state = sink.state.lock().unwrap();
    let mut rejects: Vec<String> =
        state.rejects.values().map(|reject| format!("{} {}: {}", reject.stage, reject.origin, reject.reason)).collect();
    rejects.sort();
    assert_eq!(rejects, ["map file-0:2: no thing", "source file-0:3: no record"]);
    assert_eq!(state.rows.keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn a_record_that_the_sink_recognises_is_neither_mapped_nor_written() {
    let (source, sink) = (TestSource::new(&[&[A, NOT_A_THING, B], &[C]]), TestSink::default());
    run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!(sink.state.lock().unwrap().written, 3);
    source.slices.lock().unwrap()[0][2] = r#"{"id":"b","name":"new"}"#.to_owned();
    let report = run(&source, &sink, Mode::Cdm, Options { full: true, ..options() }).await;
    assert_eq!(report.status, RunStatus::Succeeded, "{:?}", report.error);
    assert_eq!(report.counts, Counts { unchanged: 3, rejected: 1, ..Counts::default() });
    let state = sink.state.lock().unwrap();
    assert_eq!((state.written, state.rows["b"].as_str()), (4, r#"{"id":"b","name":"new"}"#));
}

#[tokio::test(start_paused = true)]
async fn what_comes_slowly_is_not_kept_back() {
    let records: Vec<String> = (0..20).map(|id| format!(r#"{{"id":"{id}"}}"#)).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let (mut source, sink) = (TestSource::new(&[&records]), TestSink::default());
    source.pause = Duration::from_secs(5);
    let report = run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!(report.counts.inserted, 20, "{:?}", report.error);
    let batches = sink.state.lock().unwrap().batches;
    assert!(batches >= 10, "{batches} batches of records that came 5 s apart");
}

#[tokio::test]
async fn what_is_left_of_many_batches_is_written_at_once() {
    let records: Vec<String> = (0..100).map(|id| format!(r#"{{"id":"{id:03}"}}"#)).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let (source, sink) = (TestSource::new(&[&records]), TestSink::default());
    run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!(sink.state.lock().unwrap().batches, 1, "the test's source has a record a batch");
    let changed = |id: usize| format!(r#"{{"id":"{id:03}","name":"{}"}}"#, "x".repeat(100_000));
    for id in (0..100).step_by(10) {
        source.slices.lock().unwrap()[0][id] = changed(id);
    }
    let report = run(&source, &sink, Mode::Cdm, Options { full: true, ..options() }).await;
    assert_eq!(report.counts, Counts { unchanged: 100, ..Counts::default() }, "{:?}", report.error);
    let state = sink.state.lock().unwrap();
    assert_eq!((state.written, state.batches), (110, 3), "six that are worth it, and the other four");
    assert!((0..100).step_by(10).all(|id| state.rows[&format!("{id:03}")] == changed(id)));
}

#[tokio::test]
async fn raw_records_pass_as_they_are() {
    let (source, sink) = (TestSource::new(&[&[A, NOT_A_THING, "!oops"], &[B]]), TestSink::default());
    let report = run(&source, &sink, Mode::Raw, options()).await;
    assert_eq!((report.status, report.model), (RunStatus::Succeeded, None));
    assert_eq!(report.counts, Counts { inserted: 3, rejected: 1, ..Counts::default() });
    assert_eq!(sink.state.lock().unwrap().raw, [A, NOT_A_THING, B]);
    assert_eq!(source.planned.lock().unwrap()[0].mode, Mode::Raw);
}

#[tokio::test]
async fn a_run_reads_on_from_the_checkpoint_and_a_full_one_from_the_beginning() {
    let (source, sink) = (TestSource::new(&[&[A]]), TestSink::default());
    run(&source, &sink, Mode::Cdm, options()).await;
    let again = run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!((again.counts.total(), again.slices), (0, 0));
    source.slices.lock().unwrap().push(vec![B.to_owned()]);
    let on = run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!((on.counts.inserted, on.slices), (1, 1));
    let full = run(&source, &sink, Mode::Cdm, Options { full: true, ..options() }).await;
    assert_eq!((full.counts.unchanged, full.slices), (2, 2));
    assert_eq!(*source.read.lock().unwrap(), [0, 1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_slice_that_failed_for_a_passing_reason_is_loaded_again() {
    let source = TestSource::new(&[&[A, B], &[C]]);
    let sink = faulty(&[Fault::Write(Retry::Backoff), Fault::Write(Retry::Backoff)]);
    let report = run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!((report.status, report.counts.inserted), (RunStatus::Succeeded, 3));
    assert_eq!(sink.state.lock().unwrap().aborted, 2);
    assert_eq!(*source.read.lock().unwrap(), [0, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_commit_is_settled_by_the_ledger() {
    let (source, sink) = (TestSource::new(&[&[A, B], &[C]]), faulty(&[Fault::LostAnswer]));
    let report = run(&source, &sink, Mode::Raw, options()).await;
    assert_eq!((report.status, report.counts.inserted), (RunStatus::Succeeded, 3));
    assert_eq!(sink.state.lock().unwrap().raw.len(), 3, "never twice");
    assert_eq!(*source.read.lock().unwrap(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_lasts_ends_the_run_and_the_next_one_goes_on() {
    let source = TestSource::new(&[&[A, "!oops"], &[B], &[C]]);
    let sink = faulty(&[Fault::LostAnswer, Fault::Write(Retry::AfterOperator)]);
    let failed = run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!((failed.status, failed.slices), (RunStatus::Failed, 1));
    assert_eq!(failed.error.unwrap().retry(), Retry::AfterOperator);
    let on = run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!((on.run_id, on.status), (failed.run_id, RunStatus::Succeeded));
    assert_eq!(
        on.counts,
        Counts { inserted: 3, rejected: 1, ..Counts::default() },
        "the counts are those of the whole run"
    );
    assert_eq!(sink.state.lock().unwrap().ends, [RunEnd::Failed, RunEnd::Succeeded]);
    assert_eq!(*source.read.lock().unwrap(), [0, 1, 1, 2], "what was committed is not read again");
}

#[tokio::test]
async fn a_plan_that_no_longer_fits_its_source_is_made_anew() {
    let (source, sink) = (TestSource::new(&[&[A], &[B]]), TestSink::default());
    let outdated = || Some(Error::new(ErrorKind::Outdated, "read", "the file has changed"));
    source.failures.lock().unwrap().extend([None, outdated()]);
    let report = run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!(report.status, RunStatus::Succeeded);
    assert_eq!(sink.state.lock().unwrap().ends, [RunEnd::Abandoned, RunEnd::Succeeded]);
    // The second plan has the second slice only, as its first one: it is not the one that is committed.
    assert_eq!(sink.state.lock().unwrap().rows.keys().collect::<Vec<_>>(), ["a", "b"]);

    source.failures.lock().unwrap().extend((0..10).map(|_| outdated()));
    let report = run(&source, &sink, Mode::Cdm, Options { full: true, ..options() }).await;
    assert_eq!(report.status, RunStatus::Failed, "but not for ever");
}

#[tokio::test]
async fn a_run_that_was_overtaken_ends_as_fenced() {
    let (source, sink) = (TestSource::new(&[&[A], &[B]]), faulty(&[Fault::Overtaken]));
    let report = run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!((report.status, report.slices), (RunStatus::Fenced, 0));
    assert!(sink.state.lock().unwrap().ends.is_empty(), "how the run ends is for the newer one to say");
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_aborts_its_load() {
    let mut source = TestSource::new(&[&[A], &[B]]);
    source.hangs = true;
    let (sink, cancel) = (TestSink::default(), CancellationToken::new());
    let (report, ()) = tokio::join!(run_until(&source, &sink, Mode::Cdm, options(), &cancel), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cancel.cancel();
    });
    assert_eq!((report.status, report.slices), (RunStatus::Interrupted, 0));
    let state = sink.state.lock().unwrap();
    assert_eq!((state.aborted, state.ends.as_slice()), (1, [RunEnd::Interrupted].as_slice()));
}

#[tokio::test]
async fn a_slice_that_waits_does_not_hold_up_the_others() {
    let mut source = TestSource::new(&[&[A], &[B], &[C]]);
    source.hangs = true;
    let (sink, cancel) = (TestSink::default(), CancellationToken::new());
    let two = Options { parallel: NonZeroUsize::new(2).unwrap(), ..options() };
    let (report, ()) = tokio::join!(run_until(&source, &sink, Mode::Cdm, two, &cancel), async {
        while sink.state.lock().unwrap().rows.len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    });
    assert_eq!((report.status, report.slices, report.checkpoint), (RunStatus::Interrupted, 2, None), "there is a gap");
    source.hangs = false;
    let on = run(&source, &sink, Mode::Cdm, two).await;
    assert_eq!((on.run_id, on.slices, on.checkpoint), (report.run_id, 3, Some(Checkpoint(json!(3)))));
    assert_eq!(*source.read.lock().unwrap(), [0, 1, 2, 0]);
}

#[tokio::test]
async fn a_slice_that_fails_lets_the_others_that_are_under_way_be_committed() {
    let source = TestSource::new(&[&[A], &[B], &[C], &[A]]);
    let sink = faulty(&[Fault::Write(Retry::AfterOperator)]);
    let two = Options { parallel: NonZeroUsize::new(2).unwrap(), ..options() };
    let report = run(&source, &sink, Mode::Cdm, two).await;
    assert_eq!((report.status, report.slices), (RunStatus::Failed, 1), "and none is begun any more");
    assert_eq!((source.read.lock().unwrap().len(), sink.state.lock().unwrap().aborted), (2, 1));
}

#[tokio::test]
async fn sums_that_differ_fail_the_run() {
    let (source, sink) = (TestSource::new(&[&[A]]), faulty(&[Fault::Miscount]));
    let report = run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!(report.status, RunStatus::Failed);
    assert_eq!(report.error.unwrap().to_string(), "1 records were read, and 2 are accounted for (slice: 0)");
}

fn limited(limit: &str) -> Options {
    Options { max_rejects: Some(limit.parse::<MaxRejects>().unwrap()), ..options() }
}

#[tokio::test]
async fn a_run_stops_at_too_many_rejects_and_the_next_one_reads_the_rest() {
    let slices: &[&[&str]] = &[&[A, "!1", "!2"], &[B], &[C]];
    let (source, sink) = (TestSource::new(slices), TestSink::default());
    let report = run(&source, &sink, Mode::Cdm, limited("1")).await;
    assert_eq!((report.status, report.too_many_rejects, report.slices), (RunStatus::Failed, true, 1));
    assert_eq!(
        report.error.unwrap().to_string(),
        "2 of 3 records were rejected, which is more than --max-rejects 1 allows; what was loaded stays. \
         See `cdm rejects list warehouse` \
         (not everything was read: the run stopped after 1 of 3 slices; the next run begins after the last file that was \
         loaded as a whole, and stops again unless the export has changed or the limit is higher)"
    );
    assert_eq!(sink.state.lock().unwrap().rows.len(), 1);
    assert_eq!(sink.state.lock().unwrap().ends, [RunEnd::Abandoned], "it is not held against the next run");
    let on = run(&source, &sink, Mode::Cdm, limited("1")).await;
    assert_ne!(on.run_id, report.run_id);
    assert_eq!((on.status, on.slices, on.counts.rejected), (RunStatus::Succeeded, 2, 0), "{:?}", on.error);

    let share = run(&source, &TestSink::default(), Mode::Cdm, limited("10%")).await;
    assert_eq!((share.status, share.too_many_rejects, share.slices), (RunStatus::Failed, true, 3));
    assert_eq!(run(&source, &TestSink::default(), Mode::Cdm, limited("40%")).await.status, RunStatus::Succeeded);
}

#[tokio::test]
async fn a_slice_that_the_source_cannot_read_keeps_no_other_from_being_loaded_and_fails_the_run() {
    let damaged = |name: &str| Some(Error::new(ErrorKind::Data, "read", "damaged").with("file", name));
    let slices: &[&[&str]] = &[&[A], &[B], &[C]];
    for (failures, slices_loaded, expected) in [
        (vec![None, damaged("b")], 2, "damaged (file: b)"),
        (
            vec![damaged("a"), damaged("b")],
            1,
            "2 parts of the source cannot be read, and everything else was loaded: damaged (file: a); damaged (file: b)",
        ),
        (vec![damaged("a"), damaged("a")], 1, "damaged (file: a)"),
    ] {
        let (source, sink) = (TestSource::new(slices), TestSink::default());
        source.failures.lock().unwrap().extend(failures);
        let report = run(&source, &sink, Mode::Cdm, options()).await;
        assert_eq!((report.status, report.slices, report.planned), (RunStatus::Failed, slices_loaded, Some(3)));
        assert_eq!(report.error.unwrap().to_string(), expected);
        assert_eq!(sink.state.lock().unwrap().rows.len(), slices_loaded as usize);
        assert_eq!(sink.state.lock().unwrap().ends, [RunEnd::Abandoned], "the next run plans anew");
        source.slices.lock().unwrap().push(vec![r#"{"id":"new"}"#.to_owned()]);
        let next = run(&source, &sink, Mode::Cdm, options()).await;
        assert_eq!((next.status, sink.state.lock().unwrap().rows.len()), (RunStatus::Succeeded, 4));
    }
}

#[tokio::test]
async fn a_run_that_stops_early_counts_the_slices_that_were_under_way_in_its_error_too() {
    let slices: Vec<&[&str]> = vec![&[A, "!1", "!2"]; 9];
    let report = run(&TestSource::new(&slices), &TestSink::default(), Mode::Cdm, limited("1")).await;
    let (rejected, read) = (report.counts.rejected, report.counts.total());
    assert!(report.too_many_rejects && report.slices < 9, "{report:?}");
    let error = report.error.unwrap().to_string();
    assert!(error.starts_with(&format!("{rejected} of {read} records were rejected, ")), "{error}");
    assert!(error.contains(&format!("the run stopped after {} of 9 slices; ", report.slices)), "{error}");
}

#[tokio::test]
async fn a_run_that_has_loaded_everything_is_over_whatever_its_verdict() {
    for limit in ["1", "50%"] {
        let (source, sink) = (TestSource::new(&[&[A, "!1", "!2"]]), TestSink::default());
        let first = run(&source, &sink, Mode::Cdm, limited(limit)).await;
        assert_eq!((first.status, first.too_many_rejects, first.slices), (RunStatus::Failed, true, 1));
        assert_eq!(sink.state.lock().unwrap().ends, [RunEnd::Succeeded]);
        source.slices.lock().unwrap().push(vec![B.to_owned()]);
        let next = run(&source, &sink, Mode::Cdm, limited(limit)).await;
        assert_ne!(next.run_id, first.run_id);
        assert_eq!((next.status, next.counts.inserted, next.counts.rejected), (RunStatus::Succeeded, 1, 0), "{limit}");
    }
}

#[tokio::test]
async fn a_run_that_was_left_with_nothing_to_load_is_ended_and_a_new_one_is_planned() {
    let (source, sink) = (TestSource::new(&[&[A, "!1", "!2"]]), TestSink::default());
    let first = run(&source, &sink, Mode::Cdm, limited("1")).await;
    // So earlier versions left it, and so does a process that is killed after its last commit.
    sink.state.lock().unwrap().run.as_mut().unwrap().2 = Some(RunEnd::Failed);
    source.slices.lock().unwrap().push(vec![B.to_owned()]);
    let next = run(&source, &sink, Mode::Cdm, limited("1")).await;
    assert_ne!(next.run_id, first.run_id);
    assert_eq!((next.status, next.counts.total()), (RunStatus::Succeeded, 1), "{:?}", next.error);
    assert_eq!(sink.state.lock().unwrap().ends, [RunEnd::Succeeded; 3]);
}

#[tokio::test]
async fn a_run_with_nothing_but_rejects_fails_and_one_with_nothing_to_read_succeeds() {
    let (source, sink) = (TestSource::new(&[&["!1", NOT_A_THING]]), TestSink::default());
    let report = run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!((report.status, report.too_many_rejects), (RunStatus::Failed, true));
    let error = report.error.unwrap();
    assert_eq!(error.to_string(), "all 2 records that were read were rejected. See `cdm rejects list warehouse`");
    assert_eq!(error.kind(), ErrorKind::Data);
    let next = run(&source, &sink, Mode::Cdm, options()).await;
    assert_eq!((next.status, next.counts.total()), (RunStatus::Succeeded, 0), "the failed run is over");
}

#[tokio::test]
async fn a_run_that_is_to_be_skipped_does_nothing_while_another_is_alive() {
    let (source, mut sink) = (TestSource::new(&[&[A]]), TestSink::default());
    sink.is_busy = true;
    let skipping = Options { on_overlap: OnOverlap::Skip, ..options() };
    let report = run(&source, &sink, Mode::Cdm, skipping).await;
    assert_eq!((report.status, report.counts.total()), (RunStatus::Skipped, 0));
    assert!(report.error.unwrap().to_string().contains("alive"), "it says why");
    assert_eq!(run(&source, &sink, Mode::Cdm, options()).await.status, RunStatus::Failed);
    sink.is_busy = false;
    assert_eq!(run(&source, &sink, Mode::Cdm, skipping).await.status, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn how_long_it_is_tried_again_is_an_option() {
    let failing = || faulty(&[Fault::Write(Retry::Backoff); 1000]);
    for (seconds, most) in [(0, 0), (10, 11), (120, 122)] {
        let began = tokio::time::Instant::now();
        let retrying = Options { retry_for: Duration::from_secs(seconds), ..options() };
        let report = run(&TestSource::new(&[&[A]]), &failing(), Mode::Cdm, retrying).await;
        assert_eq!(report.status, RunStatus::Failed);
        let took = began.elapsed().as_secs();
        assert!((seconds..=most).contains(&took), "{took} s");
    }
}
