//! Rejects are found by what they have in common, counted, and set aside.

use std::time::Duration;

use endpoint_api::{
    Capabilities, Commit, Dismissals, Mode, RejectColumn, RejectFilter, RejectListing, RejectQuery, RejectState,
    RunEnd, batch::Stage, general_reason,
};

use super::{Test, takes_things, test};
use crate::workbench::{Author, Site, Workbench, begin, ingestion, new_run, plan, raw_spec, reject, soon, spec};

pub(super) const TESTS: &[Test] = &[
    test!("rejects", what_matches_is_listed_newest_first, lists, "REJ-01"),
    test!("rejects", what_is_alike_is_counted_as_one, lists, "REJ-02"),
    test!("rejects", what_is_dismissed_is_found_as_such_and_can_be_opened_again, dismisses, "REJ-03"),
    test!("rejects", a_dismissal_holds_for_what_it_was_given_for, dismisses, "REJ-04"),
];

fn lists(capabilities: &Capabilities, author: &Author) -> bool {
    let takes = takes_things(capabilities, author) || capabilities.sink.is_some_and(|sink| sink.raw);
    takes && capabilities.sink.is_some_and(|sink| sink.reject_listing)
}

fn dismisses(capabilities: &Capabilities, author: &Author) -> bool {
    lists(capabilities, author) && capabilities.sink.is_some_and(|sink| sink.dismissals)
}

/// A place for rejects, and the mode in which the sink takes records.
async fn place(workbench: &Workbench) -> (Site, Mode) {
    let takes_rows = takes_things(&workbench.entry.capabilities(), &workbench.author);
    (workbench.ready().await, if takes_rows { Mode::Cdm } else { Mode::Raw })
}

/// Loads a slice with these rejects and nothing else.
async fn load(site: &Site, mode: Mode, rejects: &[(u64, &str)]) {
    let spec = if mode == Mode::Raw { raw_spec(&new_run()) } else { spec(&new_run()) };
    let run = soon(site.sink().open_run(&spec)).await.unwrap();
    soon(run.record_plan(&plan(1))).await.unwrap();
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    soon(load.reject(rejects.iter().map(|(line, reason)| reject(*line, reason)).collect())).await.unwrap();
    soon(load.commit(Commit::default())).await.unwrap();
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    // The next ones are newer.
    tokio::time::sleep(Duration::from_millis(5)).await;
}

fn listing(site: &Site) -> &dyn RejectListing {
    site.sink().reject_listing().expect("a listing is declared")
}

fn dismissals(site: &Site) -> &dyn Dismissals {
    site.sink().dismissals().expect("dismissals are declared")
}

async fn origins(site: &Site, filter: &RejectFilter, offset: usize, limit: usize) -> Vec<String> {
    let listed = soon(listing(site).list(filter, offset, limit)).await.unwrap();
    listed.into_iter().map(|listed| listed.reject.origin).collect()
}

async fn total(site: &Site, filter: &RejectFilter) -> u64 {
    let groups = soon(listing(site).count(filter, &[])).await.unwrap();
    assert!(groups.len() <= 1, "without a column there is one group: {groups:?}");
    groups.first().map_or(0, |group| group.count)
}

async fn what_matches_is_listed_newest_first(workbench: Workbench) {
    let (site, mode) = place(&workbench).await;
    for line in 1..=3 {
        load(&site, mode, &[(line, if line == 2 { "other" } else { "no thing at 7" })]).await;
    }
    let all = RejectFilter::open();
    assert_eq!(origins(&site, &all, 0, 2).await, ["things.jsonl:3", "things.jsonl:2"]);
    assert_eq!(origins(&site, &all, 2, 2).await, ["things.jsonl:1"]);
    let mut filter = RejectFilter::open();
    for reason in ["no thing at 7", "no thing at N"] {
        filter.reason = Some(reason.to_owned());
        assert_eq!(origins(&site, &filter, 0, 9).await, ["things.jsonl:3", "things.jsonl:1"], "{reason}");
    }
    filter.reason = Some("no thing at 8".to_owned());
    assert_eq!(origins(&site, &filter, 0, 9).await, [""; 0]);
    let mut filter = RejectFilter::open();
    filter.stage = Some(Stage::Source);
    assert_eq!(origins(&site, &filter, 0, 9).await.len(), 3);
    filter.stage = Some(Stage::Map);
    assert_eq!(origins(&site, &filter, 0, 9).await, [""; 0]);
    let mut filter = RejectFilter::open();
    filter.ingestion = Some(ingestion(mode));
    assert_eq!(origins(&site, &filter, 0, 9).await.len(), 3);
    filter.field = Some("fields.created".to_owned());
    assert_eq!(origins(&site, &filter, 0, 9).await, [""; 0]);
    let id = soon(listing(&site).list(&all, 1, 1)).await.unwrap().remove(0).reject.id;
    assert_eq!(origins(&site, &RejectFilter::by_ids([id]), 0, 9).await, ["things.jsonl:2"]);
}

