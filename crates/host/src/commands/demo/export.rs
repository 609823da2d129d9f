use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use fastrand::Rng;
use serde_json::{Value, json};

/// A Jira site of the sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site {
    /// The endpoint, its folder and the name of its system.
    pub(super) name: &'static str,
    is_cloud: bool,
    seed: u64,
    projects: [(&'static str, &'static str); 3],
    people: [&'static str; 12],
    things: [&'static str; 6],
    issues: usize,
}

/// Two sites: one of Jira Cloud, with documents and account ids, in German; one of Jira Server, with plain text
/// and user names. Their ids are the same numbers.
pub(super) const SITES: [Site; 2] = [
    Site {
        name: "harbour",
        is_cloud: true,
        seed: 20_210_304,
        projects: [("DOCK", "Docks"), ("CRANE", "Cranes"), ("SHIP", "Ships")],
        people: [
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
        ],
        things: ["crane 4", "the north gate", "berth 12", "the tide sensor", "the fuel pump", "pier 7"],
        issues: 3_000,
    },
    Site {
        name: "quarry",
        is_cloud: false,
        seed: 19_991_231,
        projects: [("PIT", "Pit"), ("BELT", "Conveyor belts"), ("LAB", "Laboratory")],
        people: [
            "Mia Rock",
            "Ned Stone",
            "Ola Gravel",
            "Pia Clay",
            "Quin Slate",
            "Rex Flint",
            "Sue Marl",
            "Tom Chalk",
            "Uma Sand",
            "Vic Basalt",
            "Wes Loam",
            "Zoe Tuff",
        ],
        things: ["belt 2", "the crusher", "the scale", "truck 9", "the drill", "the dust filter"],
        issues: 2_000,
    },
];

const TROUBLES: [&str; 6] = [
    "stops half way",
    "does not answer",
    "shows the wrong time",
    "needs a new label \u{1F3F7}",
    "leaks",
    "is slow after lunch",
];

/// The last of the people are in no list of users; they are known from issues alone.
const UNLISTED: usize = 2;

/// Writes a site's export into its folder: the same every time. A file that is there as it should be stays, so
/// that nobody reads it again.
pub(super) fn write(site: Site, folder: &Path) -> io::Result<()> {
    local_files::make_private_folder(folder)?;
    let mut rng = Rng::with_seed(site.seed);
    let mut issues: Vec<String> = (0..site.issues).map(|number| site.issue(number, &mut rng).to_string()).collect();
    // What an interrupted download, a hand-made edit and an export of two overlapping pages leave behind.
    issues.insert(100, r#"{"id":"10100","key":"CUT-1"#.to_owned());
    issues.insert(200, json!({ "key": "ODD-1", "fields": { "summary": "An issue without an id" } }).to_string());
    issues.extend(issues.get(300).cloned());
    let lines = |records: &mut dyn Iterator<Item = Value>| {
        records.fold(String::new(), |mut lines, record| {
            let _ = writeln!(lines, "{record}"); // a string takes all of it
            lines
        })
    };
    let listed = site.people.len() - UNLISTED;
    for (file, text) in [
        ("projects.jsonl", lines(&mut (0..site.projects.len()).map(|number| site.project(number)))),
        ("users.jsonl", lines(&mut (0..listed).map(|number| site.person(number)))),
        ("worklogs.jsonl", lines(&mut (0..site.issues / 4).map(|number| site.worklog(number, &mut rng)))),
        ("issues.jsonl", issues.join("\n") + "\n"),
    ] {
        write_once(folder.join(file), &text)?;
    }
    Ok(())
}

fn write_once(path: PathBuf, text: &str) -> io::Result<()> {
    let is_there = fs::read(&path).is_ok_and(|there| there == text.as_bytes());
    if is_there { Ok(()) } else { local_files::replace(&path, text.as_bytes()) }
}

/// A day and a time of 2021, told as Jira does.
fn time(day: usize, minute: usize) -> String {
    let (month, day) = (day / 28 % 12 + 1, day % 28 + 1);
    format!("2021-{month:02}-{day:02}T{:02}:{:02}:00.000+0100", minute / 60 % 24, minute % 60)
}

fn pick<T: Copy + Default>(rng: &mut Rng, among: &[T]) -> T {
    rng.choice(among).copied().unwrap_or_default()
}

impl Site {
    fn rest(&self, what: &str) -> String {
        format!("https://{}.example/rest/api/{}/{what}", self.name, if self.is_cloud { 3 } else { 2 })
    }

    fn project(&self, number: usize) -> Value {
        let (key, name) = self.projects.get(number).copied().unwrap_or_default();
        json!({
            "id": (10_000 + number).to_string(),
            "key": key,
            "name": name,
            "self": self.rest(&format!("project/{}", 10_000 + number)),
            "projectTypeKey": "software",
            "description": format!("Keeps the {} going.", self.name),
            "lead": self.person(number),
        })
    }

    fn person(&self, number: usize) -> Value {
        let name = self.people.get(number).copied().unwrap_or_default();
        let login = name.to_lowercase().replace(' ', ".");
        let mut person = json!({ "displayName": name, "active": number != 7, "timeZone": "Europe/Oslo" });
        let ids = match self.is_cloud {
            true => json!({
                "self": self.rest(&format!("user?accountId=acc-{number}")),
                "accountId": format!("acc-{number}"),
                "accountType": "atlassian",
            }),
            false => json!({
                "self": self.rest(&format!("user?username={login}")),
                "key": login,
                "name": login,
                "emailAddress": format!("{login}@{}.example", self.name),
            }),
        };
        if let (Some(person), Value::Object(ids)) = (person.as_object_mut(), ids) {
            person.extend(ids);
        }
        person
    }

    fn somebody(&self, rng: &mut Rng) -> Value {
        self.person(rng.usize(..self.people.len()))
    }

    /// A document where the site has them, and plain text elsewhere.
    fn text(&self, text: &str) -> Value {
        if !self.is_cloud {
            return json!(format!("h2. Seen\r\n\r\n{text}\u{2028}Told by radio."));
        }
        json!({ "type": "doc", "version": 1, "content": [
            { "type": "paragraph", "content": [{ "type": "text", "text": text }] },
            { "type": "bulletList", "content": [{ "type": "listItem", "content": [{ "type": "paragraph", "content": [
                { "type": "mention", "attrs": { "id": "acc-1", "text": "@Bo Chen" } },
                { "type": "text", "text": " has a look" },
            ] }] }] },
        ] })
    }

    fn trouble(&self, rng: &mut Rng) -> String {
        format!("{} {}", pick(rng, &self.things), pick(rng, &TROUBLES))
    }

    /// Names of states are the site's own; the keys of their categories are Jira's.
    fn status(&self, rng: &mut Rng) -> Value {
        let (name, key, category) = match (self.is_cloud, rng.u8(..10)) {
            (true, 0..=2) => ("Offen", "new", "Zu erledigen"),
            (true, 3..=4) => ("In Arbeit", "indeterminate", "In Arbeit"),
            (true, _) => ("Fertig", "done", "Fertig"),
            (false, 0..=3) => ("Open", "new", "To Do"),
            (false, 4..=5) => ("In Review", "indeterminate", "In Progress"),
            (false, _) => ("Closed", "done", "Done"),
        };
        json!({ "id": "3", "name": name, "statusCategory": { "id": 2, "key": key, "name": category } })
    }

    fn issue(&self, number: usize, rng: &mut Rng) -> Value {
        let (id, project) = (10_000 + number, rng.usize(..self.projects.len()));
        let (key, name) = self.projects.get(project).copied().unwrap_or_default();
        let status = self.status(rng);
        let is_done = status.pointer("/statusCategory/key").is_some_and(|key| key == "done");
        let summary = self.trouble(rng);
        let (created, updated) = (time(number, rng.usize(..1_440)), time(number + 3, rng.usize(..1_440)));
        let comments: Vec<Value> = (0..rng.usize(..3)).map(|count| self.comment(id, count, rng)).collect();
        json!({
            "expand": "renderedFields,names,schema",
            "id": id.to_string(),
            "self": self.rest(&format!("issue/{id}")),
            "key": format!("{key}-{number}"),
            "fields": {
                "summary": summary,
                "description": if number.is_multiple_of(3) { Value::Null } else { self.text(&summary) },
                "issuetype": { "id": "1", "name": if number.is_multiple_of(5) { "Bug" } else { "Task" }, "subtask": false },
                "project": { "id": (10_000 + project).to_string(), "key": key, "name": name },
                "status": status,
                "priority": { "id": "2", "name": pick(rng, &["High", "Medium", "Low"]) },
                "resolution": if is_done { json!({ "id": "1", "name": "Fixed" }) } else { Value::Null },
                "resolutiondate": if is_done { json!(updated) } else { Value::Null },
                "reporter": self.somebody(rng),
                "creator": self.somebody(rng),
                "assignee": if number.is_multiple_of(4) { Value::Null } else { self.somebody(rng) },
                "labels": if number.is_multiple_of(6) { json!(["tide", "2021"]) } else { json!([]) },
                "created": created,
                "updated": updated,
                "duedate": if number.is_multiple_of(7) { json!("2021-12-24") } else { Value::Null },
                "comment": { "comments": comments, "total": comments.len(), "maxResults": 50, "startAt": 0 },
                "customfield_10016": number % 8,
                "customfield_10019": 9_223_372_036_854_776_000_u64,
                "customfield_10020": if number.is_multiple_of(9) { json!([{ "id": 1, "name": "Sprint 1", "state": "closed" }]) } else { Value::Null },
                "workratio": -1,
            }
        })
    }

    fn comment(&self, issue: usize, count: usize, rng: &mut Rng) -> Value {
        let id = issue * 10 + count;
        let at = time(issue + count, rng.usize(..1_440));
        let mut comment = json!({
            "id": id.to_string(),
            "self": self.rest(&format!("issue/{issue}/comment/{id}")),
            "author": self.somebody(rng),
            "body": self.text(&format!("{} again.", self.trouble(rng))),
            "created": at,
            "updated": at,
        });
        if issue.is_multiple_of(20)
            && let Some(comment) = comment.as_object_mut()
        {
            let restriction = json!({ "type": "role", "value": "Foremen", "identifier": "10002" });
            comment.insert("visibility".to_owned(), restriction);
        }
        comment
    }

    fn worklog(&self, number: usize, rng: &mut Rng) -> Value {
        let issue = 10_000 + rng.usize(..self.issues);
        let at = time(number, rng.usize(..1_440));
        json!({
            "id": (50_000 + number).to_string(),
            "issueId": issue.to_string(),
            "author": self.somebody(rng),
            "started": at,
            "timeSpentSeconds": 900 * rng.u32(1..=16),
            "comment": pick(rng, &["Welding", "Painting", "Waiting"]),
            "created": at,
            "updated": at,
        })
    }
}
