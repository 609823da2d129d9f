//! Rejects are found by what they have in common, counted, and set aside.

use std::{ops::ControlFlow, time::Duration};

use endpoint_api::{
    Capabilities, Commit, Dismissals, Ingestion, ListedReject, Mode, PageLimit, Reject, RejectColumn, RejectFilter,
    RejectListing, RejectQuery, RejectState, RunEnd, Slice,
    batch::{Aliases, Parent, Rank, RejectEnvelope, Stage},
    general_reason,
};

use super::{Test, takes_things, test};
use crate::{
    model::{Row, part, put},
    workbench::{
        Author, Site, Workbench, begin, ingestion, load_slice, new_run, plan, raw_spec, reject, resource, soon, spec,
        write,
    },
};

pub(super) const TESTS: &[Test] = &[
    test!("rejects", what_matches_is_listed_newest_first, lists, "REJ-01"),
    test!("rejects", a_listing_gives_no_records, lists, "REJ-08"),
    test!("rejects", what_is_alike_is_counted_as_one, lists, "REJ-02"),
    test!("rejects", what_is_dismissed_is_found_as_such_and_can_be_opened_again, dismisses, "REJ-03"),
    test!("rejects", a_dismissal_holds_for_what_it_was_given_for, dismisses, "REJ-04"),
    test!("rejects", a_record_that_moves_is_the_same_reject, lists, "REJ-05"),
    test!("rejects", what_a_resource_holds_no_longer_is_no_reject, lists, "REJ-06"),
    test!("rejects", a_record_that_is_loaded_later_is_no_reject, lists_those_of_rows, "REJ-07"),
    test!("rejects", what_was_loaded_before_settles_no_reject, lists_those_of_rows, "REJ-07"),
    test!("replay", what_came_with_a_record_comes_back_with_its_reject, replays, "RPL-02"),
    test!("replay", what_can_be_replayed_is_read_once_page_by_page, replays, "RPL-03"),
];

fn lists(capabilities: &Capabilities, author: &Author) -> bool {
    let takes = takes_things(capabilities, author) || capabilities.sink.is_some_and(|sink| sink.raw);
    takes && capabilities.sink.is_some_and(|sink| sink.reject_listing)
}

fn lists_those_of_rows(capabilities: &Capabilities, author: &Author) -> bool {
    lists(capabilities, author) && takes_things(capabilities, author)
}

fn replays(capabilities: &Capabilities, author: &Author) -> bool {
    takes_things(capabilities, author) && capabilities.sink.is_some_and(|sink| sink.replay)
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
    let rejects = rejects.iter().map(|(line, reason)| reject(*line, reason)).collect();
    load_of(site, mode, plan(1), rejects, RunEnd::Succeeded).await;
}

/// Loads the slices of a plan, the last one with these rejects, and ends the run so.
async fn load_of(site: &Site, mode: Mode, plan: Vec<Slice>, mut rejects: Vec<Reject>, end: RunEnd) {
    let spec = if mode == Mode::Raw { raw_spec(&new_run()) } else { spec(&new_run()) };
    let run = soon(site.sink().open_run(&spec.restart(true))).await.unwrap();
    soon(run.record_plan(&plan)).await.unwrap();
    for (index, slice) in plan.iter().enumerate() {
        let mut load = begin(run.as_ref(), slice).await;
        if index + 1 == plan.len() {
            soon(load.reject(std::mem::take(&mut rejects))).await.unwrap();
        }
        soon(load.commit(Commit::default())).await.unwrap();
    }
    soon(run.finish(end, &[])).await.unwrap();
    // The next ones are newer.
    tokio::time::sleep(Duration::from_millis(5)).await;
}

fn at(origin: &str, mut reject: Reject) -> Reject {
    reject.origin = origin.to_owned();
    reject
}

/// A plan of this state of the file that rejects are of, in two slices.
fn plan_of(fingerprint: &str) -> Vec<Slice> {
    plan(2).into_iter().map(|slice| slice.of(resource(fingerprint))).collect()
}

fn listing(site: &Site) -> &dyn RejectListing {
    site.sink().reject_listing().expect("a listing is declared")
}

fn dismissals(site: &Site) -> &dyn Dismissals {
    site.sink().dismissals().expect("dismissals are declared")
}

