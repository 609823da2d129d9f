use std::fs;

use cdm_models::{Date, Json, RawJson, Timestamp};
use endpoint_api::{Batch, Checkpoint, Commit, ErrorKind, Incomplete, Mode, RejectQuery, Replay, RunEnd, RunSpec};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn values_of_every_kind_are_kept() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    let everything = Thing {
        cdm_id: "ä'\"\\;\u{1F600}".into(),
        name: Some("".into()),
        good: Some(false),
        count: Some(i64::MIN),
        size: Some(f64::MAX),
        since: Some(Date::parse("1582-10-15").unwrap()),
        updated_at: Some(Timestamp::parse("9999-01-01T00:00:00.000001Z").unwrap()),
        labels: Some(vec!["b".into(), "".into(), "b".into()]),
        raw_source: Some(RawJson::new(r#"{"n": 9223372036854776000.10}"#)),
        properties: Some(Json::parse(r#"{"b":[],"a":1}"#).unwrap()),
    };
    let huge = "x".repeat(5 << 20);
    let rows_in =
        [Row::Put(everything, endpoint_api::batch::Rank::Whole, Some(i64::from(i32::MAX))), put("b", &huge, 1)];
    assert_eq!(load(&endpoint, &[&[&rows_in, &[]]]).await, counts(2, 0, 0, 0, 0));
    let stored = rows(folder.path()).await;
    let expected = json!({
        "cdm_id": "ä'\"\\;\u{1F600}", "name": "", "good": false, "count": i64::MIN, "size": f64::MAX,
        "since": -141_427, "updated_at": 253_370_764_800_000_001_i64, "labels": ["b", "", "b"],
        "raw_source": r#"{"n": 9223372036854776000.10}"#, "properties": r#"{"a":1,"b":[]}"#, "deleted": false
    });
    let found = stored.iter().find(|row| row["cdm_id"] != "b").unwrap();
    assert_eq!(*found, expected);
    assert_eq!(stored.iter().find(|row| row["cdm_id"] == "b").unwrap()["name"].as_str().unwrap().len(), 5 << 20);
    let again = crate::support::endpoint(folder.path()).await;
    assert_eq!(load(&again, &[&[&rows_in]]).await, counts(0, 0, 2, 0, 0), "the hashes are kept too");
}

#[tokio::test]
async fn a_load_that_is_aborted_or_dropped_leaves_nothing() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    let run = open_run(&endpoint, &spec("run")).await;
    let slice = &plan(1)[0];
    for aborts in [true, false] {
        let mut load = begin(run.as_ref(), slice).await;
        write(load.as_mut(), &[put("a", "x", 1)]).await;
        load.reject(vec![a_reject(1)]).await.unwrap();
        if aborts {
            load.abort().await.unwrap();
        } else {
            drop(load);
        }
    }
    assert_eq!(files(folder.path()), [""; 0]);
    assert_eq!(rows(folder.path()).await, [json!(null); 0]);
    assert_eq!(rejects(&endpoint).await.len(), 0);
    begin(run.as_ref(), slice).await;
}

#[tokio::test]
async fn what_a_killed_program_has_left_behind_does_not_count_and_goes() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    load(&endpoint, &[&[&[put("a", "x", 1)]]]).await;
    let written = files(folder.path());
    // Killed after the file of rows was there, and before the manifest named it; or in the midst of it.
    let runs = folder.path().join("test.thing/ingestion=acme.test.things");
    let run = fs::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
    fs::copy(run.join(&written[0]), run.join("slice-000001-9.parquet")).unwrap();
    fs::write(run.join("slice-000002-9.parquet#1"), "half").unwrap();
    fs::write(run.join("notes.txt"), "of people").unwrap();
    assert_eq!(names(folder.path()).await.len(), 1);
    open_run(&endpoint, &spec("next")).await;
    assert_eq!(files(folder.path()), written);
    assert!(!run.join("slice-000002-9.parquet#1").exists());
    assert!(run.join("notes.txt").exists(), "nothing is removed that the sink has not made");
}

#[tokio::test]
async fn rows_rejects_receipt_and_checkpoint_come_together() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    let run = open_run(&endpoint, &spec("run")).await;
    run.record_plan(&plan(2)).await.unwrap();
    let mut load = begin(run.as_ref(), &plan(2)[1]).await;
    write(load.as_mut(), &[put("a", "x", 1)]).await;
    load.reject(vec![a_reject(7), a_reject(7)]).await.unwrap();
    let incomplete = vec![Incomplete::new("things.jsonl", "lacks things", "things.jsonl:9")];
    let commit = Commit::new(Some(Checkpoint(json!(2))), incomplete.clone());
    let receipt = load.commit(commit).await.unwrap();
    assert_eq!((receipt.counts.inserted, receipt.counts.rejected), (1, 2));
    assert_eq!(receipt.incomplete, incomplete);

    // Another process sees all of it, and no checkpoint beyond the gap.
    drop(run);
    let endpoint = crate::support::endpoint(folder.path()).await;
    assert_eq!(names(folder.path()).await.len(), 1);
    let kept = rejects(&endpoint).await;
    assert_eq!(kept.len(), 1, "the same reject twice is one");
    let (wanted, kept) = (a_reject(7), &kept[0]);
    assert_eq!((kept.id.as_str(), kept.origin.as_str()), (wanted.id(&ingestion()).as_str(), "things.jsonl:7"));
    assert_eq!((&kept.raw, kept.raw_length, &kept.raw_hash), (&wanted.raw, 5, &wanted.raw_hash));
    assert_eq!((kept.run_id.as_str(), kept.stage, &kept.reason), ("run", wanted.stage, &wanted.reason));
    let run = open_run(&endpoint, &spec("unused")).await;
    assert_eq!(run.resume().checkpoint, None);
    assert_eq!(committed(run.as_ref(), &plan(2)[1]).await, receipt);
    let load = begin(run.as_ref(), &plan(2)[0]).await;
    load.commit(Commit::default()).await.unwrap();
    let receipt = run.finish(RunEnd::Succeeded, &[]).await.unwrap();
    assert_eq!((receipt.checkpoint, receipt.rows), (Some(Checkpoint(json!(2))), Some(1)));
}

