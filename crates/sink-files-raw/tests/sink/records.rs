//! Records come out as they went in.

use endpoint_api::{
    Batch, CdmBatch, Commit, EndpointId, ErrorKind, Incomplete, Mode, RawBatch, UnitId,
    batch::{CdmBatchBuilder, NewRecord},
};
use serde_json::{Value, json};

use crate::support::*;

const RECORDS: [&str; 5] = [
    r#"{"id":"1","text":"naïve \u0000 \ud800 \u2028"}"#,
    "{\"id\":  2,\t\"n\": 1.50e+3, \"n\": 9223372036854776000 }",
    "{\"id\":\"\u{2028}\u{1F980}\"}\r",
    "{}",
    r#"{"a":{"b":[1,2,{"c":null}]}}"#,
];

#[tokio::test]
async fn a_record_is_kept_byte_for_byte() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    let mut load = begin(&*run, 0).await;
    load.write(batch(&RECORDS[..2])).await.unwrap();
    load.write(batch(&RECORDS[2..])).await.unwrap();
    let receipt = load.commit(Commit::default()).await.unwrap();
    assert_eq!((receipt.counts.inserted, receipt.counts.total()), (5, 5));

    let [slice] = slices(folder.path()).try_into().unwrap();
    assert_eq!((slice.slice, slice.records.lines, slice.rejects.as_ref()), (0, 5, None));
    let stored = std::fs::read_to_string(&slice.records.path).unwrap();
    assert_eq!(stored, RECORDS.map(|record| format!("{record}\n")).concat());
    lines(&slice.records);
}

#[tokio::test]
async fn a_record_on_several_lines_becomes_one() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    let mut load = begin(&*run, 0).await;
    load.write(batch(&["{\n  \"id\": 1,\r\n  \"n\": 2\n}\n"])).await.unwrap();
    load.commit(Commit::default()).await.unwrap();
    let [slice] = slices(folder.path()).try_into().unwrap();
    assert_eq!(std::fs::read_to_string(slice.records.path).unwrap(), "{   \"id\": 1,\r   \"n\": 2 } \n");
}

#[tokio::test]
async fn the_sidecar_tells_what_is_known_of_each_record() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    let mut load = begin(&*run, 0).await;
    let bare = NewRecord { json: "{}", ..NewRecord::default() };
    let full = NewRecord {
        json: r#"{"id":7}"#,
        line: Some(17),
        part: Some("/fields/assignee".into()),
        parent_id: Some("10001"),
        parent_key: Some("ACME-1\n"),
        key: Some("7"),
        is_part: true,
        ..NewRecord::default()
    };
    load.write(Batch::Raw(Box::new(raw_batch(&[bare, full])))).await.unwrap();
    load.commit(Commit::default()).await.unwrap();

    let [slice] = slices(folder.path()).try_into().unwrap();
    assert!(slice.envelopes.path.to_str().unwrap().ends_with("/acme/test.things/run-1/000000-1-1.envelope.jsonl"));
    let envelopes: Vec<Value> =
        lines(&slice.envelopes).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        envelopes,
        [
            json!({ "origin": "things.jsonl", "observed_at": OBSERVED_AT, "rank": 1 }),
            json!({
                "origin": "things.jsonl", "line": 17, "part": "/fields/assignee", "parent_id": "10001",
                "parent_key": "ACME-1\n", "key": "7", "observed_at": OBSERVED_AT, "rank": 0
            }),
        ]
    );
}

