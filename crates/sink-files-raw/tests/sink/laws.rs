//! Whatever comes between: each committed slice is there exactly once.

use std::{collections::BTreeMap, path::Path};

use endpoint_api::{Begun, Commit, Endpoint, Load, LoadReceipt, Overlap, RunEnd};
use proptest::prelude::*;

use crate::support::*;

/// What a host, a crash or a second host may do with a run.
#[derive(Debug, Clone)]
enum Step {
    Begin(u64),
    Write(usize),
    Reject(usize),
    Commit(usize),
    Abort(usize),
    Drop(usize),
    /// The files stay, as when the process dies.
    Forget(usize),
}

/// How the run comes to the next session.
#[derive(Debug, Clone, Copy)]
enum End {
    Dropped,
    Failed,
    Overtaken,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..4_u64).prop_map(Step::Begin),
        3 => (0..4_usize).prop_map(Step::Write),
        1 => (0..4_usize).prop_map(Step::Reject),
        3 => (0..4_usize).prop_map(Step::Commit),
        1 => (0..4_usize).prop_map(Step::Abort),
        1 => (0..4_usize).prop_map(Step::Drop),
        1 => (0..4_usize).prop_map(Step::Forget),
    ];
    prop::collection::vec(step, 0..14)
}

fn sessions() -> impl Strategy<Value = Vec<(Vec<Step>, End)>> {
    let end = prop_oneof![Just(End::Dropped), Just(End::Failed), Just(End::Overtaken)];
    prop::collection::vec((steps(), end), 1..4)
}

/// What must be there.
#[derive(Default)]
struct Expected {
    slices: BTreeMap<u64, (Vec<String>, LoadReceipt)>,
    records_written: u64,
}

impl Expected {
    /// Of the slices 0, 1, 2, … up to the first gap, the last that says from where to resume: the even
    /// ones do.
    fn checkpoint(&self) -> Option<endpoint_api::Checkpoint> {
        let prefix = (0..).take_while(|slice| self.slices.contains_key(slice));
        prefix.filter(|slice| slice % 2 == 0).last().map(checkpoint)
    }
}

struct Open<'r> {
    slice: u64,
    load: Box<dyn Load + 'r>,
    records: Vec<String>,
    rejected: u64,
}

/// Takes one of the open loads, whichever the number falls on.
fn pick<T>(open: &mut Vec<T>, number: usize) -> Option<T> {
    if open.is_empty() { None } else { Some(open.remove(number % open.len())) }
}

async fn session(endpoint: &dyn Endpoint, folder: &Path, steps: &[Step], end: End, expected: &mut Expected) {
    let spec = spec("run-1").overlap(Overlap::Fail);
    let run = endpoint.sink().unwrap().open_run(&spec).await.unwrap();
    assert_eq!(run.resume().checkpoint, expected.checkpoint());
    let receipts: BTreeMap<_, _> =
        expected.slices.iter().map(|(slice, (_, receipt))| (*slice, receipt.clone())).collect();
    assert_eq!(run.resume().committed, receipts);

    let mut open: Vec<Open<'_>> = Vec::new();
    for step in steps {
        match *step {
            Step::Begin(index) => match run.begin(&slice(index)).await.unwrap() {
                Begun::Load(load) => {
                    assert!(!expected.slices.contains_key(&index));
                    open.push(Open { slice: index, load, records: Vec::new(), rejected: 0 });
                }
                Begun::Committed(receipt) => assert_eq!(receipt, expected.slices[&index].1),
            },
            Step::Write(number) => {
                if let Some(mut one) = pick(&mut open, number) {
                    let id = expected.records_written;
                    expected.records_written += 2;
                    let new = [record(id), record(id + 1)];
                    one.load.write(batch(&new)).await.unwrap();
                    one.records.extend(new);
                    open.push(one);
                }
            }
            Step::Reject(number) => {
                if let Some(mut one) = pick(&mut open, number) {
                    one.load.reject(vec![crate::rejects::reject(one.rejected, b"bad")]).await.unwrap();
                    one.rejected += 1;
                    open.push(one);
                }
            }
            Step::Commit(number) => {
                if let Some(one) = pick(&mut open, number) {
                    let resume_at = (one.slice % 2 == 0).then(|| checkpoint(one.slice));
                    let receipt = one.load.commit(Commit::new(resume_at, Vec::new())).await.unwrap();
                    if let Some((_, first)) = expected.slices.get(&one.slice) {
                        assert_eq!(receipt, *first);
                    } else {
                        let counts = (receipt.counts.inserted, receipt.counts.rejected);
                        assert_eq!(counts, (one.records.len() as u64, one.rejected));
                        expected.slices.insert(one.slice, (one.records, receipt));
                    }
                }
            }
            Step::Abort(number) => {
                if let Some(one) = pick(&mut open, number) {
                    one.load.abort().await.unwrap();
                }
            }
            Step::Drop(number) => drop(pick(&mut open, number)),
            Step::Forget(number) => std::mem::forget(pick(&mut open, number)),
        }
    }
    match end {
        End::Dropped => {}
        End::Failed => {
            drop(open);
            run.finish(RunEnd::Failed, &[]).await.unwrap();
        }
        End::Overtaken => {
            let other = sink(folder).await;
            let newer = open_run(&other, &spec.overlap(Overlap::Takeover)).await;
            for one in open {
                assert_eq!(error(one.load.commit(Commit::default()).await).kind(), endpoint_api::ErrorKind::Fenced);
            }
            drop(newer);
        }
    }
}

async fn assert_exactly_once(endpoint: &dyn Endpoint, folder: &Path, expected: &Expected) {
    let rows: usize = expected.slices.values().map(|(records, _)| records.len()).sum();
    let run = endpoint.sink().unwrap().open_run(&spec("run-1")).await.unwrap();
    let receipt = run.finish(RunEnd::Interrupted, &[]).await.unwrap();
    assert_eq!((receipt.rows, receipt.checkpoint), (Some(rows as u64), expected.checkpoint()));
    let mut found = BTreeMap::new();
    for slice in slices(folder) {
        assert_eq!(lines(&slice.envelopes).len() as u64, slice.records.lines);
        assert!(found.insert(slice.slice, lines(&slice.records)).is_none(), "slice {} twice", slice.slice);
    }
    let records: BTreeMap<_, _> =
        expected.slices.iter().map(|(slice, (records, _))| (*slice, records.clone())).collect();
    assert_eq!(found, records);
    assert_eq!(record_files(folder), named_files(folder), "nothing else has stayed");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_committed_slice_is_there_exactly_once(sessions in sessions(), is_compressed: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let folder = folder();
            let mut expected = Expected::default();
            for (steps, end) in &sessions {
                let endpoint =
                    if is_compressed { compressing_sink(folder.path()).await } else { sink(folder.path()).await };
                session(&*endpoint, folder.path(), steps, *end, &mut expected).await;
            }
            assert_exactly_once(&*sink(folder.path()).await, folder.path(), &expected).await;
        });
    }
}
