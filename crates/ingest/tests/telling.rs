//! What is told of runs, into the sink's own outbox and into another one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{
    num::NonZeroUsize,
    sync::Mutex,
    sync::atomic::{AtomicU32, Ordering},
};

use common::{Fault, TestSink, TestSource, run_telling};
use endpoint_api::{Error, ErrorKind, Message, Mode, Outbox, Result, Resume, Retry, Waiting, async_trait};
use ingest::{Moment, Options, RunReport, RunStatus, Teller, Telling};
use tokio_util::sync::CancellationToken;

const A: &str = r#"{"id":"a","name":"x"}"#;
const B: &str = r#"{"id":"b"}"#;
const C: &str = r#"{"id":"c"}"#;

/// Tells each moment in a word.
struct Words;

impl Teller for Words {
    fn tell(&self, run: &Resume, moment: &Moment<'_>) -> Result<Vec<Message>> {
        let id = match moment {
            Moment::Opened => "opened".to_owned(),
            Moment::Loaded { slice, records } => format!("slice {slice} of {records}"),
            Moment::Ended { end, counts, .. } => format!("{end:?} with {}", counts.total()),
        };
        Ok(vec![Message::new("things", run.run_id.as_str(), id, "")])
    }
}

/// Takes messages, after so many times that it does not.
#[derive(Default)]
struct Elsewhere {
    told: Mutex<Vec<String>>,
    refuses: AtomicU32,
}

#[async_trait]
impl Outbox for Elsewhere {
    async fn put(&self, messages: &[Message]) -> Result<()> {
        if self.refuses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(Error::new(ErrorKind::Denied, "put", "it is full"));
        }
        let mut told = self.told.lock().unwrap();
        for message in messages {
            if !told.contains(&message.id) {
                told.push(message.id.clone());
            }
        }
        Ok(())
    }

    async fn waiting(&self, _: usize) -> Result<Vec<Waiting>> {
        Ok(Vec::new())
    }

    async fn delivered(&self, _: &[Waiting]) -> Result<()> {
        Ok(())
    }
}

async fn run(source: &TestSource, sink: &TestSink, elsewhere: &Elsewhere) -> RunReport {
    let options = Options { parallel: NonZeroUsize::MIN, ..Options::default() };
    let telling = Telling { teller: &Words, outbox: elsewhere };
    run_telling(source, sink, Mode::Cdm, options, &CancellationToken::new(), Some(telling)).await
}

fn sink(keeps_messages: bool, faults: &[Fault]) -> TestSink {
    let sink = TestSink { keeps_messages, ..TestSink::default() };
    sink.faults.lock().unwrap().extend(faults);
    sink
}

fn told(sink: &TestSink) -> Vec<String> {
    sink.state.lock().unwrap().told.iter().map(|message| message.id.clone()).collect()
}

#[tokio::test]
async fn each_moment_is_told_in_the_sinks_outbox_or_else_in_the_other() {
    let expected = ["opened", "slice 0 of 2", "slice 1 of 1", "Succeeded with 3"];
    for own in [true, false] {
        let (source, sink, elsewhere) = (TestSource::new(&[&[A, B], &[C]]), sink(own, &[]), Elsewhere::default());
        let report = run(&source, &sink, &elsewhere).await;
        assert_eq!(report.status, RunStatus::Succeeded, "{:?}", report.error);
        let elsewhere = elsewhere.told.lock().unwrap().clone();
        let (here, there) = if own { (told(&sink), elsewhere) } else { (elsewhere, told(&sink)) };
        assert_eq!((here.as_slice(), there.len()), (expected.map(str::to_owned).as_slice(), 0));
    }
}

