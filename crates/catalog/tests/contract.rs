//! What every store keeps: each test runs on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{collections::BTreeSet, sync::Arc};

use catalog::{
    AnnotationEdit, Annotations, Attempt, Catalog, Cause, DatasetFilter, DatasetId, DatasetKind, DatasetSpec,
    EndpointSpec, LoadFacts, RunEndFacts, RunFilter, RunOutcome, RunStart, RunStatus,
};
use common::{Store, at, endpoint, ingestion, run_id, table_spec, unit_spec};
use endpoint_api::{Checkpoint, Counts, ErrorKind, Holder, Incomplete, Mentions, Message};
use serde_json::json;

/// A test on each store.
macro_rules! on_both_stores {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() { super::$name(&super::Store::sqlite()).await })*
        }
        mod postgres {
            $(#[tokio::test] async fn $name() { super::$name(&super::Store::postgres()).await })*
        }
    };
}

on_both_stores! {
    registering_again_touches_nothing
    a_change_raises_the_version_by_one
    what_a_dataset_is_made_from_only_grows
    an_older_program_does_not_take_back_what_a_newer_one_said
    what_people_wrote_and_what_the_system_knows_do_not_touch_each_other
    every_version_is_remembered_with_its_cause
    a_note_is_about_a_field_that_the_table_has
    what_an_older_mapper_declares_does_not_take_back_what_a_newer_one_did
    a_dataset_keeps_its_kind
    a_load_and_an_end_that_are_on_record_are_not_written_again
    the_last_load_is_the_one_with_the_greatest_time
    datasets_are_found_by_what_they_are
    a_run_is_written_down_from_its_begin_to_its_end
    a_run_that_is_continued_is_running_again_and_its_last_attempt_has_the_word
    runs_are_listed_the_newest_first
    what_is_not_there_is_told
    everything_is_there_after_it_was_closed
    many_who_register_the_same_make_one_version
    many_who_register_an_endpoint_make_a_version_each
    many_who_write_about_a_dataset_lose_no_word
    many_who_begin_a_run_have_an_attempt_each
    text_that_a_store_cannot_hold_is_replaced
    messages_wait_in_their_order_until_they_are_delivered
    many_who_put_messages_lose_none_and_double_none
}

fn message(queue: &str, run: &str, id: &str) -> Message {
    Message::new(queue, run, id, format!("{{\"told\":\"{id}\"}}"))
}

async fn waiting(catalog: &dyn Catalog) -> Vec<String> {
    let waiting = catalog.outbox().waiting(100).await.unwrap();
    waiting.into_iter().map(|waiting| format!("{} {}", waiting.queue, waiting.id)).collect()
}

async fn messages_wait_in_their_order_until_they_are_delivered(store: &Store) {
    let catalog = store.open().await;
    let outbox = catalog.outbox();
    outbox.put(&[message("q", "1", "begun"), message("p", "7", "begun"), message("q", "1", "done")]).await.unwrap();
    outbox.put(&[message("q", "1", "begun")]).await.unwrap();
    assert_eq!(waiting(catalog.as_ref()).await, ["p begun", "q begun", "q done"]);
    let first = outbox.waiting(2).await.unwrap();
    outbox.delivered(&first).await.unwrap();
    assert_eq!(waiting(catalog.as_ref()).await, ["q done"]);
    outbox.put(&[message("q", "1", "begun")]).await.unwrap();
    assert_eq!(waiting(catalog.as_ref()).await, ["q done"], "it was delivered, and is not put again");
    let rest = outbox.waiting(2).await.unwrap();
    assert_eq!(rest[0].payload, "{\"told\":\"done\"}");
    outbox.delivered(&rest).await.unwrap();

    // What was delivered of an earlier run goes when a later one says something; what another says late of it, who
    // has delivered it, too, is not said of the new one.
    outbox.put(&[message("q", "2", "begun again")]).await.unwrap();
    let stored = store.rows().await.into_iter().filter(|row| row.starts_with("outbox")).count();
    assert_eq!(stored, 2, "one of each queue");
    outbox.delivered(&first).await.unwrap();
    outbox.delivered(&rest).await.unwrap();
    assert_eq!(waiting(catalog.as_ref()).await, ["q begun again"]);
}

