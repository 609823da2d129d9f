use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::Path,
};

use serde_json::{Value, json};

/// How much a sample export holds.
const PROJECTS: u64 = 3;
const USERS: u64 = 12;
const ISSUES: u64 = 400;

/// Writes a small Jira export into `folder`: Cloud's documents and Server's plain text, localised
/// names, custom fields, embedded comments, users who are known only from issues, and two lines that
/// are no records. It is the same every time.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let lines = |name: &str, records: &mut dyn Iterator<Item = String>| {
        let mut file = BufWriter::new(File::create(folder.join(name))?);
        for record in records {
            writeln!(file, "{record}")?;
        }
        file.flush()
    };
    let mut dice = Dice(20_210_304);
    lines("projects.jsonl", &mut (0..PROJECTS).map(|number| project(number).to_string()))?;
    lines("users.jsonl", &mut (0..USERS - 2).map(|number| user(number).to_string()))?;
    let mut issues: Vec<String> = (0..ISSUES).map(|number| issue(number, &mut dice).to_string()).collect();
    // What an interrupted download and a hand-made edit leave behind.
    issues.insert(100, r#"{"id":"10100","key":"DOCK-1"#.to_owned());
    issues.insert(200, json!({ "id": "19999", "key": "DOCK-0", "fields": { "created": "yesterday" } }).to_string());
    lines("issues.jsonl", &mut issues.into_iter())?;
    lines("worklogs.jsonl", &mut (0..ISSUES / 2).map(|number| worklog(number, &mut dice).to_string()))
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides.max(1)
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        let at = self.roll(u64::try_from(from.len()).unwrap_or(1));
        usize::try_from(at).ok().and_then(|at| from.get(at)).copied().unwrap_or_default()
    }
}

const SITE: &str = "https://harbour.example";
const KEYS: [&str; 3] = ["DOCK", "CRANE", "SHIP"];
const NAMES: [&str; 12] = [
    "Ada Berg",
    "Bo Chen",
    "Cy Díaz",
    "Dana Eşref",
    "Eli Fon",
    "Fay Ōta",
    "Gil Roy",
    "Hana Ito",
    "Ida Lund",
    "Jo Kahn",
    "Kit Øst",
    "Lea Mora",
];
const THINGS: [&str; 8] =
    ["crane 4", "the north gate", "berth 12", "the tide sensor", "the fuel pump", "the ledger", "the radio", "pier 7"];
const TROUBLES: [&str; 6] = [
    "stops at half height",
    "does not answer",
    "shows the wrong time",
    "needs a new label",
    "leaks",
    "is slow after lunch",
];

fn key(project: u64) -> &'static str {
    usize::try_from(project).ok().and_then(|at| KEYS.get(at)).copied().unwrap_or("DOCK")
}

fn project(number: u64) -> Value {
    json!({
        "id": (10_000 + number).to_string(),
        "key": key(number),
        "name": format!("The {} project", key(number).to_lowercase()),
        "self": format!("{SITE}/rest/api/3/project/{}", 10_000 + number),
        "projectTypeKey": "software",
        "description": "Keeps the harbour going.",
        "lead": user(number),
    })
}

fn user(number: u64) -> Value {
    let name = usize::try_from(number).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or("Nobody");
    json!({
        "self": format!("{SITE}/rest/api/3/user?accountId=acc-{number}"),
        "accountId": format!("acc-{number}"),
        "accountType": "atlassian",
        "displayName": name,
        "active": number != 7,
        "timeZone": "Europe/Oslo",
    })
}

/// A day and a time of 2021, told as Jira does.
fn time(day: u64, minute: u64) -> String {
    let (month, day) = (day / 28 % 12 + 1, day % 28 + 1);
    format!("2021-{month:02}-{day:02}T{:02}:{:02}:00.000+0100", minute / 60 % 24, minute % 60)
}