#[tokio::test]
async fn compressed_files_hold_the_same_in_less() {
    let (plain, compressed) = (folder(), folder());
    let many: Vec<String> = (0..5000).map(|id| format!(r#"{{"id":{id},"text":"the same again and again"}}"#)).collect();
    for (endpoint, folder) in
        [(sink(plain.path()).await, &plain), (compressing_sink(compressed.path()).await, &compressed)]
    {
        let run = open_run(&endpoint, &spec("run-1")).await;
        let mut load = begin(&*run, 0).await;
        for part in many.chunks(700) {
            load.write(batch(part)).await.unwrap();
        }
        load.commit(Commit::default()).await.unwrap();
        assert_eq!(records(folder.path()), many);
    }
    let ([plain], [compressed]): ([_; 1], [_; 1]) =
        (slices(plain.path()).try_into().unwrap(), slices(compressed.path()).try_into().unwrap());
    assert_eq!(lines(&plain.envelopes), lines(&compressed.envelopes));
    assert!(compressed.records.path.to_str().unwrap().ends_with("000000-1-1.jsonl.zst"));
    assert!(compressed.records.bytes * 10 < plain.records.bytes, "{compressed:?}");
}

#[tokio::test]
async fn files_of_both_kinds_stand_side_by_side() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    load(&*run, 0).await;
    drop(run);
    let endpoint = compressing_sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-2")).await;
    load(&*run, 1).await;
    assert_eq!(records(folder.path()), [record(0), record(1)]);
}

#[tokio::test]
async fn a_slice_without_records_is_committed_too() {
    for endpoint_of in [0, 1] {
        let folder = folder();
        let endpoint = if endpoint_of == 0 { sink(folder.path()).await } else { compressing_sink(folder.path()).await };
        let run = open_run(&endpoint, &spec("run-1")).await;
        let load = begin(&*run, 0).await;
        let incomplete = vec![Incomplete::new("things.jsonl", "attachments", "line 3")];
        let receipt = load.commit(Commit::new(Some(checkpoint(9)), incomplete.clone())).await.unwrap();
        assert_eq!((receipt.counts.total(), &receipt.incomplete), (0, &incomplete));
        assert_eq!(committed(&*run, 0).await, receipt);
        let [slice] = slices(folder.path()).try_into().unwrap();
        assert_eq!((lines(&slice.records).len(), lines(&slice.envelopes).len()), (0, 0));
    }
}

fn mapped() -> CdmBatch {
    use endpoint_api::Registry;
    let model = Registry::load().unwrap().model("cdm.work.user").unwrap().clone();
    let mut builder = CdmBatchBuilder::new(model, 1);
    builder.push_delete("cdm:work:user:jira:1", None, 0);
    builder.finish(std::sync::Arc::new(raw_batch(&[]))).unwrap()
}

#[tokio::test]
async fn mapped_rows_are_refused_before_anything_is_touched() {
    let folder = folder();
    let endpoint = open(json!({ "path": "raw" }), folder.path()).await.unwrap();
    let mut cdm = spec("run-1");
    cdm.ingestion.mode = Mode::Cdm;
    let with_model = spec("run-1").model(mapped().model().clone());
    for spec in [cdm, with_model] {
        let error = error(endpoint.sink().unwrap().open_run(&spec).await);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    assert!(!folder.path().join("raw").exists());

    let run = open_run(&endpoint, &spec("run-1")).await;
    let mut load = begin(&*run, 0).await;
    let error = load.write(Batch::Cdm(Box::new(mapped()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn records_of_another_unit_are_refused_and_spoil_the_load() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    let run = open_run(&endpoint, &spec("run-1")).await;
    let mut load = begin(&*run, 0).await;
    load.write(batch(&["{}"])).await.unwrap();
    let source = EndpointId::from_static("acme");
    let observed_at = cdm_models::Timestamp::parse(OBSERVED_AT).unwrap();
    let other = RawBatch::builder(UnitId::from_static("test.others"), source, "others.jsonl", observed_at).finish();
    let refused = load.write(Batch::Raw(Box::new(other))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Internal);
    assert!(refused.to_string().contains("acme/test.others"), "{refused}");
    // Nobody can commit what is left, by mistake, as if it were the slice.
    assert_eq!(error(load.commit(Commit::default()).await).kind(), ErrorKind::Conflict);
    assert_eq!(record_files(folder.path()), [""; 0]);
}
