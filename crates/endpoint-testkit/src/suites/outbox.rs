//! What is told of a load goes with it, and waits until it is delivered.

use endpoint_api::{Begun, Capabilities, Commit, Message, Overlap, RunEnd, Waiting};

use super::{Test, takes_things, test};
use crate::{
    model::put,
    workbench::{
        Author, Site, Workbench, begin, begin_beside, failure, ingestion, load_slice, new_run, open_after_the_dead,
        plan, soon, spec, write,
    },
};

fn keeps_messages(capabilities: &Capabilities, author: &Author) -> bool {
    takes_things(capabilities, author) && capabilities.sink.is_some_and(|sink| sink.outbox)
}

pub(super) const TESTS: &[Test] = &[
    test!("outbox", what_goes_with_a_commit_is_there_with_it, keeps_messages, "OUT-01"),
    test!("outbox", what_goes_with_a_commit_that_was_done_before_is_not_told, keeps_messages, "OUT-01"),
    test!("outbox", an_overtaken_run_tells_nothing, keeps_messages, "OUT-01"),
    test!("outbox", what_goes_with_the_end_of_a_run_is_there_with_it, keeps_messages, "OUT-01"),
    test!("outbox", a_message_is_put_once, keeps_messages, "OUT-02"),
    test!("outbox", messages_wait_in_their_order, keeps_messages, "OUT-03"),
    test!("outbox", what_is_delivered_waits_no_more, keeps_messages, "OUT-04"),
    test!("outbox", the_outbox_does_not_grow_with_what_was_delivered, keeps_messages, "OUT-04", "OUT-05"),
    test!("outbox", nothing_waits_where_nothing_is_provisioned, keeps_messages, "OUT-06"),
];

fn queue() -> String {
    ingestion(endpoint_api::Mode::Cdm).to_string()
}

fn message(run: &str, id: &str) -> Message {
    Message::new(queue(), run, id, format!("{{\"told\":\"{id}\"}}"))
}

async fn waiting(site: &Site) -> Vec<Waiting> {
    // As another process sees it.
    let elsewhere = site.reopened().await;
    soon(elsewhere.sink().unwrap().outbox().expect("an outbox is declared").waiting(1000)).await.unwrap()
}

async fn assert_waiting(site: &Site, ids: &[&str]) {
    let waiting = waiting(site).await;
    assert_eq!(waiting.iter().map(|message| message.id.as_str()).collect::<Vec<_>>(), ids);
    for Waiting { queue: of, id, payload, .. } in waiting {
        assert_eq!((of, payload), (queue(), format!("{{\"told\":\"{id}\"}}")));
    }
}

/// Puts messages outside of any load.
async fn tell(site: &Site, messages: &[Message]) {
    soon(site.sink().outbox().expect("an outbox is declared").put(messages)).await.unwrap();
}

async fn deliver(site: &Site, messages: &[Waiting]) {
    soon(site.sink().outbox().expect("an outbox is declared").delivered(messages)).await.unwrap();
}

async fn what_goes_with_a_commit_is_there_with_it(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-a", 1).await;
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    write(load.as_mut(), &[put("k", "x", 1)]).await.unwrap();
    assert_waiting(&site, &[]).await;
    let commit = Commit::default().telling(vec![message("run-a", "loaded")]);
    soon(load.commit(commit)).await.unwrap();
    assert_waiting(&site, &["loaded"]).await;
    site.assert_stored(&[("k", "x")]).await;
}

async fn what_goes_with_a_commit_that_was_done_before_is_not_told(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-a", 1).await;
    let (slice, rows) = (&plan(1)[0], [put("k", "x", 1)]);
    let mut first = begin(run.as_ref(), slice).await;
    write(first.as_mut(), &rows).await.unwrap();
    let commit = Commit::default().telling(vec![message("run-a", "loaded")]);
    let (_, begun) = begin_beside(run.as_ref(), slice, first, commit).await;
    if let Begun::Load(mut second) = begun {
        write(second.as_mut(), &rows).await.unwrap();
        soon(second.commit(Commit::default().telling(vec![message("run-a", "loaded-again")]))).await.unwrap();
    }
    assert_waiting(&site, &["loaded"]).await;
}

async fn an_overtaken_run_tells_nothing(workbench: Workbench) {
    let site = workbench.ready().await;
    let old = site.planned("run-a", 1).await;
    let mut load = begin(old.as_ref(), &plan(1)[0]).await;
    write(load.as_mut(), &[put("k", "x", 1)]).await.unwrap();
    let elsewhere = site.reopened().await;
    let _new = soon(elsewhere.sink().unwrap().open_run(&spec("run-b").overlap(Overlap::Takeover))).await.unwrap();
    let commit = Commit::default().telling(vec![message("run-a", "loaded")]);
    failure("a commit of a run that was overtaken", soon(load.commit(commit)).await);
    failure(
        "the end of a run that was overtaken",
        soon(old.finish(RunEnd::Succeeded, &[message("run-a", "done")])).await,
    );
    assert_waiting(&site, &[]).await;
}

