//! Source-shaped records are kept to the byte.

use cdm_models::Timestamp;
use endpoint_api::{
    Batch, Begun, Capabilities, Commit, EndpointId, ErrorKind, RawBatch, RejectQuery, RunEnd, batch::NewRecord,
};

use super::{Test, test};
use crate::{
    model::unit,
    workbench::{Author, Site, Workbench, begin, failure, plan, raw_spec, reject, soon},
};

pub(super) const TESTS: &[Test] = &[
    test!("raw", records_are_kept_to_the_byte, takes_raw, "RAW-01", "LOAD-01"),
    test!("raw", a_slice_that_is_loaded_twice_is_there_once, takes_raw, "RAW-02", "RUN-08"),
    test!("raw", an_aborted_load_leaves_nothing, takes_raw, "LOAD-03"),
    test!("raw", rejects_are_kept, takes_raw, "LOAD-07"),
    test!("raw", an_overtaken_run_commits_nothing, takes_raw, "RUN-04"),
];

fn takes_raw(capabilities: &Capabilities, _: &Author) -> bool {
    capabilities.sink.is_some_and(|sink| sink.raw)
}

fn batch(records: &[&str]) -> Batch {
    let at = Timestamp::from_microsecond(0).unwrap();
    let mut batch = RawBatch::builder(unit(), EndpointId::from_static("acme"), "things.jsonl", at);
    for (index, json) in records.iter().enumerate() {
        batch.push(NewRecord { json, line: Some(index as u64 + 1), ..NewRecord::default() });
    }
    Batch::Raw(Box::new(batch.finish()))
}

const RECORDS: [&str; 4] =
    [r#"{"b": 1.0e3,  "b": [1], "a": -0}"#, r#"{"text":"naïve \u0000 😀"}"#, "{ }", r#"{"n":9223372036854776000}"#];

fn assert_records(site: &Site, expected: &[&str]) {
    if let Some(records) = site.records() {
        let records: Vec<String> = records.into_iter().map(|record| String::from_utf8(record).unwrap()).collect();
        assert_eq!(records, expected);
    }
}

async fn records_are_kept_to_the_byte(workbench: Workbench) {
    let site = workbench.site().await;
    let run = soon(site.sink().open_run(&raw_spec("run-1"))).await.unwrap();
    soon(run.record_plan(&plan(2))).await.unwrap();
    for (slice, records) in plan(2).iter().zip(RECORDS.chunks(2)) {
        let mut load = begin(run.as_ref(), slice).await;
        for record in records {
            soon(load.write(batch(&[record]))).await.unwrap();
        }
        let receipt = soon(load.commit(Commit::default())).await.unwrap();
        assert_eq!((receipt.counts.inserted, receipt.counts.total()), (2, 2));
    }
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    assert_records(&site, &RECORDS);
}

async fn a_slice_that_is_loaded_twice_is_there_once(workbench: Workbench) {
    let site = workbench.site().await;
    let run = soon(site.sink().open_run(&raw_spec("run-1"))).await.unwrap();
    soon(run.record_plan(&plan(1))).await.unwrap();
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    soon(load.write(batch(&RECORDS))).await.unwrap();
    let receipt = soon(load.commit(Commit::default())).await.unwrap();
    soon(run.finish(RunEnd::Failed, &[])).await.unwrap();
    let elsewhere = site.reopened().await;
    let run = soon(elsewhere.sink().unwrap().open_run(&raw_spec("run-2"))).await.unwrap();
    assert!(matches!(soon(run.begin(&plan(1)[0])).await.unwrap(), Begun::Committed(known) if known == receipt));
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    assert_records(&site, &RECORDS);
}

async fn an_aborted_load_leaves_nothing(workbench: Workbench) {
    let site = workbench.site().await;
    let run = soon(site.sink().open_run(&raw_spec("run-1"))).await.unwrap();
    soon(run.record_plan(&plan(1))).await.unwrap();
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    soon(load.write(batch(&["{}"]))).await.unwrap();
    soon(load.abort()).await.unwrap();
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    soon(load.write(batch(&["{}"]))).await.unwrap();
    drop(load);
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    soon(load.write(batch(&RECORDS))).await.unwrap();
    soon(load.commit(Commit::default())).await.unwrap();
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    assert_records(&site, &RECORDS);
}

async fn rejects_are_kept(workbench: Workbench) {
    let site = workbench.site().await;
    let run = soon(site.sink().open_run(&raw_spec("run-1"))).await.unwrap();
    soon(run.record_plan(&plan(1))).await.unwrap();
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    let given = reject(3, "not JSON");
    soon(load.reject(vec![given.clone(), given.clone()])).await.unwrap();
    soon(load.write(batch(&["{}"]))).await.unwrap();
    soon(load.commit(Commit::default())).await.unwrap();
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    let kept = soon(site.sink().rejects(&RejectQuery::newest(5))).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].reason.as_str(), kept[0].raw.as_slice()), ("not JSON", given.raw.as_slice()));
    assert_records(&site, &["{}"]);
}

async fn an_overtaken_run_commits_nothing(workbench: Workbench) {
    let site = workbench.site().await;
    let old = soon(site.sink().open_run(&raw_spec("run-1"))).await.unwrap();
    soon(old.record_plan(&plan(1))).await.unwrap();
    let mut load = begin(old.as_ref(), &plan(1)[0]).await;
    soon(load.write(batch(&["{\"zombie\":1}"]))).await.unwrap();
    let elsewhere = site.reopened().await;
    let takeover = raw_spec("run-2").overlap(endpoint_api::Overlap::Takeover);
    let new = soon(elsewhere.sink().unwrap().open_run(&takeover)).await.unwrap();
    let error = failure("a commit of a run that was overtaken", soon(load.commit(Commit::default())).await);
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    let mut load = begin(new.as_ref(), &plan(1)[0]).await;
    soon(load.write(batch(&["{}"]))).await.unwrap();
    soon(load.commit(Commit::default())).await.unwrap();
    soon(new.finish(RunEnd::Succeeded, &[])).await.unwrap();
    assert_records(&site, &["{}"]);
}
