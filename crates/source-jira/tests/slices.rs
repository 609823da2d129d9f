//! Slices and checkpoints: what is read again, what is not, and what a changed file does to a plan.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{fs, path::Path, sync::LazyLock, time::Duration};

use endpoint_api::{Checkpoint, ErrorKind, Mode, PlanRequest, Slice};
use futures::StreamExt as _;
use proptest::prelude::*;
use serde_json::json;
use tokio::runtime::Runtime;
use twox_hash::XxHash3_128;

use crate::common::{Export, Harvest, batches, gzip, harvest, harvest_from, plan, try_plan, unit};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

fn xxh3(contents: &[u8]) -> String {
    format!("{:032x}", XxHash3_128::oneshot(contents))
}

fn a_line() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (0..2500usize, prop_oneof![Just(""), Just("\r"), Just("  ")])
            .prop_map(|(length, end)| format!("{{\"id\":\"{}\"}}{end}", "x".repeat(length))),
        1 => Just("{\"text\":\"\u{2028}\u{85}\u{2029}é\"}".to_owned()),
        1 => prop_oneof![Just(""), Just("\r"), Just(" \t ")].prop_map(str::to_owned),
        1 => (0..6000usize).prop_map(|length| "no record ".repeat(length / 10)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn however_a_file_is_sliced_its_records_and_their_origins_are_the_same(
        lines in prop::collection::vec(a_line(), 0..40),
        ends_with_newline: bool,
        has_mark: bool,
        slice_bytes in 4096..20_000u64,
        order in any::<prop::sample::Index>(),
    ) {
        let mark = if has_mark { "\u{FEFF}" } else { "" };
        let text = format!("{mark}{}{}", lines.join("\n"), if ends_with_newline { "\n" } else { "" });
        let all = || (1..).zip(&lines).filter(|(_, line)| !line.trim_ascii().is_empty());
        let is_record = |line: &str| line.starts_with('{');
        let expected: Vec<(String, &str)> = all()
            .filter(|(_, line)| is_record(line))
            .map(|(number, line)| (format!("issues.jsonl:{number}"), line.as_str()))
            .collect();
        let rejected: Vec<String> =
            all().filter(|(_, line)| !is_record(line)).map(|(number, _)| format!("issues.jsonl:{number}")).collect();

        let export = Export::of(&[("issues.jsonl", &text)]);
        RUNTIME.block_on(async {
            let endpoint = export.open_with(json!({ "path": ".", "slice_bytes": slice_bytes })).await;
            let slices = plan(&*endpoint, "issues", Mode::Raw, None).await;
            assert!(slices.len() as u64 >= text.len() as u64 / (slice_bytes + 6100));
            // Begin anywhere: no slice needs what another one read.
            let mut harvests: Vec<(usize, Harvest)> = Vec::new();
            for at in 0..slices.len() {
                let at = (at + order.index(slices.len())) % slices.len();
                let mut harvest = Harvest::default();
                harvest.add(batches(&*endpoint, "issues", &slices[at]).await.unwrap());
                harvests.push((at, harvest));
            }
            harvests.sort_by_key(|(at, _)| *at);
            let records: Vec<_> = harvests.iter().flat_map(|(_, harvest)| &harvest.records).collect();
            let found: Vec<_> = records.iter().map(|record| (record.origin.clone(), record.json.as_str())).collect();
            assert_eq!(found, expected);
            let found: Vec<_> =
                harvests.iter().flat_map(|(_, harvest)| &harvest.rejects).map(|reject| reject.origin.clone()).collect();
            assert_eq!(found, rejected);
        });
    }
}

/// Issues of which a slice of the smallest size holds two.
fn issues(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("{{\"id\":\"{number}\",\"x\":\"{}\"}}\n", "x".repeat(2100))).collect()
}

