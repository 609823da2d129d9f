//! Which of several records of one key stays.

use endpoint_api::{Commit, RunEnd};

use crate::support::*;

#[tokio::test]
async fn what_is_there_already_is_not_written_again() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    let rows = [put("a", "x", 1), put("b", "y", 1), timeless("c", "z")];
    assert_eq!(load(&endpoint, &[&[&rows]]).await, counts(3, 0, 0, 0, 0));
    let before = files(folder.path());
    assert_eq!(before.len(), 1);
    assert_eq!(load(&endpoint, &[&[&rows]]).await, counts(0, 0, 3, 0, 0));
    assert_eq!(files(folder.path()), before);

    // The same where the records are recognised before they are mapped.
    let run = open_run(&endpoint, &spec("recognising")).await;
    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    let again = [put("a", "x", 1), put("b", "changed", 2), timeless("c", "z")];
    assert_eq!(load.recognize(&hashes(&again)).await.unwrap(), [true, false, true]);
    write(load.as_mut(), &again[1..2]).await;
    assert_eq!(load.commit(Commit::default()).await.unwrap().counts, counts(0, 1, 2, 0, 0));
}

#[tokio::test]
async fn the_greatest_record_of_a_key_stays_in_any_order() {
    let versions = [put("a", "old", 1), put("a", "new", 2), part("a", "part"), timeless("a", "timeless")];
    let mut orders = Vec::new();
    for first in 0..4 {
        for step in [1, 3] {
            orders.push((0..4).map(|place| versions[(first + step * place) % 4].clone()).collect::<Vec<_>>());
        }
    }
    for order in orders {
        // Run by run, slice by slice, batch by batch, and all at once.
        let (runs, slices, batches, rows) = (folder(), folder(), folder(), folder());
        let endpoint = provisioned(runs.path()).await;
        let mut total = 0;
        for row in &order {
            total += load(&endpoint, &[&[std::slice::from_ref(row)]]).await.total();
        }
        assert_eq!(total, 4);
        let single: Vec<&[Row<'_>]> = order.iter().map(std::slice::from_ref).collect();
        let each: Vec<&[&[Row<'_>]]> = single.iter().map(std::slice::from_ref).collect();
        assert_eq!(load(&provisioned(slices.path()).await, &each).await.total(), 4);
        assert_eq!(load(&provisioned(batches.path()).await, &[&single]).await, counts(1, 0, 0, 0, 3));
        assert_eq!(load(&provisioned(rows.path()).await, &[&[&order]]).await, counts(1, 0, 0, 0, 3));
        for folder in [runs, slices, batches, rows] {
            assert_eq!(names(folder.path()).await, [("a".to_owned(), "new".to_owned())], "{order:?}");
        }
    }
}

#[tokio::test]
async fn a_stale_version_never_wins() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    load(&endpoint, &[&[&[put("a", "new", 2)]]]).await;
    assert_eq!(load(&endpoint, &[&[&[put("a", "old", 1), part("a", "part")]]]).await, counts(0, 0, 0, 2, 0));
    assert_eq!(names(folder.path()).await, [("a".to_owned(), "new".to_owned())]);
}

#[tokio::test]
async fn records_of_one_run_that_contradict_each_other_do_not_take_turns() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    let (one, other) = ([put("a", "one", 1)], [put("a", "other", 1)]);
    load(&endpoint, &[&[&one], &[&other]]).await;
    let settled = names(folder.path()).await;
    for slices in [[&one, &other], [&other, &one]] {
        let again: Vec<&[Row<'_>]> = slices.iter().map(|rows| rows.as_slice()).collect();
        let each: Vec<&[&[Row<'_>]]> = again.iter().map(std::slice::from_ref).collect();
        let counts = load(&endpoint, &each).await;
        assert_eq!((counts.inserted, counts.total()), (0, 2));
        assert_eq!(names(folder.path()).await, settled);
    }
}

#[tokio::test]
async fn a_deleted_record_is_marked_and_comes_back() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    load(&endpoint, &[&[&[put("a", "x", 1)]]]).await;
    let deletions = [Row::Delete("a"), Row::Delete("unknown")];
    assert_eq!(load(&endpoint, &[&[&deletions]]).await, counts(0, 1, 0, 1, 0));
    assert_eq!(names(folder.path()).await, []);
    assert_eq!(rows(folder.path()).await[0]["name"], "x", "its content stays");
    assert_eq!(load(&endpoint, &[&[&deletions[..1]]]).await, counts(0, 0, 1, 0, 0));
    assert_eq!(load(&endpoint, &[&[&[part("a", "x")]]]).await, counts(0, 0, 0, 1, 0), "a part is no sign of life");
    assert_eq!(load(&endpoint, &[&[&[put("a", "x", 1)]]]).await, counts(0, 1, 0, 0, 0));
    assert_eq!(names(folder.path()).await, [("a".to_owned(), "x".to_owned())]);
    assert_eq!(load(&endpoint, &[&[&[put("a", "y", 2)], &[Row::Delete("a")]]]).await, counts(0, 2, 0, 0, 0));
    let stored = rows(folder.path()).await;
    assert_eq!((&stored[0]["name"], &stored[0]["deleted"]), (&"y".into(), &true.into()));
}

#[tokio::test]
async fn another_program_that_loads_the_same_model_is_seen() {
    let folder = folder();
    let (mine, others) = (provisioned(folder.path()).await, endpoint(folder.path()).await);
    let run = open_run(&mine, &spec("mine")).await;
    let mut spec = spec("others");
    spec.ingestion.source = "other".parse().unwrap();
    let other_run = open_run(&others, &spec).await;
    let mut other_load = begin(other_run.as_ref(), &plan(1)[0]).await;
    write(other_load.as_mut(), &[put("a", "new", 2)]).await;
    other_load.commit(Commit::default()).await.unwrap();
    other_run.finish(RunEnd::Succeeded, &[]).await.unwrap();

    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    write(load.as_mut(), &[put("a", "old", 1)]).await;
    assert_eq!(load.commit(Commit::default()).await.unwrap().counts, counts(0, 0, 0, 1, 0));
    let receipt = run.finish(RunEnd::Succeeded, &[]).await.unwrap();
    assert_eq!(receipt.rows, Some(1), "of all ingestions");
}