async fn what_goes_with_the_end_of_a_run_is_there_with_it(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-a", 1).await;
    let early = soon(run.finish(RunEnd::Succeeded, &[message("run-a", "done")])).await;
    failure("success with a slice left", early);
    assert_waiting(&site, &[]).await;
    let run = open_after_the_dead(site.sink(), &spec("run-b")).await;
    soon(run.finish(RunEnd::Failed, &[message("run-a", "failed")])).await.unwrap();
    assert_waiting(&site, &["failed"]).await;
    let run = soon(site.sink().open_run(&spec("run-c"))).await.unwrap();
    load_slice(run.as_ref(), &plan(1)[0], &[&[put("k", "x", 1)]]).await.unwrap();
    soon(run.finish(RunEnd::Succeeded, &[message("run-a", "done")])).await.unwrap();
    assert_waiting(&site, &["failed", "done"]).await;
}

async fn a_message_is_put_once(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-a", 1).await;
    tell(&site, &[message("run-a", "begun"), message("run-a", "begun")]).await;
    tell(&site, &[message("run-a", "begun")]).await;
    assert_waiting(&site, &["begun"]).await;
    deliver(&site, &waiting(&site).await).await;
    tell(&site, &[message("run-a", "begun")]).await;
    assert_waiting(&site, &[]).await;
    let load = begin(run.as_ref(), &plan(1)[0]).await;
    soon(load.commit(Commit::default().telling(vec![message("run-a", "begun"), message("run-a", "loaded")])))
        .await
        .unwrap();
    soon(run.finish(RunEnd::Succeeded, &[message("run-a", "begun"), message("run-a", "done")])).await.unwrap();
    assert_waiting(&site, &["loaded", "done"]).await;
}

async fn messages_wait_in_their_order(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-a", 3).await;
    tell(&site, &[message("run-a", "z-begun"), message("run-a", "a-goes-on")]).await;
    for slice in [2, 0, 1] {
        let load = begin(run.as_ref(), &plan(3)[slice]).await;
        let told = vec![message("run-a", &format!("slice-{slice}"))];
        soon(load.commit(Commit::default().telling(told))).await.unwrap();
    }
    soon(run.finish(RunEnd::Succeeded, &[message("run-a", "done")])).await.unwrap();
    let all = ["z-begun", "a-goes-on", "slice-2", "slice-0", "slice-1", "done"];
    assert_waiting(&site, &all).await;
    let first = soon(site.sink().outbox().expect("an outbox is declared").waiting(2)).await.unwrap();
    assert_eq!(first.iter().map(|message| message.id.as_str()).collect::<Vec<_>>(), all[..2]);
    deliver(&site, &first).await;
    assert_waiting(&site, &all[2..]).await;
}

async fn what_is_delivered_waits_no_more(workbench: Workbench) {
    let site = workbench.ready().await;
    let run = site.planned("run-a", 0).await;
    tell(&site, &[message("run-a", "1"), message("run-a", "2"), message("run-a", "3")]).await;
    let all = waiting(&site).await;
    deliver(&site, &all[1..2]).await;
    assert_waiting(&site, &["1", "3"]).await;
    deliver(&site, &all).await;
    deliver(&site, &all).await;
    assert_waiting(&site, &[]).await;
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
}

async fn the_outbox_does_not_grow_with_what_was_delivered(workbench: Workbench) {
    let site = workbench.ready().await;
    // What was delivered before may be said to be so once more, by another who delivered it, too.
    let mut before = Vec::new();
    for _ in 0..6 {
        let run_id = new_run();
        let run = site.planned(&run_id, 0).await;
        let begun = format!("{run_id}-begun");
        tell(&site, &[message(&run_id, &begun)]).await;
        let done = format!("{run_id}-done");
        soon(run.finish(RunEnd::Succeeded, &[message(&run_id, &done)])).await.unwrap();
        assert_waiting(&site, &[&begun, &done]).await;
        let all = waiting(&site).await;
        deliver(&site, &before).await;
        assert_waiting(&site, &[&begun, &done]).await;
        deliver(&site, &all).await;
        before.extend(all);
    }
    if let Some(kept) = site.messages() {
        assert!(kept <= 4, "of six runs with two messages each, all delivered, {kept} are kept");
    }
}

async fn nothing_waits_where_nothing_is_provisioned(workbench: Workbench) {
    let site = workbench.site().await;
    assert_waiting(&site, &[]).await;
}
