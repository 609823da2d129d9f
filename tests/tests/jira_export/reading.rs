//! What the tables must hold, read from the same JSON a second time and in another way: as values, field
//! by field, without anything of the product.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::{Map, Value, json};

/// What is expected of the row that a record becomes.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) key: String,
    /// 1 for a record itself, 0 for one that was seen only as a part of another.
    pub(crate) rank: u8,
    pub(crate) version_us: Option<i64>,
    /// The columns by name; times in microseconds.
    pub(crate) columns: BTreeMap<&'static str, Value>,
    /// Custom fields and the like, which `properties` or `raw_source` hold.
    pub(crate) kept: BTreeMap<String, Value>,
    /// The document whose texts the column of that name holds.
    pub(crate) document: Option<(&'static str, Value)>,
}

/// What a unit's records are, as this reading sees them.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// How many there are, those without an id included.
    pub(crate) read: u64,
    pub(crate) expected: Vec<Expected>,
    /// How many carry no id, or belong to an issue that cannot be told.
    pub(crate) without_identity: u64,
}

/// An export, as values.
pub(crate) struct Export {
    records: BTreeMap<&'static str, Vec<Value>>,
}

pub(crate) const UNITS: [&str; 5] = ["projects", "users", "issues", "comments", "worklogs"];

impl Export {
    pub(crate) fn read(folder: &Path) -> Self {
        let lines = |unit: &&'static str| {
            let text = fs::read_to_string(folder.join(format!("{unit}.jsonl"))).unwrap();
            let lines = text.split('\n').filter(|line| !line.trim().is_empty());
            (*unit, lines.map(|line| serde_json::from_str(line).unwrap()).collect())
        };
        Self { records: UNITS.iter().map(lines).collect() }
    }

    pub(crate) fn own(&self, unit: &str) -> &[Value] {
        &self.records[unit]
    }

    pub(crate) fn unit(&self, unit: &str) -> Records {
        match unit {
            "projects" => records(self.own("projects").iter().map(project)),
            "issues" => records(self.own("issues").iter().map(item)),
            "users" => self.users(),
            "comments" => self.said("comment", "comments", comment),
            "worklogs" => self.said("worklog", "worklogs", worklog),
            _ => panic!("no unit {unit}"),
        }
    }

    fn users(&self) -> Records {
        let whole = self.own("users").iter().map(|record| user(record, 1));
        let leads = self.own("projects").iter().map(|project| &project["lead"]);
        let people = |said: &Value| [said["author"].clone(), said["updateAuthor"].clone()];
        let mut parts: Vec<Value> = leads.cloned().collect();
        for issue in self.own("issues") {
            let fields = &issue["fields"];
            parts.extend(["assignee", "reporter", "creator"].map(|name| fields[name].clone()));
            for (page, list) in [("comment", "comments"), ("worklog", "worklogs")] {
                parts.extend(page_of(fields, page, list).iter().flat_map(people));
            }
        }
        parts.extend(self.own("comments").iter().chain(self.own("worklogs")).flat_map(people));
        let parts: Vec<Value> = parts.into_iter().filter(|part| user_id(part).is_some()).collect();
        records(whole.chain(parts.iter().map(|part| user(part, 0))))
    }

    /// Comments or worklogs: those of their own file and those that issues embed.
    fn said(&self, page: &str, unit: &str, read: fn(&Value, &str) -> Option<Expected>) -> Records {
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for issue in self.own("issues") {
            if let (Some(id), Some(key)) = (id(&issue["id"]), issue["key"].as_str()) {
                ids.entry(key.to_owned()).or_default().insert(id);
            }
        }
        let resolve = |key: &str| match ids.get(key) {
            Some(ids) if ids.len() == 1 => ids.first().cloned(),
            _ => None,
        };
        let own = self.own(unit).iter().map(|record| {
            let parent = issue_of(record, page);
            let parent = parent.and_then(|parent| if is_digits(&parent) { Some(parent) } else { resolve(&parent) });
            read(record, &parent?)
        });
        let embedded = self.own("issues").iter().flat_map(|issue| {
            let parent = id(&issue["id"]).or_else(|| resolve(issue["key"].as_str()?));
            let list = page_of(&issue["fields"], page, unit).to_vec();
            list.into_iter().map(move |record| read(&record, &parent.clone()?))
        });
        records(own.chain(embedded))
    }
}

fn records(all: impl Iterator<Item = Option<Expected>>) -> Records {
    let mut records = Records::default();
    for expected in all {
        records.read += 1;
        match expected {
            Some(expected) => records.expected.push(expected),
            None => records.without_identity += 1,
        }
    }
    records
}

fn page_of<'v>(fields: &'v Value, page: &str, list: &str) -> &'v [Value] {
    fields[page][list].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The issue that a record names: by its id, by its URL, by its key.
fn issue_of(record: &Value, page: &str) -> Option<String> {
    let url = record["self"].as_str().unwrap_or_default();
    let in_url = url.split_once("/issue/").and_then(|(_, rest)| rest.split_once(&format!("/{page}/")));
    let in_url = in_url.map(|(issue, _)| issue.to_owned());
    let numeric = in_url.clone().filter(|issue| is_digits(issue));
    id(&record["issueId"]).or(numeric).or_else(|| record["issueKey"].as_str().map(str::to_owned)).or(in_url)
}

