//! What is stored of rows: every value, or none of the row.

use cdm_models::{Date, Json, RawJson, Timestamp};
use endpoint_api::{CdmBatch, batch::Rank};

use super::{Test, takes_things, test};
use crate::{
    model::{Row, Thing, batch, model, named, put},
    workbench::{Site, Workbench, assert_alike, by_key, counts, soon},
};

pub(super) const TESTS: &[Test] = &[
    test!("sink", values_of_every_type_arrive, takes_things, "CDM-06"),
    test!("sink", a_newer_version_replaces_every_value, takes_things, "CDM-06", "CDM-01"),
    test!("sink", any_text_arrives, takes_things, "CDM-06"),
    test!("sink", extreme_values_arrive_or_are_rejected, takes_things, "CDM-06", "LOAD-05"),
    test!("sink", a_huge_row_does_not_harm_its_neighbours, takes_things, "LOAD-05"),
    test!("sink", keys_are_told_apart_to_the_last_character, takes_things, "CDM-06"),
];

fn of(thing: Thing<'static>, version_at: i64) -> Row {
    Row::Put(Box::new(thing), Rank::Whole, Some(version_at))
}

fn rows_of(rows: &[Row]) -> CdmBatch {
    batch(rows, &[]).unwrap()
}

/// A thing with a value in every field.
fn full(key: &str) -> Thing<'static> {
    Thing {
        whole: Some("w".into()),
        good: Some(true),
        count: Some(9_007_199_254_740_993),
        // Of these digits a reader that is not exact makes another number.
        size: Some(90.285_714_285_714_29),
        since: Some(Date::parse("2024-02-29").unwrap()),
        updated_at: Some(Timestamp::parse("2021-03-04T05:06:07.123456+02:00").unwrap()),
        labels: Some(vec!["z".into(), "a".into(), "z".into()]),
        raw_source: Some(RawJson::new(r#"{ "b": [1.0, null],  "a": "\u00e9" }"#)),
        properties: Some(Json::parse(r#"{"list": [1, 2.50], "text": "naïve", "none": null}"#).unwrap()),
        ..named(key, "full")
    }
}

/// A thing of which every value is another one.
fn other(key: &str) -> Thing<'static> {
    Thing {
        whole: Some("v".into()),
        good: Some(false),
        count: Some(-1),
        size: Some(-2.5e-7),
        since: Some(Date::parse("1969-12-31").unwrap()),
        updated_at: Some(Timestamp::parse("1969-12-31T23:59:59.999999Z").unwrap()),
        labels: Some(vec!["a".into()]),
        raw_source: Some(RawJson::new("[]")),
        properties: Some(Json::parse(r#""text""#).unwrap()),
        ..named(key, "other")
    }
}

/// A thing with nothing but a key.
fn bare(key: &str) -> Thing<'static> {
    Thing { name: None, ..named(key, "") }
}

async fn values_of_every_type_arrive(workbench: Workbench) {
    let site = workbench.ready().await;
    let rows = [of(full("full"), 1), of(bare("bare"), 1), of(other("other"), 1)];
    assert_eq!(site.load(&[&[&rows]]).await, counts(3, 0, 0, 0, 0));
    site.assert_holds(&rows_of(&rows)).await;
    assert_eq!(site.load(&[&[&rows]]).await, counts(0, 0, 3, 0, 0));
}

async fn a_newer_version_replaces_every_value(workbench: Workbench) {
    let site = workbench.ready().await;
    site.load(&[&[&[of(full("a"), 1), of(full("b"), 1), of(bare("c"), 1)]]]).await;
    let newer = [of(other("a"), 2), of(bare("b"), 2), of(full("c"), 2)];
    assert_eq!(site.load(&[&[&newer]]).await, counts(0, 3, 0, 0, 0));
    site.assert_holds(&rows_of(&newer)).await;
}

async fn any_text_arrives(workbench: Workbench) {
    let site = workbench.ready().await;
    let texts = [
        "",
        " ",
        "naïve",
        "\u{1F600} \u{2028} \u{FEFF}",
        "'); drop table things; --",
        "a\tb\r\nc\\d\"e'f",
        "\\N",
        "NULL",
        "e\u{301}",
    ];
    let rows: Vec<Row> = texts.iter().enumerate().map(|(at, text)| put(&format!("k{at}"), text, 1)).collect();
    load_odd(&site, &rows).await;
    // No text can hold U+0000; the row that the kit builds has U+FFFD in its place, and says so.
    assert_eq!(site.load(&[&[&[put("nul", "a\0b", 1)]]]).await, counts(1, 0, 0, 0, 0));
}

/// Loads rows of which each arrives as it is or is rejected, and most arrive; says how many.
async fn load_odd(site: &Site, rows: &[Row]) -> u64 {
    let (all, first) = (rows.len() as u64, site.load(&[&[rows]]).await);
    assert_eq!(first.inserted + first.rejected, all, "{first:?}");
    assert!(first.inserted > all / 2, "{first:?}");
    if let Some(stored) = site.stored().await {
        assert_eq!(stored.len() as u64, first.inserted);
        assert_alike(&stored, &by_key(&rows_of(rows)));
    }
    let again = site.load(&[&[rows]]).await;
    assert_eq!((again.unchanged, again.rejected), (first.inserted, first.rejected), "what arrived is as it was");
    first.inserted
}

async fn extreme_values_arrive_or_are_rejected(workbench: Workbench) {
    let site = workbench.ready().await;
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let time = |text: &str| Some(Timestamp::parse(text).unwrap());
    let extremes: Vec<Thing<'static>> = vec![
        Thing { count: Some(i64::MIN), size: Some(f64::MAX), good: Some(false), ..named("a", "least") },
        Thing { count: Some(i64::MAX), size: Some(f64::MIN_POSITIVE), good: Some(true), ..named("b", "most") },
        Thing { count: Some(0), size: Some(-0.0), ..named("c", "zero") },
        Thing {
            since: Some(Date::parse("0001-01-01").unwrap()),
            updated_at: time("1582-10-14T23:59:59.999999Z"),
            ..named("d", "long ago")
        },
        Thing {
            since: Some(Date::parse("9999-12-31").unwrap()),
            updated_at: time("9999-12-30T00:00:00Z"),
            ..named("e", "far away")
        },
        Thing { labels: Some(vec![]), ..named("f", "no labels") },
        Thing {
            labels: Some(vec!["".into(), "a,b".into(), "\"{}\"".into(), "NULL".into()]),
            ..named("g", "odd labels")
        },
        Thing {
            raw_source: Some(RawJson::new(r#"{"b": 1.0e3,  "b": [1], "a": -0, "n": 9223372036854776000}"#)),
            ..named("h", "as received")
        },
        Thing { properties: Some(Json::parse(r#"{"b": 1.50e1, "a": "x\u0001"}"#).unwrap()), ..named("i", "canonical") },
        Thing {
            properties: Some(Json::parse(&deep).unwrap()),
            raw_source: Some(RawJson::new(deep.clone())),
            ..named("j", "deep")
        },
        Thing { size: Some(f64::INFINITY), ..named("k", "infinite") },
        Thing { size: Some(f64::NAN), ..named("l", "no number") },
    ];
    let rows: Vec<Row> = extremes.into_iter().map(|thing| of(thing, 1)).collect();
    let arrived = load_odd(&site, &rows).await;
    if workbench.entry.capabilities().sink.is_some_and(|sink| sink.verify) {
        let verified = soon(site.sink().verify(&[model()], false)).await.unwrap();
        assert_eq!((verified[0].rows, verified[0].changed), (arrived, 0), "what is stored hashes to its hash");
    }
}

async fn a_huge_row_does_not_harm_its_neighbours(workbench: Workbench) {
    let site = workbench.ready().await;
    let huge = "x".repeat(12 << 20);
    let counted = site.load(&[&[&[put("a", "a", 1), put("b", &huge, 1), put("c", "c", 1)]]]).await;
    assert_eq!(counted.inserted + counted.rejected, 3, "{counted:?}");
    assert!(counted.inserted >= 2, "only the huge row may be refused: {counted:?}");
    assert_eq!(site.load(&[&[&[put("a", "a", 1), put("c", "c", 1)]]]).await, counts(0, 0, 2, 0, 0));
}

async fn keys_are_told_apart_to_the_last_character(workbench: Workbench) {
    let site = workbench.ready().await;
    let keys = ["a", "A", "a ", " a", "á", "a\u{301}", "\u{FF41}", "ß", "ss"];
    let rows: Vec<Row> = keys.iter().map(|key| put(key, "x", 1)).collect();
    load_odd(&site, &rows).await;
}
