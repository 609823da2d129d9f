//! Rows that the server refuses, and rows that meet others of their key.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Bench, Row, Thing, begin, load_slice, plan, put, spec, timeless};
use endpoint_api::{Batch, Commit, Counts, ErrorKind, RejectQuery, RunEnd, Sink as _, StoredReject, batch::Stage};

/// Refuses names that begin with `bad`, and counts how often it does.
const REFUSE_BAD: &str = "
    create sequence refusals;
    create function refuse(name text) returns boolean language plpgsql as $$
    begin
        if name like 'bad%' then
            perform nextval('public.refusals');
            return false;
        end if;
        return true;
    end $$;
    alter table cdm_work.cdm_test_thing add constraint no_bad_names check (public.refuse(name))";

async fn bench() -> Bench {
    let bench = Bench::new().await;
    bench.execute(REFUSE_BAD).await;
    bench
}

/// Things from 0 on, of which some are bad.
fn things(count: usize, bad: &[usize], version_at: i64) -> Vec<Row<'static>> {
    let name = |number: usize| if bad.contains(&number) { format!("bad {number}") } else { format!("good {number}") };
    (0..count).map(|number| put(Thing::named(format!("{number:04}"), name(number)), version_at)).collect()
}

async fn rejects(bench: &Bench) -> Vec<StoredReject> {
    let mut rejects = bench.sink.rejects(&RejectQuery::newest(10_000)).await.unwrap();
    rejects.sort_by(|a, b| a.key.cmp(&b.key));
    rejects
}

