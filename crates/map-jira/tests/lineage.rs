//! What mappers declare of their lineage is true: change one part of a record, and exactly the fields change
//! that it feeds.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{cell::RefCell, collections::BTreeSet};

use cdm_models::Timestamp;
use common::{
    ON_ISSUE,
    generators::{identified_user, issue, project, said},
    leaves::{changed_at, is_direct_null, leaves},
    map, map_from,
};
use endpoint_api::{
    Mapper,
    batch::Parent,
    lineage::{Derivation, FieldLineage, Input, Lineage, Place},
};
use map_jira::{JiraComments, JiraIssues, JiraProjects, JiraUsers, JiraWorklogs};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::Value;

const USER_IDS: [&str; 3] = ["accountId", "key", "name"];

/// What was seen of a lineage: fields that changed with an input, and some that were made of it and not it.
#[derive(Default)]
struct Seen {
    feeds: BTreeSet<(&'static str, Place)>,
    transforms: BTreeSet<(&'static str, Place)>,
}

impl Seen {
    fn assert_complete(&self, lineage: &Lineage) {
        for FieldLineage { field, inputs } in lineage.fields {
            for input in *inputs {
                assert!(self.feeds.contains(&(field, input.place)), "{:?} feeds `{field}` never", input.place);
                let is_transformed = input.derivation == Derivation::Transformed;
                if is_transformed && matches!(input.place, Place::Record(_)) {
                    assert!(self.transforms.contains(&(field, input.place)), "{:?} is always `{field}`", input.place);
                }
            }
        }
    }
}

/// The fields of which two rows differ.
fn difference<'a>(one: &'a Value, other: &'a Value) -> BTreeSet<&'a str> {
    let names = [one, other].into_iter().flat_map(|row| row.as_object().unwrap().keys());
    names.filter(|name| one.get(name) != other.get(name)).map(String::as_str).collect()
}

fn at<'a>(record: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(record, |value, name| value.get(name)).filter(|value| !value.is_null())
}

/// Whether a field's value is the one of the record, in the field's type.
fn is_same(field: &Value, value: &Value) -> bool {
    let time = |value: &Value| value.as_str().and_then(|text| Timestamp::parse(text).ok());
    field == value
        || value.is_number() && field.as_str() == Some(&value.to_string())
        || time(field).is_some() && time(field) == time(value)
}

/// Whether a part of the record may be kept or not, as conditions have it.
fn is_conditional(lineage: &Lineage, path: &[String]) -> bool {
    let is_within = |declared: &str| declared.split('.').eq(path.iter().take(declared.split('.').count()));
    let inputs = lineage.fields.iter().flat_map(|field| field.inputs);
    let with_condition = inputs.filter(|input| input.when.is_some()).filter_map(|input| match input.place {
        Place::Record(declared) => Some(declared),
        _ => None,
    });
    let dropped = lineage.dropped.iter().filter(|dropped| dropped.when.is_some()).map(|dropped| dropped.path);
    with_condition.chain(dropped).any(is_within)
}

/// Whether a field changes whenever what feeds it does.
fn is_faithful(lineage: &Lineage, input: &Input, path: &[String]) -> bool {
    input.when.is_none()
        && input.derivation != Derivation::Transformed
        && lineage.feeds(input.place, path)
        && !(input.place == Place::Rest && is_conditional(lineage, path))
}

/// Whether a change makes another condition hold, and so moves a member that was not changed: an id that a user
/// did not have.
fn decides(unit: &str, record: &Value, path: &[String]) -> bool {
    unit == JiraUsers::UNIT && path.len() == 1 && USER_IDS.contains(&path[0].as_str()) && record[&path[0]] == ""
}

fn check_values<M: Mapper>(record: &Value, row: &Value, seen: &mut Seen) -> Result<(), TestCaseError> {
    for FieldLineage { field, inputs } in M::LINEAGE.fields {
        let Some(value) = row.get(field) else { continue };
        let is_identity = |input: &&Input| input.derivation == Derivation::Identity;
        let (identical, others): (Vec<&Input>, Vec<&Input>) = inputs.iter().partition(is_identity);
        let mut originals = identical.iter().filter_map(|input| match input.place {
            Place::Record(path) => Some(at(record, path)),
            _ => None,
        });
        if others.is_empty() && identical.iter().all(|input| matches!(input.place, Place::Record(_))) {
            let is_one = originals.any(|original| original.is_some_and(|original| is_same(value, original)));
            prop_assert!(is_one, "`{field}` is {value}, which is none of the values of {record} that it is said to be");
        }
        for input in others {
            let Place::Record(path) = input.place else { continue };
            let Some(original) = at(record, path) else { continue };
            match input.derivation {
                Derivation::Kept if input.when.is_none() => {
                    let name = Value::from(path.rsplit('.').next().unwrap());
                    prop_assert!(value.to_string().contains(&format!("{name}:")), "`{field}` does not keep `{path}`");
                }
                Derivation::Transformed if !is_same(value, original) => {
                    seen.transforms.insert((field, input.place));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn check_leaves<M: Mapper>(
    record: &Value,
    parent: Option<Parent<'_>>,
    row: &Value,
    seen: &mut Seen,
) -> Result<(), TestCaseError> {
    let lineage = M::LINEAGE;
    for path in leaves(record).into_iter().filter(|path| !is_direct_null(record, path)) {
        if decides(M::UNIT, record, &path) {
            continue;
        }
        // A record that is now rejected is not lost either.
        let Ok((changed, _)) = map::<M>(&changed_at(record, &path).to_string(), parent) else { continue };
        let changed = difference(row, &changed).iter().map(|field| (*field).to_owned()).collect::<BTreeSet<_>>();
        let declared: BTreeSet<_> = lineage.fed_by(&path).collect();
        for field in &changed {
            prop_assert!(declared.contains(field.as_str()), "{path:?} feeds `{field}`, unsaid: {record}");
        }
        prop_assert!(
            !changed.is_empty() || lineage.drops(&path) || is_conditional(&lineage, &path),
            "{path:?} of {record} does not count"
        );
        for FieldLineage { field, inputs } in lineage.fields {
            let is_changed = changed.contains(*field);
            if inputs.iter().any(|input| is_faithful(&lineage, input, &path)) {
                prop_assert!(is_changed, "{path:?} does not feed `{field}`: {record}");
            }
            let inputs = inputs.iter().filter(|input| is_changed && lineage.feeds(input.place, &path));
            seen.feeds.extend(inputs.map(|input| (*field, input.place)));
        }
    }
    Ok(())
}

/// Changes what does not stand in the record: the source system, and which record is the parent.
fn check_surroundings<M: Mapper>(
    record: &Value,
    parent: Option<Parent<'_>>,
    row: &Value,
    seen: &mut Seen,
) -> Result<(), TestCaseError> {
    let mut declares = |place: Place, changed: &BTreeSet<&str>, row: &Value| {
        let fields = M::LINEAGE.fields.iter().filter(|field| field.inputs.iter().any(|input| input.place == place));
        let fed: BTreeSet<_> = fields.map(|field| field.field).filter(|field| row.get(field).is_some()).collect();
        seen.feeds.extend(fed.iter().map(|field| (*field, place)));
        prop_assert_eq!(&fed, changed, "{:?} of {}", place, record);
        Ok(())
    };
    let (of_another, _) = map_from::<M>("another", &record.to_string(), parent).unwrap();
    declares(Place::Configuration("source_system"), &difference(row, &of_another), row)?;

    // Which issue it is told by the parent alone, so that nothing but the parent changes.
    let mut record = record.clone();
    record.as_object_mut().unwrap().remove("issueId");
    let (row, _) = map::<M>(&record.to_string(), parent).unwrap();
    let another = parent.map(|parent| Parent { id: Some("10002"), ..parent });
    let (of_another, _) = map::<M>(&record.to_string(), another).unwrap();
    declares(Place::Envelope("parent.id"), &difference(&row, &of_another), &row)
}

fn check<M: Mapper>(record: &Value, parent: Option<Parent<'_>>, seen: &mut Seen) -> Result<(), TestCaseError> {
    let (row, _) = map::<M>(&record.to_string(), parent)
        .map_err(|rejection| TestCaseError::fail(format!("{rejection}: {record}")))?;
    check_values::<M>(record, &row, seen)?;
    check_leaves::<M>(record, parent, &row, seen)?;
    check_surroundings::<M>(record, parent, &row, seen)
}

fn lineage_is_true<M: Mapper>(records: BoxedStrategy<Value>, fixtures: &str, parent: Option<Parent<'_>>) {
    let seen = RefCell::new(Seen::default());
    let is_mapped = |record: &Value| map::<M>(&record.to_string(), parent).is_ok();
    let fixtures: Vec<Value> = fixtures.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let fixtures: Vec<Value> = fixtures.into_iter().filter(is_mapped).collect();
    assert!(fixtures.len() > 2);
    for fixture in &fixtures {
        check::<M>(fixture, parent, &mut seen.borrow_mut()).unwrap();
    }
    let config = Config { cases: 160, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&records, |record| check::<M>(&record, parent, &mut seen.borrow_mut()));
    run.unwrap_or_else(|failure| panic!("{failure}"));
    seen.borrow().assert_complete(&M::LINEAGE);
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/jira/", $name, ".jsonl"))
    };
}

#[test]
fn the_lineage_of_issues_is_true() {
    lineage_is_true::<JiraIssues>(issue(), fixture!("issues"), None);
}

#[test]
fn the_lineage_of_projects_is_true() {
    lineage_is_true::<JiraProjects>(project(), fixture!("projects"), None);
}

#[test]
fn the_lineage_of_users_is_true() {
    lineage_is_true::<JiraUsers>(identified_user(), fixture!("users"), None);
}

#[test]
fn the_lineage_of_comments_is_true() {
    lineage_is_true::<JiraComments>(said(), fixture!("comments"), ON_ISSUE);
}

#[test]
fn the_lineage_of_worklogs_is_true() {
    lineage_is_true::<JiraWorklogs>(said(), fixture!("worklogs"), ON_ISSUE);
}