/// An id: a text that is not empty, or a whole number.
fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

fn user_id(user: &Value) -> Option<String> {
    ["accountId", "key", "name"].iter().find_map(|name| id(&user[*name]))
}

fn cdm_id(entity: &str, id: Option<String>) -> Value {
    id.map_or(Value::Null, |id| json!(format!("cdm:work:{entity}:jira:{id}")))
}

/// Text as a database can hold it.
fn text(value: &Value) -> Value {
    value.as_str().map_or(Value::Null, |text| json!(text.replace('\0', "\u{FFFD}")))
}

fn time(value: &Value) -> Value {
    value.as_str().map_or(Value::Null, |text| json!(microseconds(text)))
}

/// Rich text: as it is, or the document whose texts are to be found.
fn rich(value: &Value, column: &'static str, expected: &mut Expected) {
    match value {
        Value::Object(_) => expected.document = Some((column, value.clone())),
        other => {
            expected.columns.insert(column, text(other));
        }
    }
}

fn expected(key: Value, rank: u8, version: &Value, columns: Vec<(&'static str, Value)>) -> Option<Expected> {
    let key = key.as_str()?.to_owned();
    let version_us = version.as_str().map(microseconds);
    let columns = columns.into_iter().collect();
    Some(Expected { key, rank, version_us, columns, kept: BTreeMap::new(), document: None })
}

fn project(record: &Value) -> Option<Expected> {
    let columns = vec![
        ("source_id", json!(id(&record["id"]))),
        ("source_project_key", text(&record["key"])),
        ("name", text(&record["name"])),
        ("url", text(&record["url"])),
        ("project_type", text(&record["projectTypeKey"])),
        ("lead_cdm_id", cdm_id("user", user_id(&record["lead"]))),
        ("archived", record["archived"].clone()),
    ];
    let mut expected = expected(cdm_id("project", id(&record["id"])), 1, &Value::Null, columns)?;
    rich(&record["description"], "description", &mut expected);
    Some(expected)
}

fn user(record: &Value, rank: u8) -> Option<Expected> {
    let columns = vec![
        ("source_user_id", json!(user_id(record))),
        ("display_name", text(&record["displayName"])),
        ("email", text(&record["emailAddress"])),
        ("active", record["active"].clone()),
        ("time_zone", text(&record["timeZone"])),
        ("account_type", text(&record["accountType"])),
        ("source_url", text(&record["self"])),
    ];
    expected(cdm_id("user", user_id(record)), rank, &Value::Null, columns)
}

fn item(record: &Value) -> Option<Expected> {
    let fields = &record["fields"];
    let category = &fields["status"]["statusCategory"];
    let columns = vec![
        ("source_id", json!(id(&record["id"]))),
        ("source_issue_key", text(&record["key"])),
        ("project_cdm_id", cdm_id("project", id(&fields["project"]["id"]))),
        ("parent_cdm_id", cdm_id("item", id(&fields["parent"]["id"]))),
        ("reporter_cdm_id", cdm_id("user", user_id(&fields["reporter"]))),
        ("assignee_cdm_id", cdm_id("user", user_id(&fields["assignee"]))),
        ("creator_cdm_id", cdm_id("user", user_id(&fields["creator"]))),
        ("issue_type", text(&fields["issuetype"]["name"])),
        ("status", text(&fields["status"]["name"])),
        (
            "status_category",
            match category["key"].as_str() {
                Some("new") => json!("todo"),
                Some("indeterminate") => json!("in_progress"),
                Some("done") => json!("done"),
                _ => Value::Null,
            },
        ),
        ("status_category_name", text(&category["name"])),
        ("priority", text(&fields["priority"]["name"])),
        ("resolution", text(&fields["resolution"]["name"])),
        ("summary", text(&fields["summary"])),
        ("labels", fields["labels"].clone()),
        ("created_at", time(&fields["created"])),
        ("updated_at", time(&fields["updated"])),
        ("due_on", fields["duedate"].clone()),
        ("closed_at", time(&fields["resolutiondate"])),
    ];
    let mut expected = expected(cdm_id("item", id(&record["id"])), 1, &fields["updated"], columns)?;
    rich(&fields["description"], "description", &mut expected);
    let custom = fields.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("customfield_"));
    expected.kept = custom.filter(|(_, value)| !value.is_null()).map(|(n, v)| (n.clone(), v.clone())).collect();
    Some(expected)
}

fn comment(record: &Value, issue: &str) -> Option<Expected> {
    let columns = vec![
        ("item_cdm_id", cdm_id("item", Some(issue.to_owned()))),
        ("source_comment_id", json!(id(&record["id"]))),
        ("author_cdm_id", cdm_id("user", user_id(&record["author"]))),
        ("created_at", time(&record["created"])),
        ("updated_at", time(&record["updated"])),
    ];
    let key = cdm_id("comment", id(&record["id"]).map(|id| format!("{issue}:{id}")));
    let mut expected = expected(key, 1, &record["updated"], columns)?;
    rich(&record["body"], "body", &mut expected);
    Some(expected)
}

