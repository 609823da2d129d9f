//! What is asked of datasets as a catalog has them: what they are made of, where they are found, how they are.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use catalog::{
    Annotations, Dataset, DatasetId, DatasetSpec, Found, LoadFacts, health, people_differences, search,
    system_differences, trace,
};
use common::{at, mapping, run_id, table_at, table_spec, unit_spec};

fn dataset(spec: DatasetSpec) -> Dataset {
    Dataset::new(spec, at(0))
}

fn id(text: &str) -> DatasetId {
    text.parse().unwrap()
}

/// Things of a source in two sinks, one of which feeds a third.
fn catalog() -> Vec<Dataset> {
    let unit = unit_spec().mapped_by(mapping(1));
    let mart = table_at("mart").fed_by([id("test.thing@warehouse")]);
    let specs = [
        table_spec("1.0.0").fed_by([unit.id()]),
        table_at("lab").fed_by([unit.id()]),
        mart,
        unit,
        table_at("elsewhere"),
    ];
    specs.into_iter().map(dataset).collect()
}

#[test]
fn lineage_leads_both_ways_and_over_every_step() {
    let texts = |ids: &std::collections::BTreeSet<DatasetId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let steps = |id_of: &str| -> Vec<String> {
        let lineage = trace(&id(id_of), &catalog());
        lineage.steps.iter().map(|step| format!("{} -> {}", step.from, step.to)).collect()
    };
    let of_mart = trace(&id("test.thing@mart"), &catalog());
    assert_eq!(texts(&of_mart.upstream), ["test.thing@warehouse", "test.things@acme"]);
    assert!(of_mart.downstream.is_empty());
    assert_eq!(
        steps("test.thing@mart"),
        ["test.thing@warehouse -> test.thing@mart", "test.things@acme -> test.thing@warehouse"],
        "and nothing of its sister"
    );
    let of_unit = trace(&id("test.things@acme"), &catalog());
    assert_eq!(texts(&of_unit.downstream), ["test.thing@lab", "test.thing@mart", "test.thing@warehouse"]);
    assert_eq!(of_unit.steps.len(), 3);
    assert!(steps("test.thing@elsewhere").is_empty());
}

#[test]
fn lineage_leads_from_a_column_to_what_it_is_made_of() {
    let lineage = trace(&id("test.thing@lab"), &catalog());
    let columns: Vec<_> = lineage.steps[0]
        .columns
        .iter()
        .map(|column| (column.field.as_str(), column.input.path.as_str(), column.input.derivation.as_str()))
        .collect();
    let expected = [
        ("cdm_id", "source_system", "transformed"),
        ("cdm_id", "id", "transformed"),
        ("part_of", "whole.id", "transformed"),
        ("labels", "labels", "identity"),
    ];
    assert_eq!(columns, expected);
    let mart = trace(&id("test.thing@mart"), &catalog());
    let undeclared = mart.steps.iter().find(|step| step.to == id("test.thing@mart")).unwrap();
    assert!(undeclared.columns.is_empty(), "nobody says how a table is made from a table");

    let mut second = mapping(1);
    second.model_major = 2;
    let others = unit_spec().mapped_by(second);
    let of_first = trace(&id("test.thing@lab"), &[dataset(table_at("lab").fed_by([others.id()])), dataset(others)]);
    assert!(of_first.steps[0].columns.is_empty(), "what is declared is of another version than the table");
}

#[test]
fn lineage_that_goes_in_a_circle_comes_to_an_end() {
    let circle = [("a", "b"), ("b", "c"), ("c", "a")]
        .map(|(to, from)| dataset(table_at(to).fed_by([id(&format!("test.thing@{from}"))])));
    let lineage = trace(&id("test.thing@a"), &circle);
    assert_eq!((lineage.upstream.len(), lineage.downstream.len(), lineage.steps.len()), (2, 2, 3));
    let of_itself = [dataset(table_at("a").fed_by([id("test.thing@a")]))];
    assert_eq!(trace(&id("test.thing@a"), &of_itself).steps.len(), 1);
}

fn found(datasets: &[Dataset], words: &[&str]) -> Vec<String> {
    let place = |found: &Found| found.place.clone();
    search(datasets, words)
        .iter()
        .map(|hit| {
            let places: Vec<String> = hit.found.iter().map(place).collect();
            format!("{}: {}", hit.dataset.spec.id(), places.join(", "))
        })
        .collect()
}

#[test]
fn every_word_of_a_search_is_found_and_the_best_places_come_first() {
    let mut datasets = catalog();
    datasets[0].annotations.owner = Some("The Docks team".into());
    datasets[0].annotations.notes = [("labels".to_owned(), "Spelt by hand".to_owned())].into();
    datasets[1].annotations.tags = ["docks".to_owned()].into();
    datasets[2].annotations.description = Some("What lies at the docksides.".into());

    assert_eq!(
        found(&datasets, &["docks"]),
        ["test.thing@lab: tag", "test.thing@warehouse: owner", "test.thing@mart: description"]
    );
    assert_eq!(found(&datasets, &["DOCKS", "hand"]), ["test.thing@warehouse: owner, note on labels"]);
    assert_eq!(found(&datasets, &["docks hand"]), ["test.thing@warehouse: owner, note on labels"]);
    assert!(found(&datasets, &["docks", "nowhere"]).is_empty());
    assert!(found(&datasets, &[]).is_empty() && found(&datasets, &[" "]).is_empty());
    assert_eq!(found(&datasets, &["acme"])[0], "test.things@acme: id");
    assert_eq!(found(&datasets, &["source-endpoint:acme"]), ["test.things@acme: label"]);
    assert_eq!(found(&datasets, &["labels"])[0], "test.thing@elsewhere: field labels");
    assert_eq!(found(&datasets, &["abel"]).len(), 4, "a part of a word");
    assert_eq!(found(&datasets, &["cdm_test.things"])[0], "test.thing@elsewhere: location");
    assert_eq!(found(&datasets, &["called"]), ["test.things@acme: field name"], "in what a field means");
}

