//! Each driver with a fault fails in the test that names the fault.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod memory;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::Command,
};

use endpoint_testkit::{Kit, Verdict, support_matrix, tests};
use memory::{Fault, Modest, Whole, careless::Careless, fault::FAULTS, kit};

/// What is wrong with a driver before it is opened.
const CARELESS: [&str; 5] = [
    "driver::the_registry_finds_it_by_a_name_of_its_own",
    "driver::the_sample_configuration_fits",
    "driver::an_unknown_key_is_refused",
    "driver::every_key_of_the_configuration_is_described",
    "driver::a_wrong_configuration_shows_no_secret",
];

/// What a test says that should have failed, unless it has.
fn not_seen(kit: &Kit, fault: &str, test: &str) -> Option<String> {
    let outcomes = kit.outcomes_of(|name| name == test);
    match outcomes.as_slice() {
        [outcome] => match &outcome.verdict {
            Verdict::Failed(why) if why.contains("The contract says so in ") => None,
            other => Some(format!("{fault} is not seen by {test}: {other:?}")),
        },
        _ => Some(format!("there is no test {test} for {fault}")),
    }
}

/// What a driver with a fault does not fail in.
fn unseen((fault, tests): &(Fault, &'static [&'static str])) -> Vec<String> {
    let kit = match fault {
        Fault::AnswersWhatItDoesNotDeclare => kit::<Modest>(*fault),
        _ => kit::<Whole>(*fault),
    };
    tests.iter().filter_map(|test| not_seen(&kit, &format!("{fault:?}"), test)).collect()
}

/// The tests that must be by themselves in a process, because memory that others have given back would hide what is
/// kept.
const OF_MEMORY: [&str; 2] = ["source::what_nobody_asks_for_is_not_read", "source::memory_does_not_grow_with_a_slice"];

fn is_of_memory((_, tests): &&(Fault, &[&str])) -> bool {
    tests.iter().any(|test| OF_MEMORY.contains(test))
}

#[test]
fn every_fault_is_seen_by_the_tests_that_name_it() {
    let mut problems: Vec<String> = FAULTS.iter().filter(|fault| !is_of_memory(fault)).flat_map(unseen).collect();
    let careless = Kit::of::<Careless>();
    problems.extend(CARELESS.iter().filter_map(|test| not_seen(&careless, "carelessness", test)));
    assert_eq!(problems, [""; 0]);
}

#[test]
fn memory_that_grows_is_seen() {
    const ALONE: &str = "ENDPOINT_TESTKIT_FAULT";
    let of_memory: Vec<_> = FAULTS.iter().filter(is_of_memory).collect();
    if let Ok(alone) = env::var(ALONE) {
        let of_this = of_memory.iter().filter(|(fault, _)| format!("{fault:?}") == alone);
        assert_eq!(of_this.flat_map(|fault| unseen(fault)).collect::<Vec<_>>(), [""; 0]);
        return;
    }
    assert!(of_memory.len() > 1);
    for (fault, _) in of_memory {
        let alone = Command::new(env::current_exe().unwrap())
            .args(["--exact", "memory_that_grows_is_seen"])
            .env(ALONE, format!("{fault:?}"))
            .output()
            .unwrap();
        assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stderr));
    }
}

#[test]
fn no_test_is_without_a_fault_that_it_sees() {
    let seen: BTreeSet<&str> = FAULTS.iter().flat_map(|(_, tests)| *tests).copied().chain(CARELESS).collect();
    let unseen: Vec<&str> = tests().iter().map(|test| test.name).filter(|name| !seen.contains(name)).collect();
    assert_eq!(unseen, [""; 0], "these tests may be unable to fail");
}

#[test]
fn a_driver_without_a_fault_passes_what_it_declares() {
    for (kit, expected) in [(kit::<Whole>(Fault::None), true), (kit::<Modest>(Fault::None), false)] {
        let outcomes = kit.outcomes();
        for outcome in &outcomes {
            assert_eq!(outcome.verdict, Verdict::Passed, "{}", outcome.test);
        }
        assert_eq!(outcomes.iter().any(|outcome| outcome.test.starts_with("replay::")), expected);
        let matrix = support_matrix(&BTreeMap::from([(kit.driver().to_owned(), outcomes)]));
        assert_eq!(matrix.contains("| sink.replay | – |"), !expected, "{matrix}");
    }
}

#[test]
fn without_a_place_tests_are_ignored_and_say_why() {
    let unavailable = || Err(endpoint_testkit::Unavailable("the server is not installed".to_owned()));
    let kit = kit::<Whole>(Fault::None).places(unavailable);
    for outcome in kit.outcomes() {
        let expected = match outcome.test.as_str() {
            name if name.starts_with("driver::") => continue,
            _ => Verdict::Ignored("the server is not installed".to_owned()),
        };
        assert_eq!(outcome.verdict, expected, "{}", outcome.test);
    }
}

#[test]
fn what_nothing_was_given_for_is_ignored_and_not_silent() {
    let outcomes = Kit::of::<Whole>().outcomes();
    for (test, expected) in [
        ("source::units_are_unique_and_stay", "no place"),
        ("source::batches_are_bounded", "was not given"),
        ("source::memory_does_not_grow_with_a_slice", "was not given"),
        ("verify::what_somebody_has_changed_is_found_and_mended", "was not given"),
        ("driver::what_is_wrong_shows_in_a_check", "was not given"),
    ] {
        let outcome = outcomes.iter().find(|outcome| outcome.test == test).unwrap();
        assert!(matches!(&outcome.verdict, Verdict::Ignored(why) if why.contains(expected)), "{outcome:?}");
    }
}

#[test]
fn names_of_tests_are_their_own() {
    let mut names: Vec<&str> = tests().iter().map(|test| test.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}