#[tokio::test]
async fn a_run_that_was_overtaken_tells_nothing_more() {
    for own in [true, false] {
        let (source, sink) = (TestSource::new(&[&[A]]), sink(own, &[Fault::Overtaken]));
        let elsewhere = Elsewhere::default();
        assert_eq!(run(&source, &sink, &elsewhere).await.status, RunStatus::Fenced);
        let all = [told(&sink), elsewhere.told.lock().unwrap().clone()].concat();
        assert_eq!(all, ["opened"], "of the slice and of the end only the newer run may tell");
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_told_of_once() {
    for own in [true, false] {
        let (source, sink) = (TestSource::new(&[&[A], &[B]]), sink(own, &[Fault::LostAnswer]));
        let elsewhere = Elsewhere::default();
        assert_eq!(run(&source, &sink, &elsewhere).await.status, RunStatus::Succeeded);
        let all = [told(&sink), elsewhere.told.lock().unwrap().clone()].concat();
        assert_eq!(all, ["opened", "slice 0 of 1", "slice 1 of 1", "Succeeded with 2"]);
    }
}

#[tokio::test]
async fn a_failed_run_tells_so_and_the_rest_when_it_is_continued() {
    for own in [true, false] {
        let faults = [Fault::Write(Retry::Never)];
        let (source, sink) = (TestSource::new(&[&[A], &[B]]), sink(own, &faults));
        let elsewhere = Elsewhere::default();
        assert_eq!(run(&source, &sink, &elsewhere).await.status, RunStatus::Failed);
        assert_eq!(run(&source, &sink, &elsewhere).await.status, RunStatus::Succeeded);
        let all = [told(&sink), elsewhere.told.lock().unwrap().clone()].concat();
        assert_eq!(all, ["opened", "Failed with 0", "slice 0 of 1", "slice 1 of 1", "Succeeded with 2"]);
    }
}

#[tokio::test]
async fn a_run_that_cannot_say_that_it_has_begun_loads_nothing() {
    let (source, sink, elsewhere) = (TestSource::new(&[&[A], &[B]]), sink(false, &[]), Elsewhere::default());
    elsewhere.refuses.store(2, Ordering::SeqCst);
    let report = run(&source, &sink, &elsewhere).await;
    assert!(report.error.unwrap().to_string().contains("it is full"));
    assert_eq!((report.status, sink.state.lock().unwrap().rows.len()), (RunStatus::Failed, 0));
    assert_eq!(run(&source, &sink, &elsewhere).await.status, RunStatus::Succeeded);
    let told = elsewhere.told.lock().unwrap().clone();
    assert_eq!(told, ["opened", "slice 0 of 1", "slice 1 of 1", "Succeeded with 2"]);
}

#[tokio::test]
async fn what_could_not_be_told_of_a_committed_slice_is_told_by_the_run_that_continues() {
    // The first slice is committed, and then it cannot be told.
    let full = TestSource::new(&[&[A], &[B]]);
    let other = common::TestSink::default();
    let elsewhere = Elsewhere::default();
    let refusing = RefusesSlices(&elsewhere, AtomicU32::new(1));
    let options = Options { parallel: NonZeroUsize::MIN, ..Options::default() };
    let telling = Telling { teller: &Words, outbox: &refusing };
    let first = run_telling(&full, &other, Mode::Cdm, options, &CancellationToken::new(), Some(telling)).await;
    assert_eq!((first.status, other.state.lock().unwrap().rows.len()), (RunStatus::Failed, 1));
    assert_eq!(*elsewhere.told.lock().unwrap(), ["opened", "Failed with 0"]);
    assert_eq!(run(&full, &other, &elsewhere).await.status, RunStatus::Succeeded);
    let told = elsewhere.told.lock().unwrap().clone();
    assert_eq!(told, ["opened", "Failed with 0", "slice 0 of 1", "slice 1 of 1", "Succeeded with 2"]);
}

/// Refuses the first messages about slices.
struct RefusesSlices<'a>(&'a Elsewhere, AtomicU32);

#[async_trait]
impl Outbox for RefusesSlices<'_> {
    async fn put(&self, messages: &[Message]) -> Result<()> {
        let is_slice = messages.iter().any(|message| message.id.starts_with("slice"));
        let refuses = || self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if is_slice && refuses() {
            return Err(Error::new(ErrorKind::Denied, "put", "it is full"));
        }
        self.0.put(messages).await
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<Waiting>> {
        self.0.waiting(limit).await
    }

    async fn delivered(&self, messages: &[Waiting]) -> Result<()> {
        self.0.delivered(messages).await
    }
}
