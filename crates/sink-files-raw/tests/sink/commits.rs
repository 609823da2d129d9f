//! A slice is there wholly or not at all.

use std::{fs, future::Future, task::Poll};

use endpoint_api::{Begun, Commit, RunEnd};
use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn a_commit_is_seen_by_everybody_at_once() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    run.record_plan(&plan(2)).await.unwrap();
    let mut load = begin(&*run, 0).await;
    load.write(batch(&[record(0)])).await.unwrap();
    assert_eq!(slices(folder.path()), []);
    let receipt = load.commit(Commit::new(Some(checkpoint(0)), Vec::new())).await.unwrap();
    assert_eq!(records(folder.path()), [record(0)]);
    drop(run);

    let other = sink(folder.path()).await;
    let run = open_run(&other, &spec("run-2")).await;
    assert_eq!(committed(&*run, 0).await, receipt);
    assert_eq!(run.resume().checkpoint, Some(checkpoint(0)));
}

#[tokio::test]
async fn a_load_that_is_given_up_or_dropped_leaves_nothing() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    for is_dropped in [false, true] {
        let mut load = begin(&*run, 0).await;
        load.write(batch(&[record(0)])).await.unwrap();
        load.reject(vec![crate::rejects::reject(1, b"bad")]).await.unwrap();
        assert_eq!(record_files(folder.path()).len(), 3);
        if is_dropped {
            drop(load);
        } else {
            load.abort().await.unwrap();
        }
        assert_eq!(record_files(folder.path()), [""; 0]);
    }
    assert_eq!(slices(folder.path()), []);
    load(&*run, 0).await;
    assert_eq!(records(folder.path()), [record(0)]);
}

#[tokio::test]
async fn what_was_never_committed_is_swept_by_the_next_run() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    load(&*run, 0).await;
    let mut load = begin(&*run, 1).await;
    load.write(batch(&[record(1)])).await.unwrap();
    // As when the process dies: nothing cleans up.
    std::mem::forget(load);
    drop(run);
    let state = folder.path().join("_cdm/acme.test.things");
    let records_folder = folder.path().join("acme/test.things");
    fs::write(state.join("tmp-1-9"), "half a manif").unwrap();
    fs::write(state.join("lock-1"), "").unwrap();
    fs::create_dir(records_folder.join("gone")).unwrap();
    fs::write(records_folder.join("gone/000003-1-1.rejects.jsonl.zst"), "half").unwrap();
    // Not the sink's own, or not older than the next run.
    fs::write(records_folder.join("run-1/notes.txt"), "mine").unwrap();
    fs::write(records_folder.join("run-1/000007-99-1.jsonl"), "newer").unwrap();
    fs::write(state.join("tmp-99-1"), "newer").unwrap();
    assert_eq!(record_files(folder.path()).len(), 7);

    let run = open_run(&endpoint, &spec("run-2")).await;
    let left = record_files(folder.path());
    let mut expected = named_files(folder.path());
    expected.extend(["test.things/run-1/000007-99-1.jsonl", "test.things/run-1/notes.txt"].map(str::to_owned));
    expected.sort();
    assert_eq!(left, expected);
    assert!(!records_folder.join("gone").exists());
    assert_eq!(
        files(&state),
        ["000000000001.json", "000000000002.json", "000000000003.json", "lock-2", "tmp-99-1"],
        "opened, committed, opened again"
    );
    assert_eq!(records(folder.path()), [record(0)]);
    committed(&*run, 0).await;
}

#[tokio::test]
async fn only_manifests_fences_and_records_stay() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    run.record_plan(&plan(1)).await.unwrap();
    load(&*run, 0).await;
    let receipt = run.finish(RunEnd::Succeeded, &[]).await.unwrap();
    assert_eq!((receipt.rows, receipt.checkpoint), (Some(1), Some(checkpoint(0))));
    assert_eq!(
        files(folder.path()),
        [
            "_cdm/acme.test.things/000000000001.json",
            "_cdm/acme.test.things/000000000002.json",
            "_cdm/acme.test.things/000000000003.json",
            "_cdm/acme.test.things/000000000004.json",
            "_cdm/fences/000000000001",
            "_cdm/fences/lock",
            "acme/test.things/run-1/000000-1-1.envelope.jsonl",
            "acme/test.things/run-1/000000-1-1.jsonl",
        ]
    );
}

