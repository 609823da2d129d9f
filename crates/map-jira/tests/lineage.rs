//! What mappers declare of their lineage is true: change one part of a record, and exactly the fields change
//! that it feeds.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{cell::RefCell, collections::BTreeSet};

use common::{
    ON_ISSUE,
    generators::{comment, identified_user, issue, project, worklog},
    observed::Observed,
    verdict::{Seen, judge},
};
use endpoint_api::{
    Mapper,
    batch::Parent,
    lineage::{Derivation, FieldLineage, Input, Lineage, Place, transformed},
};
use map_jira::{JiraComments, JiraIssues, JiraProjects, JiraUsers, JiraWorklogs};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use serde_json::Value;

/// The records of a fixture that are mapped, observed.
fn observed_fixtures<M: Mapper>(fixtures: &str, parent: Option<Parent<'_>>) -> Vec<Observed> {
    let records = fixtures.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let observed: Vec<Observed> = records.filter_map(|record| Observed::of::<M>(record, parent).ok()).collect();
    assert!(observed.len() > 2);
    observed
}

fn lineage_is_true<M: Mapper>(records: BoxedStrategy<Value>, fixtures: &str, parent: Option<Parent<'_>>) {
    let seen = RefCell::new(Seen::default());
    let check = |observed: &Observed| {
        judge(&M::LINEAGE, observed, &mut seen.borrow_mut()).map_err(|problem| {
            let (record, row) = (&observed.record, &observed.row);
            TestCaseError::fail(format!("{problem}\nrecord: {record}\nrow: {row}"))
        })
    };
    for fixture in observed_fixtures::<M>(fixtures, parent) {
        check(&fixture).unwrap();
    }
    let config = Config { cases: 160, failure_persistence: None, ..Config::default() };
    let ran = TestRunner::new(config).run(&records, |record| {
        let observed = Observed::of::<M>(record, parent)
            .map_err(|rejection| TestCaseError::fail(format!("a record is rejected: {rejection}")))?;
        check(&observed)
    });
    ran.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(seen.borrow().never_seen(&M::LINEAGE), None);
}

/// Every declaration with one thing wrong: an input that is left out, made up, or of another derivation, and
/// something dropped that is not said.
fn wrong_ones(lineage: Lineage) -> Vec<(String, Lineage)> {
    let with_inputs = |place: usize, inputs: Vec<Input>| {
        let mut fields = lineage.fields.to_vec();
        fields[place] = FieldLineage { inputs: inputs.leak(), ..fields[place] };
        Lineage { fields: fields.leak(), ..lineage }
    };
    let mut wrong = Vec::new();
    for (place, FieldLineage { field, inputs }) in lineage.fields.iter().enumerate() {
        for (index, input) in inputs.iter().enumerate() {
            let mut fewer = inputs.to_vec();
            fewer.remove(index);
            wrong.push((format!("`{field}` without {:?}", input.place), with_inputs(place, fewer)));

            if matches!(input.place, Place::Record(_)) && input.when.is_none() {
                let derivation = match input.derivation {
                    Derivation::Identity => Derivation::Kept,
                    Derivation::Kept => Derivation::Identity,
                    Derivation::Transformed => Derivation::Kept,
                };
                let mut others = inputs.to_vec();
                others[index] = Input { derivation, ..*input };
                wrong.push((format!("`{field}` from {:?}, {derivation}", input.place), with_inputs(place, others)));
            }
        }
        let more = [inputs.to_vec(), vec![transformed("made.up")]].concat();
        wrong.push((format!("`{field}` from what is never there"), with_inputs(place, more)));
    }
    for (index, dropped) in lineage.dropped.iter().enumerate().filter(|(_, dropped)| dropped.when.is_none()) {
        let mut fewer = lineage.dropped.to_vec();
        fewer.remove(index);
        wrong.push((format!("`{}` not dropped", dropped.path), Lineage { dropped: fewer.leak(), ..lineage }));
    }
    wrong
}

fn a_wrong_lineage_is_found<M: Mapper>(records: BoxedStrategy<Value>, fixtures: &str, parent: Option<Parent<'_>>) {
    let mut runner = TestRunner::deterministic();
    let mut observed = observed_fixtures::<M>(fixtures, parent);
    for _ in 0..120 {
        let record = records.new_tree(&mut runner).unwrap().current();
        observed.push(Observed::of::<M>(record, parent).unwrap());
    }
    // What was seen once is not judged again for each of the many wrong ones.
    let mut known = BTreeSet::new();
    for observed in &mut observed {
        observed.leaves.retain(|leaf| known.insert(leaf.clone()));
    }
    let is_found = |lineage: &Lineage| {
        let mut seen = Seen::default();
        observed.iter().any(|observed| judge(lineage, observed, &mut seen).is_err())
            || seen.never_seen(lineage).is_some()
    };
    assert!(!is_found(&M::LINEAGE), "the right one is");
    let passed: BTreeSet<String> =
        wrong_ones(M::LINEAGE).into_iter().filter(|(_, wrong)| !is_found(wrong)).map(|(what, _)| what).collect();
    assert!(passed.is_empty(), "{passed:#?}");
}

macro_rules! on_each_mapper {
    ($($mapper:ident $records:expr, $fixture:literal, $parent:expr, $is_true:ident $is_found:ident;)*) => {
        $(
            #[test]
            fn $is_true() {
                let fixtures = include_str!(concat!("../../../tests/fixtures/jira/", $fixture, ".jsonl"));
                lineage_is_true::<$mapper>($records, fixtures, $parent);
            }

            #[test]
            fn $is_found() {
                let fixtures = include_str!(concat!("../../../tests/fixtures/jira/", $fixture, ".jsonl"));
                a_wrong_lineage_is_found::<$mapper>($records, fixtures, $parent);
            }
        )*
    };
}

on_each_mapper! {
    JiraIssues issue(), "issues", None, the_lineage_of_issues_is_true a_wrong_lineage_of_issues_is_found;
    JiraProjects project(), "projects", None, the_lineage_of_projects_is_true a_wrong_lineage_of_projects_is_found;
    JiraUsers identified_user(), "users", None, the_lineage_of_users_is_true a_wrong_lineage_of_users_is_found;
    JiraComments comment(), "comments", ON_ISSUE, the_lineage_of_comments_is_true a_wrong_lineage_of_comments_is_found;
    JiraWorklogs worklog(), "worklogs", ON_ISSUE, the_lineage_of_worklogs_is_true a_wrong_lineage_of_worklogs_is_found;
}