fn document(text: &str) -> Value {
    json!({ "type": "doc", "version": 1, "content": [
        { "type": "paragraph", "content": [{ "type": "text", "text": text }] },
        { "type": "bulletList", "content": [{ "type": "listItem", "content": [
            { "type": "paragraph", "content": [{ "type": "mention", "attrs": { "id": "acc-1", "text": "@Bo Chen" } }, { "type": "text", "text": " has a look" }] } ] }] },
    ] })
}

fn issue(number: u64, dice: &mut Dice) -> Value {
    let (id, project) = (10_000 + number, dice.roll(PROJECTS));
    let (status, category, category_name) = match dice.roll(10) {
        0..=3 => ("Offen", "new", "Zu erledigen"),
        4..=5 => ("In Arbeit", "indeterminate", "In Arbeit"),
        _ => ("Fertig", "done", "Fertig"),
    };
    let summary = format!("{} {}", dice.pick(&THINGS), dice.pick(&TROUBLES));
    let (created, updated) = (time(number, dice.roll(1_440)), time(number + 3, dice.roll(1_440)));
    let description = match number % 3 {
        0 => document(&format!("Seen again: {summary}.")),
        1 => json!(format!("h2. {summary}\r\n\r\nSeen from pier 7.")),
        _ => Value::Null,
    };
    let comments: Vec<Value> = (0..dice.roll(4)).map(|count| comment(id, count, number, dice)).collect();
    let done = category == "done";
    json!({
        "expand": "renderedFields,names,schema",
        "id": id.to_string(),
        "self": format!("{SITE}/rest/api/3/issue/{id}"),
        "key": format!("{}-{number}", key(project)),
        "fields": {
            "summary": summary,
            "description": description,
            "issuetype": { "id": "1", "name": if number.is_multiple_of(5) { "Bug" } else { "Aufgabe" }, "subtask": false },
            "project": { "id": (10_000 + project).to_string(), "key": key(project) },
            "status": { "id": "3", "name": status, "statusCategory": { "id": 2, "key": category, "name": category_name } },
            "priority": { "id": "2", "name": dice.pick(&["Hoch", "Mittel", "Niedrig"]) },
            "resolution": if done { json!({ "id": "1", "name": "Erledigt" }) } else { Value::Null },
            "resolutiondate": if done { json!(updated) } else { Value::Null },
            "reporter": user(dice.roll(USERS)),
            "creator": user(dice.roll(USERS)),
            "assignee": if number.is_multiple_of(4) { Value::Null } else { user(dice.roll(USERS)) },
            "labels": if number.is_multiple_of(6) { json!(["tide", "2021"]) } else { json!([]) },
            "created": created,
            "updated": updated,
            "duedate": if number.is_multiple_of(7) { json!("2021-12-24") } else { Value::Null },
            "comment": { "comments": comments, "total": comments.len(), "maxResults": 50, "startAt": 0 },
            "customfield_10016": number % 8,
            "customfield_10020": if number.is_multiple_of(9) { json!([{ "id": 1, "name": "Sprint 1", "state": "closed" }]) } else { Value::Null },
            "workratio": -1,
        }
    })
}

fn comment(issue: u64, count: u64, day: u64, dice: &mut Dice) -> Value {
    let text = format!("{} {} again.", dice.pick(&THINGS), dice.pick(&TROUBLES));
    let at = time(day + count, dice.roll(1_440));
    json!({
        "id": (issue * 10 + count).to_string(),
        "self": format!("{SITE}/rest/api/3/issue/{issue}/comment/{}", issue * 10 + count),
        "author": user(dice.roll(USERS)),
        "body": if count.is_multiple_of(2) { document(&text) } else { json!(text) },
        "created": at,
        "updated": at,
    })
}

fn worklog(number: u64, dice: &mut Dice) -> Value {
    let issue = 10_000 + dice.roll(ISSUES);
    let at = time(number, dice.roll(1_440));
    json!({
        "id": (50_000 + number).to_string(),
        "issueId": issue.to_string(),
        "author": user(dice.roll(USERS)),
        "started": at,
        "timeSpentSeconds": 900 * (1 + dice.roll(16)),
        "comment": dice.pick(&["Welding", "Painting", "Waiting for the tide"]),
        "created": at,
        "updated": at,
    })
}