/// What other programs read: it may gain members, but none may change.
#[tokio::test]
async fn the_manifests_say_what_is_written_down() {
    let folder = folder();
    let endpoint = compressing_sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    run.record_plan(&plan(1)).await.unwrap();
    let mut load = begin(&*run, 0).await;
    load.write(batch(&[record(0), record(1)])).await.unwrap();
    load.reject(vec![crate::rejects::reject(3, b"bad")]).await.unwrap();
    load.commit(Commit::new(Some(checkpoint(7)), Vec::new())).await.unwrap();
    run.finish(RunEnd::Succeeded, &[]).await.unwrap();

    let [slice] = slices(folder.path()).try_into().unwrap();
    let file = |file: &sink_files_raw::CommittedFile, name: &str| {
        let path = format!("acme/test.things/run-1/000000-1-1{name}.jsonl.zst");
        json!({ "path": path, "bytes": file.bytes, "lines": file.lines, "blake3": file.blake3 })
    };
    let kinds = [
        json!({ "kind": "open", "observation": 1 }),
        json!({ "kind": "plan", "slices": [{ "index": 0, "spec": { "part": 0 } }] }),
        json!({
            "kind": "slice", "slice": 0, "load": 1,
            "receipt":
                { "inserted": 2, "updated": 0, "unchanged": 0, "stale": 0, "duplicate": 0, "rejected": 1,
                  "mentions": { "unchanged": 0, "stale": 0, "duplicate": 0 } },
            "files": {
                "records": file(&slice.records, ""),
                "envelopes": file(&slice.envelopes, ".envelope"),
                "rejects": file(slice.rejects.as_ref().unwrap(), ".rejects"),
            },
            "resume_at": { "at": 7 },
            "checkpoint": { "at": 7 },
        }),
        json!({ "kind": "end", "how": "succeeded" }),
    ];
    for (sequence, kind) in (1..).zip(kinds) {
        let path = folder.path().join(format!("_cdm/acme.test.things/{sequence:012}.json"));
        let text = fs::read_to_string(path).unwrap();
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found["format"], 1);
        let (_, content) = text.trim_end().split_once(r#""manifest":"#).unwrap();
        let content = content.strip_suffix('}').unwrap();
        assert_eq!(found["checksum"], blake3::hash(content.as_bytes()).to_hex().as_str());
        let mut expected = json!({
            "ingestion": { "source": "acme", "unit": "test.things", "sink": "archive", "mode": "raw" },
            "sequence": sequence, "run_id": "run-1", "fence": 1, "at": found["manifest"]["at"],
        });
        expected.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        assert_eq!(found["manifest"], expected);
        assert!(cdm_models::Timestamp::parse(found["manifest"]["at"].as_str().unwrap()).is_ok());
    }
}

#[tokio::test]
async fn the_checkpoint_stays_before_the_first_gap() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    run.record_plan(&plan(5)).await.unwrap();
    let mut loads = Vec::new();
    for index in 0..5 {
        loads.push(Some(begin(&*run, index).await));
    }
    // Slice 2 does not know from where to resume.
    let resume_at = [Some(10), Some(11), None, Some(13), Some(14)];
    let expected = [(3, None), (0, Some(10)), (2, Some(10)), (1, Some(13)), (4, Some(14))];
    for (index, at) in expected {
        let mut load = loads[index].take().unwrap();
        load.write(batch(&[record(index as u64)])).await.unwrap();
        load.commit(Commit::new(resume_at[index].map(checkpoint), Vec::new())).await.unwrap();
        let seen = last_checkpoint(folder.path());
        assert_eq!(seen, at.map(checkpoint), "after slice {index}");
    }
    drop(loads);
    assert_eq!(run.finish(RunEnd::Succeeded, &[]).await.unwrap().checkpoint, Some(checkpoint(14)));
}