#[tokio::test]
async fn a_row_that_the_server_refuses_is_rejected_and_the_rest_commits() {
    let bench = bench().await;
    let counts = bench.load(&[&[&things(1000, &[0, 313, 999], 1)]]).await;
    assert_eq!(counts, Counts { inserted: 997, rejected: 3, ..Counts::default() });
    assert_eq!(bench.value("select count(*) from cdm_work.cdm_test_thing").await, "997");
    let rejects = rejects(&bench).await;
    assert_eq!(
        rejects.iter().map(|reject| reject.key.as_deref()).collect::<Vec<_>>(),
        [Some("0000"), Some("0313"), Some("0999")]
    );
    let StoredReject { stage, reason, origin, raw, .. } = &rejects[1];
    assert_eq!(
        (*stage, origin.as_str(), raw.as_slice()),
        (Stage::Sink, "things.jsonl:314", &br#"{"some":"record 313","of":"0313"}"#[..])
    );
    assert_eq!(
        reason, "the server refuses the row: the data does not fit (SQLSTATE 23514); constraint `no_bad_names`",
        "without a value"
    );
    // Each failed attempt met one bad row: at most log2 n + 1 for each of them.
    let attempts: usize = bench.value("select last_value from refusals").await.parse().unwrap();
    assert!(attempts <= 3 * 11, "{attempts} failed attempts");
}

#[tokio::test]
async fn a_change_that_the_server_refuses_leaves_the_row_as_it_was() {
    let bench = bench().await;
    bench.load(&[&[&things(100, &[], 1)]]).await;
    let counts = bench.load(&[&[&things(50, &[7], 2), &things(100, &[7, 60], 2)[50..]]]).await;
    assert_eq!(counts, Counts { updated: 98, rejected: 2, ..Counts::default() });
    let kept = "select count(*) from cdm_work.cdm_test_thing where _cdm_version_at < '1970-01-01 00:00:00.000002Z'";
    assert_eq!(bench.value(kept).await, "2");
    assert_eq!(rejects(&bench).await.len(), 2);
}

#[tokio::test]
async fn a_batch_in_which_every_row_is_bad_is_all_rejects() {
    let bench = bench().await;
    let all: Vec<usize> = (0..64).collect();
    for version_at in [1, 2] {
        let counts = bench.load(&[&[&things(64, &all, version_at)]]).await;
        assert_eq!(counts, Counts { rejected: 64, ..Counts::default() });
    }
    assert_eq!(rejects(&bench).await.len(), 64, "the same reject twice is one");
    assert_eq!(bench.value("select count(*) from cdm_work.cdm_test_thing").await, "0");
}

#[tokio::test]
async fn of_a_key_whose_first_row_is_refused_another_one_is_stored() {
    let bench = bench().await;
    bench.load(&[&[&[put(Thing::named("b", "old"), 1)]]]).await;
    let first = [put(Thing::named("a", "bad"), 1), put(Thing::named("b", "bad"), 5)];
    let second = [put(Thing::named("a", "good"), 1), put(Thing::named("b", "good"), 4)];
    let counts = bench.load(&[&[&first, &second]]).await;
    assert_eq!((counts.rejected, counts.total()), (2, 4));
    assert_eq!(bench.names().await, [("a".into(), "good".into()), ("b".into(), "good".into())]);
}

#[tokio::test]
async fn an_index_that_somebody_added_refuses_rows_as_constraints_do() {
    let bench = Bench::new().await;
    bench.execute("create unique index mine on cdm_work.cdm_test_thing (name)").await;
    let rows = [put(Thing::named("a", "x"), 1), put(Thing::named("b", "x"), 1), put(Thing::named("c", "y"), 1)];
    let counts = bench.load(&[&[&rows]]).await;
    assert_eq!(counts, Counts { inserted: 2, rejected: 1, ..Counts::default() });
    assert!(rejects(&bench).await[0].reason.ends_with("constraint `mine`"), "{:?}", rejects(&bench).await[0]);
}

#[tokio::test]
async fn a_value_that_no_index_holds_is_rejected() {
    let bench = Bench::new().await;
    // Too long for an index, whatever compression makes of it.
    let noise: String = (0..400).map(|number: u32| blake3::hash(&number.to_le_bytes()).to_hex().to_string()).collect();
    let long = Thing { whole: Some(noise.into()), ..Thing::named("long", "x") };
    let counts = bench.load(&[&[&[put(long, 1), put(Thing::named("short", "x"), 1)]]]).await;
    assert_eq!(counts, Counts { inserted: 1, rejected: 1, ..Counts::default() });
    assert!(rejects(&bench).await[0].reason.contains("SQLSTATE 54000"), "{:?}", rejects(&bench).await[0]);
}

#[tokio::test]
async fn a_trigger_has_its_say() {
    let bench = Bench::new().await;
    bench
        .execute(
            "create function hide() returns trigger language plpgsql as
             $$ begin if new.name = 'hidden' then return null; end if; new.count := 7; return new; end $$;
             create trigger hide before insert on cdm_work.cdm_test_thing for each row execute function hide()",
        )
        .await;
    let rows = [put(Thing::named("a", "hidden"), 1), put(Thing::named("b", "shown"), 1)];
    let counts = bench.load(&[&[&rows]]).await;
    assert_eq!(counts, Counts { inserted: 1, rejected: 1, ..Counts::default() });
    assert_eq!(bench.ask("select cdm_id, count from cdm_work.cdm_test_thing").await, [["b", "7"]]);
}

/// Things that are hidden, every tenth of them, by a function that a trigger calls.
async fn hiding(trigger: &str, function: &str) -> (Bench, Vec<Row<'static>>) {
    let bench = Bench::new().await;
    bench
        .execute(&format!("create function hide() returns trigger language plpgsql as $$ begin {function} end $$"))
        .await;
    bench.execute(&format!("create {trigger} execute function hide()")).await;
    let name = |number: usize| if number.is_multiple_of(10) { "hidden" } else { "shown" };
    (bench, (0..3000).map(|number| put(Thing::named(format!("{number:04}"), name(number)), 1)).collect())
}

#[tokio::test]
async fn a_row_that_a_trigger_drops_is_a_reject() {
    const NULL: &str = "if new.name = 'hidden' then return null; end if; return new;";
    const DELETE: &str = "delete from cdm_work.cdm_test_thing where name = 'hidden'; return null;";
    for (trigger, function) in [
        ("trigger hide before insert on cdm_work.cdm_test_thing for each row", NULL),
        ("trigger hide after insert on cdm_work.cdm_test_thing for each row", DELETE),
        ("trigger hide after insert on cdm_work.cdm_test_thing for each statement", DELETE),
        (
            "constraint trigger hide after insert on cdm_work.cdm_test_thing deferrable initially deferred for each row",
            DELETE,
        ),
    ] {
        let (bench, rows) = hiding(trigger, function).await;
        for inserted in [2700, 0] {
            let counts = bench.load(&[&[&rows]]).await;
            let expected = Counts { inserted, unchanged: 2700 - inserted, rejected: 300, ..Counts::default() };
            assert_eq!(counts, expected, "{trigger}");
            assert_eq!(bench.value("select count(*) from cdm_work.cdm_test_thing").await, "2700", "{trigger}");
        }
        let rejects = rejects(&bench).await;
        assert_eq!(rejects.len(), 300, "{trigger}");
        assert_eq!(rejects[1].key.as_deref(), Some("0010"));
        assert_eq!(rejects[1].reason, "a trigger, rule or policy of the table dropped the row without an error");
    }
}

#[tokio::test]
async fn a_change_that_a_trigger_drops_is_a_reject() {
    let (bench, rows) = hiding(
        "trigger hide before update on cdm_work.cdm_test_thing for each row",
        "if new.name = 'hidden' then return null; end if; return new;",
    )
    .await;
    assert_eq!(bench.load(&[&[&rows[..100]]]).await.inserted, 100);
    let newer: Vec<Row<'_>> = (0..100)
        .map(|number| put(Thing::named(format!("{number:04}"), if number < 5 { "hidden" } else { "new" }), 2))
        .collect();
    assert_eq!(bench.load(&[&[&newer]]).await, Counts { updated: 95, rejected: 5, ..Counts::default() });
    let older: Vec<Row<'_>> = (0..100).map(|number| put(Thing::named(format!("{number:04}"), "hidden"), 0)).collect();
    assert_eq!(bench.load(&[&[&older]]).await, Counts { stale: 100, ..Counts::default() }, "beaten by a stored row");
    // A record that was deleted and would be live again, and one that would be deleted.
    bench.execute("drop trigger hide on cdm_work.cdm_test_thing").await;
    let delete: Vec<Row<'_>> = ["0001", "0020"].map(|key| Row::Delete(key.to_owned())).into();
    assert_eq!(bench.load(&[&[&delete[..1]]]).await.updated, 1);
    bench
        .execute(
            "create or replace function hide() returns trigger language plpgsql as $$ begin return null; end $$;
             create trigger hide before update on cdm_work.cdm_test_thing for each row execute function hide()",
        )
        .await;
    assert_eq!(bench.load(&[&[&delete]]).await, Counts { unchanged: 1, rejected: 1, ..Counts::default() });
    let counts = bench.load(&[&[&[put(Thing::named("0001", "shown"), 1), put(Thing::named("0020", "new"), 2)]]]).await;
    assert_eq!(counts, Counts { unchanged: 1, rejected: 1, ..Counts::default() });
}

#[tokio::test]
async fn of_a_key_whose_greatest_row_is_dropped_another_one_is_stored() {
    let (bench, _) = hiding(
        "trigger hide before insert on cdm_work.cdm_test_thing for each row",
        "if new.name = 'hidden' then return null; end if; return new;",
    )
    .await;
    let rows = [put(Thing::named("a", "hidden"), 5), put(Thing::named("a", "good"), 4), put(Thing::named("b", "x"), 1)];
    let counts = bench.load(&[&[&rows]]).await;
    assert_eq!((counts.rejected, counts.inserted, counts.total()), (1, 2, 3));
    assert_eq!(bench.names().await, [("a".into(), "good".into()), ("b".into(), "x".into())]);
}

#[tokio::test]
async fn a_trigger_that_is_made_while_a_run_is_open_drops_nothing_unseen() {
    let bench = Bench::new().await;
    let run = bench.sink.open_run(&spec("run-t")).await.unwrap();
    run.record_plan(&plan(1)).await.unwrap();
    bench
        .execute(
            "create function hide() returns trigger language plpgsql as
             $$ begin if new.name = 'hidden' then return null; end if; return new; end $$;
             create trigger hide before insert on cdm_work.cdm_test_thing for each row execute function hide()",
        )
        .await;
    let rows = [put(Thing::named("a", "hidden"), 1), put(Thing::named("b", "shown"), 1)];
    let batches: [&[Row<'_>]; 1] = [&rows];
    let counts = load_slice(run.as_ref(), &plan(1)[0], &batches).await.unwrap();
    assert_eq!(counts, Counts { inserted: 1, rejected: 1, ..Counts::default() });
}

#[tokio::test]
async fn a_line_of_the_sinks_own_that_is_dropped_ends_the_run() {
    for (table, event) in [("_cdm_load", "update"), ("_cdm_ingestion", "update"), ("_cdm_reject", "insert")] {
        let bench = bench().await;
        let run = bench.sink.open_run(&spec("run-l")).await.unwrap();
        run.record_plan(&plan(1)).await.unwrap();
        bench
            .execute(&format!(
                "create function hide() returns trigger language plpgsql as $$ begin return null; end $$;
                 create trigger hide before {event} on cdm_work.{table} for each row execute function hide()"
            ))
            .await;
        let things = things(10, &[3], 1);
        let batches: [&[Row<'_>]; 1] = [&things];
        let error = load_slice(run.as_ref(), &plan(1)[0], &batches).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains(table), "{error}");
        assert_eq!(bench.value("select count(*) from cdm_work.cdm_test_thing").await, "0");
    }
}

#[tokio::test]
async fn a_key_in_two_slices_at_once_is_stored_once_and_the_greater_record_wins() {
    for (first, second) in [(1, 2), (2, 1), (1, 1)] {
        let bench = Bench::new().await;
        let run = bench.sink.open_run(&spec("run-x")).await.unwrap();
        run.record_plan(&plan(2)).await.unwrap();
        let name = |version_at: i64| format!("version {version_at}");
        let rows = |version_at, other| {
            [put(Thing::named("k", name(version_at)), version_at), put(Thing::named(other, "x"), 1)]
        };
        // The first has inserted the key and not committed; the second waits for it.
        let mut open = begin(run.as_ref(), &plan(2)[0]).await;
        open.write(Batch::Cdm(Box::new(common::batch(&rows(first, "a"))))).await.unwrap();
        let second_rows = rows(second, "b");
        let batches: [&[Row<'_>]; 1] = [&second_rows];
        let slices = plan(2);
        let waiting = load_slice(run.as_ref(), &slices[1], &batches);
        let committing = async {
            common::until_somebody_waits(&bench).await;
            open.commit(Commit::default()).await.unwrap().counts
        };
        let (waited, committed) = tokio::join!(waiting, committing);
        assert_eq!(committed, Counts { inserted: 2, ..Counts::default() });
        let expected = match second.cmp(&first) {
            std::cmp::Ordering::Greater => Counts { inserted: 1, updated: 1, ..Counts::default() },
            std::cmp::Ordering::Equal => Counts { inserted: 1, unchanged: 1, ..Counts::default() },
            std::cmp::Ordering::Less => Counts { inserted: 1, stale: 1, ..Counts::default() },
        };
        assert_eq!(waited.unwrap(), expected, "{first} then {second}");
        run.finish(RunEnd::Succeeded, &[]).await.unwrap();
        assert_eq!(bench.names().await[2], ("k".into(), name(first.max(second))));
    }
}

#[tokio::test]
async fn two_records_of_a_key_in_slices_at_once_end_as_one_after_the_other() {
    let (one, other) = ([timeless(Thing::named("k", "one"))], [timeless(Thing::named("k", "other"))]);
    let mut ends = Vec::new();
    for stored in [&one, &other] {
        for contesting_first in [true, false] {
            let bench = Bench::new().await;
            bench.load(&[&[stored]]).await;
            let run = bench.sink.open_run(&spec("run-y")).await.unwrap();
            run.record_plan(&plan(2)).await.unwrap();
            // Both slices are under way when the second one looks its rows up.
            let (first, second) =
                if contesting_first == (stored[0].name() == "one") { (&other, &one) } else { (&one, &other) };
            let mut open = begin(run.as_ref(), &plan(2)[0]).await;
            open.write(Batch::Cdm(Box::new(common::batch(first)))).await.unwrap();
            let mut late = begin(run.as_ref(), &plan(2)[1]).await;
            let written = late.write(Batch::Cdm(Box::new(common::batch(second)))).await;
            open.commit(Commit::default()).await.unwrap();
            match written {
                Ok(()) => {
                    late.commit(Commit::default()).await.unwrap();
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                    drop(late);
                    let batches: [&[Row<'_>]; 1] = [second];
                    load_slice(run.as_ref(), &plan(2)[1], &batches).await.unwrap();
                }
            }
            run.finish(RunEnd::Succeeded, &[]).await.unwrap();
            ends.push(bench.names().await);
        }
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
}