fn worklog(record: &Value, issue: &str) -> Option<Expected> {
    let columns = vec![
        ("item_cdm_id", cdm_id("item", Some(issue.to_owned()))),
        ("source_worklog_id", json!(id(&record["id"]))),
        ("author_cdm_id", cdm_id("user", user_id(&record["author"]))),
        ("started_at", time(&record["started"])),
        ("time_spent_seconds", record["timeSpentSeconds"].clone()),
        ("created_at", time(&record["created"])),
        ("updated_at", time(&record["updated"])),
    ];
    let key = cdm_id("worklog", id(&record["id"]).map(|id| format!("{issue}:{id}")));
    let mut expected = expected(key, 1, &record["updated"], columns)?;
    rich(&record["comment"], "comment", &mut expected);
    Some(expected)
}

/// Every row of a table as JSON, by its key, with times in microseconds.
pub(crate) fn row(mut row: Map<String, Value>) -> Map<String, Value> {
    for name in ["created_at", "updated_at", "closed_at", "started_at", "_cdm_version_at"] {
        if let Some(value) = row.get_mut(name) {
            *value = time(value);
        }
    }
    row
}

/// What keeps a row from being that of a record; `None` when it is.
pub(crate) fn difference(row: &Map<String, Value>, expected: &Expected) -> Option<String> {
    for (column, value) in &expected.columns {
        if !same(&row[*column], value) {
            return Some(format!("{column} is {} and not {value}", row[*column]));
        }
    }
    for (name, value) in &expected.kept {
        let kept = [&row["properties"][name], &row["raw_source"]["fields"][name]];
        if !kept.iter().any(|kept| same(kept, value)) {
            return Some(format!("{name} is {kept:?} and not {value}"));
        }
    }
    let (column, document) = expected.document.as_ref()?;
    let raw = &row["raw_source"];
    if ![&raw[*column], &raw["fields"][*column]].into_iter().any(|kept| same(kept, document)) {
        return Some(format!("raw_source does not hold the document of {column}"));
    }
    let mut rest: &str = &row[*column].as_str().unwrap_or_default().split_whitespace().collect::<String>();
    for text in texts(document) {
        let text: String = text.replace('\0', "\u{FFFD}").split_whitespace().collect();
        match rest.split_once(&text) {
            Some((_, after)) => rest = after,
            None => return Some(format!("{column} lacks {text:?}")),
        }
    }
    None
}

/// The texts of a document in their order.
fn texts(node: &Value) -> Vec<&str> {
    let own = node["text"].as_str().filter(|_| node["type"] == "text");
    let below = node["content"].as_array().into_iter().flatten().flat_map(texts);
    own.into_iter().chain(below).collect()
}

/// Whether two values are equal: numbers by their value, text as a database can hold it, and a list that
/// is missing as an empty one is not.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::String(left), Value::String(right)) => *left == right.replace('\0', "\u{FFFD}"),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && right.iter().all(|(name, right)| {
                    left.get(&name.replace('\0', "\u{FFFD}")).is_some_and(|left| same(left, right))
                })
        }
        _ => left == right,
    }
}

/// `2021-03-04T05:06:07.123+0100` and `2021-03-04 04:06:07.123456+00:00` in microseconds since 1970.
fn microseconds(text: &str) -> i64 {
    let number = |text: &str| text.parse::<i64>().unwrap_or_else(|_| panic!("{text}"));
    let (day, time) = text.split_at(10);
    let [year, month, day] = [&day[..4], &day[5..7], &day[8..]].map(number);
    let zone = time.rfind(['+', '-', 'Z']).unwrap();
    let (time, zone) = time[1..].split_at(zone - 1);
    let fraction: String = time.get(9..).unwrap_or_default().chars().chain("000000".chars()).take(6).collect();
    let [hour, minute, second] = [&time[..2], &time[3..5], &time[6..8]].map(number);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let zone: String = zone.chars().filter(char::is_ascii_digit).chain("0000".chars()).take(4).collect();
    let offset = sign * (number(&zone[..2]) * 60 + number(&zone[2..]));

    // Days since 1970, counted in years that begin in March.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (month * 153 + 2) / 5 + day
            - 1
            - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute - offset) * 60 + second;
    seconds * 1_000_000 + number(&fraction)
}

#[test]
fn this_reading_knows_its_times() {
    assert_eq!(microseconds("1970-01-01T00:00:00.000+0000"), 0);
    assert_eq!(microseconds("2021-03-04T05:06:07.123+0100"), 1_614_830_767_123_000);
    assert_eq!(microseconds("2021-03-04 04:06:07.123456+00:00"), 1_614_830_767_123_456);
    assert_eq!(microseconds("2000-02-29T12:00:00Z"), 951_825_600_000_000);
    assert_eq!(microseconds("1969-12-31T23:30:00-0700"), 23_400_000_000);
}
