use proptest::prelude::*;

use super::*;

/// One record of one key, as a run sees it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    operation: Operation,
    version: Version,
}

fn upsert(rank: Rank, version_at: Option<i64>, observation: u64, content: u8) -> Seen {
    let version = Version { rank, version_at, observation, mapper_revision: 1, content_hash: [content; 16] };
    Seen { operation: Operation::Upsert, version }
}

fn delete(observation: u64) -> Seen {
    Seen { operation: Operation::Delete, ..upsert(Rank::Whole, None, observation, 0) }
}

/// Loads records one after the other, as a sink does.
fn load(records: &[Seen]) -> Option<Stored> {
    let mut stored: Option<Stored> = None;
    for Seen { operation, version } in records {
        let verdict = judge(*operation, version, stored.as_ref());
        let newest = |stored: &Stored| stored.version.observation.max(version.observation);
        match (verdict, &mut stored) {
            (Verdict::Store, None) => stored = Some(Stored { version: *version, deleted: false, source_hash: None }),
            (Verdict::Store, Some(row)) => {
                let deleted = row.deleted && !version.revives(&row.version);
                *row = Stored { version: Version { observation: newest(row), ..*version }, deleted, source_hash: None };
            }
            (Verdict::Revive | Verdict::Delete, Some(row)) => {
                row.deleted = verdict == Verdict::Delete;
                row.version.observation = newest(row);
            }
            _ => {}
        }
    }
    stored
}

/// What law 5 compares: content, rank, version time and whether the record is deleted.
fn table(stored: Option<Stored>) -> Option<(Rank, Option<i64>, [u8; 16], bool)> {
    stored.map(|row| (row.version.rank, row.version.version_at, row.version.content_hash, row.deleted))
}

#[test]
fn equal_version_times_go_to_the_later_observation() {
    let (a, b) = (upsert(Rank::Whole, Some(5), 1, 9), upsert(Rank::Whole, Some(5), 2, 1));
    assert_eq!(load(&[a, b]).unwrap().version.content_hash, [1; 16]);
    assert_eq!(load(&[b, a]).unwrap().version.content_hash, [1; 16]);
}

#[test]
fn a_part_never_replaces_a_whole_record() {
    let (part, whole) = (upsert(Rank::Part, Some(9), 9, 9), upsert(Rank::Whole, None, 1, 1));
    for order in [[part, whole], [whole, part]] {
        assert_eq!(load(&order).unwrap().version.rank, Rank::Whole);
    }
}

#[test]
fn at_one_version_time_a_record_that_states_its_access_stays_whenever_it_was_seen() {
    let stated = |version_at, observation| upsert(Rank::WithAccess, Some(version_at), observation, 1);
    let (stated_first, later_copy) = (stated(5, 1), upsert(Rank::Whole, Some(5), 9, 9));
    for order in [[stated_first, later_copy], [later_copy, stated_first]] {
        assert_eq!(load(&order).unwrap().version.content_hash, [1; 16]);
    }
    let newer = upsert(Rank::Whole, Some(6), 9, 9);
    for order in [[stated_first, newer], [newer, stated_first]] {
        assert_eq!(load(&order).unwrap().version.content_hash, [9; 16], "a newer version counts more");
    }
    let other = Seen { version: Version { content_hash: [0; 16], ..stated(5, 2).version }, ..stated_first };
    for order in [[stated_first, other], [other, stated_first]] {
        assert_eq!(load(&order).unwrap().version.content_hash, [0; 16], "of two that state it the later one stays");
    }
}

#[test]
fn a_copy_that_does_not_state_its_access_is_a_sign_of_life() {
    let stated = upsert(Rank::WithAccess, Some(5), 1, 1);
    let row = load(&[stated, delete(2), upsert(Rank::Whole, Some(5), 3, 9)]).unwrap();
    assert_eq!((row.deleted, row.version.content_hash), (false, [1; 16]));
}

#[test]
fn among_parts_the_greatest_hash_wins_whenever_it_was_seen() {
    let (small, great) = (upsert(Rank::Part, None, 9, 1), upsert(Rank::Part, None, 1, 2));
    for order in [[small, great], [great, small]] {
        assert_eq!(load(&order).unwrap().version.content_hash, [2; 16]);
    }
}

#[test]
fn records_without_a_time_are_below_those_with_one() {
    let (timeless, timed) = (upsert(Rank::Whole, None, 9, 9), upsert(Rank::Whole, Some(1), 1, 1));
    for order in [[timeless, timed], [timed, timeless]] {
        assert_eq!(load(&order).unwrap().version.version_at, Some(1));
    }
}

#[test]
fn seen_again_unchanged_is_live_again() {
    let seen = |observation| upsert(Rank::Whole, Some(5), observation, 1);
    assert!(load(&[seen(1), delete(2)]).unwrap().deleted);
    assert!(!load(&[seen(1), delete(2), seen(3)]).unwrap().deleted);
    assert!(load(&[seen(2), delete(2), seen(2)]).unwrap().deleted, "within one run a deletion stands");
    assert!(load(&[seen(1), delete(2), upsert(Rank::Part, None, 3, 7)]).unwrap().deleted, "a part is no sign of life");
    assert!(load(&[delete(1)]).is_none());
}

