//! What a host meets: the template, the checks, and the units of an export in all its forms.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use endpoint_api::{ErrorKind, Mode, Registry, batch::Rank};
use serde_json::{Value, json};

use crate::common::{Export, batches, failure, gzip, harvest, open, plan, try_plan, unit, zstd};

#[test]
fn the_template_shows_what_the_driver_is_and_a_configuration_that_fits() {
    let registry = Registry::load().unwrap();
    let driver = registry.driver("jira.export").unwrap();
    let template = driver.template();
    assert_eq!(
        (template.title, template.vendor, template.family),
        ("Jira export (files)", "Atlassian", "issue tracker")
    );
    assert_eq!(driver.aliases(), [""; 0]);
    assert_eq!(driver.capabilities().roles(), ["source"]);
    assert_eq!(driver.capabilities().keys([]), ["source", "source.incremental"]);
    assert_eq!(driver.config_schema().problems(&template.sample_config), []);
    driver.validate(&template.sample_config).unwrap();
}

#[tokio::test]
async fn an_endpoint_is_a_source_of_five_units_and_nothing_else() {
    let export = Export::of(&[("issues.jsonl", "")]);
    let endpoint = export.open_with(json!({ "path": ".", "source_system": "acme.jira" })).await;
    assert!(endpoint.sink().is_none() && endpoint.provisioner().is_none());
    let source = endpoint.source().unwrap();
    assert_eq!((source.identity().endpoint.as_str(), source.identity().system.as_str()), ("acme_jira", "acme.jira"));
    let units = source.units().await.unwrap();
    let ids: Vec<&str> = units.iter().map(|unit| unit.id.as_str()).collect();
    assert_eq!(ids, ["jira.projects", "jira.users", "jira.issues", "jira.comments", "jira.worklogs"]);
    assert!(units.iter().all(|unit| unit.fields.len() > 5));
    endpoint.close().await.unwrap();
}