/// The checkpoint in the newest manifest of a slice.
fn last_checkpoint(folder: &std::path::Path) -> Option<endpoint_api::Checkpoint> {
    let state = folder.join("_cdm/acme.test.things");
    let last = files(&state).into_iter().rfind(|name| name.ends_with(".json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(state.join(last)).unwrap()).unwrap();
    let manifest = &manifest["manifest"];
    assert_eq!(manifest["kind"], "slice");
    manifest.get("checkpoint").cloned().map(endpoint_api::Checkpoint)
}

#[tokio::test]
async fn a_resume_point_that_is_missing_leaves_the_one_before_in_force() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    for (index, at) in [(1, None), (0, Some(checkpoint(5)))] {
        begin(&*run, index).await.commit(Commit::new(at, Vec::new())).await.unwrap();
    }
    drop(run);
    let run = open_run(&endpoint, &spec("run-2")).await;
    assert_eq!(run.resume().checkpoint, Some(checkpoint(5)));
}

#[tokio::test]
async fn of_two_loads_of_one_slice_one_is_committed_and_the_other_is_told() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    let (mut first, mut second) = (begin(&*run, 0).await, begin(&*run, 0).await);
    first.write(batch(&[record(1)])).await.unwrap();
    second.write(batch(&[record(2), record(3)])).await.unwrap();
    let receipt = second.commit(Commit::default()).await.unwrap();
    assert_eq!(receipt.counts.inserted, 2);
    assert_eq!(first.commit(Commit::default()).await.unwrap(), receipt);
    assert_eq!(records(folder.path()), [record(2), record(3)]);
    assert_eq!(record_files(folder.path()), named_files(folder.path()));
}

/// Polls a future once and drops it.
async fn forget_after_one_poll(future: impl Future) {
    let mut future = Box::pin(future);
    std::future::poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn a_commit_whose_answer_nobody_waited_for_is_settled_by_beginning_again() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    for index in 0..20 {
        let mut first = begin(&*run, index).await;
        first.write(batch(&[record(index)])).await.unwrap();
        forget_after_one_poll(first.commit(Commit::default())).await;
        if let Begun::Load(mut again) = run.begin(&slice(index)).await.unwrap() {
            again.write(batch(&[record(index)])).await.unwrap();
            again.commit(Commit::default()).await.unwrap();
        }
    }
    drop(run);
    drop(open_run(&endpoint, &spec("run-2")).await);
    let mut found = records(folder.path());
    found.sort();
    let mut expected: Vec<_> = (0..20).map(record).collect();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(record_files(folder.path()), named_files(folder.path()));
}

#[test]
fn a_write_that_was_cut_short_cannot_be_committed() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let folder = folder();
        let endpoint = sink(folder.path()).await;
        let run = open_run(&endpoint, &spec("run-1")).await;
        let mut load = begin(&*run, 0).await;
        // The only thread for file work is taken, so that the write cannot be done at once.
        let (release, released) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || released.recv());
        forget_after_one_poll(load.write(batch(&[record(0)]))).await;
        drop(release);
        busy.await.unwrap().unwrap_err();
        let refused = error(load.commit(Commit::default()).await);
        assert_eq!(refused.kind(), endpoint_api::ErrorKind::Conflict);
        assert_eq!(slices(folder.path()), []);
        let mut again = begin(&*run, 0).await;
        assert_eq!(record_files(folder.path()).len(), 2, "what was cut short is gone");
        again.write(batch(&[record(0)])).await.unwrap();
        again.commit(Commit::default()).await.unwrap();
        assert_eq!(records(folder.path()), [record(0)]);
    });
}