async fn what_is_alike_is_counted_as_one(workbench: Workbench) {
    let (site, mode) = place(&workbench).await;
    assert_eq!(total(&site, &RejectFilter::open()).await, 0);
    load(&site, mode, &[(1, "no thing at 7"), (2, "no thing at 81"), (3, "other")]).await;
    // The same once more is no other reject.
    load(&site, mode, &[(1, "no thing at 7")]).await;
    assert_eq!(total(&site, &RejectFilter::open()).await, 3);
    let columns = [RejectColumn::Reason, RejectColumn::Field, RejectColumn::Stage, RejectColumn::Ingestion];
    let groups = soon(listing(&site).count(&RejectFilter::open(), &columns)).await.unwrap();
    let counted: Vec<_> = groups.iter().map(|group| (group.values.clone(), group.count)).collect();
    let values = |reason: &str| {
        vec![Some(reason.to_owned()), None, Some("source".to_owned()), Some(ingestion(mode).to_string())]
    };
    assert_eq!(counted, [(values("no thing at N"), 2), (values("other"), 1)]);
    for group in groups {
        let example = soon(listing(&site).list(&RejectFilter::by_ids([group.example]), 0, 1)).await.unwrap();
        assert_eq!(Some(general_reason(&example[0].reject.reason)), group.values[0], "the example is one of the group");
    }
}

async fn what_is_dismissed_is_found_as_such_and_can_be_opened_again(workbench: Workbench) {
    let (site, mode) = place(&workbench).await;
    load(&site, mode, &[(1, "a"), (2, "a"), (3, "b")]).await;
    let mut filter = RejectFilter::open();
    filter.reason = Some("a".to_owned());
    assert_eq!(soon(dismissals(&site).dismiss(&filter, "not ours", "ada")).await.unwrap(), 2);
    assert_eq!(soon(dismissals(&site).dismiss(&filter, "twice", "bob")).await.unwrap(), 0, "they are dismissed");
    let mut dismissed = RejectFilter::open();
    dismissed.state = RejectState::Dismissed;
    let mut any = RejectFilter::open();
    any.state = RejectState::Any;
    // As another process sees it.
    let elsewhere = site.anew().await;
    assert_eq!(origins(&elsewhere, &RejectFilter::open(), 0, 9).await, ["things.jsonl:3"]);
    assert_eq!((total(&elsewhere, &dismissed).await, total(&elsewhere, &any).await), (2, 3));
    for listed in soon(listing(&elsewhere).list(&any, 0, 9)).await.unwrap() {
        let told = listed.dismissal.as_ref().map(|dismissal| (dismissal.reason.as_str(), dismissal.by.as_str()));
        assert_eq!(told, (listed.reject.reason == "a").then_some(("not ours", "ada")));
        assert!(listed.dismissal.is_none_or(|dismissal| dismissal.at >= listed.reject.rejected_at));
    }
    let all = soon(elsewhere.sink().rejects(&RejectQuery::newest(9))).await.unwrap();
    assert_eq!(all.len(), 3, "it stays on record");
    assert_eq!(soon(dismissals(&elsewhere).reopen(&filter)).await.unwrap(), 2);
    assert_eq!(total(&elsewhere, &RejectFilter::open()).await, 3);
}

async fn a_dismissal_holds_for_what_it_was_given_for(workbench: Workbench) {
    let (site, mode) = place(&workbench).await;
    load(&site, mode, &[(1, "a")]).await;
    assert_eq!(soon(dismissals(&site).dismiss(&RejectFilter::open(), "not ours", "ada")).await.unwrap(), 1);
    load(&site, mode, &[(1, "a")]).await;
    assert_eq!(total(&site, &RejectFilter::open()).await, 0, "rejected for the same it stays dismissed");
    load(&site, mode, &[(1, "b")]).await;
    let open = soon(listing(&site).list(&RejectFilter::open(), 0, 9)).await.unwrap();
    assert_eq!(open.len(), 1, "rejected for something else it is open again");
    assert_eq!(open[0].dismissal, None);
    assert_eq!(soon(dismissals(&site).dismiss(&RejectFilter::open(), "still not", "ada")).await.unwrap(), 1);
}
