//! Rejects are kept with all that is known of them, each once.

use endpoint_api::{Commit, Reject, RejectQuery, RunEnd, RunSpec, StoredReject, batch::Stage};

use crate::support::*;

pub(crate) fn reject(line: u64, bytes: &[u8]) -> Reject {
    Reject::at_source(format!("things.jsonl:{line}"), "not an object", bytes)
}

async fn rejects(folder: &std::path::Path, query: RejectQuery) -> Vec<StoredReject> {
    let endpoint = sink(folder).await;
    endpoint.sink().unwrap().rejects(&query).await.unwrap()
}

fn origins(rejects: &[StoredReject]) -> Vec<&str> {
    rejects.iter().map(|reject| reject.origin.as_str()).collect()
}

/// A run that commits one slice of rejects.
async fn run_with(folder: &std::path::Path, spec: RunSpec, rejected: Vec<Reject>) {
    let endpoint = compressing_sink(folder).await;
    let run = open_run(&endpoint, &spec).await;
    let mut load = begin(&*run, 0).await;
    load.reject(rejected).await.unwrap();
    load.commit(Commit::default()).await.unwrap();
    run.finish(RunEnd::Succeeded, &[]).await.unwrap();
}

#[tokio::test]
async fn a_reject_comes_back_as_it_went_in() {
    let folder = folder();
    let mut text = reject(1, "{\"half\": \"naïve\n\u{0}".as_bytes());
    text.field = Some("fields.created".into());
    text.key = Some("7".into());
    text.stage = Stage::Sink;
    let binary = reject(2, b"\xFF\xFE{\"n\":1}");
    let huge = Reject::oversized("things.jsonl:3", "too large", &[b'x'; 70_000], 1 << 40, blake3::hash(b"all of it"));
    let given = [text, binary, huge];
    run_with(folder.path(), spec("run-1"), given.to_vec()).await;

    let found = rejects(folder.path(), RejectQuery::newest(10)).await;
    assert_eq!(found.len(), 3);
    for (found, given) in found.iter().rev().zip(&given) {
        let expected = StoredReject::new(given.clone(), &ingestion(), "run-1".into(), 0, found.rejected_at.clone());
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        assert!(cdm_models::Timestamp::parse(&found.rejected_at).is_ok());
    }
    assert_eq!(found[0].raw.len(), 64 * 1024);
}

#[tokio::test]
async fn the_same_reject_twice_in_a_slice_is_counted_twice_and_kept_once() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    let mut load = begin(&*run, 0).await;
    load.write(batch(&[record(0)])).await.unwrap();
    load.reject(vec![reject(1, b"a"), reject(2, b"b")]).await.unwrap();
    load.reject(vec![reject(3, b"a")]).await.unwrap();
    let receipt = load.commit(Commit::default()).await.unwrap();
    assert_eq!((receipt.counts.inserted, receipt.counts.rejected, receipt.counts.total()), (1, 3, 4));
    let [slice] = slices(folder.path()).try_into().unwrap();
    assert_eq!(lines(&slice.rejects.unwrap()).len(), 2);
    assert_eq!(rejects(folder.path(), RejectQuery::newest(10)).await.len(), 2);
}

#[tokio::test]
async fn more_rejects_than_are_remembered_are_all_kept_and_told_once() {
    let folder = folder();
    let endpoint = compressing_sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    let mut load = begin(&*run, 0).await;
    let all: Vec<Reject> = (0..20_000).map(|line| reject(line, line.to_string().as_bytes())).collect();
    load.reject(all.clone()).await.unwrap();
    load.reject(all[..100].to_vec()).await.unwrap();
    let receipt = load.commit(Commit::default()).await.unwrap();
    assert_eq!(receipt.counts.rejected, 20_100);
    let found = rejects(folder.path(), RejectQuery::newest(usize::MAX)).await;
    let distinct: std::collections::HashSet<_> = origins(&found).into_iter().collect();
    assert_eq!((found.len(), distinct.len()), (20_000, 20_000));
}

#[tokio::test]
async fn the_newest_come_first_and_no_more_than_are_asked_for() {
    let folder = folder();
    for run in 1..=3 {
        let rejected =
            [1, 2].map(|line| run * 10 + line).map(|line| reject(line, line.to_string().as_bytes())).to_vec();
        run_with(folder.path(), spec(&format!("run-{run}")), rejected).await;
    }
    let all = rejects(folder.path(), RejectQuery::newest(100)).await;
    let expected = [32, 31, 22, 21, 12, 11].map(|line| format!("things.jsonl:{line}"));
    assert_eq!(origins(&all), expected);
    assert_eq!(origins(&rejects(folder.path(), RejectQuery::newest(3)).await), expected[..3]);
    assert_eq!(rejects(folder.path(), RejectQuery::newest(0)).await.len(), 0);

    let one = rejects(folder.path(), RejectQuery::by_id(&all[4].id)).await;
    assert_eq!(origins(&one), [&expected[4]]);
    assert_eq!(rejects(folder.path(), RejectQuery::by_id("0".repeat(32))).await.len(), 0);
}

#[tokio::test]
async fn a_reject_that_comes_again_tells_its_first_time_and_its_last_run() {
    let folder = folder();
    run_with(folder.path(), spec("run-1"), vec![reject(1, b"a"), reject(2, b"b")]).await;
    let first = rejects(folder.path(), RejectQuery::newest(100)).await;
    run_with(folder.path(), spec("run-2"), vec![reject(1, b"a")]).await;
    let second = rejects(folder.path(), RejectQuery::newest(100)).await;
    assert_eq!(origins(&second), ["things.jsonl:1", "things.jsonl:2"]);
    assert_eq!((second[0].run_id.as_str(), second[1].run_id.as_str()), ("run-2", "run-1"));
    assert_eq!((&second[0].rejected_at, &second[0].id), (&first[1].rejected_at, &first[1].id));
    let newest = rejects(folder.path(), RejectQuery::newest(1)).await;
    assert_eq!((origins(&newest), &newest[0].rejected_at), (vec!["things.jsonl:1"], &first[1].rejected_at));
}

#[tokio::test]
async fn rejects_are_told_apart_by_their_ingestion() {
    let folder = folder();
    assert_eq!(rejects(folder.path(), RejectQuery::newest(100)).await.len(), 0);
    for unit in ["test.things", "test.others"] {
        let spec = RunSpec::new(ingestion_of(unit), "run-1".parse().unwrap());
        run_with(folder.path(), spec, vec![reject(1, b"a")]).await;
    }
    let all = rejects(folder.path(), RejectQuery::newest(100)).await;
    let mut ingestions: Vec<_> = all.iter().map(|reject| reject.ingestion.as_str()).collect();
    ingestions.sort_unstable();
    assert_eq!(ingestions, ["acme/test.others/archive/raw", "acme/test.things/archive/raw"]);
    let others = rejects(folder.path(), RejectQuery::newest(100).of(ingestion_of("test.others"))).await;
    assert_eq!((others.len(), others[0].ingestion.as_str()), (1, "acme/test.others/archive/raw"));
    let mut elsewhere = ingestion();
    elsewhere.sink = "warehouse".parse().unwrap();
    assert_eq!(rejects(folder.path(), RejectQuery::newest(100).of(elsewhere)).await.len(), 0);
}

#[tokio::test]
async fn rejects_of_what_was_not_committed_are_not_there() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    let mut load = begin(&*run, 0).await;
    load.reject(vec![reject(1, b"a")]).await.unwrap();
    assert_eq!(rejects(folder.path(), RejectQuery::newest(100)).await.len(), 0);
    load.abort().await.unwrap();
}