async fn newest(site: &Site, filter: &RejectFilter, limit: usize) -> Vec<ListedReject> {
    let mut found = Vec::new();
    let mut each = |listed| {
        found.push(listed);
        ControlFlow::Continue(())
    };
    soon(listing(site).list(filter, limit, &mut each)).await.unwrap();
    found
}

async fn origins(site: &Site, filter: &RejectFilter, limit: usize) -> Vec<String> {
    newest(site, filter, limit).await.into_iter().map(|listed| listed.reject.origin).collect()
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
    assert_eq!(origins(&site, &all, 0).await, [""; 0]);
    assert_eq!(origins(&site, &all, 2).await, ["things.jsonl:3", "things.jsonl:2"]);
    assert_eq!(origins(&site, &all, 9).await, ["things.jsonl:3", "things.jsonl:2", "things.jsonl:1"]);
    let mut filter = RejectFilter::open();
    for reason in ["no thing at 7", "no thing at N"] {
        filter.reason = Some(reason.to_owned());
        assert_eq!(origins(&site, &filter, 9).await, ["things.jsonl:3", "things.jsonl:1"], "{reason}");
    }
    filter.reason = Some("no thing at 8".to_owned());
    assert_eq!(origins(&site, &filter, 9).await, [""; 0]);
    let mut filter = RejectFilter::open();
    filter.stage = Some(Stage::Source);
    assert_eq!(origins(&site, &filter, 9).await.len(), 3);
    filter.stage = Some(Stage::Map);
    assert_eq!(origins(&site, &filter, 9).await, [""; 0]);
    let mut filter = RejectFilter::open();
    filter.ingestion = Some(Ingestion { source: "elsewhere".parse().unwrap(), ..ingestion(mode) });
    assert_eq!(origins(&site, &filter, 9).await, [""; 0], "of another ingestion");
    assert_eq!(total(&site, &filter).await, 0);
    filter.ingestion = Some(ingestion(mode));
    assert_eq!(origins(&site, &filter, 9).await.len(), 3);
    filter.field = Some("fields.created".to_owned());
    assert_eq!(origins(&site, &filter, 9).await, [""; 0]);
    let id = newest(&site, &all, 2).await.remove(1).reject.id;
    // Three ids do not begin alike for as long as that.
    let prefix: String = id.chars().take(12).collect();
    for filter in [RejectFilter::by_ids([id]), RejectFilter::by_id_prefix(prefix)] {
        assert_eq!(origins(&site, &filter, 9).await, ["things.jsonl:2"]);
    }
    assert_eq!(origins(&site, &RejectFilter::by_id_prefix("%"), 9).await, [""; 0]);
}

