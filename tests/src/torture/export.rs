use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, SystemTime},
};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::Sandbox;

/// Issues of a file; the last ones of each are in the next one, too.
const ISSUES: usize = 30;
const SHARED: usize = 5;
const ISSUE_FILES: usize = 6;
const USERS: usize = 40;

/// A Jira export of all five units with what makes loading hard: records that come twice within a file and
/// across files, equal or not, with and without a time of their last change; records within records; and
/// records that are rejected.
#[derive(Clone)]
pub(super) struct Export {
    files: BTreeMap<String, Vec<Value>>,
}

impl Export {
    pub(super) fn generate(dice: &mut Rng) -> Self {
        let mut files = BTreeMap::new();
        let projects =
            (1..=3).map(|n| json!({ "id": format!("{n}"), "key": format!("P{n}"), "lead": part_of_user(n) }));
        files.insert("projects.jsonl".to_owned(), projects.collect());
        for file in 0..2 {
            let mut users: Vec<Value> = (0..USERS).map(|_| user(dice)).collect();
            users.push(json!({ "displayName": "canary nobody" }));
            files.insert(format!("users-{file}.jsonl"), users);
        }
        for file in 0..ISSUE_FILES {
            let first = file * (ISSUES - SHARED);
            let mut issues: Vec<Value> = (first..first + ISSUES).map(|id| issue(dice, id)).collect();
            issues.push(dice.choice(&issues).unwrap().clone());
            issues.push(issue(dice, first + 1));
            issues.push(json!({ "key": format!("P1-{file}"), "fields": { "summary": "canary without an id" } }));
            issues.push(json!({ "id": format!("9{file}"), "fields": { "created": "canary never" } }));
            issues.push(Value::String(format!("{{\"id\": \"8{file}\", \"key\": \"canary\", ")));
            dice.shuffle(&mut issues);
            files.insert(format!("issues-{file}.jsonl"), issues);
        }
        for file in 0..2 {
            let mut comments: Vec<Value> = (0..40).map(|_| comment(dice, true)).collect();
            comments.push(json!({ "id": "7", "body": "canary on no issue" }));
            files.insert(format!("comments-{file}.jsonl"), comments);
        }
        files.insert("worklogs.jsonl".to_owned(), (0..40).map(|_| worklog(dice, true)).collect());
        Self { files }
    }

    /// The same with a tenth of the records changed, each file in some place; projects and the first file of
    /// comments stay as they are.
    pub(super) fn changed(&self, dice: &mut Rng) -> Self {
        let mut changed = self.clone();
        for (name, records) in &mut changed.files {
            if name.starts_with("projects") || name.starts_with("comments-0") {
                continue;
            }
            let sure = dice.usize(..records.len());
            for (place, record) in records.iter_mut().enumerate() {
                if record.is_object() && (place == sure || dice.u8(..10) == 0) {
                    change(dice, record);
                }
            }
            records.push(match name.split('-').next() {
                Some("issues") => issue(dice, 1000),
                Some("comments") => comment(dice, true),
                Some("users") => user(dice),
                _ => worklog(dice, true),
            });
        }
        changed
    }

    /// Writes it into a sandbox, as if it had long been there.
    pub(super) fn write(&self, sandbox: &Sandbox) {
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (name, records) in &self.files {
            let line = |record: &Value| match record {
                Value::String(broken) => broken.clone(),
                record => record.to_string(),
            };
            let lines: Vec<String> = records.iter().map(line).collect();
            sandbox.export(name, &lines.iter().map(String::as_str).collect::<Vec<_>>());
            let file = fs::File::options().append(true).open(sandbox.path(format!("export/{name}"))).unwrap();
            file.set_modified(long_ago + Duration::from_secs(lines.concat().len() as u64)).unwrap();
        }
    }
}

