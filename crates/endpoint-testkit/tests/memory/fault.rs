use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Makes the faults, each with the tests of the kit that must see it.
macro_rules! faults {
    ($($(#[$about:meta])* $fault:ident => [$($test:literal),+];)+) => {
        /// What is wrong with the driver.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub(crate) enum Fault {
            /// Nothing.
            #[default]
            None,
            $($(#[$about])* $fault,)+
        }

        /// Every fault with the tests that must see it.
        pub(crate) const FAULTS: &[(Fault, &[&str])] = &[$((Fault::$fault, &[$($test),+]),)+];
    };
}

faults! {
    // What it is.
    LeaksThePassword => ["driver::an_endpoint_shows_no_secret"];
    LeavesAFileWhenItChecks => ["driver::a_check_succeeds_and_changes_nothing"];
    FailsToCheck => ["driver::what_is_wrong_shows_in_a_check"];
    HidesARole => ["driver::an_endpoint_has_the_roles_that_are_declared"];
    HidesTheListing => ["driver::an_endpoint_has_the_roles_that_are_declared"];
    HidesTheDismissals => ["driver::an_endpoint_has_the_roles_that_are_declared"];

    // What it reads.
    ListsAUnitTwice => ["source::units_are_unique_and_stay"];
    TakesAnyUnit => ["source::an_unknown_unit_is_refused"];
    NumbersSlicesFromOne => ["source::plans_are_numbered_and_the_same_again"];
    GivesARecordTwice => ["source::every_record_comes_once"];
    GivesAnothersBatches => ["source::every_record_comes_once"];
    RejectsWithoutBytes => ["source::a_reject_has_a_reason_and_its_bytes"];
    ForgetsARecordWhenReadAgain => ["source::a_slice_gives_the_same_records_again"];
    ReadsOnlyWhatItPlanned => ["source::another_process_reads_the_same_slices"];
    GoesOnWhereItWasGivenUp => ["source::a_reading_that_is_given_up_changes_nothing"];
    ReadsAhead => ["source::what_nobody_asks_for_is_not_read"];
    GivesAllAtOnce => ["source::batches_are_bounded"];
    KeepsWhatItHasRead => ["source::memory_does_not_grow_with_a_slice"];
    ReadsASliceAtOnce => ["source::memory_does_not_grow_with_a_slice"];
    KeepsASliceUntilItsEnd => ["source::memory_does_not_grow_with_a_slice"];
    TellsNoCheckpoint => ["source::the_last_batch_says_where_to_go_on"];
    IgnoresTheCheckpoint => ["source::after_the_checkpoint_there_is_nothing_more"];
    SkipsARecordAfterACheckpoint => ["source::reading_goes_on_after_any_checkpoint"];
    MissesWhatIsAdded => ["source::what_is_added_is_read"];
    KeepsItsFingerprint => ["source::what_is_added_is_read"];
    PlansWithThePassword => ["source::plans_and_checkpoints_hold_no_secret"];

    // What it stores of raw records.
    RewritesRawRecords => ["raw::records_are_kept_to_the_byte"];

    // Which row it stores.
    KnowsItsOwnModelsOnly => ["sink::a_model_of_the_kit_is_stored"];
    CountsUnchangedAsUpdated => ["sink::the_same_again_writes_nothing"];
    LastWriteWins => ["sink::a_stale_version_never_wins", "sink::any_order_repetition_and_cut_ends_alike"];
    FirstWriteWins => ["sink::a_newer_version_wins"];
    IgnoresTheObservation => ["sink::without_a_time_the_newer_run_wins"];
    TakesNoTimeForTheNewest => ["sink::a_time_is_above_none"];
    ForgetsWhatItHasRead => ["sink::what_has_not_changed_since_is_not_newer_for_being_read_again"];
    IgnoresTheHash => ["sink::of_two_records_of_one_time_both_orders_end_alike"];
    IgnoresTheRevision => ["sink::of_one_record_the_newer_mapper_wins"];
    CountsDuplicatesAsInserted => ["sink::of_one_key_in_a_slice_the_greatest_is_stored"];
    CountsMentionsAsRecords => ["sink::mentions_are_counted_apart"];
    PartReplacesWhole => ["sink::a_part_never_replaces_a_whole"];
    IgnoresStatedAccess => ["sink::a_copy_that_does_not_state_who_may_read_it_never_replaces_one_that_does"];
    DeletesForGood => ["sink::a_deletion_stands_until_the_record_is_seen_again"];
    CountsNoDeletionOfNothing => ["sink::what_was_never_there_can_be_deleted"];
    RecognisesEverything => ["sink::a_record_is_recognised_only_when_its_row_is_there"];
    RecognisesWhatIsDeleted => ["sink::a_record_that_was_deleted_is_not_recognised"];
    LosesTheLastRowOfABatch => ["sink::many_rows_are_stored"];

    // What it stores of a row.
    RoundsTimes => ["sink::values_of_every_type_arrive"];
    SortsLabels => ["sink::values_of_every_type_arrive"];
    RewritesJson => ["sink::values_of_every_type_arrive"];
    KeepsWhatIsNullNow => ["sink::a_newer_version_replaces_every_value"];
    TakesEmptyTextForNull => ["sink::any_text_arrives"];
    KeepsNumbersAsFloats => ["sink::values_of_every_type_arrive"];
    TakesInfinityForALargeNumber => ["sink::extreme_values_arrive_or_are_rejected"];
    RejectsABatchForARow => ["sink::a_huge_row_does_not_harm_its_neighbours"];
    FoldsTheCaseOfKeys => ["sink::keys_are_told_apart_to_the_last_character"];

    // Loads.
    KeepsWhatIsAborted => [
        "sink::an_aborted_load_leaves_nothing",
        "sink::a_dropped_load_leaves_nothing",
        "raw::an_aborted_load_leaves_nothing",
        "transaction::nothing_is_to_be_seen_before_the_commit"
    ];
    CommitsToItselfOnly => ["sink::what_is_committed_is_there_for_whoever_opens_the_place_anew"];
    RefusesEmptySlices => ["sink::an_empty_slice_commits"];
    LoadsOneAtATime => ["sink::several_loads_are_open_at_once"];
    JudgesByWhatWasThereAtFirst => ["sink::slices_with_the_same_keys_at_once_end_as_one_after_the_other"];
    TakesAnyBatch => ["sink::a_batch_of_another_shape_is_refused"];
    SwallowsRejects => ["sink::rejects_are_kept_once_with_all_they_tell", "raw::rejects_are_kept"];
    ListsTheOldestFirst => [
        "sink::rejects_are_listed_newest_first",
        "rejects::what_matches_is_listed_newest_first"
    ];
    KeepsARejectTwice => [
        "sink::rejects_are_kept_once_with_all_they_tell",
        "rejects::what_is_alike_is_counted_as_one"
    ];
    StoresRejectsAtOnce => ["transaction::rejects_go_with_an_aborted_load"];
    StoresRejectsBeforeTheFence => ["run::an_overtaken_run_commits_nothing"];
    KeepsRejectsAsText => ["sink::rejects_are_kept_once_with_all_they_tell"];
    DatesRejectsAnew => ["sink::rejects_are_kept_once_with_all_they_tell"];
    CommitsInTwoSteps => ["transaction::a_commit_that_is_given_up_has_happened_or_not"];
    StaysLockedWhenDropped => ["transaction::a_call_that_is_given_up_can_be_made_again"];

    // Runs.
    RefusesSitesInItsCheckOnly => ["run::a_site_is_refused_by_the_check_and_by_the_run_alike"];
    RepeatsFences => ["run::fences_rise"];
    CountsFencesByIngestion => ["run::fences_rise"];
    ForgetsWhatItHasSeen => ["run::what_a_run_has_seen_is_known_when_it_is_continued"];
    CountsRowsTwice => ["run::a_receipt_tells_how_many_rows_there_are"];
    TellsNotWhatItAbandons => ["run::a_restart_begins_anew"];
    NeverGoesOn => ["run::a_failed_run_is_continued"];
    GoesOnWithWhatHasSucceeded => ["run::a_run_that_succeeded_is_not_continued"];
    NeverBeginsAnew => ["run::a_restart_begins_anew"];
    ComparesNoFence => [
        "run::an_overtaken_run_commits_nothing",
        "run::an_overtaken_run_cannot_end",
        "raw::an_overtaken_run_commits_nothing"
    ];
    RespectsNobody => ["run::a_run_that_is_alive_is_respected"];
    DoesNotWait => ["run::a_run_that_waits_goes_on_when_the_other_has_ended"];
    IsBlockedByTheDead => ["run::a_run_that_has_died_is_not_in_the_way"];
    ReplacesPlans => ["run::a_plan_is_stored_once"];
    KeepsNoLedger => [
        "run::a_committed_slice_answers_with_its_receipt",
        "run::a_slice_that_is_begun_twice_counts_once",
        "raw::a_slice_that_is_loaded_twice_is_there_once"
    ];
    AsksTheLedgerOnlyAtFirst => [
        "run::a_slice_that_is_begun_twice_counts_once",
        "outbox::what_goes_with_a_commit_that_was_done_before_is_not_told"
    ];
    SucceedsWithSlicesLeft => ["run::a_run_does_not_succeed_with_slices_left"];
    CheckpointBeforeTheData => ["run::the_checkpoint_moves_over_the_gap_free_prefix"];
    ForgetsTheCheckpoint => ["run::the_checkpoint_outlives_runs_without_one"];
    TakesModelsForOne => ["run::what_one_model_has_got_another_has_not"];
    TakesMajorsForOne => ["run::each_major_version_of_a_model_stands_by_itself"];
    ChangesTheCheckpoint => ["run::a_checkpoint_comes_back_as_it_was"];
    LoadsWithoutATable => ["run::what_is_not_provisioned_is_told"];
    LoadsWithoutAField => ["run::what_is_not_provisioned_is_told"];

    // Provisioning.
    MakesWhilePlanning => ["provision::planning_changes_nothing"];
    PlansForEver => ["provision::what_was_applied_is_followed_by_an_empty_plan"];
    AppliesTwice => ["provision::many_apply_one_plan_at_once"];
    MakesTablesAnew => ["provision::a_newer_model_is_added_to_its_table"];
    AddsAFieldInNameOnly => ["provision::a_newer_model_is_added_to_its_table"];
    TakesNamesApart => ["provision::hostile_names_are_names_and_nothing_else"];
    CutsLongNames => ["provision::names_that_are_alike_are_told_apart_or_refused"];
    TellsNoState => ["provision::a_plan_for_another_state_is_refused"];
    AppliesWhatIsRefused => ["provision::what_adding_cannot_mend_is_refused"];
    AppliesWhatItIsTold => ["provision::a_plan_that_was_kept_is_carried_out_as_it_is"];

    // Rights.
    ClaimsGrants => ["grants::rights_are_said_before_anything_is_there"];
    GivesNoReason => ["grants::every_role_is_named_and_every_right_is_needed"];
    ShowsPlumbingToReaders => ["grants::a_reader_sees_more_only_when_that_is_asked_for"];
    GivesANameToTwoRoles => ["grants::a_name_is_one_role"];

    // Replay and verification.
    ClaimsReplay => ["replay::what_is_replayed_is_no_reject_any_more"];
    ReplaysAsIfNew => ["replay::what_is_replayed_is_no_reject_any_more"];
    ReplaysIntoTheFuture => ["replay::what_is_replayed_is_no_reject_any_more"];
    CountsReplaysElsewhere => ["replay::what_is_replayed_counts_where_it_goes"];
    ReplaysUncounted => ["replay::what_is_replayed_is_no_reject_any_more"];
    HidesTheReplayableRejects => ["driver::an_endpoint_has_the_roles_that_are_declared"];
    ReplaysWhatIsNoRecord => ["replay::what_can_be_replayed_is_read_once_page_by_page"];
    PagesByTime => ["replay::what_can_be_replayed_is_read_once_page_by_page"];
    IgnoresThePageLimit => ["replay::what_can_be_replayed_is_read_once_page_by_page"];
    CountsAllAsOthers => ["replay::what_can_be_replayed_is_read_once_page_by_page"];
    ForgetsTheAliases => ["replay::what_came_with_a_record_comes_back_with_its_reject"];
    ForgetsWhatIsRejectedAgain => ["replay::what_is_replayed_is_no_reject_any_more"];
    ForgetsRejectsBeforeTheCommit => ["replay::a_replay_that_is_given_up_keeps_the_reject"];
    ClaimsVerify => ["verify::what_was_loaded_is_found_as_it_was"];
    VerifiesNothing => ["verify::what_was_loaded_is_found_as_it_was"];
    FindsNothingChanged => ["verify::what_somebody_has_changed_is_found_and_mended"];
    MarksNothing => ["verify::what_somebody_has_changed_is_found_and_mended"];
    KeepsTheCheckpointAfterARepair => ["verify::what_somebody_has_changed_is_found_and_mended"];

    // The outbox.
    TellsOfNoCommit => ["outbox::what_goes_with_a_commit_is_there_with_it"];
    TellsBeforeTheCommit => ["outbox::an_overtaken_run_tells_nothing"];
    TellsOfNoEnd => ["outbox::what_goes_with_the_end_of_a_run_is_there_with_it"];
    TellsTwice => ["outbox::a_message_is_put_once"];
    TellsTheNewestFirst => ["outbox::messages_wait_in_their_order"];
    DeliversAgain => ["outbox::what_is_delivered_waits_no_more"];
    KeepsWhatWasDelivered => ["outbox::the_outbox_does_not_grow_with_what_was_delivered"];
    NeedsATableForTheOutbox => ["outbox::nothing_waits_where_nothing_is_provisioned"];

    // Rejects that are listed and dismissed.
    IgnoresTheFilter => [
        "rejects::what_matches_is_listed_newest_first",
        "rejects::what_is_dismissed_is_found_as_such_and_can_be_opened_again"
    ];
    IgnoresTheIds => ["rejects::what_matches_is_listed_newest_first"];
    IgnoresTheStage => ["rejects::what_matches_is_listed_newest_first"];
    IgnoresTheField => ["rejects::what_matches_is_listed_newest_first"];
    IgnoresTheIngestion => ["rejects::what_matches_is_listed_newest_first"];
    TakesReasonsToTheLetter => ["rejects::what_matches_is_listed_newest_first"];
    IgnoresTheLimit => ["rejects::what_matches_is_listed_newest_first"];
    ListsRecords => ["rejects::a_listing_gives_no_records"];
    ListsOnAfterABreak => ["rejects::a_listing_gives_no_records"];
    CountsEachReasonApart => ["rejects::what_is_alike_is_counted_as_one"];
    CountsTheSmallestGroupFirst => ["rejects::what_is_alike_is_counted_as_one"];
    GivesOneExampleForAll => ["rejects::what_is_alike_is_counted_as_one"];
    ListsWhatIsDismissedAsOpen => [
        "rejects::what_is_dismissed_is_found_as_such_and_can_be_opened_again",
        "rejects::a_dismissal_holds_for_what_it_was_given_for"
    ];
    DismissesTwice => ["rejects::what_is_dismissed_is_found_as_such_and_can_be_opened_again"];
    ForgetsWhoDismissed => ["rejects::what_is_dismissed_is_found_as_such_and_can_be_opened_again"];
    ForgetsWhenItDismissed => ["rejects::what_is_dismissed_is_found_as_such_and_can_be_opened_again"];
    RemovesWhatIsDismissed => ["rejects::what_is_dismissed_is_found_as_such_and_can_be_opened_again"];
    ReopensNothing => ["rejects::what_is_dismissed_is_found_as_such_and_can_be_opened_again"];
    DismissesForGood => ["rejects::a_dismissal_holds_for_what_it_was_given_for"];
    OpensWhatIsRejectedAgain => ["rejects::a_dismissal_holds_for_what_it_was_given_for"];

    // Rejects of records that have moved, were mended or were loaded since.
    KeepsTheFirstOrigin => ["rejects::a_record_that_moves_is_the_same_reject"];
    KeepsRejectsThatAreAbsent => ["rejects::what_a_resource_holds_no_longer_is_no_reject"];
    RemovesRejectsOfOtherResources => ["rejects::what_a_resource_holds_no_longer_is_no_reject"];
    RemovesRejectsWhenARunFails => ["rejects::what_a_resource_holds_no_longer_is_no_reject"];
    KeepsRejectsOfRows => ["rejects::a_record_that_is_loaded_later_is_no_reject"];
    SettlesByMentions => ["rejects::a_record_that_is_loaded_later_is_no_reject"];
    SettlesByWhatWasLoadedBefore => ["rejects::what_was_loaded_before_settles_no_reject"];

    // What a driver that declares less than everything says to the rest.
    AnswersWhatItDoesNotDeclare => ["driver::what_is_not_declared_is_unsupported"];
}