#[tokio::test]
async fn a_reject_that_comes_again_keeps_its_first_time_and_takes_the_last_run() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    let mut first = Vec::new();
    for (run_id, lines) in [("one", 1..3), ("two", 2..4)] {
        let run = open_run(&endpoint, &spec(run_id)).await;
        let mut load = begin(run.as_ref(), &plan(1)[0]).await;
        load.reject(lines.map(a_reject).collect()).await.unwrap();
        load.commit(Commit::default()).await.unwrap();
        run.finish(RunEnd::Succeeded, &[]).await.unwrap();
        if first.is_empty() {
            first = rejects(&endpoint).await;
        }
    }
    let all = rejects(&endpoint).await;
    let origins: Vec<&str> = all.iter().map(|reject| reject.origin.as_str()).collect();
    assert_eq!(origins, ["things.jsonl:3", "things.jsonl:2", "things.jsonl:1"]);
    assert_eq!((all[1].run_id.as_str(), &all[1].rejected_at), ("two", &first[0].rejected_at));
    let sink = endpoint.sink().unwrap();
    let one = sink.rejects(&RejectQuery::by_id(&all[1].id)).await.unwrap();
    assert_eq!((one.len(), one[0].origin.as_str()), (1, "things.jsonl:2"));
    let paged = sink.rejects(&RejectQuery::newest(1).skip(1)).await.unwrap();
    assert_eq!((paged.len(), paged[0].origin.as_str()), (1, "things.jsonl:2"));
    let other = "acme/test.things/lake/raw".parse().unwrap();
    assert!(sink.rejects(&RejectQuery::newest(9).of(other)).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_declared_is_unsupported() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    let sink = endpoint.sink().unwrap();
    assert!(endpoint.source().is_none());
    let unsupported = |error: endpoint_api::Error| assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let replay = Replay::new(ingestion(), model(), "run".parse().unwrap(), 1, Vec::new());
    unsupported(error(sink.replay(&replay).await));
    unsupported(error(sink.verify(&[model()], false).await));
    let mut raw = ingestion();
    raw.mode = Mode::Raw;
    unsupported(error(sink.open_run(&RunSpec::new(raw, "run".parse().unwrap())).await));
    let run = open_run(&endpoint, &spec("run")).await;
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    unsupported(load.write(Batch::Raw(Box::new(raw_batch(1)))).await.unwrap_err());
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    fs::write(folder.path().join("_acme/manifest.json"), "{}").unwrap();
    let refused = error(endpoint.sink().unwrap().open_run(&spec("run")).await);
    assert_eq!(refused.kind(), ErrorKind::Data);
    assert!(refused.to_string().contains("_acme/manifest.json"), "{refused}");
}
