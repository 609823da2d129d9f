//! The driver keeps the contract.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufWriter, Write as _},
    process::ExitCode,
};

use endpoint_testkit::{Kit, Place};
use serde_json::json;
use source_jira::JiraExport;

/// Two people, two issues with a comment and a worklog each, a comment by itself, and a line that is no record.
fn export() -> Place {
    Place::in_folder(|dir| {
        let person = |id: &str| json!({ "accountId": id, "displayName": id });
        let issue = |id: u32| {
            json!({ "id": id.to_string(), "key": format!("K-{id}"), "fields": {
                "summary": "naïve \u{2028} text",
                "reporter": person("ada"),
                "comment": { "comments": [{ "id": format!("{id}1"), "body": "b" }], "total": 1 },
                "worklog": { "worklogs": [{ "id": format!("{id}2"), "timeSpentSeconds": 60 }], "total": 1 },
            }})
        };
        let write = |file: &str, lines: &[String]| fs::write(dir.join(file), lines.join("\n")).unwrap();
        write("projects.jsonl", &[json!({ "id": "1", "key": "K" }).to_string(), "no record".to_owned()]);
        write("users.jsonl", &[person("ada").to_string(), person("bo").to_string()]);
        write("issues.jsonl", &[issue(1).to_string(), issue(2).to_string()]);
        write("comments.jsonl", &[json!({ "id": "9", "issueId": "1", "body": "c" }).to_string()]);
        json!({ "path": dir, "slice_bytes": 16384 })
    })
}

/// Issues of 64 KiB each.
fn large_export() -> Place {
    Place::in_folder(|dir| {
        let file = fs::File::create(dir.join("issues.jsonl")).unwrap();
        let (mut file, description) = (BufWriter::new(file), "x".repeat(64 << 10));
        for id in 1..=1100 {
            let fields = json!({ "summary": "large", "description": description });
            writeln!(file, "{}", json!({ "id": id.to_string(), "key": format!("K-{id}"), "fields": fields })).unwrap();
        }
        file.flush().unwrap();
        json!({ "path": dir })
    })
}

fn main() -> ExitCode {
    Kit::of::<JiraExport>()
        .places(|| Ok(export()))
        .units(&[
            ("jira.projects", 2),
            ("jira.users", 4),
            ("jira.issues", 2),
            ("jira.comments", 3),
            ("jira.worklogs", 2),
        ])
        .append("jira.issues", |place| {
            let issue = json!({ "id": "3", "key": "K-3", "fields": { "summary": "added" } });
            let file = fs::File::options().append(true).open(place.dir().join("issues.jsonl"));
            writeln!(file.unwrap(), "\n{issue}").unwrap();
            1
        })
        .large("jira.issues", || Ok(large_export()))
        .wrong(|place| json!({ "path": place.dir().join("nowhere") }))
        .main()
}