/// The files of slices; one that only says what is missing is of none.
fn files(slices: &[Slice]) -> Vec<&str> {
    slices.iter().flat_map(|slice| &slice.resources).map(|resource| resource.name.as_str()).collect()
}

/// The number of files of each slice.
fn sizes(slices: &[Slice]) -> Vec<usize> {
    slices.iter().map(|slice| slice.resources.len()).collect()
}

#[tokio::test]
async fn many_small_files_are_read_in_few_slices_each_of_files_that_came_together() {
    const FILES: u32 = 70;
    let large = issues(500..1000);
    assert!(large.len() > 1024 * 1024);
    let export = Export::of(&[("issues-800.jsonl", large)]);
    for number in 0..FILES {
        let page = format!(r#"{{"issues":[{{"id":"{number}"}}],"total":1}}"#);
        match number.is_multiple_of(2) {
            true => export.write(&format!("issues-{number:03}.jsonl"), issues(number..number + 1)),
            false => export.write(&format!("issues-{number:03}.json"), page),
        }
    }
    export.write("issues-900.json", r#"{"issues":[{"id":"1"}"#);
    let endpoint = export.open().await;
    let mut slices = plan(&*endpoint, "issues", Mode::Raw, None).await;
    assert_eq!(sizes(&slices), [70, 1, 1], "a large file and a damaged one have slices of their own");
    assert_eq!(files(&slices)[70..], ["issues-800.jsonl", "issues-900.json"]);
    assert!(batches(&*endpoint, "issues", &slices.remove(2)).await.is_err());
    let mut harvest = Harvest::default();
    for slice in &slices {
        harvest.add(batches(&*endpoint, "issues", slice).await.unwrap());
    }
    let expected =
        |number: u32| format!("issues-{number:03}.json{}:1", if number.is_multiple_of(2) { "l" } else { "" });
    assert_eq!(harvest.origins()[..70], (0..FILES).map(expected).collect::<Vec<_>>());
    assert_eq!(harvest.records.len(), 570);

    // What comes later is read alone, and everything again in slices of files of one age.
    export.write("issues-900.json", r#"{"issues":[{"id":"1"}]}"#);
    let first = harvest_from(&*endpoint, "issues", Mode::Raw, None).await;
    assert_eq!((sizes(&first.slices), first.files_read().len()), (vec![70, 1, 1], 72));
    export.write("issues-800.jsonl", "{\"id\":\"1\"}\n");
    export.write("issues-000.jsonl", issues(1..2));
    let more = harvest_from(&*endpoint, "issues", Mode::Raw, first.checkpoint.as_ref()).await;
    assert_eq!(files(&more.slices), ["issues-000.jsonl", "issues-800.jsonl"]);
    let everything = PlanRequest::new(Mode::Cdm, None).knowing(more.checkpoint);
    let slices = endpoint.source().unwrap().plan(&unit("issues"), &everything).await.unwrap();
    assert_eq!(sizes(&slices), [70, 2]);
}

#[tokio::test]
async fn a_file_among_many_that_changes_after_the_plan_was_made_outdates_it() {
    let names: Vec<String> = (0..70).map(|number| format!("users-{number}.jsonl")).collect();
    let export = Export::of::<&str>(&[]);
    names.iter().for_each(|name| export.write(name, format!("{{\"accountId\":\"{name}\"}}\n")));
    let endpoint = export.open().await;
    let slices = plan(&*endpoint, "users", Mode::Cdm, None).await;
    assert_eq!(sizes(&slices), [70]);
    export.write("users-69.jsonl", "{}\n");
    assert_eq!(batches(&*endpoint, "users", &slices[0]).await.unwrap_err().kind(), ErrorKind::Outdated);
    fs::remove_file(export.path("users-69.jsonl")).unwrap();
    assert_eq!(batches(&*endpoint, "users", &slices[0]).await.unwrap_err().kind(), ErrorKind::Outdated);
}

#[tokio::test]
async fn what_has_not_changed_is_not_read_again() {
    let export = Export::of(&[("issues-1.jsonl", issues(0..5)), ("issues-2.jsonl", issues(5..9))]);
    let endpoint = export.open_with(json!({ "path": ".", "slice_bytes": 4096 })).await;
    let first = harvest(&*endpoint, "issues", Mode::Cdm).await;
    assert_eq!(
        files(&first.slices),
        ["issues-1.jsonl", "issues-1.jsonl", "issues-1.jsonl", "issues-2.jsonl", "issues-2.jsonl"]
    );
    assert_eq!(first.records.len(), 9);
    assert_eq!(first.files_read(), ["issues-1.jsonl", "issues-2.jsonl"]);
    let again = || harvest_from(&*endpoint, "issues", Mode::Cdm, first.checkpoint.as_ref());
    assert_eq!(again().await.slices, []);

    export.age("issues-1.jsonl", 60);
    assert_eq!(again().await.slices, [], "only the modification time is new");

    export.write("issues-1.jsonl", issues(0..6));
    let second = again().await;
    assert_eq!(files(&second.slices), ["issues-1.jsonl"; 3]);
    assert_eq!(second.records.len(), 6);
    assert_eq!(second.files_read(), ["issues-1.jsonl", "issues-2.jsonl"]);
    assert_eq!(harvest_from(&*endpoint, "issues", Mode::Cdm, second.checkpoint.as_ref()).await.slices, []);

    export.write("issues-3.jsonl", issues(9..10));
    fs::remove_file(export.path("issues-2.jsonl")).unwrap();
    let third = harvest_from(&*endpoint, "issues", Mode::Cdm, second.checkpoint.as_ref()).await;
    assert_eq!(files(&third.slices), ["issues-3.jsonl"]);
    assert_eq!(third.files_read(), ["issues-1.jsonl", "issues-3.jsonl"]);
    let gone = |name: &str| {
        format!("{name} is gone since an earlier run; what was loaded from it stays as it was (1x, {name})")
    };
    assert_eq!(third.notes(), [gone("issues-2.jsonl")]);

    fs::remove_file(export.path("issues-3.jsonl")).unwrap();
    let fourth = harvest_from(&*endpoint, "issues", Mode::Cdm, third.checkpoint.as_ref()).await;
    assert_eq!((fourth.slices.len(), fourth.notes()), (1, vec![gone("issues-3.jsonl")]));
    assert_eq!(fourth.files_read(), ["issues-1.jsonl"]);
    let fifth = harvest_from(&*endpoint, "issues", Mode::Cdm, fourth.checkpoint.as_ref()).await;
    assert_eq!(fifth.slices, [], "it is said once");

    fs::rename(export.path("issues-1.jsonl"), export.path("issues-0.jsonl")).unwrap();
    let sixth = harvest_from(&*endpoint, "issues", Mode::Cdm, fourth.checkpoint.as_ref()).await;
    assert_eq!((files(&sixth.slices), sixth.notes()), (vec!["issues-0.jsonl"; 3], vec![]), "renamed is not gone");
}

#[tokio::test]
async fn a_checkpoint_tells_the_files_by_length_hash_and_modification_time() {
    let export = Export::of(&[("users.jsonl", "{\"key\":\"a\"}\n"), ("users-2.jsonl.gz", "")]);
    export.write("users-2.jsonl.gz", gzip("{\"key\":\"b\"}\n"));
    let found = harvest(&*export.open().await, "users", Mode::Raw).await;
    let state = |name: &str| {
        let contents = fs::read(export.path(name)).unwrap();
        let modified = fs::metadata(export.path(name)).unwrap().modified().unwrap();
        let modified = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
        json!({ "bytes": contents.len(), "xxh3": xxh3(&contents), "modified_ns": modified, "round": 1 })
    };
    let mut expected =
        json!({ "files": { "users.jsonl": state("users.jsonl"), "users-2.jsonl.gz": state("users-2.jsonl.gz") } });
    expected["files"]["users.jsonl"]["cuts"] = json!({ "slice_bytes": 8 << 20, "at": [] });
    assert_eq!(found.checkpoint.unwrap().0, expected);
}

#[tokio::test]
async fn a_change_that_the_modification_time_hides_is_still_found() {
    let export = Export::of(&[("issues.jsonl", "")]);
    export.write_now("issues.jsonl", "{\"id\":\"1\"}\n");
    let endpoint = export.open().await;
    let first = harvest(&*endpoint, "issues", Mode::Raw).await;
    assert_eq!(first.texts(), ["{\"id\":\"1\"}"]);
    // Within the granularity of the clock: the same length, the same time.
    let modified = fs::metadata(export.path("issues.jsonl")).unwrap().modified().unwrap();
    fs::write(export.path("issues.jsonl"), "{\"id\":\"2\"}\n").unwrap();
    export.set_modified("issues.jsonl", modified);
    let second = harvest_from(&*endpoint, "issues", Mode::Raw, first.checkpoint.as_ref()).await;
    assert_eq!(second.texts(), ["{\"id\":\"2\"}"]);
}

#[tokio::test]
async fn a_run_that_stopped_half_way_goes_on_at_the_first_file_that_was_not_done() {
    let export = Export::of(&[
        ("issues-1.jsonl", issues(0..5)),
        ("issues-2.jsonl", issues(5..9)),
        ("issues-3.jsonl", issues(9..10)),
    ]);
    let endpoint = export.open_with(json!({ "path": ".", "slice_bytes": 4096 })).await;
    let slices = plan(&*endpoint, "issues", Mode::Raw, None).await;
    let mut resume_at: Option<Checkpoint> = None;
    let mut resumed = Vec::new();
    for slice in &slices {
        let mut harvest = Harvest::default();
        harvest.add(batches(&*endpoint, "issues", slice).await.unwrap());
        resume_at = harvest.checkpoint.or(resume_at);
        let rest = plan(&*endpoint, "issues", Mode::Raw, resume_at.as_ref()).await;
        resumed.push(files(&rest).first().map(|name| (*name).to_owned()));
    }
    let names = ["issues-1.jsonl", "issues-1.jsonl", "issues-2.jsonl", "issues-2.jsonl", "issues-3.jsonl"];
    let expected: Vec<_> = names.into_iter().map(|name| Some(name.to_owned())).chain([None]).collect();
    assert_eq!(resumed, expected);
}

#[tokio::test]
async fn a_file_without_records_is_covered_by_the_checkpoint() {
    let export =
        Export::of(&[("comments-1.jsonl", ""), ("comments-2.jsonl", "\n\n"), ("comments-3.json", "{\"comments\":[]}")]);
    let endpoint = export.open().await;
    let first = harvest(&*endpoint, "comments", Mode::Cdm).await;
    assert_eq!(files(&first.slices), ["comments-1.jsonl", "comments-2.jsonl", "comments-3.json"]);
    assert_eq!(first.records, []);
    assert_eq!(first.files_read(), files(&first.slices));
    assert_eq!(plan(&*endpoint, "comments", Mode::Cdm, first.checkpoint.as_ref()).await, []);
}

#[tokio::test]
async fn the_same_files_give_the_same_plan_and_the_same_records_again() {
    let export = Export::of(&[
        ("issues.jsonl", issues(0..7)),
        ("comments.json", "[{\"id\":\"1\",\"issueId\":\"2\"}]".to_owned()),
    ]);
    let config = json!({ "path": ".", "slice_bytes": 4096 });
    let (one, other) = (export.open_with(config.clone()).await, export.open_with(config).await);
    for (name, mode) in [("issues", Mode::Raw), ("issues", Mode::Cdm), ("comments", Mode::Cdm), ("users", Mode::Cdm)] {
        let first = harvest(&*one, name, mode).await;
        // Also in another process, which only knows the plan as it was stored.
        let stored = serde_json::to_string(&first.slices).unwrap();
        assert_eq!(plan(&*other, name, mode, None).await, first.slices);
        let mut again = Harvest::default();
        for slice in serde_json::from_str::<Vec<Slice>>(&stored).unwrap() {
            again.add(batches(&*other, name, &slice).await.unwrap());
        }
        assert_eq!(again.records, first.records);
        assert_eq!(again.checkpoint, first.checkpoint);
    }
}

#[tokio::test]
async fn a_slice_of_a_file_that_came_after_the_last_plan_is_read() {
    let export = Export::of(&[("issues-1.jsonl", issues(0..1))]);
    let (one, other) = (export.open().await, export.open().await);
    plan(&*one, "issues", Mode::Raw, None).await;
    export.write("issues-2.jsonl", issues(1..3));
    let slices = plan(&*other, "issues", Mode::Raw, None).await;
    let mut found = Harvest::default();
    found.add(batches(&*one, "issues", &slices[1]).await.unwrap());
    assert_eq!(found.origins(), ["issues-2.jsonl:1", "issues-2.jsonl:2"]);
}

#[tokio::test]
async fn a_plan_names_no_path_of_the_machine() {
    let export = Export::of(&[("issues.jsonl", issues(0..3))]);
    let slices = plan(&*export.open().await, "issues", Mode::Raw, None).await;
    assert!(!serde_json::to_string(&slices).unwrap().contains(export.path("").to_str().unwrap()));
    let resource = &slices[0].resources[0];
    assert_eq!(resource.fingerprint, xxh3(issues(0..3).as_bytes()));
}

#[tokio::test]
async fn a_slice_of_a_file_that_has_changed_since_is_outdated() {
    let original = issues(0..5);
    let export = Export::of(&[("issues.jsonl", &original)]);
    let endpoint = export.open_with(json!({ "path": ".", "slice_bytes": 4096 })).await;
    let slices = plan(&*endpoint, "issues", Mode::Raw, None).await;
    let outcome = || async {
        let mut kinds = Vec::new();
        for slice in &slices {
            kinds.push(batches(&*endpoint, "issues", slice).await.map(drop).map_err(|error| error.kind()));
        }
        kinds
    };
    assert_eq!(outcome().await, [Ok(()); 3]);
    export.age("issues.jsonl", 60);
    assert_eq!(outcome().await, [Ok(()); 3], "the contents are the same");
    export.write_now("issues.jsonl", &original);
    assert_eq!(outcome().await, [Ok(()); 3], "the contents are the same");

    let outdated = [Err(ErrorKind::Outdated); 3];
    export.write("issues.jsonl", original.replacen('x', "y", 1));
    assert_eq!(outcome().await, outdated, "the same length");
    export.write("issues.jsonl", "{}\n");
    assert_eq!(outcome().await, outdated, "another length");
    export.write("issues.jsonl", b"\xFF\xFE");
    assert_eq!(outcome().await, outdated, "of no use at all");
    fs::remove_file(export.path("issues.jsonl")).unwrap();
    assert_eq!(outcome().await, outdated, "gone");
    fs::remove_dir_all(export.path("")).unwrap();
    assert_eq!(outcome().await, outdated, "gone with its folder");
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_outdated_before_the_last_batch() {
    // Larger than what is read ahead.
    let text = issues(0..4000);
    for settled in [true, false] {
        let export = Export::of(&[("issues.jsonl", "")]);
        export.write_now("issues.jsonl", &text);
        if settled {
            export.age("issues.jsonl", 60);
        }
        let endpoint = export.open().await;
        let slices = plan(&*endpoint, "issues", Mode::Raw, None).await;
        let unit = unit("issues");
        let mut stream = endpoint.source().unwrap().read(&unit, &slices[0]);
        assert!(stream.next().await.unwrap().is_ok());
        let modified = fs::metadata(export.path("issues.jsonl")).unwrap().modified().unwrap();
        let changed = text.replace("\"id\":\"3999\"", "\"id\":\"9999\"");
        assert_eq!(changed.len(), text.len());
        fs::write(export.path("issues.jsonl"), changed).unwrap();
        if !settled {
            export.set_modified("issues.jsonl", modified);
        }
        let mut last = None;
        while let Some(batch) = stream.next().await {
            assert!(last.is_none(), "nothing comes after an error");
            match batch {
                Ok(batch) => assert!(batch.resume_at().is_none()),
                Err(error) => last = Some(error.kind()),
            }
        }
        assert_eq!(last, Some(ErrorKind::Outdated));
    }
}

#[tokio::test]
async fn a_file_that_is_cut_while_it_is_read_is_outdated_and_not_damaged() {
    let array = format!("[{}]", issues(0..4000).trim_end().replace('\n', ","));
    let export = Export::of(&[("issues.json", &array)]);
    let endpoint = export.open().await;
    let slices = plan(&*endpoint, "issues", Mode::Raw, None).await;
    let unit = unit("issues");
    let mut stream = endpoint.source().unwrap().read(&unit, &slices[0]);
    assert!(stream.next().await.unwrap().is_ok());
    fs::write(export.path("issues.json"), &array[..array.len() - 100]).unwrap();
    let error = loop {
        if let Err(error) = stream.next().await.unwrap() {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Outdated, "{error}");
}

#[tokio::test]
async fn a_plan_or_checkpoint_of_something_else_is_refused() {
    let export = Export::of(&[("issues.jsonl", "{}\n")]);
    let endpoint = export.open().await;
    let foreign = Checkpoint(json!({ "page": 7 }));
    let error = try_plan(&*endpoint, "issues", Mode::Raw, Some(&foreign)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    for spec in [
        json!(null),
        json!({ "file": "../../etc/passwd" }),
        json!({ "file": "issues.jsonl", "records": "own", "mode": "raw", "state": { "bytes": -1, "xxh3": "" } }),
        json!({ "file": "../issues.jsonl", "records": "own", "mode": "raw", "state": { "bytes": 3, "xxh3": "" } }),
    ] {
        let error = batches(&*endpoint, "issues", &Slice::new(0, spec)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Outdated, "{error}");
    }
}

/// Whether this process has the file open.
#[cfg(target_os = "linux")]
fn is_open(path: &Path) -> bool {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).any(|open| open == path)
}

/// Waits until this process has closed the file; whether it does within 20 seconds.
#[cfg(target_os = "linux")]
async fn is_closed_soon(path: &Path) -> bool {
    for _ in 0..2000 {
        if !is_open(path) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn giving_up_a_plan_closes_the_file() {
    let export = Export::of(&[("issues.jsonl", "")]);
    let path = fs::canonicalize(export.path("issues.jsonl")).unwrap();
    // Takes no place and minutes to read.
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 38).unwrap();
    let endpoint = export.open().await;
    let planning = plan(&*endpoint, "issues", Mode::Raw, None);
    assert!(tokio::time::timeout(Duration::from_millis(200), planning).await.is_err());
    assert!(is_closed_soon(&path).await);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn dropping_the_stream_closes_the_file() {
    let export = Export::of(&[("issues.jsonl", issues(0..10_000))]);
    let path = fs::canonicalize(export.path("issues.jsonl")).unwrap();
    let endpoint = export.open().await;
    let slices = plan(&*endpoint, "issues", Mode::Raw, None).await;
    let unit = unit("issues");
    let mut stream = endpoint.source().unwrap().read(&unit, &slices[0]);
    assert!(!is_open(&path), "nothing is read before the first poll");
    assert!(stream.next().await.unwrap().is_ok());
    assert!(is_open(&path));
    drop(stream);
    assert!(is_closed_soon(&path).await);
}
