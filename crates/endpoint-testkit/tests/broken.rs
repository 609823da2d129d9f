//! Each driver with a fault fails in the test that names the fault.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod memory;

use std::collections::BTreeMap;

use endpoint_testkit::{Kit, Verdict, support_matrix, tests};
use memory::{Fault, Loose, Modest, Whole, kit};

/// What is wrong, and the test that must show it.
const BROKEN: [(Fault, &str); 42] = [
    (Fault::LastWriteWins, "sink::a_stale_version_never_wins"),
    (Fault::PartReplacesWhole, "sink::a_part_never_replaces_a_whole"),
    (Fault::SwallowsRejects, "sink::rejects_are_kept_once_with_all_they_tell"),
    (Fault::LosesTheLastRowOfABatch, "sink::many_rows_are_stored"),
    (Fault::LeaksThePassword, "driver::an_endpoint_shows_no_secret"),
    (Fault::ClaimsReplay, "replay::what_is_replayed_is_no_reject_any_more"),
    (Fault::ClaimsVerify, "verify::what_was_loaded_is_found_as_it_was"),
    (Fault::ClaimsGrants, "grants::rights_are_said_before_anything_is_there"),
    (Fault::ShowsPlumbingToReaders, "grants::a_reader_sees_more_only_when_that_is_asked_for"),
    (Fault::CheckpointBeforeTheData, "run::the_checkpoint_moves_over_the_gap_free_prefix"),
    (Fault::ComparesNoFence, "run::an_overtaken_run_commits_nothing"),
    (Fault::KeepsWhatIsAborted, "sink::an_aborted_load_leaves_nothing"),
    (Fault::CommitsToItselfOnly, "sink::what_is_committed_is_there_for_whoever_opens_the_place_anew"),
    (Fault::KeepsNoLedger, "run::a_committed_slice_answers_with_its_receipt"),
    (Fault::PlansForEver, "provision::what_was_applied_is_followed_by_an_empty_plan"),
    (Fault::AppliesTwice, "provision::many_apply_one_plan_at_once"),
    (Fault::MakesWhilePlanning, "provision::planning_changes_nothing"),
    (Fault::TellsNoState, "provision::a_plan_for_another_state_is_refused"),
    (Fault::AppliesWhatIsRefused, "provision::what_adding_cannot_mend_is_refused"),
    (Fault::ForgetsARecordWhenReadAgain, "source::a_slice_gives_the_same_records_again"),
    (Fault::IgnoresTheCheckpoint, "source::after_the_checkpoint_there_is_nothing_more"),
    (Fault::TakesAnyUnit, "source::an_unknown_unit_is_refused"),
    (Fault::RecognisesEverything, "sink::a_record_is_recognised_only_when_its_row_is_there"),
    (Fault::RewritesRawRecords, "raw::records_are_kept_to_the_byte"),
    (Fault::CountsDuplicatesAsInserted, "sink::of_one_key_in_a_slice_the_greatest_is_stored"),
    (Fault::FoldsTheCaseOfKeys, "sink::keys_are_told_apart_to_the_last_character"),
    (Fault::RepeatsFences, "run::fences_rise"),
    (Fault::ReplacesPlans, "run::a_plan_is_stored_once"),
    (Fault::RespectsNobody, "run::a_run_that_is_alive_is_respected"),
    (Fault::IsBlockedByTheDead, "run::a_run_that_has_died_is_not_in_the_way"),
    (Fault::DeletesForGood, "sink::a_deletion_stands_until_the_record_is_seen_again"),
    (Fault::ListsTheOldestFirst, "sink::rejects_are_listed_newest_first"),
    (Fault::StoresRejectsAtOnce, "transaction::rejects_go_with_an_aborted_load"),
    (Fault::LoadsWithoutATable, "run::what_is_not_provisioned_is_told"),
    (Fault::SucceedsWithSlicesLeft, "run::a_run_does_not_succeed_with_slices_left"),
    (Fault::ChangesTheCheckpoint, "run::a_checkpoint_comes_back_as_it_was"),
    (Fault::TellsBeforeTheCommit, "outbox::an_overtaken_run_tells_nothing"),
    (Fault::TellsOfNoEnd, "outbox::what_goes_with_the_end_of_a_run_is_there_with_it"),
    (Fault::TellsTwice, "outbox::a_message_is_put_once"),
    (Fault::TellsTheNewestFirst, "outbox::messages_wait_in_their_order"),
    (Fault::DeliversAgain, "outbox::what_is_delivered_waits_no_more"),
    (Fault::KeepsWhatWasDelivered, "outbox::the_outbox_does_not_grow_with_what_was_delivered"),
];

fn assert_fails(kit: &Kit, what: &str, test: &str) {
    let outcomes = kit.outcomes_of(|name| name == test);
    match outcomes.as_slice() {
        [outcome] => match &outcome.verdict {
            Verdict::Failed(why) => assert!(why.contains("The contract says so in "), "{why}"),
            other => panic!("{what} is not seen by {test}: {other:?}"),
        },
        _ => panic!("there is no test {test} for {what}"),
    }
}

#[test]
fn every_fault_is_seen_by_the_test_that_names_it() {
    for (fault, test) in BROKEN {
        assert_fails(&kit::<Whole>(fault), &format!("{fault:?}"), test);
    }
    let answers = kit::<Modest>(Fault::AnswersWhatItDoesNotDeclare);
    assert_fails(&answers, "an ability that is not declared", "driver::what_is_not_declared_is_unsupported");
    assert_fails(&kit::<Loose>(Fault::None), "a key that nobody knows", "driver::an_unknown_key_is_refused");
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
    let kit =
        Kit::of::<Whole>().places(|| Err(endpoint_testkit::Unavailable("the server is not installed".to_owned())));
    for outcome in kit.outcomes() {
        let expected = match outcome.test.as_str() {
            name if name.starts_with("driver::") => continue,
            _ => Verdict::Ignored("the server is not installed".to_owned()),
        };
        assert_eq!(outcome.verdict, expected, "{}", outcome.test);
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