async fn many_who_put_messages_lose_none_and_double_none(store: &Store) {
    let catalog: Arc<dyn Catalog> = store.open().await.into();
    let put = (0..4).map(|writer| {
        let catalog = Arc::clone(&catalog);
        tokio::spawn(async move {
            for id in 0..6 {
                let own = message("q", "1", &format!("own {writer} {id}"));
                catalog.outbox().put(&[own, message("q", "1", &format!("of all {id}"))]).await.unwrap();
            }
        })
    });
    for put in put.collect::<Vec<_>>() {
        put.await.unwrap();
    }
    let waiting = waiting(catalog.as_ref()).await;
    assert_eq!((waiting.len(), waiting.iter().collect::<BTreeSet<_>>().len()), (30, 30));
}

async fn registering_again_touches_nothing(store: &Store) {
    let catalog = store.open().await;
    let endpoint_spec =
        EndpointSpec::new(endpoint("warehouse"), "cdm.postgres", ["sink"], &json!({ "b": "${env:X}", "a": 1 }))
            .unwrap();
    let specs = [table_spec("1.0.0"), unit_spec()];
    assert!(catalog.register_endpoint(&endpoint_spec, at(1)).await.unwrap().changed);
    for spec in &specs {
        let first = catalog.register_dataset(spec, &Cause::Discovery, at(1)).await.unwrap();
        assert_eq!((first.changed, first.version), (true, 1));
    }
    let before = store.rows().await;
    let same = EndpointSpec::new(endpoint("warehouse"), "cdm.postgres", ["sink"], &json!({ "a": 1, "b": "${env:X}" }))
        .unwrap();
    assert!(!catalog.register_endpoint(&same, at(9)).await.unwrap().changed, "the order of members says nothing");
    for spec in &specs {
        let again = catalog.register_dataset(spec, &Cause::Discovery, at(9)).await.unwrap();
        assert_eq!((again.changed, again.version), (false, 1));
    }
    assert_eq!(store.rows().await, before);
}

async fn a_change_raises_the_version_by_one(store: &Store) {
    let catalog = store.open().await;
    catalog.register_dataset(&table_spec("1.0.0"), &Cause::Discovery, at(1)).await.unwrap();
    let changed = catalog.register_dataset(&table_spec("1.1.0"), &Cause::Discovery, at(2)).await.unwrap();
    assert_eq!((changed.changed, changed.version), (true, 2));
    let dataset = catalog.dataset(&table_spec("1.1.0").id()).await.unwrap().unwrap();
    assert_eq!((dataset.version, dataset.registered_at, dataset.updated_at), (2, at(1), at(2)));
    assert_eq!(dataset.spec, table_spec("1.1.0"));

    let spec = |driver: &str| EndpointSpec::new(endpoint("warehouse"), driver, ["sink"], &json!({})).unwrap();
    catalog.register_endpoint(&spec("cdm.postgres"), at(1)).await.unwrap();
    assert_eq!(catalog.register_endpoint(&spec("cdm.sqlite"), at(2)).await.unwrap().version, 2);
    let registered = catalog.endpoint(&endpoint("warehouse")).await.unwrap().unwrap();
    assert_eq!(
        (registered.spec.driver(), registered.registered_at, registered.updated_at),
        ("cdm.sqlite", at(1), at(2))
    );
    assert_eq!(catalog.endpoints().await.unwrap(), [registered]);
}

async fn what_a_dataset_is_made_from_only_grows(store: &Store) {
    let catalog = store.open().await;
    let sources: Vec<DatasetId> = ["jira.issues@a", "jira.issues@b"].map(|id| id.parse().unwrap()).to_vec();
    for source in &sources {
        let spec = table_spec("1.0.0").fed_by([source.clone()]);
        assert!(catalog.register_dataset(&spec, &Cause::Discovery, at(1)).await.unwrap().changed);
    }
    assert!(!catalog.register_dataset(&table_spec("1.0.0"), &Cause::Discovery, at(2)).await.unwrap().changed);
    let dataset = catalog.dataset(&table_spec("1.0.0").id()).await.unwrap().unwrap();
    assert_eq!(dataset.spec.upstream(), &sources.into_iter().collect::<BTreeSet<_>>());
}

