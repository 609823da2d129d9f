//! Raw Jira issues, as many as are wanted and always the same ones.

use std::io::{self, Write};

use fastrand::Rng;
use serde_json::{Value, json};

/// How large issues are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// About 2 KB each.
    Small,
    /// A median of about 6 KB: longer texts as documents, and many custom fields, most of them empty.
    Large,
}

/// What is generated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Export {
    pub(crate) issues: usize,
    pub(crate) profile: Profile,
    /// So many of a hundred have changed since they were exported first.
    pub(crate) changed_percent: usize,
}

const PEOPLE: usize = 400;
const PROJECTS: usize = 24;
const TYPES: [&str; 5] = ["Bug", "Task", "Story", "Sub-task", "Epic"];
const STATUSES: [(&str, &str, &str); 5] = [
    ("Open", "new", "To Do"),
    ("In Progress", "indeterminate", "In Progress"),
    ("In Review", "indeterminate", "In Progress"),
    ("Resolved", "done", "Done"),
    ("Closed", "done", "Done"),
];
const PRIORITIES: [&str; 5] = ["Blocker", "Critical", "Major", "Minor", "Trivial"];
const LABELS: [&str; 8] = ["backend", "ui", "docs", "flaky", "customer", "security", "performance", "cleanup"];
const WORDS: [&str; 48] = [
    "after",
    "again",
    "archive",
    "because",
    "before",
    "build",
    "cache",
    "cannot",
    "change",
    "client",
    "column",
    "commit",
    "config",
    "connection",
    "dialog",
    "disk",
    "error",
    "export",
    "fails",
    "field",
    "filter",
    "import",
    "index",
    "job",
    "large",
    "limit",
    "login",
    "memory",
    "message",
    "missing",
    "open",
    "page",
    "query",
    "queue",
    "report",
    "request",
    "restart",
    "row",
    "server",
    "session",
    "slow",
    "sometimes",
    "sort",
    "table",
    "thread",
    "timeout",
    "upgrade",
    "wrong",
];