async fn a_listing_gives_no_records(workbench: Workbench) {
    let (site, mode) = place(&workbench).await;
    load(&site, mode, &[(1, "a"), (2, "a"), (3, "a")]).await;
    let mut given = Vec::new();
    let mut each = |listed| {
        given.push(listed);
        if given.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    soon(listing(&site).list(&RejectFilter::open(), 9, &mut each)).await.unwrap();
    assert_eq!(given.len(), 2, "nothing comes after a break");
    for ListedReject { reject, .. } in given {
        assert!(reject.raw.is_empty(), "the record is not read");
        let kept = soon(site.sink().rejects(&RejectQuery::by_id(&reject.id))).await.unwrap().remove(0);
        assert!(!kept.raw.is_empty(), "the reject has one");
        assert_eq!((reject.raw_length, reject.raw_hash), (kept.raw_length, kept.raw_hash));
    }
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
        let example = newest(&site, &RejectFilter::by_ids([group.example]), 1).await;
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
    assert_eq!(origins(&elsewhere, &RejectFilter::open(), 9).await, ["things.jsonl:3"]);
    assert_eq!((total(&elsewhere, &dismissed).await, total(&elsewhere, &any).await), (2, 3));
    for listed in newest(&elsewhere, &any, 9).await {
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
    let moved = at("things.jsonl:8", reject(1, "a"));
    load_of(&site, mode, plan(1), vec![moved], RunEnd::Succeeded).await;
    assert_eq!(total(&site, &RejectFilter::open()).await, 0, "at another line it stays dismissed");
    load(&site, mode, &[(1, "b")]).await;
    let open = newest(&site, &RejectFilter::open(), 9).await;
    assert_eq!(open.len(), 1, "rejected for something else it is open again");
    assert_eq!(open[0].dismissal, None);
    assert_eq!(soon(dismissals(&site).dismiss(&RejectFilter::open(), "still not", "ada")).await.unwrap(), 1);
}

async fn a_record_that_moves_is_the_same_reject(workbench: Workbench) {
    let (site, mode) = place(&workbench).await;
    load(&site, mode, &[(1, "a"), (2, "a")]).await;
    let all = RejectFilter::open();
    let first = newest(&site, &all, 9).await;
    let moved = at("things.jsonl:8", reject(1, "a"));
    load_of(&site, mode, plan(1), vec![moved], RunEnd::Succeeded).await;
    let mut found = origins(&site, &all, 9).await;
    found.sort_unstable();
    assert_eq!(found, ["things.jsonl:2", "things.jsonl:8"], "it is one reject, at the line where it is now");
    let listed = newest(&site, &all, 9).await;
    let is_moved = |reject: &&ListedReject| reject.reject.origin == "things.jsonl:8";
    let moved = &listed.iter().find(is_moved).unwrap().reject;
    let before = &first.iter().find(|listed| listed.reject.id == moved.id).expect("it has the same id").reject;
    assert_eq!(moved.rejected_at, before.rejected_at, "it was rejected first then");
    assert_ne!(moved.run_id, before.run_id, "and last by this run");
}

async fn what_a_resource_holds_no_longer_is_no_reject(workbench: Workbench) {
    let (site, mode) = place(&workbench).await;
    let all = RejectFilter::open();
    let elsewhere = at("other.jsonl:1", reject(3, "a"));
    let rejects = vec![reject(1, "a"), reject(2, "a"), elsewhere];
    load_of(&site, mode, plan_of("1"), rejects, RunEnd::Succeeded).await;
    let open = async || {
        let mut origins = origins(&site, &all, 9).await;
        origins.sort_unstable();
        (origins, total(&site, &all).await)
    };
    let all_three = ["other.jsonl:1", "things.jsonl:1", "things.jsonl:2"].map(str::to_owned).to_vec();
    assert_eq!(open().await, (all_three.clone(), 3));
    load_of(&site, mode, plan(1), Vec::new(), RunEnd::Succeeded).await;
    assert_eq!(open().await, (all_three.clone(), 3), "nothing of the file was read");
    load_of(&site, mode, plan_of("2"), Vec::new(), RunEnd::Failed).await;
    assert_eq!(open().await, (all_three, 3), "the run did not succeed");
    load_of(&site, mode, plan_of("2"), vec![reject(2, "a")], RunEnd::Succeeded).await;
    let left = ["other.jsonl:1", "things.jsonl:2"].map(str::to_owned).to_vec();
    assert_eq!(open().await, (left.clone(), 2), "one record of the file is still rejected");
    assert_eq!(soon(site.sink().rejects(&RejectQuery::newest(9))).await.unwrap().len(), 2);
    load_of(&site, mode, plan_of("2"), vec![reject(1, "a"), reject(2, "a")], RunEnd::Succeeded).await;
    assert_eq!(open().await.1, 3, "it is rejected again");
}

/// A reject of the record of this row.
fn reject_of(key: &str) -> Reject {
    let mut reject = reject(1, "a");
    reject.envelope = reject.envelope.of_row(Some(key.to_owned()));
    reject
}

async fn a_record_that_is_loaded_later_is_no_reject(workbench: Workbench) {
    let site = workbench.ready().await;
    let all = RejectFilter::open();
    load_of(&site, Mode::Cdm, plan_of("1"), vec![reject_of("a")], RunEnd::Succeeded).await;
    site.load(&[&[&[put("b", "another", 1)]]]).await;
    assert_eq!(total(&site, &all).await, 1, "another record was loaded");
    site.load(&[&[&[part("a", "only mentioned")]]]).await;
    assert_eq!(total(&site, &all).await, 1, "a mention is not the record");
    let run = site.planned(&new_run(), 1).await;
    let rows: &[Row] = &[put("a", "the record", 1)];
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    write(load.as_mut(), rows).await.unwrap();
    soon(load.abort()).await.unwrap();
    assert_eq!(total(&site, &all).await, 1, "nothing was committed");
    load_slice(run.as_ref(), &plan(1)[0], &[rows]).await.unwrap();
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    assert_eq!(total(&site, &all).await, 0, "it is gone at the end of the run that stores the row");
}

async fn what_was_loaded_before_settles_no_reject(workbench: Workbench) {
    let site = workbench.ready().await;
    site.load(&[&[&[put("a", "as it was", 1)]]]).await;
    let plan: Vec<Slice> = plan(3);
    let run = site.planned(&new_run(), 3).await;
    load_slice(run.as_ref(), &plan[0], &[&[put("b", "as it is", 1)]]).await.unwrap();
    let mut load = begin(run.as_ref(), &plan[1]).await;
    soon(load.reject(vec![reject_of("a"), at("other.jsonl:1", reject_of("b"))])).await.unwrap();
    soon(load.commit(Commit::default())).await.unwrap();
    load_slice(run.as_ref(), &plan[2], &[&[put("b", "as it is, too", 2)]]).await.unwrap();
    soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
    assert_eq!(total(&site, &RejectFilter::open()).await, 2, "whichever slice of a run comes first");
}

async fn what_came_with_a_record_comes_back_with_its_reject(workbench: Workbench) {
    let site = workbench.ready().await;
    for (parent, aliases) in [("1", "author\tada\t5b10a"), ("2", "author\tada\t5b10a\nowner\tbob\t77")] {
        let parent = Parent { id: Some(parent), key: Some("A-7") };
        let mut reject = reject(1, "a");
        reject.envelope = RejectEnvelope::new(Some(parent), Rank::Part).with_aliases(Aliases::new(Some(aliases)));
        load_of(&site, Mode::Cdm, plan(1), vec![reject.clone()], RunEnd::Succeeded).await;
        let kept = soon(site.sink().rejects(&RejectQuery::newest(9))).await.unwrap();
        let [kept] = kept.as_slice() else { panic!("it is one reject: {kept:?}") };
        let seen = |envelope: &RejectEnvelope| {
            let RejectEnvelope { parent_id, parent_key, aliases, rank, .. } = envelope.clone();
            (parent_id, parent_key, aliases, rank)
        };
        assert_eq!(seen(&kept.envelope), seen(&reject.envelope), "as it came last");
    }
}

async fn what_can_be_replayed_is_read_once_page_by_page(workbench: Workbench) {
    const COUNT: usize = 20;
    let site = workbench.ready().await;
    // Records of one length, beside one that is none and one of which only the beginning is kept.
    let record = |line: usize| {
        let mut reject = Reject::at_source(format!("things.jsonl:{line}"), "no thing", format!("{line:08}").as_bytes());
        reject.stage = Stage::Map;
        reject
    };
    let mut rejects: Vec<Reject> = (0..COUNT).map(record).collect();
    let mut cut = record(COUNT);
    cut.raw_length += 1;
    rejects.extend([cut, reject(99, "not JSON")]);
    load_of(&site, Mode::Cdm, plan(1), rejects, RunEnd::Succeeded).await;
    let rejects = site.sink().replayable_rejects().expect("replay is declared");
    let pages = async |filter: &RejectFilter, limit: PageLimit| {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = soon(rejects.page(filter, after.as_deref(), limit)).await.unwrap();
            let Some(last) = page.last() else { return pages };
            after = Some(last.id.clone());
            pages.push(page);
            assert!(pages.len() <= COUNT, "each page has a reject of its own");
        }
    };
    for (limit, most) in [((7, 1000), 7), ((1000, 40), 5), ((1000, 1), 1)] {
        let limit = PageLimit { rejects: limit.0, bytes: limit.1 };
        let pages = pages(&RejectFilter::open(), limit).await;
        assert!(pages.iter().all(|page| page.len() <= most), "{limit:?}");
        let mut records: Vec<String> =
            pages.into_iter().flatten().map(|reject| String::from_utf8(reject.raw).unwrap()).collect();
        records.sort_unstable();
        assert_eq!(records, (0..COUNT).map(|line| format!("{line:08}")).collect::<Vec<_>>(), "{limit:?}");
    }
    let limit = PageLimit { rejects: 1000, bytes: 1000 };
    let mut filter = RejectFilter::open();
    for (reason, replayable, others) in [("no thing", COUNT, 1), ("not JSON", 0, 1), ("something", 0, 0)] {
        filter.reason = Some(reason.to_owned());
        assert_eq!(pages(&filter, limit).await.concat().len(), replayable, "{reason}");
        assert_eq!(soon(rejects.count_others(&filter)).await.unwrap(), others, "{reason}");
    }
    assert_eq!(soon(rejects.count_others(&RejectFilter::open())).await.unwrap(), 2);
}