async fn an_older_program_does_not_take_back_what_a_newer_one_said(store: &Store) {
    let catalog = store.open().await;
    catalog.register_dataset(&table_spec("1.1.0"), &Cause::Discovery, at(1)).await.unwrap();
    // It knows the model as 1.0.0, and reads from the sink that the table was made for 1.1.0.
    let older = common::table_spec_of("1.0.0", "1.1.0");
    assert!(!catalog.register_dataset(&older, &Cause::Discovery, at(2)).await.unwrap().changed);
    assert_eq!(catalog.dataset(&older.id()).await.unwrap().unwrap().spec, table_spec("1.1.0"));
}

async fn what_people_wrote_and_what_the_system_knows_do_not_touch_each_other(store: &Store) {
    let catalog = store.open().await;
    let id = table_spec("1.0.0").id();
    catalog.register_dataset(&table_spec("1.0.0"), &Cause::Discovery, at(1)).await.unwrap();
    let edit = AnnotationEdit::default()
        .description("Ours")
        .owner("Data team")
        .tag("b")
        .tag("a")
        .note("labels", "In the order of the source.")
        .expect_every(Some("24h".parse().unwrap()))
        .expect_rows(Some("1..".parse().unwrap()));
    let written = catalog.annotate(&id, &edit, at(2)).await.unwrap();
    assert_eq!((written.description.as_deref(), written.owner.as_deref()), (Some("Ours"), Some("Data team")));
    assert_eq!(written.expectations.every.unwrap().to_string(), "24h");
    catalog.register_dataset(&table_spec("1.1.0"), &Cause::Discovery, at(3)).await.unwrap();
    let dataset = catalog.dataset(&id).await.unwrap().unwrap();
    assert_eq!((&dataset.annotations, dataset.annotated_at, dataset.version), (&written, Some(at(2)), 2));
    assert_eq!(dataset.spec.description(), "A thing.");

    let before = store.rows().await;
    catalog.annotate(&id, &AnnotationEdit::default().owner("Data team"), at(4)).await.unwrap();
    assert_eq!(store.rows().await, before, "what is written already is not written again");
    catalog.annotate(&id, &AnnotationEdit::default().owner("").tag("c").without_tag("a"), at(5)).await.unwrap();
    let dataset = catalog.dataset(&id).await.unwrap().unwrap();
    let mut expected = written;
    expected.owner = None;
    expected.tags = ["b", "c"].map(str::to_owned).into();
    assert_eq!(dataset.annotations, expected);
    assert_eq!((dataset.updated_at, dataset.version), (at(3), 2), "the system said nothing");
}

async fn every_version_is_remembered_with_its_cause(store: &Store) {
    let catalog = store.open().await;
    let id = table_spec("1.0.0").id();
    let plan = |hash: &str| Cause::Provisioning { plan_hash: hash.to_owned() };
    let stated = [
        (table_spec("1.0.0"), plan("first"), at(1)),
        (table_spec("1.1.0"), plan("second"), at(2)),
        (table_spec("1.1.0").fed_by(["jira.issues@a".parse().unwrap()]), Cause::Run(run_id("r1")), at(3)),
    ];
    for (spec, cause, at) in &stated {
        assert!(catalog.register_dataset(spec, cause, *at).await.unwrap().changed);
        catalog.annotate(&id, &AnnotationEdit::default().owner(at.to_string()), *at).await.unwrap();
    }
    assert!(!catalog.register_dataset(&stated[2].0, &Cause::Discovery, at(4)).await.unwrap().changed);

    let history = catalog.history(&id).await.unwrap();
    let system: Vec<_> = history.system.into_iter().map(|known| (known.spec, known.cause.unwrap(), known.at)).collect();
    assert_eq!(system, stated);
    let owners: Vec<_> = history.people.into_iter().map(|written| written.annotations.owner.unwrap()).collect();
    assert_eq!(owners, [at(1), at(2), at(3)].map(|at| at.to_string()));
    let dataset = catalog.dataset(&id).await.unwrap().unwrap();
    assert_eq!((dataset.registered_at, dataset.updated_at, dataset.annotated_at), (at(1), at(3), Some(at(3))));

    let nobody = catalog.history(&"test.thing@nowhere".parse().unwrap()).await.unwrap();
    assert!(nobody.system.is_empty() && nobody.people.is_empty());
}