fn expecting(every: Option<&str>, rows: Option<&str>, load: Option<(i64, Option<u64>)>) -> Vec<String> {
    let mut dataset = dataset(table_spec("1.0.0"));
    dataset.annotations.expectations.every = every.map(|every| every.parse().unwrap());
    dataset.annotations.expectations.rows = rows.map(|rows| rows.parse().unwrap());
    dataset.last_load = load.map(|(second, rows)| LoadFacts::new(run_id("r1"), at(second), rows));
    let checks = health(&dataset, dataset.last_load.as_ref(), at(7200));
    checks
        .iter()
        .map(|check| {
            let mark = if check.ok { "ok" } else { "missed" };
            format!("{} {mark}: {}, expected {}", check.name, check.found, check.expected)
        })
        .collect()
}

#[test]
fn a_dataset_is_fresh_up_to_the_last_second_of_its_interval() {
    let freshness = |load| expecting(Some("1h"), None, load);
    assert_eq!(freshness(Some((3600, None))), ["freshness ok: loaded 1h ago, by run r1, expected 1h"]);
    assert_eq!(freshness(Some((3599, None))), ["freshness missed: loaded 1h 1s ago, by run r1, expected 1h"]);
    assert_eq!(freshness(Some((7201, None))), ["freshness ok: loaded 0s ago, by run r1, expected 1h"], "another clock");
    assert_eq!(freshness(None), ["freshness missed: never loaded, expected 1h"]);
}

#[test]
fn a_load_of_a_run_that_failed_is_not_fresh() {
    let mut dataset = dataset(table_spec("1.0.0"));
    dataset.annotations.expectations.every = Some("1h".parse().unwrap());
    dataset.last_load = Some(LoadFacts::new(run_id("r2"), at(7200), None));
    let checks = health(&dataset, None, at(7200));
    let found = "no run that loaded records has succeeded; the last one that failed is r2";
    assert_eq!((checks[0].ok, checks[0].found.as_str()), (false, found));
    let earlier = LoadFacts::new(run_id("r1"), at(0), None);
    assert_eq!(health(&dataset, Some(&earlier), at(7200))[0].found, "loaded 2h ago, by run r1");
}

#[test]
fn a_dataset_has_as_many_rows_as_people_expect() {
    let volume = |load| expecting(None, Some("100..5000"), load);
    assert_eq!(volume(Some((0, Some(5000)))), ["volume ok: 5000 rows, expected 100..5000"]);
    assert_eq!(volume(Some((0, Some(99)))), ["volume missed: 99 rows, expected 100..5000"]);
    assert_eq!(volume(Some((0, None))), ["volume missed: the sink does not count its rows, expected 100..5000"]);
    assert_eq!(volume(None), ["volume missed: never loaded, expected 100..5000"]);
    assert!(expecting(None, None, None).is_empty(), "nothing is expected");
    assert_eq!(expecting(Some("1d"), Some("1.."), None).len(), 2);
}

#[test]
fn a_version_is_told_by_what_it_changed() {
    let told = |before: &DatasetSpec, after: &DatasetSpec| -> Vec<String> {
        let differences = system_differences(Some(before), after);
        differences.iter().map(|change| format!("{}: {:?} -> {:?}", change.what, change.before, change.after)).collect()
    };
    let (one, two) = (table_spec("1.0.0"), table_spec("1.1.0").fed_by([id("jira.issues@a")]));
    assert!(told(&one, &one).is_empty());
    assert_eq!(
        told(&one, &two),
        [
            "model version: Some(\"1.0.0\") -> Some(\"1.1.0\")",
            "version of the table: Some(\"1.0.0\") -> Some(\"1.1.0\")",
            "plan: Some(\"plan of 1.0.0\") -> Some(\"plan of 1.1.0\")",
            "made from jira.issues@a: None -> Some(\"jira.issues@a\")",
        ]
    );
    assert_eq!(
        told(&unit_spec().mapped_by(mapping(1)), &unit_spec())[1],
        "mapping of cdm_id: Some(\"transformed source_system, transformed id\") -> None"
    );
    let everything = system_differences(None, &one);
    assert!(everything.iter().any(|change| change.what == "field part_of" && change.before.is_none()));

    let mut written = Annotations::default();
    written.owner = Some("Ours".into());
    written.notes = [("labels".to_owned(), "In their order.".to_owned())].into();
    let told: Vec<String> = people_differences(Some(&written), &Annotations::default())
        .into_iter()
        .map(|change| format!("{} {:?} {:?}", change.what, change.before, change.after))
        .collect();
    assert_eq!(told, ["owner Some(\"Ours\") None", "note on labels Some(\"In their order.\") None"]);
}
