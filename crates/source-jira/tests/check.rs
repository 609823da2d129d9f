//! What a check says of the files of an export, and how far it looks.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;

use common::{Export, gzip};
use endpoint_api::CheckReport;

const ISSUE: &str = "{\"id\":\"1\",\"key\":\"AB-1\",\"fields\":{}}\n";

async fn check<T: AsRef<[u8]>>(files: &[(&str, T)]) -> CheckReport {
    Export::of(files).open().await.check().await.unwrap()
}

/// The mark and the detail of the check with that name.
fn detail<'r>(report: &'r CheckReport, name: &str) -> (&'static str, &'r str) {
    let check = report.checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("{name}: {report:?}"));
    let mark = match (check.ok, check.is_warning) {
        (true, false) => "ok",
        (true, true) => "warning",
        (false, _) => "failed",
    };
    (mark, &check.detail)
}

#[tokio::test]
async fn a_check_says_how_many_files_of_each_unit_there_are_and_where_the_others_come_from() {
    let files = [("issues-1.jsonl", ISSUE), ("issues-2.jsonl", ISSUE), ("users.json", "[]"), ("notes.txt", "")];
    let report = check(&files).await;
    assert!(report.ok());
    let embedded = "no files of their own; those that issues name or embed are read in mode `cdm`";
    let checks: Vec<_> = report.checks.iter().map(|check| (check.name, check.detail.as_str())).collect();
    assert_eq!(
        checks,
        [
            ("path", "`.`: 3 files"),
            ("projects", "no files"),
            ("users", "1 file"),
            ("issues", "2 files"),
            ("comments", embedded),
            ("worklogs", embedded),
        ]
    );
    let report = check(&[("projects.json", "[]"), ("worklogs.json", "[]"), ("comments.json", "[]")]).await;
    let users =
        "no files of their own; those that projects, comments and worklogs name or embed are read in mode `cdm`";
    assert_eq!(detail(&report, "users"), ("ok", users));
    assert_eq!(detail(&report, "issues"), ("ok", "no files"));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_fails_the_check_by_name() {
    let utf_16: Vec<u8> = "\u{FEFF}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let noise: String = (0..20_000).map(|n: u64| format!("{}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
    let cut = gzip(format!("{{\"id\":\"1\",\"x\":\"{noise}\"}}").as_bytes());
    for (name, contents, expected) in [
        ("issues.jsonl", utf_16, "the file is UTF-16; convert it to UTF-8 (file: issues.jsonl)"),
        ("issues.json", b"\0\x01\x02".to_vec(), "the file is binary, not JSON"),
        ("issues.json", b"\x89PNG".to_vec(), "expected an array or a page of records"),
        ("issues.jsonl", b"\x89PNG\nx\n".to_vec(), "2 of the 2 lines that were looked at are not JSON objects"),
        ("issues.jsonl.gz", cut[..cut.len() / 2].to_vec(), "the compressed file is cut short"),
        ("issues.jsonl.gz", Vec::new(), "the compressed file is cut short"),
        ("issues.json", Vec::new(), "found nothing"),
        ("issues.json", b"{\"issues\":[{\"id\":\"1\"},{\"id".to_vec(), "the text ends in the middle of a value"),
        ("issues.jsonl", b"{\"id\":\"1\",\"fie".to_vec(), "`issues.jsonl`: the only line is not a JSON object"),
    ] {
        let report = check(&[(name, contents)]).await;
        let (mark, detail) = detail(&report, "issues");
        assert!(!report.ok() && mark == "failed" && detail.contains(expected), "{name}: {detail}");
    }
}

#[tokio::test]
async fn what_is_odd_in_a_file_that_can_be_read_is_a_warning() {
    let report = check(&[("issues.jsonl", " \n")]).await;
    assert_eq!(detail(&report, "issues"), ("warning", "1 file; `issues.jsonl` is empty"));
    let cut = format!("{ISSUE}{{\"id\":\"2\",\"fie");
    let report = check(&[("issues-1.jsonl", ISSUE), ("issues-2.jsonl", &cut)]).await;
    let (mark, found) = detail(&report, "issues");
    let expected = "2 files; `issues-2.jsonl`: 1 of the 2 lines that were looked at are not JSON objects; the first is \
                    line 2: ";
    assert!(report.ok() && mark == "warning" && found.starts_with(expected), "{found}");
    let report = check(&[("issues.jsonl", ISSUE), ("statuses.json", "[{\"id\":\"1\",\"name\":\"Open\"}]")]).await;
    assert!(report.ok() && detail(&report, "unread").0 == "warning", "{report:?}");
}

#[tokio::test]
async fn of_a_large_file_the_beginning_and_the_end_are_looked_at_and_that_is_said() {
    let many = ISSUE.repeat(10_000);
    let page = format!("{{\"issues\":[{}{{}}]}}", "{\"id\":\"1\"},".repeat(40_000));
    let report = check(&[("issues.jsonl", many.as_str())]).await;
    assert_eq!(detail(&report, "issues"), ("ok", "1 file; only the beginning was looked at"));
    let report = check(&[("issues-1.jsonl", ISSUE), ("issues-2.json", &page)]).await;
    assert_eq!(detail(&report, "issues"), ("ok", "2 files; of 1 of them only the beginning was looked at"));
    let report = check(&[("issues.json.gz", gzip(page.as_bytes()))]).await;
    assert_eq!(detail(&report, "issues"), ("ok", "1 file; only the beginning was looked at"));
    let report = check(&[("issues.json", &page[..page.len() - 3])]).await;
    let (mark, found) = detail(&report, "issues");
    assert!(mark == "failed" && found.contains("the text ends in the middle of a value"), "{found}");
    let report = check(&[("issues.jsonl", &many[..many.len() - 5])]).await;
    let (mark, found) = detail(&report, "issues");
    assert!(mark == "warning" && found.contains("the last line is not complete"), "{found}");

    // A hole of 20 GiB behind the first records takes no time.
    let export = Export::of(&[("issues.jsonl", many)]);
    let file = fs::File::options().write(true).open(export.path("issues.jsonl")).unwrap();
    file.set_len(20 << 30).unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(detail(&export.open().await.check().await.unwrap(), "issues").0, "warning");
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn users_under_two_ids_are_counted_also_where_they_are_only_mentioned() {
    let issue = "{\"id\":\"1\",\"fields\":{\"assignee\":{\"key\":\"JIRAUSER1\",\"name\":\"jdoe\"},\
                 \"reporter\":{\"name\":\"jdoe\"}}}\n";
    let report = check(&[("issues.jsonl", issue)]).await;
    let (mark, found) = detail(&report, "user ids");
    assert_eq!(mark, "warning");
    assert!(found.starts_with("1 of the users that records mention are there under two ids"), "{found}");
    let users = "{\"key\":\"JIRAUSER1\",\"name\":\"jdoe\"}\n";
    let report = check(&[("issues.jsonl", issue), ("users.jsonl", users)]).await;
    assert_eq!(detail(&report, "user ids"), ("ok", "1 of the users are there under two ids and become one user each"));
}