async fn a_note_is_about_a_field_that_the_table_has(store: &Store) {
    let catalog = store.open().await;
    for spec in [table_spec("1.0.0"), unit_spec()] {
        catalog.register_dataset(&spec, &Cause::Discovery, at(1)).await.unwrap();
    }
    let note = AnnotationEdit::default().note("labls", "In their order.");
    let error = catalog.annotate(&table_spec("1.0.0").id(), &note, at(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("has no field `labls`; it has cdm_id, part_of, labels"), "{error}");
    let written = catalog.annotate(&unit_spec().id(), &note, at(2)).await.unwrap();
    assert_eq!(written.notes["labls"], "In their order.", "a unit may have more fields than it tells");
    let removed = AnnotationEdit::default().note("labls", "");
    assert_eq!(catalog.annotate(&table_spec("1.0.0").id(), &removed, at(3)).await.unwrap(), Annotations::default());
}

async fn what_an_older_mapper_declares_does_not_take_back_what_a_newer_one_did(store: &Store) {
    let catalog = store.open().await;
    let id = unit_spec().id();
    for (revision, expected) in [(2, 2), (1, 2), (3, 3)] {
        let spec = unit_spec().mapped_by(common::mapping(revision));
        let changed = catalog.register_dataset(&spec, &Cause::Discovery, at(revision.into())).await.unwrap().changed;
        assert_eq!(changed, revision == expected);
        let dataset = catalog.dataset(&id).await.unwrap().unwrap();
        assert_eq!(dataset.spec.mapping(), Some(&common::mapping(expected)));
    }
    // Nor does what maps to an older version of the model, whichever its revision.
    let mut second = common::mapping(1);
    second.model_major = 2;
    for (mapping, changes) in [(&second, true), (&common::mapping(9), false)] {
        let spec = unit_spec().mapped_by(mapping.clone());
        let changed = catalog.register_dataset(&spec, &Cause::Discovery, at(9)).await.unwrap().changed;
        assert_eq!(changed, changes);
        assert_eq!(catalog.dataset(&id).await.unwrap().unwrap().spec.mapping(), Some(&second));
    }
}

async fn a_dataset_keeps_its_kind(store: &Store) {
    let catalog = store.open().await;
    catalog.register_dataset(&common::table_at("shared"), &Cause::Discovery, at(1)).await.unwrap();
    let error = catalog.register_dataset(&common::unit_at("shared"), &Cause::Discovery, at(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("is a cdm_table in the catalog and cannot become a source_unit"), "{error}");
}

async fn the_last_load_is_the_one_with_the_greatest_time(store: &Store) {
    let catalog = store.open().await;
    let id = table_spec("1.0.0").id();
    catalog.register_dataset(&table_spec("1.0.0"), &Cause::Discovery, at(1)).await.unwrap();
    let load = |run: &str, second, rows| LoadFacts::new(run_id(run), at(second), rows);
    for (recorded, expected) in [
        (load("a", 5, Some(10)), load("a", 5, Some(10))),
        (load("b", 4, Some(99)), load("a", 5, Some(10))),
        (load("b", 5, Some(11)), load("b", 5, Some(11))),
        (load("c", 6, None), load("c", 6, None)),
    ] {
        catalog.record_load(&id, &recorded).await.unwrap();
        let dataset = catalog.dataset(&id).await.unwrap().unwrap();
        assert_eq!((dataset.last_load, dataset.version), (Some(expected), 1));
    }
}

async fn a_load_and_an_end_that_are_on_record_are_not_written_again(store: &Store) {
    let catalog = store.open().await;
    let id = table_spec("1.0.0").id();
    catalog.register_dataset(&table_spec("1.0.0"), &Cause::Discovery, at(1)).await.unwrap();
    let load = LoadFacts::new(run_id("r1"), at(5), Some(10));
    catalog.record_load(&id, &load).await.unwrap();
    let attempt = catalog.begin_run(&RunStart::new(run_id("r1"), "things", ingestion(), at(1))).await.unwrap();
    assert!(catalog.end_run(&run_id("r1"), attempt, &end(RunOutcome::Failed, 6).error("no disk")).await.unwrap());
    let before = store.rows().await;

    catalog.record_load(&id, &load).await.unwrap();
    assert!(catalog.end_run(&run_id("r1"), attempt, &end(RunOutcome::Failed, 6).error("no disk")).await.unwrap());
    assert_eq!(store.rows().await, before);

    assert!(catalog.end_run(&run_id("r1"), attempt, &end(RunOutcome::Succeeded, 7)).await.unwrap(), "it knows better");
    let run = catalog.run(&run_id("r1")).await.unwrap().unwrap();
    assert_eq!(run.end, Some(end(RunOutcome::Succeeded, 7)));
}

async fn datasets_are_found_by_what_they_are(store: &Store) {
    let catalog = store.open().await;
    for spec in [unit_spec(), table_spec("1.0.0"), common::table_at("lab")] {
        catalog.register_dataset(&spec, &Cause::Discovery, at(1)).await.unwrap();
    }
    let ids = async |filter: DatasetFilter| -> Vec<String> {
        let found = catalog.datasets(&filter).await.unwrap();
        found.iter().map(|dataset| dataset.spec.id().to_string()).collect()
    };
    let all = ["test.thing@lab", "test.thing@warehouse", "test.things@acme"];
    assert_eq!(ids(DatasetFilter::all()).await, all, "sorted by id");
    assert_eq!(ids(DatasetFilter::all().of_kind(DatasetKind::SourceUnit)).await, all[2..]);
    assert_eq!(ids(DatasetFilter::all().of_endpoint(endpoint("lab"))).await, all[..1]);
    let model = "test.thing".parse().unwrap();
    assert_eq!(ids(DatasetFilter::all().of_model(model)).await, all, "and the unit that feeds it");
    let other = "test.other".parse().unwrap();
    assert!(ids(DatasetFilter::all().of_model(other)).await.is_empty());
}

fn end(outcome: RunOutcome, second: i64) -> RunEndFacts {
    let mentions = Mentions { unchanged: 3, stale: 1, duplicate: 0 };
    let counts = Counts { inserted: 5, updated: 4, unchanged: 3, stale: 2, duplicate: 1, rejected: 6, mentions };
    RunEndFacts::new(outcome, counts, at(second))
        .slices(7)
        .planned(Some(9))
        .incomplete(vec![Incomplete::new("issues.jsonl", "holds less", 3)])
        .checkpoint(Some(Checkpoint(json!({ "files": ["a"] }))))
}

async fn a_run_is_written_down_from_its_begin_to_its_end(store: &Store) {
    let catalog = store.open().await;
    let model: cdm_models::ModelId = "test.thing".parse().unwrap();
    let holder = Some(Holder::new("web-3", 4711));
    let start = RunStart::new(run_id("r1"), "things", ingestion(), at(1)).model(model.clone()).holder(holder);
    let attempt = catalog.begin_run(&start).await.unwrap();
    let running = catalog.run(&run_id("r1")).await.unwrap().unwrap();
    assert_eq!((running.status(), running.elapsed(), running.name.as_str()), (RunStatus::Running, None, "things"));
    assert_eq!((&running.ingestion, &running.model), (&ingestion(), &Some(model)));
    assert_eq!(running.holder, Some(Holder::new("web-3", 4711)));

    assert!(catalog.end_run(&run_id("r1"), attempt, &end(RunOutcome::Failed, 4).error("no disk")).await.unwrap());
    let ended = catalog.run(&run_id("r1")).await.unwrap().unwrap();
    assert_eq!(ended.status(), RunStatus::Ended(RunOutcome::Failed));
    assert_eq!(ended.end.as_ref(), Some(&end(RunOutcome::Failed, 4).error("no disk")));
    assert_eq!((ended.end.unwrap().read, ended.started_at), (21, at(1)));
}

async fn a_run_that_is_continued_is_running_again_and_its_last_attempt_has_the_word(store: &Store) {
    let catalog = store.open().await;
    let start = |second| RunStart::new(run_id("r1"), "things", ingestion(), at(second));
    let first = catalog.begin_run(&start(1)).await.unwrap();
    let second = catalog.begin_run(&start(5)).await.unwrap();
    assert_eq!((first, second), (Attempt::new(1), Attempt::new(2)));
    assert!(!catalog.end_run(&run_id("r1"), first, &end(RunOutcome::Fenced, 6)).await.unwrap(), "it was overtaken");
    let run = catalog.run(&run_id("r1")).await.unwrap().unwrap();
    assert_eq!((run.status(), run.started_at, run.continued_at), (RunStatus::Running, at(1), at(5)));
    assert!(catalog.end_run(&run_id("r1"), second, &end(RunOutcome::Interrupted, 8)).await.unwrap());
    let third = catalog.begin_run(&start(9)).await.unwrap();
    let run = catalog.run(&run_id("r1")).await.unwrap().unwrap();
    assert_eq!((run.attempt, run.end), (third, None), "what was on record of its end is gone");

    let other = endpoint_api::Ingestion { mode: endpoint_api::Mode::Raw, ..ingestion() };
    let stolen = catalog.begin_run(&RunStart::new(run_id("r1"), "raw", other, at(10))).await.unwrap_err();
    assert_eq!(stolen.kind(), ErrorKind::Conflict);
}

async fn runs_are_listed_the_newest_first(store: &Store) {
    let catalog = store.open().await;
    for (id, name, second) in [("b", "x", 2), ("a", "x", 2), ("c", "y", 1), ("d", "x", 3)] {
        let start = RunStart::new(run_id(id), name, ingestion(), at(second));
        let attempt = catalog.begin_run(&start).await.unwrap();
        if name == "x" && second == 2 {
            catalog.end_run(&run_id(id), attempt, &end(RunOutcome::Succeeded, 9)).await.unwrap();
        }
    }
    let ids = async |filter: RunFilter| -> Vec<String> {
        catalog.runs(&filter).await.unwrap().iter().map(|run| run.run_id.to_string()).collect()
    };
    assert_eq!(ids(RunFilter::newest(10)).await, ["d", "b", "a", "c"]);
    assert_eq!(ids(RunFilter::newest(2)).await, ["d", "b"]);
    assert_eq!(ids(RunFilter::newest(10).of("x")).await, ["d", "b", "a"]);
    assert_eq!(ids(RunFilter::newest(10).with_status(RunStatus::Running)).await, ["d", "c"]);
    let both =
        RunFilter::newest(10).with_status(RunStatus::Running).with_status(RunStatus::Ended(RunOutcome::Succeeded));
    assert_eq!(ids(both).await, ["d", "b", "a", "c"]);
    assert_eq!(ids(RunFilter::newest(10).since(Some(at(2)))).await, ["d", "b", "a"]);
    assert_eq!(ids(RunFilter::newest(10).id_ending("a")).await, ["a"]);
    assert!(ids(RunFilter::newest(10).id_ending("_")).await.is_empty(), "it is no pattern");
    assert!(ids(RunFilter::newest(0)).await.is_empty());
}

async fn what_is_not_there_is_told(store: &Store) {
    let catalog = store.open().await;
    let id: DatasetId = "test.thing@nowhere".parse().unwrap();
    assert_eq!(catalog.dataset(&id).await.unwrap(), None);
    assert_eq!(catalog.run(&run_id("none")).await.unwrap(), None);
    assert_eq!(catalog.endpoint(&endpoint("none")).await.unwrap(), None);
    let unknown = [
        catalog.annotate(&id, &AnnotationEdit::default().owner("me"), at(1)).await.unwrap_err(),
        catalog.record_load(&id, &LoadFacts::new(run_id("r"), at(1), None)).await.unwrap_err(),
        catalog.end_run(&run_id("none"), Attempt::new(1), &end(RunOutcome::Failed, 1)).await.unwrap_err(),
    ];
    for error in unknown {
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
}

async fn everything_is_there_after_it_was_closed(store: &Store) {
    let catalog = store.open().await;
    let spec = table_spec("1.0.0");
    let warehouse =
        EndpointSpec::new(endpoint("warehouse"), "cdm.postgres", ["sink"], &json!({ "port": 5432 })).unwrap();
    catalog.register_endpoint(&warehouse, at(1)).await.unwrap();
    catalog.register_dataset(&spec, &Cause::Discovery, at(1)).await.unwrap();
    catalog.annotate(&spec.id(), &AnnotationEdit::default().owner("Data team").tag("a"), at(2)).await.unwrap();
    catalog.record_load(&spec.id(), &LoadFacts::new(run_id("r1"), at(3), Some(7))).await.unwrap();
    let attempt = catalog.begin_run(&RunStart::new(run_id("r1"), "things", ingestion(), at(2))).await.unwrap();
    catalog.end_run(&run_id("r1"), attempt, &end(RunOutcome::Succeeded, 3)).await.unwrap();
    let all = async |catalog: &dyn Catalog| {
        (
            catalog.endpoints().await.unwrap(),
            catalog.datasets(&DatasetFilter::all()).await.unwrap(),
            catalog.runs(&RunFilter::newest(10)).await.unwrap(),
        )
    };
    let before = all(catalog.as_ref()).await;
    assert_eq!((before.0.len(), before.1.len(), before.2.len()), (1, 1, 1));

    catalog.close().await.unwrap();
    let closed = catalog.endpoints().await.unwrap_err();
    assert!(closed.to_string().contains("the catalog is closed"), "{closed}");
    assert_eq!(all(store.open().await.as_ref()).await, before);
}

async fn many_who_register_the_same_make_one_version(store: &Store) {
    let mut at_work = tokio::task::JoinSet::new();
    for number in 0..16 {
        let catalog = store.open().await;
        at_work.spawn(async move {
            let registered =
                catalog.register_dataset(&table_spec("1.0.0"), &Cause::Discovery, at(number)).await.unwrap();
            let source: DatasetId = format!("jira.issues@source{number}").parse().unwrap();
            catalog
                .register_dataset(&table_spec("1.0.0").fed_by([source]), &Cause::Discovery, at(number))
                .await
                .unwrap();
            registered.changed
        });
    }
    let changed = at_work.join_all().await.into_iter().filter(|changed| *changed).count();
    assert_eq!(changed, 1);
    let dataset = store.open().await.dataset(&table_spec("1.0.0").id()).await.unwrap().unwrap();
    assert_eq!((dataset.spec.upstream().len(), dataset.version), (16, 17), "no word was lost");
}

async fn many_who_register_an_endpoint_make_a_version_each(store: &Store) {
    let mut at_work = tokio::task::JoinSet::new();
    for number in 0..16 {
        let catalog = store.open().await;
        at_work.spawn(async move {
            let config = json!({ "port": number });
            let spec = EndpointSpec::new(endpoint("warehouse"), "cdm.postgres", ["sink"], &config).unwrap();
            catalog.register_endpoint(&spec, at(number)).await.unwrap().version
        });
    }
    let versions: BTreeSet<u64> = at_work.join_all().await.into_iter().collect();
    assert_eq!(versions, (1..=16).collect());
}

async fn many_who_write_about_a_dataset_lose_no_word(store: &Store) {
    let words = [
        AnnotationEdit::default().description("Ours"),
        AnnotationEdit::default().owner("Data team"),
        AnnotationEdit::default().tag("a"),
        AnnotationEdit::default().tag("b"),
        AnnotationEdit::default().note("cdm_id", "The key."),
        AnnotationEdit::default().note("labels", "In their order."),
        AnnotationEdit::default().expect_every(Some("1h".parse().unwrap())),
        AnnotationEdit::default().expect_rows(Some("5..9".parse().unwrap())),
    ];
    let tables: Vec<_> = (0..16).map(|number| common::table_at(&format!("sink{number}"))).collect();
    let catalog = store.open().await;
    for table in &tables {
        catalog.register_dataset(table, &Cause::Discovery, at(1)).await.unwrap();
    }
    // All write about one table at the same moment, and then about the next one.
    let turn = Arc::new(tokio::sync::Barrier::new(words.len()));
    let mut at_work = tokio::task::JoinSet::new();
    for word in words {
        let (catalog, turn) = (store.open().await, Arc::clone(&turn));
        let ids: Vec<DatasetId> = tables.iter().map(DatasetSpec::id).collect();
        at_work.spawn(async move {
            for id in ids {
                turn.wait().await;
                catalog.annotate(&id, &word, at(2)).await.unwrap();
            }
        });
    }
    at_work.join_all().await;
    let mut all = Annotations::default();
    all.description = Some("Ours".into());
    all.owner = Some("Data team".into());
    all.tags = ["a", "b"].map(str::to_owned).into();
    all.notes = [("cdm_id", "The key."), ("labels", "In their order.")].map(|(a, b)| (a.into(), b.into())).into();
    all.expectations.every = Some("1h".parse().unwrap());
    all.expectations.rows = Some("5..9".parse().unwrap());
    for dataset in catalog.datasets(&DatasetFilter::all()).await.unwrap() {
        assert_eq!(dataset.annotations, all, "{}", dataset.spec.id());
        let history = catalog.history(&dataset.spec.id()).await.unwrap();
        assert!(history.people.iter().map(|version| version.version).eq(1..=8), "a version for each");
    }
}

async fn many_who_begin_a_run_have_an_attempt_each(store: &Store) {
    let mut at_work = tokio::task::JoinSet::new();
    for number in 0..16 {
        let catalog = store.open().await;
        at_work.spawn(async move {
            let start = RunStart::new(run_id("r1"), "things", ingestion(), at(number));
            let attempt = catalog.begin_run(&start).await.unwrap();
            (attempt, catalog.end_run(&run_id("r1"), attempt, &end(RunOutcome::Succeeded, number)).await.unwrap())
        });
    }
    let mut attempts = at_work.join_all().await;
    attempts.sort();
    assert!(attempts.iter().map(|(attempt, _)| attempt.number()).eq(1..=16), "{attempts:?}");
    assert!(attempts[15].1, "the last attempt has the word");
    let run = store.open().await.run(&run_id("r1")).await.unwrap().unwrap();
    assert_eq!((run.attempt, run.status()), (Attempt::new(16), RunStatus::Ended(RunOutcome::Succeeded)));
}

async fn text_that_a_store_cannot_hold_is_replaced(store: &Store) {
    let catalog = store.open().await;
    catalog.register_dataset(&table_spec("1.0.0"), &Cause::Discovery, at(1)).await.unwrap();
    let id = table_spec("1.0.0").id();
    catalog.annotate(&id, &AnnotationEdit::default().owner("a\0b; drop table dataset --'\""), at(2)).await.unwrap();
    let dataset = catalog.dataset(&id).await.unwrap().unwrap();
    assert_eq!(dataset.annotations.owner.as_deref(), Some("a\u{FFFD}b; drop table dataset --'\""));
    catalog.annotate(&id, &AnnotationEdit::default().owner("a\0b; drop table dataset --'\""), at(3)).await.unwrap();
    assert_eq!(catalog.dataset(&id).await.unwrap().unwrap().annotated_at, Some(at(2)));
}
