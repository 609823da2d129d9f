//! Slices are loaded whole or not at all, and every row is accounted for.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use cdm_models::{Date, Json, RawJson, Timestamp};
use common::{
    Bench, Row, Thing, batch, begin, hashes, ingestion, open, part, plan, put, resource, spec, timeless, unknown,
};
use endpoint_api::{
    Batch, Begun, Checkpoint, Commit, Counts, Endpoint as _, ErrorKind, Incomplete, Overlap, Reject, RejectQuery,
    Retry, RunEnd, Sink as _, Slice,
    batch::{ContentHasher, HashValue, Rank},
};
use serde_json::json;

fn counts(inserted: u64, updated: u64, unchanged: u64, stale: u64, duplicate: u64) -> Counts {
    Counts { inserted, updated, unchanged, stale, duplicate, ..Counts::default() }
}

fn everything() -> Thing<'static> {
    Thing {
        cdm_id: "k".into(),
        name: Some("naïve \0 \u{2028} 😀 'quote' \\".into()),
        whole: Some("other".into()),
        good: Some(true),
        count: Some(i64::MIN),
        size: Some(-0.5),
        since: Some(Date::parse("1969-12-31").unwrap()),
        updated_at: Some(Timestamp::parse("1969-12-31T23:59:59.999999Z").unwrap()),
        labels: Some(vec!["b".into(), "".into(), "a".into()]),
        raw_source: Some(RawJson::new(r#"{"b": 1.0e3,  "b": [1], "a": -0}"#)),
        properties: Some(Json::parse(r#"{"b": 1.50e1, "a": "x\u0001"}"#).unwrap()),
    }
}

#[tokio::test]
async fn a_record_is_recognised_only_by_a_live_row_that_was_made_of_it() {
    let bench = Bench::new().await;
    let rows = ["a", "b", "c", "d"].map(|id| put(Thing::named(id, "x"), 5));
    assert_eq!(bench.load(&[&[&rows]]).await, counts(4, 0, 0, 0, 0));
    bench
        .execute(
            "update cdm_work.cdm_test_thing set _cdm_deleted_at = now() where cdm_id = 'b'; \
             update cdm_work.cdm_test_thing set _cdm_source_hash = null where cdm_id = 'c'; \
             update cdm_work.cdm_test_thing set _cdm_source_hash = 'short' where cdm_id = 'd'",
        )
        .await;
    let sink = bench.sink.sink().unwrap();
    let run = sink.open_run(&spec("later")).await.unwrap();
    run.record_plan(&plan(1)).await.unwrap();
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    assert_eq!(load.recognize(&hashes(&rows)).await.unwrap(), [true, false, false, false]);
    let other = ["a", "z"].map(|id| put(Thing::named(id, "other"), 5));
    assert_eq!(load.recognize(&hashes(&other)).await.unwrap(), [false, false]);
    load.write(Batch::Cdm(Box::new(unknown(&rows, &[true]).unwrap()))).await.unwrap();
    let receipt = load.commit(Commit::default()).await.unwrap();
    assert_eq!(receipt.counts, counts(0, 1, 3, 0, 0), "only the one that was deleted is touched");
}

#[tokio::test]
async fn every_kind_of_value_arrives_as_it_is() {
    let bench = Bench::new().await;
    let empty = Thing { labels: Some(vec![]), ..Thing::new("empty") };
    assert_eq!(bench.load(&[&[&[put(everything(), 5), put(empty, 5)]]]).await, counts(2, 0, 0, 0, 0));
    let stored = bench
        .ask(
            "set timezone = 'UTC'; select name, whole, good, count, size, since, updated_at, labels, raw_source, properties, \
             _cdm_source_endpoint, _cdm_rank, _cdm_version_at, _cdm_changes, _cdm_mapper_revision, _cdm_deleted_at \
             from cdm_work.cdm_test_thing order by cdm_id desc",
        )
        .await;
    assert_eq!(
        stored,
        [
            [
                "naïve \u{FFFD} \u{2028} 😀 'quote' \\",
                "other",
                "t",
                "-9223372036854775808",
                "-0.5",
                "1969-12-31",
                "1969-12-31 23:59:59.999999+00",
                r#"{b,"",a}"#,
                r#"{"b": 1.0e3,  "b": [1], "a": -0}"#,
                r#"{"a": "x\u0001", "b": 15.0}"#,
                "acme",
                "1",
                "1970-01-01 00:00:00.000005+00",
                "1",
                "1",
                "null"
            ],
            [
                "null",
                "null",
                "null",
                "null",
                "null",
                "null",
                "null",
                "{}",
                "null",
                "null",
                "acme",
                "1",
                "1970-01-01 00:00:00.000005+00",
                "0",
                "1",
                "null"
            ]
        ]
    );
}

#[tokio::test]
async fn the_stored_row_hashes_to_the_stored_hash() {
    let bench = Bench::new().await;
    bench.load(&[&[&[put(everything(), 5)]]]).await;
    let client = bench.client().await;
    let row = client
        .query_one(
            "select cdm_id, name, whole, good, count, size, since - date '1970-01-01', \
             (extract(epoch from updated_at) * 1000000)::bigint, labels, raw_source::text, properties::text, _cdm_content_hash \
             from cdm_work.cdm_test_thing",
            &[],
        )
        .await
        .unwrap();
    let labels: Vec<&str> = row.get(8);
    let hash = ContentHasher::new(&common::model()).hash(|field| match field {
        0..=2 => HashValue::Text(row.get(field)),
        3 => HashValue::Bool(row.get(field)),
        4 => HashValue::Int64(row.get(field)),
        5 => HashValue::Float64(row.get(field)),
        6 => HashValue::Date(row.get(field)),
        7 => HashValue::Int64(row.get(field)),
        8 => HashValue::TextList(&labels),
        9 => HashValue::RawJson(row.get(field)),
        _ => HashValue::Json(row.get(field)),
    });
    assert_eq!(hash.unwrap().as_slice(), row.get::<_, &[u8]>(11));
}

#[tokio::test]
async fn what_is_there_already_is_not_touched() {
    let bench = Bench::new().await;
    let things: Vec<Row<'_>> = (0..200).map(|id| put(Thing::named(format!("t{id}"), "x"), 1)).collect();
    let others: Vec<Row<'_>> = (0..50).map(|id| timeless(Thing::named(format!("o{id}"), "x"))).collect();
    bench.load(&[&[&things, &others]]).await;
    let tuples = "select cdm_id, xmin, xmax, ctid from cdm_work.cdm_test_thing order by cdm_id";
    let before = bench.ask(tuples).await;
    assert_eq!(bench.load(&[&[&things], &[&others, &things]]).await, counts(0, 0, 450, 0, 0));
    assert_eq!(bench.ask(tuples).await, before, "no row version, no row lock");
}

#[tokio::test]
async fn the_greatest_record_of_a_key_wins() {
    let bench = Bench::new().await;
    let name = |version: i64| put(Thing::named("a", format!("v{version}")), version);
    assert_eq!(bench.load(&[&[&[name(2), name(1)], &[name(3), name(2)]]]).await, counts(1, 0, 0, 0, 3));
    assert_eq!(bench.load(&[&[&[name(2)], &[name(5), name(4)]]]).await, counts(0, 1, 0, 1, 1));
    assert_eq!(bench.names().await, [("a".to_owned(), "v5".to_owned())]);
    let stale = bench.load(&[&[&[part(Thing::named("a", "part"))]]]).await;
    assert_eq!((stale.stale, stale.mentions.stale, stale.total()), (1, 1, 1));
    assert_eq!(bench.load(&[&[&[timeless(Thing::named("a", "no time"))]]]).await, counts(0, 0, 0, 1, 0));
    assert_eq!(bench.load(&[&[&[put(Thing::named("a", "same time"), 5)]]]).await, counts(0, 1, 0, 0, 0), "seen later");
    let merged = bench.load(&[&[&[part(Thing::named("b", "part"))], &[timeless(Thing::named("b", "whole"))]]]).await;
    // The mention was inserted before its record came, so the record is the duplicate of the key.
    assert_eq!(merged, counts(1, 0, 0, 0, 1));
    assert_eq!(bench.names().await[1], ("b".to_owned(), "whole".to_owned()));
    let newer_part = Row::Put(Thing::named("c", "part"), Rank::Part, Some(9));
    let merged = bench.load(&[&[&[newer_part, timeless(Thing::named("c", "whole"))]]]).await;
    assert_eq!((merged.inserted, merged.mentions.duplicate, merged.total()), (1, 1, 2));
    assert_eq!(bench.names().await[2], ("c".to_owned(), "whole".to_owned()), "the rank counts before the time");
}

#[tokio::test]
async fn records_that_contradict_each_other_do_not_take_turns() {
    let bench = Bench::new().await;
    let (one, other) = (timeless(Thing::named("a", "one")), timeless(Thing::named("a", "other")));
    bench.load(&[&[&[one.clone(), other.clone()]]]).await;
    let winner = bench.names().await;
    let tuples = "select xmin, xmax, ctid from cdm_work.cdm_test_thing";
    let before = bench.ask(tuples).await;
    for batches in [
        [vec![one.clone()], vec![other.clone()]],
        [vec![other.clone()], vec![one.clone()]],
        [vec![other.clone(), one.clone()], vec![one.clone()]],
    ] {
        let counts = bench.load(&[&[&batches[0], &batches[1]]]).await;
        assert_eq!((counts.inserted, counts.updated, counts.total()), (0, 0, batches.concat().len() as u64));
        assert_eq!(bench.ask(tuples).await, before);
    }
    assert_eq!(bench.names().await, winner);
}

#[tokio::test]
async fn an_unchanged_resource_is_no_newer_for_being_read_again() {
    let bench = Bench::new().await;
    let run = |run_id: &'static str, files: [(&'static str, &'static str); 2]| {
        let sink = &bench.sink;
        async move {
            let run = sink.open_run(&spec(run_id).restart(true)).await.unwrap();
            let plan: Vec<Slice> =
                plan(2).into_iter().zip(files).map(|(slice, (file, state))| slice.of(resource(file, state))).collect();
            run.record_plan(&plan).await.unwrap();
            let mut counts = Counts::default();
            for (slice, (file, _)) in plan.iter().zip(files) {
                let mut load = begin(run.as_ref(), slice).await;
                let rows = [timeless(Thing::named("a", file))];
                load.write(Batch::Cdm(Box::new(batch(&rows)))).await.unwrap();
                counts += load.commit(Commit::default()).await.unwrap().counts;
            }
            run.finish(RunEnd::Succeeded, &[]).await.unwrap();
            counts
        }
    };
    // Two files contradict each other, and neither record is newer: the greater hash has won.
    assert_eq!(run("run-1", [("one", "1"), ("other", "1")]).await.total(), 2);
    let settled = bench.names().await;
    for (run_id, files) in [("run-2", [("one", "1"), ("other", "1")]), ("run-3", [("other", "1"), ("one", "1")])] {
        let again = run(run_id, files).await;
        assert_eq!((again.inserted, again.updated), (0, 0), "{run_id}");
        assert_eq!(bench.names().await, settled);
    }
    let loser = if settled[0].1 == "one" { "other" } else { "one" };
    run(
        "run-4",
        [("one", if loser == "one" { "2" } else { "1" }), ("other", if loser == "other" { "2" } else { "1" })],
    )
    .await;
    assert_eq!(bench.names().await[0].1, loser, "what changed was seen later");
}

#[tokio::test]
async fn a_deleted_record_is_marked_and_comes_back() {
    let bench = Bench::new().await;
    let thing = || put(Thing::named("a", "x"), 1);
    let deleted = "select _cdm_deleted_at is not null from cdm_work.cdm_test_thing";
    bench.load(&[&[&[thing()]]]).await;
    assert_eq!(
        bench.load(&[&[&[Row::Delete("a".into()), Row::Delete("unknown".into())]]]).await,
        counts(0, 1, 0, 1, 0)
    );
    assert_eq!(bench.value(deleted).await, "t");
    assert_eq!(bench.load(&[&[&[Row::Delete("a".into())]]]).await, counts(0, 0, 1, 0, 0));
    assert_eq!(bench.load(&[&[&[thing()]]]).await, counts(0, 1, 0, 0, 0));
    assert_eq!(bench.value(deleted).await, "f");
    assert_eq!(bench.load(&[&[&[put(Thing::named("a", "y"), 2)], &[Row::Delete("a".into())]]]).await.updated, 2);
    assert_eq!(bench.value(deleted).await, "t", "within one run a deletion stands");
}

#[tokio::test]
async fn nothing_of_an_aborted_or_dropped_load_stays() {
    let bench = Bench::new().await;
    let run = bench.sink.open_run(&spec("run-1")).await.unwrap();
    run.record_plan(&plan(1)).await.unwrap();
    let slice = &plan(1)[0];
    for drop_it in [false, true] {
        let mut load = begin(run.as_ref(), slice).await;
        load.write(Batch::Cdm(Box::new(batch(&[put(Thing::new("a"), 1)])))).await.unwrap();
        load.reject(vec![Reject::at_source("things.jsonl:2", "no record", b"x")]).await.unwrap();
        if drop_it { drop(load) } else { load.abort().await.unwrap() }
    }
    for table in ["cdm_test_thing", "_cdm_load", "_cdm_reject"] {
        assert_eq!(bench.value(&format!("select count(*) from cdm_work.{table}")).await, "0", "{table}");
    }
    let load = begin(run.as_ref(), slice).await;
    assert_eq!(load.commit(Commit::default()).await.unwrap().counts, Counts::default());
}

#[tokio::test]
async fn a_slice_is_committed_once_and_its_receipt_stays() {
    let bench = Bench::new().await;
    let run = bench.sink.open_run(&spec("run-1")).await.unwrap();
    run.record_plan(&plan(1)).await.unwrap();
    let slice = &plan(1)[0];
    let mut load = begin(run.as_ref(), slice).await;
    load.write(Batch::Cdm(Box::new(batch(&[put(Thing::new("a"), 1)])))).await.unwrap();
    let incomplete = vec![Incomplete::new("issues.jsonl", "embeds fewer comments than there are", "issues.jsonl:7")];
    let receipt = load.commit(Commit::new(None, incomplete)).await.unwrap();
    match run.begin(slice).await.unwrap() {
        Begun::Committed(again) => assert_eq!(again, receipt),
        Begun::Load(_) => panic!("the slice was committed"),
    }
}

#[tokio::test]
async fn an_unfinished_run_is_continued() {
    let bench = Bench::new().await;
    let run = bench.sink.open_run(&spec("run-1")).await.unwrap();
    let first = run.resume().clone();
    assert_eq!((first.run_id.as_str(), first.observation), ("run-1", first.fence));
    run.record_plan(&plan(3)).await.unwrap();
    let mut load = begin(run.as_ref(), &plan(3)[1]).await;
    load.write(Batch::Cdm(Box::new(batch(&[put(Thing::new("a"), 1)])))).await.unwrap();
    let receipt = load.commit(Commit::default()).await.unwrap();
    drop(run);

    let run = bench.sink.open_run(&spec("run-2")).await.unwrap();
    let resume = run.resume().clone();
    assert_eq!((resume.run_id.as_str(), resume.observation), ("run-1", first.observation));
    assert!(resume.fence > first.fence);
    assert_eq!(resume.plan, Some(plan(3)));
    assert_eq!(resume.committed.into_iter().collect::<Vec<_>>(), [(1, receipt)]);
    run.finish(RunEnd::Interrupted, &[]).await.unwrap();

    let run = bench.sink.open_run(&spec("run-3")).await.unwrap();
    assert_eq!(run.resume().run_id.as_str(), "run-1", "interrupted is unfinished");
    run.finish(RunEnd::Failed, &[]).await.unwrap();
    let run = bench.sink.open_run(&spec("run-4").restart(true)).await.unwrap();
    assert_eq!(run.resume().run_id.as_str(), "run-4", "a restart gives the unfinished run up");
    assert!(run.resume().plan.is_none() && run.resume().committed.is_empty());
    run.finish(RunEnd::Succeeded, &[]).await.unwrap();
    let run = bench.sink.open_run(&spec("run-5")).await.unwrap();
    assert_eq!(run.resume().run_id.as_str(), "run-5");
}

#[tokio::test]
async fn a_run_has_one_plan_and_succeeds_with_all_of_it() {
    let bench = Bench::new().await;
    let run = bench.sink.open_run(&spec("run-1")).await.unwrap();
    run.record_plan(&plan(2)).await.unwrap();
    run.record_plan(&plan(2)).await.unwrap();
    assert_eq!(run.record_plan(&plan(3)).await.unwrap_err().kind(), ErrorKind::Conflict);
    begin(run.as_ref(), &plan(2)[1]).await.commit(Commit::default()).await.unwrap();
    assert_eq!(run.finish(RunEnd::Succeeded, &[]).await.unwrap_err().kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn the_checkpoint_moves_over_the_gap_free_prefix() {
    let bench = Bench::new().await;
    let run = bench.sink.open_run(&spec("run-1")).await.unwrap();
    run.record_plan(&plan(4)).await.unwrap();
    let at = |slice: u64| Checkpoint(json!({ "after": slice }));
    let checkpoint = "select coalesce(checkpoint->>'after', '-') from cdm_work._cdm_ingestion";
    for (slice, resume_at, expected) in [(2, Some(2), "-"), (0, Some(0), "0"), (3, None, "0"), (1, None, "2")] {
        let load = begin(run.as_ref(), &plan(4)[slice]).await;
        load.commit(Commit::new(resume_at.map(at), Vec::new())).await.unwrap();
        assert_eq!(bench.value(checkpoint).await, expected, "after slice {slice}");
    }
    let receipt = run.finish(RunEnd::Succeeded, &[]).await.unwrap();
    assert_eq!(receipt.checkpoint, Some(at(2)));
    assert_eq!(bench.sink.open_run(&spec("run-2")).await.unwrap().resume().checkpoint, Some(at(2)));
}

#[tokio::test]
async fn loads_of_one_run_may_be_open_at_once() {
    let bench = Bench::new().await;
    let run = bench.sink.open_run(&spec("run-1")).await.unwrap();
    run.record_plan(&plan(8)).await.unwrap();
    let slices = plan(8);
    let loads = slices.iter().map(|slice| async {
        let mut load = begin(run.as_ref(), slice).await;
        // All slices hold the same keys, in different orders, and must not deadlock.
        let mut rows: Vec<Row<'_>> =
            (0..100).map(|id| put(Thing::named(format!("t{id}"), "x"), slice.index as i64)).collect();
        if slice.index % 2 == 0 {
            rows.reverse();
        }
        load.write(Batch::Cdm(Box::new(batch(&rows)))).await.unwrap();
        load.commit(Commit::default()).await.unwrap().counts
    });
    let mut all = Counts::default();
    futures::future::join_all(loads).await.into_iter().for_each(|counts| all += counts);
    assert_eq!((all.total(), all.inserted), (800, 100));
    assert_eq!(
        bench
            .value("select count(*) from cdm_work.cdm_test_thing where _cdm_version_at = '1970-01-01 00:00:00.000007Z'")
            .await,
        "100"
    );
    assert_eq!(bench.value("select prefix from cdm_work._cdm_ingestion").await, "8");
    assert_eq!(run.finish(RunEnd::Succeeded, &[]).await.unwrap().rows, Some(100));
}

#[tokio::test]
async fn rejects_are_kept_once_with_all_they_tell() {
    let bench = Bench::new().await;
    let reject = |line: u8, reason: &str| {
        Reject::at_source(format!("things.jsonl:{line}"), reason, &[&b"{\"a\": \xff\0"[..], &[line]].concat())
    };
    let rejects = |run_id: &'static str, reason: &'static str| {
        let sink = &bench.sink;
        async move {
            let run = sink.open_run(&spec(run_id).restart(true)).await.unwrap();
            run.record_plan(&plan(1)).await.unwrap();
            let mut load = begin(run.as_ref(), &plan(1)[0]).await;
            load.reject(vec![reject(1, reason), reject(2, "other"), reject(1, reason)]).await.unwrap();
            let receipt = load.commit(Commit::default()).await.unwrap();
            run.finish(RunEnd::Succeeded, &[]).await.unwrap();
            receipt.counts.rejected
        }
    };
    assert_eq!(rejects("run-1", "bad").await, 3);
    let ids = "select id, rejected_at::text from cdm_work._cdm_reject order by id";
    let before = bench.ask(ids).await;
    assert_eq!(rejects("run-2", "bad").await, 3);
    assert_eq!(bench.ask(ids).await, before, "the same rejects again are the same");
    assert_eq!(bench.value("select string_agg(distinct run_id, ' ') from cdm_work._cdm_reject").await, "run-2");
    rejects("run-3", "worse").await;

    let stored = bench.sink.rejects(&RejectQuery::newest(10).of(ingestion())).await.unwrap();
    assert_eq!(stored.len(), 2);
    let first = stored.iter().find(|reject| reject.origin == "things.jsonl:1").unwrap();
    assert_eq!(
        (first.reason.as_str(), first.raw.as_slice(), first.raw_length),
        ("worse", b"{\"a\": \xff\0\x01".as_slice(), 9)
    );
    assert_eq!((first.run_id.as_str(), first.ingestion.as_str()), ("run-3", "acme/test.things/warehouse/cdm"));
    let by_id = bench.sink.rejects(&RejectQuery::by_id(&first.id)).await.unwrap();
    assert_eq!((by_id.len(), &by_id[0].origin), (1, &first.origin));
    assert_eq!(bench.sink.rejects(&RejectQuery::newest(1)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_run_that_was_overtaken_commits_nothing_more() {
    let bench = Bench::new().await;
    let old = bench.sink.open_run(&spec("run-1")).await.unwrap();
    old.record_plan(&plan(2)).await.unwrap();
    let mut load = begin(old.as_ref(), &plan(2)[0]).await;
    load.write(Batch::Cdm(Box::new(batch(&[put(Thing::new("a"), 1)])))).await.unwrap();

    let new = bench.sink.open_run(&spec("run-2").overlap(Overlap::Takeover)).await.unwrap();
    assert_eq!(new.resume().run_id.as_str(), "run-1", "the run goes on, under a newer fence");
    let error = load.commit(Commit::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Fenced, Retry::Never));
    assert_eq!(bench.value("select count(*) from cdm_work.cdm_test_thing").await, "0");
    assert_eq!(old.record_plan(&plan(2)).await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(old.finish(RunEnd::Failed, &[]).await.unwrap_err().kind(), ErrorKind::Fenced);
    let mut load = begin(new.as_ref(), &plan(2)[0]).await;
    load.write(Batch::Cdm(Box::new(batch(&[put(Thing::new("a"), 1)])))).await.unwrap();
    assert_eq!(load.commit(Commit::default()).await.unwrap().counts.inserted, 1);
}

#[tokio::test]
async fn a_run_that_is_alive_makes_another_fail_or_wait() {
    let bench = Bench::new().await;
    let alive = bench.sink.open_run(&spec("run-1")).await.unwrap();
    let other = open(json!({ "connection_url": bench.database.url() })).await.unwrap();
    let error = other.open_run(&spec("run-2")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let message = error.to_string();
    let expected = "another run of this ingestion is alive; wait for it with --on-overlap wait, leave it alone with \
                    --on-overlap skip, or stop it with --on-overlap takeover \
                    (ingestion: acme/test.things/warehouse/cdm, run: run-1, since: 20";
    assert!(message.starts_with(expected), "{message}");
    let patient = spec("run-3").overlap(Overlap::Wait);
    let (waited, ()) = tokio::join!(other.open_run(&patient), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        alive.finish(RunEnd::Succeeded, &[]).await.unwrap();
    });
    assert_eq!(waited.unwrap().resume().run_id.as_str(), "run-3");
}

#[tokio::test]
async fn a_run_whose_session_died_stands_in_nobodys_way() {
    let bench = Bench::new().await;
    let dead = bench.sink.open_run(&spec("run-1")).await.unwrap();
    bench.execute("select pg_terminate_backend(split_part(holder, ' ', 1)::int) from cdm_work._cdm_ingestion").await;
    let run = bench.sink.open_run(&spec("run-2")).await.unwrap();
    assert_eq!(run.resume().run_id.as_str(), "run-1");
    drop(dead);
}

#[tokio::test]
async fn a_sink_that_is_not_provisioned_says_which_command_to_run() {
    let bench = Bench::bare().await;
    let error = bench.sink.open_run(&spec("run-1")).await.err().unwrap();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::NotProvisioned, Retry::AfterOperator));
    assert_eq!(
        error.to_string(),
        "test.thing 1.0.0 is not provisioned (missing: cdm_work._cdm_model, run: cdm provision warehouse)"
    );
    assert_eq!(bench.sink.rejects(&RejectQuery::newest(1)).await.unwrap_err().kind(), ErrorKind::NotProvisioned);
    bench.provision().await;
    bench.execute("alter table cdm_work.cdm_test_thing drop column size cascade").await;
    let error = bench.sink.open_run(&spec("run-1")).await.err().unwrap();
    assert!(error.to_string().contains("missing: cdm_work.cdm_test_thing.size"), "{error}");
}

#[tokio::test]
async fn what_is_not_declared_is_unsupported() {
    let bench = Bench::new().await;
    let mut raw = spec("run-1");
    raw.model = None;
    let error = bench.sink.open_run(&raw).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(bench.sink.source().is_none());
}