/// Changes what a record says, and the time of its last change if it has one.
fn change(dice: &mut Rng, record: &mut Value) {
    let new = Value::String(format!("canary changed {}", dice.u16(..)));
    if let Some(fields) = record.get_mut("fields") {
        fields["summary"] = new;
        if fields.get("updated").is_some() {
            fields["updated"] = json!("2022-01-01T00:00:00.000+0000");
        }
        return;
    }
    let said = ["body", "comment", "displayName"].into_iter().find(|name| record.get(name).is_some());
    record[said.unwrap_or("displayName")] = new;
    if record.get("updated").is_some() {
        record["updated"] = json!("2022-01-01T00:00:00.000+0000");
    }
}

/// One of a few times, so that many are the same; or none.
fn sometimes_updated(dice: &mut Rng, record: &mut Value) {
    if dice.u8(..3) > 0 {
        record["updated"] = json!(format!("2021-03-0{}T05:06:07.000+0000", dice.u8(1..4)));
    }
}

fn user(dice: &mut Rng) -> Value {
    let (id, version) = (dice.usize(..USERS), dice.u8(..3));
    json!({ "accountId": format!("u{id}"), "displayName": format!("canary {id}.{version}"), "active": true })
}

/// A user as other records mention one.
fn part_of_user(id: usize) -> Value {
    json!({ "accountId": format!("u{id}"), "displayName": format!("canary {id}") })
}

fn someone(dice: &mut Rng) -> Value {
    part_of_user(dice.usize(..2 * USERS))
}

fn issue(dice: &mut Rng, id: usize) -> Value {
    let comments: Vec<Value> = (0..dice.usize(..4)).map(|_| comment(dice, false)).collect();
    let worklogs: Vec<Value> = (0..dice.usize(..3)).map(|_| worklog(dice, false)).collect();
    let mut fields = json!({
        "summary": format!("canary summary {}", dice.u8(..5)),
        "project": { "id": "1", "key": "P1", "name": "One" },
        "issuetype": { "id": "1", "name": "Task" },
        "status": { "id": "3", "name": "Doing", "statusCategory": { "id": 4, "key": "indeterminate", "name": "Doing" } },
        "created": "2021-03-01T05:06:07.000+0000",
        "labels": ["b", "a"],
        "description": "canary ".repeat(dice.usize(..200)),
        "reporter": someone(dice),
        "assignee": someone(dice),
        "customfield_10016": dice.u8(..9),
        "comment": { "comments": comments, "total": comments.len(), "startAt": 0 },
        "worklog": { "worklogs": worklogs, "total": worklogs.len(), "startAt": 0 },
    });
    sometimes_updated(dice, &mut fields);
    json!({ "id": format!("{}", 20_000 + id), "key": format!("P1-{id}"), "fields": fields })
}

/// Its issue is told by a comment that stands for itself.
fn of_an_issue(dice: &mut Rng, stands_for_itself: bool, record: &mut Value) {
    if stands_for_itself {
        record["issueId"] = json!(format!("{}", 20_000 + dice.usize(..ISSUES)));
    }
    sometimes_updated(dice, record);
}

fn comment(dice: &mut Rng, stands_for_itself: bool) -> Value {
    let id = dice.u8(..20);
    let mut comment = json!({
        "id": format!("{id}"), "author": someone(dice), "body": format!("canary said {}", dice.u8(..5)),
        "created": "2021-03-01T05:06:07.000+0000",
    });
    of_an_issue(dice, stands_for_itself, &mut comment);
    comment
}

fn worklog(dice: &mut Rng, stands_for_itself: bool) -> Value {
    let id = dice.u8(..20);
    let mut worklog = json!({
        "id": format!("{id}"), "author": someone(dice), "comment": format!("canary did {}", dice.u8(..5)),
        "started": "2021-03-01T05:06:07.000+0000", "timeSpentSeconds": 60 * u32::from(dice.u8(1..5)),
    });
    of_an_issue(dice, stands_for_itself, &mut worklog);
    worklog
}
