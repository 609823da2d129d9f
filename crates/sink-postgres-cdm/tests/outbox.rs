//! What is told of runs is numbered in the order in which it is committed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Bench, begin, model, open, plan, until_so_many_wait};
use endpoint_api::{
    Commit, Endpoint as _, Ingestion, LoadReceipt, Message, Overlap, Result, Run, RunSpec, Sink as _, UnitId,
};
use serde_json::json;

fn message(queue: &str, id: &str) -> Message {
    Message::new(queue, id, id, "{}")
}

/// Opens a run of a unit of its own, with one slice.
async fn run_of<'s>(bench: &'s Bench, unit: &'static str) -> Box<dyn Run + 's> {
    let ingestion = Ingestion { unit: UnitId::from_static(unit), ..common::ingestion() };
    let spec = RunSpec::new(ingestion, unit.replace('.', "-").parse().unwrap()).model(model());
    let run = bench.sink.open_run(&spec.overlap(Overlap::Fail)).await.unwrap();
    run.record_plan(&plan(1)).await.unwrap();
    run
}

/// Commits an empty slice, with a message.
async fn commit(run: &dyn Run, message: Message) -> Result<LoadReceipt> {
    let load = begin(run, &plan(1)[0]).await;
    let mut commit = Commit::default();
    commit.messages.push(message);
    load.commit(commit).await
}

#[tokio::test]
async fn loads_of_two_ingestions_that_tell_one_queue_are_numbered_in_the_order_of_their_commits() {
    let bench = Bench::new().await;
    // The first one has put its message, and its commit waits.
    bench
        .execute(
            "create function wait() returns trigger language plpgsql as
             'begin perform pg_advisory_xact_lock(42); return null; end';
             create constraint trigger wait after insert on cdm_work._cdm_outbox deferrable initially deferred
             for each row when (new.id = 'first') execute function wait()",
        )
        .await;
    let barrier = bench.client().await;
    barrier.batch_execute("begin; select pg_advisory_xact_lock(42)").await.unwrap();
    let (things, others) = (run_of(&bench, "test.things").await, run_of(&bench, "test.others").await);
    let first = commit(things.as_ref(), message("all", "first"));
    let second = async {
        until_so_many_wait(&bench, 1).await;
        commit(others.as_ref(), message("all", "second")).await
    };
    let release = async {
        until_so_many_wait(&bench, 2).await;
        barrier.batch_execute("commit").await.unwrap();
    };
    let (first, second, ()) = tokio::join!(first, second, release);
    first.unwrap();
    second.unwrap();
    let numbered = bench.ask("select number, id from cdm_work._cdm_outbox order by number").await;
    assert_eq!(numbered, [["1", "first"], ["2", "second"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_tell_several_queues_in_any_order_wait_for_each_other_and_never_in_a_circle() {
    let bench = Bench::new().await;
    let telling = (0..16).map(|number| {
        let url = bench.database.url().to_owned();
        tokio::spawn(async move {
            let sink = open(json!({ "connection_url": url })).await.unwrap();
            let mut messages = ["p", "q", "r"].map(|queue| message(queue, &format!("{queue} {number}")));
            if number % 2 == 0 {
                messages.reverse();
            }
            sink.sink().unwrap().outbox().unwrap().put(&messages).await
        })
    });
    for told in futures::future::join_all(telling.collect::<Vec<_>>()).await {
        told.unwrap().unwrap();
    }
    let numbers = "select queue, count(*), max(number) from cdm_work._cdm_outbox group by queue order by queue";
    assert_eq!(bench.ask(numbers).await, [["p", "16", "16"], ["q", "16", "16"], ["r", "16", "16"]]);
}