#[test]
fn the_same_again_is_unchanged() {
    let row = load(&[upsert(Rank::Whole, Some(5), 1, 1)]);
    let again = |seen: Seen| judge(seen.operation, &seen.version, row.as_ref());
    assert_eq!(again(upsert(Rank::Whole, Some(5), 7, 1)), Verdict::Unchanged);
    assert_eq!(again(upsert(Rank::Whole, Some(6), 7, 1)), Verdict::Store, "the version time moved");
    assert_eq!(again(upsert(Rank::Whole, Some(4), 7, 2)), Verdict::Stale);
    assert_eq!(again(upsert(Rank::Part, Some(5), 7, 1)), Verdict::Stale);
}

fn permuted<T: std::fmt::Debug + Clone + 'static>(
    records: impl Strategy<Value = Vec<T>>,
) -> impl Strategy<Value = (Vec<T>, Vec<T>)> {
    records.prop_flat_map(|records| {
        let repeated: Vec<T> = records.iter().chain(&records).cloned().collect();
        (Just(records), Just(repeated).prop_shuffle())
    })
}

proptest! {
    /// Each version time stands for one content; any order and repetition gives the same table.
    #[test]
    fn records_with_distinct_times_converge(
        (in_order, shuffled) in permuted(prop::collection::vec((0..6i64, 1..9u64), 1..8))
    ) {
        let seen = |times: &[(i64, u64)]| {
            let records: Vec<Seen> = times
                .iter()
                .map(|(time, observation)| upsert(Rank::Whole, Some(*time), *observation, u8::try_from(7 - time).unwrap()))
                .collect();
            table(load(&records))
        };
        prop_assert_eq!(seen(&in_order), seen(&shuffled));
    }

    /// Of each version time there may be a copy that does not state its access, seen by any run: the table is the same,
    /// and it holds such a copy only where its version time is the greatest and nothing of that time states it.
    #[test]
    fn copies_that_do_not_state_their_access_converge(
        (in_order, shuffled) in permuted(prop::collection::vec((0..4i64, any::<bool>(), 1..9u64), 1..8))
    ) {
        let seen = |records: &[(i64, bool, u64)]| {
            let records: Vec<Seen> = records
                .iter()
                .map(|(time, states, observation)| {
                    let rank = if *states { Rank::WithAccess } else { Rank::Whole };
                    let content = u8::try_from(9 - time - i64::from(*states)).unwrap();
                    upsert(rank, Some(*time), *observation, content)
                })
                .collect();
            table(load(&records))
        };
        let table = seen(&in_order);
        prop_assert_eq!(table, seen(&shuffled));
        let newest = in_order.iter().map(|(time, ..)| *time).max();
        let is_stated = in_order.iter().any(|(time, states, _)| Some(*time) == newest && *states);
        let (rank, version_at, ..) = table.unwrap();
        prop_assert_eq!((rank == Rank::WithAccess, version_at), (is_stated, newest));
    }

    /// Parts converge under any order, with whole records among them.
    #[test]
    fn parts_converge((in_order, shuffled) in permuted(prop::collection::vec((0..5u8, 1..9u64, any::<bool>()), 1..8))) {
        let seen = |records: &[(u8, u64, bool)]| {
            let records: Vec<Seen> = records
                .iter()
                .map(|(content, observation, whole)| match whole {
                    true => upsert(Rank::Whole, Some(i64::from(*content)), *observation, *content),
                    false => upsert(Rank::Part, None, *observation, *content),
                })
                .collect();
            table(load(&records))
        };
        prop_assert_eq!(seen(&in_order), seen(&shuffled));
    }

    /// Within one run, records without a time converge whatever their order.
    #[test]
    fn timeless_records_of_one_run_converge((in_order, shuffled) in permuted(prop::collection::vec(0..9u8, 1..8))) {
        let seen = |contents: &[u8]| {
            table(load(&contents.iter().map(|content| upsert(Rank::Whole, None, 3, *content)).collect::<Vec<_>>()))
        };
        prop_assert_eq!(seen(&in_order), seen(&shuffled));
    }

    /// Runs in their order, each repeated: the last one that saw the record decides.
    #[test]
    fn timeless_records_follow_the_order_of_runs(runs in prop::collection::vec(prop::collection::vec(0..9u8, 1..4), 1..5)) {
        let mut records = Vec::new();
        for (observation, contents) in (1..).zip(&runs) {
            for _ in 0..2 {
                records.extend(contents.iter().map(|content| upsert(Rank::Whole, None, observation, *content)));
            }
        }
        let expected = runs.last().unwrap().iter().max().unwrap();
        // A content that an earlier run had stored and the last one confirms stays unwritten, so the
        // greatest of the last run wins whatever was there before.
        prop_assert_eq!(load(&records).unwrap().version.content_hash, [*expected; 16]);
    }
}