#[tokio::test]
async fn a_path_without_an_export_fails_the_check_and_the_plan_by_name() {
    let export = Export::of(&[("empty/notes.txt", ""), ("a/issues.jsonl", "")]);
    for (config, detail) in [
        (json!({ "path": "./nowhere" }), "the path does not exist (key: path, path: ./nowhere)"),
        (json!({ "path": ["a", "./nowhere"] }), "the path does not exist (key: path, path: ./nowhere)"),
        (json!({ "path": "empty/notes.txt" }), "a file of an export ends in `.json`"),
        (json!({ "path": "empty" }), "no file of an export is there"),
    ] {
        let endpoint = export.open_with(config).await;
        let report = endpoint.check().await.unwrap();
        let failed: Vec<&str> =
            report.checks.iter().filter(|check| !check.ok).map(|check| check.detail.as_str()).collect();
        assert_eq!(failed.len(), 1);
        assert!(failed[0].starts_with(detail), "{failed:?}");
        let error = try_plan(&*endpoint, "issues", Mode::Raw, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().starts_with(detail), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_before_anything_is_opened() {
    let root = tempfile::tempdir().unwrap();
    let error = open(root.path(), json!({ "path": "" })).await.unwrap_err();
    assert_eq!((error.kind(), error.context().next()), (ErrorKind::Config, Some(("key", "path"))));
}

#[tokio::test]
async fn an_unknown_unit_is_refused() {
    let export = Export::of(&[("issues.jsonl", "{}\n")]);
    let endpoint = export.open().await;
    assert_eq!(try_plan(&*endpoint, "boards", Mode::Raw, None).await.unwrap_err().kind(), ErrorKind::Config);
    let slice = plan(&*endpoint, "issues", Mode::Raw, None).await.remove(0);
    assert_eq!(batches(&*endpoint, "boards", &slice).await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(batches(&*endpoint, "users", &slice).await.unwrap_err().kind(), ErrorKind::Config);
}

/// The same three issues in every form that is read, and where each of them stands there.
fn forms() -> Vec<(&'static str, Vec<u8>, [u64; 3])> {
    let issues =
        [json!({ "id": "1", "key": "A-1" }), json!({ "id": "2", "x": ["[", 1.50, null] }), json!({ "id": "3" })];
    let [one, two, three] = &issues;
    let lines = format!("{one}\n\n{two}\n{three}\n");
    let array = json!(issues).to_string();
    let pretty = serde_json::to_string_pretty(&issues).unwrap();
    let page = json!({ "startAt": 0, "total": 3, "issues": issues, "names": { "issues": ["Issues"] } });
    let pages = format!("{}\n{}[{three}]", json!({ "issues": [one], "total": 1 }), json!({ "values": [two] }));
    vec![
        ("issues.jsonl", lines.clone().into_bytes(), [1, 3, 4]),
        ("issues.jsonl", lines.trim_end().replace('\n', "\r\n").into_bytes(), [1, 3, 4]),
        ("issues.jsonl", format!("\u{FEFF}{lines}").into_bytes(), [1, 3, 4]),
        ("issues.jsonl.gz", gzip(&lines), [1, 3, 4]),
        ("issues.jsonl.zst", zstd(&lines), [1, 3, 4]),
        ("issues.json", array.clone().into_bytes(), [1, 2, 3]),
        ("issues.json", format!("\u{FEFF}{array}").into_bytes(), [1, 2, 3]),
        ("issues.json", pretty.replace('\n', "\r\n").into_bytes(), [1, 2, 3]),
        ("issues.json", page.to_string().into_bytes(), [1, 2, 3]),
        ("issues.ndjson", lines.clone().into_bytes(), [1, 3, 4]),
        ("issues.json", lines.clone().into_bytes(), [1, 3, 4]),
        ("issues.jsonl", format!("\u{FEFF}{one}\n\u{FEFF}{two}\n\u{FEFF}{three}").into_bytes(), [1, 2, 3]),
        ("issues.jsonl", page.to_string().into_bytes(), [1, 2, 3]),
        ("issues.jsonl", pages.replace('\n', "\n\u{FEFF}").into_bytes(), [1, 2, 3]),
        ("issues.jsonl", pretty.clone().into_bytes(), [1, 2, 3]),
        (
            "issues.jsonl",
            issues.each_ref().map(|issue| serde_json::to_string_pretty(issue).unwrap()).join("\n").into_bytes(),
            [1, 2, 3],
        ),
        ("issues.jsonl.gz", lines.clone().into_bytes(), [1, 3, 4]),
        ("issues.json", zstd(&array), [1, 2, 3]),
        (
            "issues.json",
            json!([{ "issues": [one] }, { "issues": [two, three], "total": 2 }]).to_string().into_bytes(),
            [1, 2, 3],
        ),
        ("issues-7.json.gz", gzip(serde_json::to_string_pretty(&page).unwrap()), [1, 2, 3]),
        ("issues_0001.json.zst", [zstd(&pages[..20]), zstd(&pages[20..])].concat(), [1, 2, 3]),
    ]
}

#[tokio::test]
async fn every_form_gives_the_same_records() {
    let (_, plain, _) = forms().remove(0);
    let lines = String::from_utf8(plain).unwrap();
    let expected: Vec<Value> =
        lines.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect();
    for (name, contents, places) in forms() {
        let export = Export::of(&[(name, contents)]);
        let endpoint = export.open().await;
        for mode in [Mode::Raw, Mode::Cdm] {
            let harvest = harvest(&*endpoint, "issues", mode).await;
            assert_eq!(harvest.values(), expected, "{name}");
            assert_eq!(harvest.origins(), places.map(|place| format!("{name}:{place}")), "{name}");
            assert!(harvest.records.iter().all(|record| record.rank == Rank::Whole && !record.json.contains('\n')));
            assert!(harvest.rejects.is_empty() && harvest.incomplete.is_empty());
        }
    }
}

#[tokio::test]
async fn raw_records_are_the_lines_of_the_file_byte_for_byte() {
    let lines = [
        "{\"id\":\"1\",\"a\":\"\u{2028}\u{85}\\u0000\\ud800\"}",
        "  {\"id\" :\t1e999 }\r",
        "{\"id\":9223372036854776000,\"id\":\"twice\"}",
        "{}",
    ];
    let export = Export::of(&[("issues.jsonl", lines.join("\n"))]);
    let harvest = harvest(&*export.open().await, "issues", Mode::Raw).await;
    assert_eq!(harvest.texts().join("\n"), lines.join("\n"));
    assert!(harvest.records.iter().all(|record| record.parent_id.is_none() && record.parent_key.is_none()));
}

#[tokio::test]
async fn what_is_no_record_is_one_reject_with_its_reason_place_and_bytes() {
    let bad: [(&[u8], &str); 6] = [
        (b"17", "expected an object, found a number"),
        (b"[{\"id\":\"secret\"}]", "expected an object, found an array"),
        (b"\"secret\"", "expected an object, found a string"),
        (b"{\"id\":secret}", "not JSON: expected value at column 7"),
        (b"{\"id\":\"secret", "not JSON: EOF while parsing a string at column 13"),
        (b"{\"id\":\"\xC3\x28\"}", "not UTF-8 at byte 8"),
    ];
    let lines = [b"{\"id\":\"1\"}", bad[0].0, bad[1].0, b"", bad[2].0, bad[3].0, bad[4].0, bad[5].0, b"{\"id\":\"2\"}"];
    let export = Export::of(&[("issues.jsonl", lines.join(&b'\n'))]);
    let found = harvest(&*export.open().await, "issues", Mode::Cdm).await;
    assert_eq!(found.origins(), ["issues.jsonl:1", "issues.jsonl:9"]);
    let rejects: Vec<_> =
        found.rejects.iter().map(|reject| (reject.raw.as_slice(), reject.reason.as_str(), &*reject.origin)).collect();
    let lines = [2, 3, 5, 6, 7, 8].map(|line| format!("issues.jsonl:{line}"));
    let expected: Vec<_> = bad.iter().zip(&lines).map(|((raw, reason), line)| (*raw, *reason, line.as_str())).collect();
    assert_eq!(rejects, expected);
    assert!(found.rejects.iter().all(|reject| reject.replayable() && !reject.reason.contains("secret")));

    let elements = b"[{\"id\":\"1\"}, 17, {\"id\":secret}, \"\xFF\", {\"id\":\"2\"}]";
    let export = Export::of(&[("issues.json", elements)]);
    let found = harvest(&*export.open().await, "issues", Mode::Raw).await;
    assert_eq!(found.origins(), ["issues.json:1", "issues.json:5"]);
    let rejects: Vec<_> = found.rejects.iter().map(|reject| (&*reject.origin, &*reject.reason)).collect();
    assert_eq!(
        rejects,
        [
            ("issues.json:2", "expected an object, found a number"),
            ("issues.json:3", "not JSON: expected value at column 7"),
            ("issues.json:4", "not UTF-8 at byte 2"),
        ]
    );
}

#[tokio::test]
async fn a_record_of_a_hundred_megabytes_is_one_reject() {
    const LONG: usize = 100 * 1024 * 1024;
    let mut long = b"{\"id\":\"1\"}\n{\"id\":\"".to_vec();
    let start = long.len() - 7;
    long.resize(start + LONG, b'x');
    let hash = blake3::hash(&long[start..]).to_hex().to_string();
    let head = long[start..start + 64 * 1024].to_vec();
    long.extend(b"\n{\"id\":\"2\"}\n");
    let export = Export::of(&[("issues.jsonl.gz", gzip(&long))]);
    drop(long);
    let found = harvest(&*export.open().await, "issues", Mode::Raw).await;
    assert_eq!(found.texts(), ["{\"id\":\"1\"}", "{\"id\":\"2\"}"]);
    let [reject] = found.rejects.as_slice() else { panic!("{} rejects", found.rejects.len()) };
    assert_eq!(
        (reject.origin.as_str(), reject.raw_length, &reject.raw_hash),
        ("issues.jsonl.gz:2", LONG as u64, &hash)
    );
    assert_eq!(reject.raw, head);
    assert_eq!(reject.reason, "larger than `max_record_bytes`, which is 16777216 bytes");
    assert!(!reject.replayable());
}

#[tokio::test]
async fn the_limit_of_a_record_is_configured() {
    let line = |length: usize| format!("{{\"id\":\"{}\"}}", "x".repeat(length - 9));
    let files = [
        ("issues.jsonl", [line(1024), line(1025)].join("\n")),
        ("issues-1.json", format!("[{},{}]", line(1025), line(1024))),
    ];
    let export = Export::of(&files);
    let endpoint = export.open_with(json!({ "path": ".", "max_record_bytes": 1024 })).await;
    let found = harvest(&*endpoint, "issues", Mode::Raw).await;
    assert_eq!(found.origins(), ["issues-1.json:2", "issues.jsonl:1"]);
    let rejected: Vec<_> = found.rejects.iter().map(|reject| (&*reject.origin, reject.raw_length)).collect();
    assert_eq!(rejected, [("issues-1.json:1", 1025), ("issues.jsonl:2", 1025)]);
}

#[tokio::test]
async fn files_that_are_not_what_they_claim_to_be_are_errors_that_name_them() {
    let issues = "{\"id\":\"1\"}\n".repeat(1000);
    let utf_16: Vec<u8> = "\u{FEFF}{}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (gz, zst) = (gzip(&issues), zstd(&issues));
    for (name, contents, expected) in [
        ("issues.jsonl", utf_16.clone(), "the file is UTF-16; convert it to UTF-8 (file: issues.jsonl)"),
        ("issues.json.gz", gzip(&utf_16), "the file is UTF-16; convert it to UTF-8 (file: issues.json.gz)"),
        (
            "issues.jsonl.gz",
            gz[..gz.len() - 9].to_vec(),
            "the compressed file is cut short; export it again (file: issues.jsonl.gz)",
        ),
        (
            "issues.jsonl.zst",
            zst[..zst.len() - 3].to_vec(),
            "the compressed file is cut short; export it again (file: issues.jsonl.zst)",
        ),
        (
            "issues.jsonl.gz",
            b"no text at all".to_vec(),
            "the compressed file is damaged; export it again (file: issues.jsonl.gz)",
        ),
        ("issues.json", b"[{\"id\":\"1\"},{\"id\":".to_vec(), "the text ends in the middle of a value; "),
        ("issues.json", b"[{\"id\":\"1\"} {\"id\":\"2\"}]".to_vec(), "expected `,` or `]`; "),
        ("issues.json", b"{\"issues\":{\"id\":\"1\"}}".to_vec(), "expected the list of a page to be an array; "),
        ("issues.jsonl", b"PK\x03\x04".to_vec(), "the file is a zip archive, not JSON; "),
        ("issues.json", b"".to_vec(), "expected an array or a page of records, found nothing; "),
    ] {
        let export = Export::of(&[(name, contents)]);
        let error = failure(&*export.open().await, "issues").await;
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(error.context().next(), Some(("file", name)));
    }
    let export = Export::of(&[("issues.json", "[{\"id\":\"1\"} {\"id\":\"2\"}]")]);
    let error = failure(&*export.open().await, "issues").await;
    assert_eq!(error.context().nth(1), Some(("byte", "12")));
}

#[tokio::test]
async fn utf_16_is_found_in_every_slice_of_a_file() {
    let text = format!("\u{FEFF}{}", "{}\n".repeat(10_000));
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let export = Export::of(&[("issues.jsonl", utf_16)]);
    let endpoint = export.open_with(json!({ "path": ".", "slice_bytes": 4096 })).await;
    let slices = plan(&*endpoint, "issues", Mode::Raw, None).await;
    assert!(slices.len() > 10);
    for slice in &slices {
        assert_eq!(batches(&*endpoint, "issues", slice).await.unwrap_err().kind(), ErrorKind::Data);
    }
}

#[tokio::test]
async fn batches_are_bounded_by_bytes_and_the_last_one_says_from_where_to_resume() {
    let issue = format!("{{\"id\":\"{}\"}}\n", "x".repeat(10_000));
    let export = Export::of(&[("issues.jsonl", issue.repeat(500) + "17\n")]);
    let endpoint = export.open().await;
    let slices = plan(&*endpoint, "issues", Mode::Raw, None).await;
    assert_eq!(slices.len(), 1);
    let before = std::time::SystemTime::now();
    let found = batches(&*endpoint, "issues", &slices[0]).await.unwrap();
    assert!(found.len() > 4, "{} batches", found.len());
    for batch in &found {
        assert!(batch.bytes() < 1024 * 1024 + 64 * 1024, "{} bytes", batch.bytes());
        assert_eq!((batch.unit(), batch.endpoint().as_str()), (&unit("issues"), "acme_jira"));
        let since_1970 = before.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
        let age = batch.observed_at().as_microsecond() - since_1970;
        assert!((0..60_000_000).contains(&age), "observed {age} µs after the reading began");
    }
    let (last, before) = found.split_last().unwrap();
    assert!(before.iter().all(|batch| batch.resume_at().is_none() && !batch.is_empty()));
    assert!(last.resume_at().is_some());
    assert_eq!(found.iter().map(|batch| batch.len() + batch.rejects().len()).sum::<usize>(), 501);
}

#[tokio::test]
async fn files_of_one_name_in_two_folders_stay_apart() {
    let export = Export::of(&[("a/users.jsonl", "{\"key\":\"a\"}"), ("b/users.jsonl", "{\"key\":\"b\"}")]);
    let endpoint = export.open_with(json!({ "path": ["./a", "b/"] })).await;
    let found = harvest(&*endpoint, "users", Mode::Raw).await;
    assert_eq!(found.origins(), ["a/users.jsonl:1", "b/users.jsonl:1"]);
    assert_eq!(found.texts(), ["{\"key\":\"a\"}", "{\"key\":\"b\"}"]);
    assert_eq!(found.files_read(), ["a/users.jsonl", "b/users.jsonl"]);
    let names: Vec<_> = found.slices.iter().map(|slice| slice.resources[0].name.as_str()).collect();
    assert_eq!(names, ["a/users.jsonl", "b/users.jsonl"]);
}