impl Export {
    /// Writes the issues, one a line.
    pub(crate) fn write(self, out: &mut impl Write) -> io::Result<()> {
        for number in 0..self.issues {
            serde_json::to_writer(&mut *out, &self.issue(number))?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    fn issue(self, number: usize) -> Value {
        let mut rng =
            Rng::with_seed(0x00c0_ffee ^ u64::try_from(number).unwrap_or_default().wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let id = 100_000 + number;
        let project = rng.usize(..PROJECTS);
        // Evenly spread: of each hundred issues the first ones.
        let has_changed = number % 100 < self.changed_percent;
        let created = 1_400_000_000 + number * 977;
        let updated = created + rng.usize(60..40_000_000) + if has_changed { 50_000_000 } else { 0 };
        let (status, category, category_name) = pick(&mut rng, &STATUSES);
        let is_done = category == "done";
        let paragraphs = match self.profile {
            Profile::Small => rng.usize(1..4),
            Profile::Large => rng.usize(3..14),
        };
        let texts: Vec<String> = (0..paragraphs).map(|_| words(&mut rng, 4, 14)).collect();
        let description = match self.profile {
            Profile::Small => Value::from(texts.join("\r\n\r\n")),
            Profile::Large => json!({ "type": "doc", "version": 1, "content": texts.iter().map(|text| json!({
                "type": "paragraph", "content": [{ "type": "text", "text": text }],
            })).collect::<Vec<_>>() }),
        };
        let mut fields = json!({
            "summary": format!("{}{}", words(&mut rng, 4, 9), if has_changed { " (again)" } else { "" }),
            "issuetype": { "self": rest("issuetype", 1 + number % 5), "id": (1 + number % 5).to_string(), "name": TYPES.get(number % 5), "subtask": number % 5 == 3 },
            "project": { "self": rest("project", 10_000 + project), "id": (10_000 + project).to_string(), "key": key(project), "name": format!("Project {project}") },
            "status": { "self": rest("status", 3), "name": status, "id": "3", "statusCategory": { "self": rest("statuscategory", 4), "id": 4, "key": category, "name": category_name } },
            "priority": { "self": rest("priority", 3), "name": pick(&mut rng, &PRIORITIES), "id": "3" },
            "resolution": if is_done { json!({ "self": rest("resolution", 1), "id": "1", "name": "Fixed" }) } else { Value::Null },
            "assignee": if rng.u8(..10) < 7 { person(&mut rng) } else { Value::Null },
            "reporter": person(&mut rng),
            "creator": person(&mut rng),
            "labels": (0..rng.usize(..3)).map(|_| pick(&mut rng, &LABELS)).collect::<Vec<_>>(),
            "description": description,
            "created": time(created),
            "updated": time(updated),
            "resolutiondate": if is_done { Value::from(time(updated)) } else { Value::Null },
            "duedate": null,
            "versions": [], "fixVersions": [], "components": [],
            "timespent": null, "aggregatetimespent": null, "workratio": -1,
            "votes": { "votes": rng.u8(..9), "hasVoted": false },
        });
        let custom = match self.profile {
            Profile::Small => 8,
            Profile::Large => 90,
        };
        if let Some(fields) = fields.as_object_mut() {
            for field in 0..custom {
                let value = match rng.u8(..12) {
                    0 => {
                        json!({ "self": rest("customFieldOption", 10_200 + field), "value": "Yes", "id": (10_200 + field).to_string() })
                    }
                    1 => Value::from(words(&mut rng, 1, 5)),
                    2 => json!(f64::from(rng.u16(..)) / 4.0),
                    _ => Value::Null,
                };
                fields.insert(format!("customfield_{}", 10_000 + field * 10), value);
            }
        }
        json!({ "expand": "operations,changelog", "id": id.to_string(), "self": rest("issue", id), "key": format!("{}-{number}", key(project)), "fields": fields })
    }
}

fn pick<T: Copy + Default>(rng: &mut Rng, among: &[T]) -> T {
    rng.choice(among.iter().copied()).unwrap_or_default()
}

fn words(rng: &mut Rng, least: usize, most: usize) -> String {
    let words: Vec<&str> = (0..rng.usize(least..=most)).map(|_| pick(rng, &WORDS)).collect();
    words.join(" ")
}

fn key(project: usize) -> String {
    let letter = |number: usize| char::from(b'A' + u8::try_from(number % 26).unwrap_or_default());
    [letter(project), letter(project / 5), letter(project * 7)].iter().collect()
}

fn rest(kind: &str, id: usize) -> String {
    format!("https://acme.example/rest/api/2/{kind}/{id}")
}

fn person(rng: &mut Rng) -> Value {
    let number = rng.usize(..PEOPLE);
    json!({
        "self": format!("https://acme.example/rest/api/2/user?accountId=5b10a{number:07}"),
        "accountId": format!("5b10a{number:07}"),
        "displayName": format!("Person {number}"),
        "active": !number.is_multiple_of(9),
        "avatarUrls": { "48x48": format!("https://acme.example/avatar/{number}") },
    })
}

/// As Jira writes times.
fn time(seconds: usize) -> String {
    let at = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| cdm_models::Timestamp::from_microsecond(seconds * 1_000_000).ok());
    at.map_or_else(String::new, |at| at.to_string().replace('Z', ".000+0000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(profile: Profile, issues: usize, changed_percent: usize) -> Vec<String> {
        let mut out = Vec::new();
        Export { issues, profile, changed_percent }.write(&mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_same_issues_come_every_time() {
        assert_eq!(lines(Profile::Small, 50, 0), lines(Profile::Small, 50, 0));
        assert_eq!(lines(Profile::Small, 50, 0), lines(Profile::Small, 99, 0)[..50], "more of them begin the same");
    }

    #[test]
    fn issues_are_as_large_as_is_said() {
        let small = lines(Profile::Small, 2000, 0);
        let mean = small.iter().map(String::len).sum::<usize>() / small.len();
        assert!((1900..2200).contains(&mean), "{mean} bytes");
        let mut large: Vec<usize> = lines(Profile::Large, 500, 0).iter().map(String::len).collect();
        large.sort_unstable();
        assert!((5500..6500).contains(&large[250]), "{} bytes", large[250]);
    }

    #[test]
    fn so_many_have_changed_as_is_said_and_are_newer() {
        let (before, after) = (lines(Profile::Small, 1000, 0), lines(Profile::Small, 1000, 10));
        let changed: Vec<(&String, &String)> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
        assert_eq!(changed.len(), 100);
        let updated = |line: &str| serde_json::from_str::<Value>(line).unwrap()["fields"]["updated"].to_string();
        assert!(changed.iter().all(|(a, b)| updated(a) < updated(b)));
    }
}
