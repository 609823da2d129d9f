//! What the tables must hold, read from the same JSON a second time and in another way: as values, field
//! by field, without anything of the product.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::{Value, json};

use crate::{
    pages,
    people::{People, named},
    row::{Kept, pointer},
    values::{day, id, is_blank, is_digits, text, texts, time, truth, whole},
};

/// What is expected of the row that a record becomes.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) key: String,
    /// 1 for a record itself, 0 for one that was seen only as a part of another.
    pub(crate) rank: u8,
    pub(crate) version_us: Option<i64>,
    /// The columns by name; times in microseconds.
    pub(crate) columns: BTreeMap<&'static str, Value>,
    /// What no column holds, or not all of it: where `properties` or `raw_source` have it.
    pub(crate) kept: Vec<Kept>,
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
    people: People,
    /// The ids of the issues by their keys.
    issues: BTreeMap<String, BTreeSet<String>>,
}

/// An issue as a record names it.
#[derive(Debug, Default, Clone)]
struct Issue {
    id: Option<String>,
    key: Option<String>,
}

pub(crate) const UNITS: [&str; 5] = ["projects", "users", "issues", "comments", "worklogs"];

impl Export {
    pub(crate) fn read(folder: &Path) -> Self {
        let lines = |unit: &&'static str| {
            let text = fs::read_to_string(folder.join(format!("{unit}.jsonl"))).unwrap();
            let lines = text.split('\n').filter(|line| !line.trim().is_empty());
            (*unit, lines.map(|line| serde_json::from_str(line).unwrap()).collect())
        };
        let records: BTreeMap<_, Vec<Value>> = UNITS.iter().map(lines).collect();
        let people = People::of(&records["users"]);
        let mut issues: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for issue in &records["issues"] {
            if let (Some(id), Some(key)) = (id(&issue["id"]), told(&issue["key"])) {
                issues.entry(key).or_default().insert(id);
            }
        }
        Self { records, people, issues }
    }

    pub(crate) fn own(&self, unit: &str) -> &[Value] {
        &self.records[unit]
    }

    pub(crate) fn unit(&self, unit: &str) -> Records {
        match unit {
            "projects" => records(self.own("projects").iter().map(|record| self.project(record))),
            "issues" => records(self.own("issues").iter().map(|record| self.item(record))),
            "users" => self.users(),
            "comments" => self.said(&COMMENTS),
            "worklogs" => self.said(&WORKLOGS),
            _ => panic!("no unit {unit}"),
        }
    }

    fn users(&self) -> Records {
        let whole = self.own("users").iter().map(|record| self.user(record, 1));
        let leads = self.own("projects").iter().map(|project| &project["lead"]);
        let people = |said: &Value| [said["author"].clone(), said["updateAuthor"].clone()];
        let mut parts: Vec<Value> = leads.cloned().collect();
        for issue in self.own("issues") {
            let fields = &issue["fields"];
            parts.extend(["assignee", "reporter", "creator"].map(|name| fields[name].clone()));
            for (page, list) in [("comment", "comments"), ("worklog", "worklogs")] {
                parts.extend(page_of(fields, page, list).flat_map(people));
            }
        }
        parts.extend(self.own("comments").iter().chain(self.own("worklogs")).flat_map(people));
        let parts: Vec<Value> = parts.into_iter().filter(|part| named(part).is_some()).collect();
        records(whole.chain(parts.iter().map(|part| self.user(part, 0))))
    }

    /// Comments or worklogs: those of their own file and those that issues embed.
    fn said(&self, kind: &Said) -> Records {
        let read = |record: &Value, issue: Issue| {
            let issue_id = issue.id.or_else(|| self.id_of(issue.key.as_deref()?))?;
            let issue_key = issue.key.or_else(|| self.key_of(&issue_id));
            self.said_on(kind, record, &issue_id, issue_key.as_deref())
        };
        let own = self.own(kind.unit).iter().map(|record| read(record, issue_of(record, kind.entity)));
        let embedded = self.own("issues").iter().flat_map(|issue| {
            let parent = Issue { id: id(&issue["id"]), key: told(&issue["key"]) };
            page_of(&issue["fields"], kind.entity, kind.unit).map(move |record| read(record, parent.clone()))
        });
        records(own.chain(embedded))
    }

    /// The id of the one issue that has a key.
    fn id_of(&self, key: &str) -> Option<String> {
        self.issues.get(key).filter(|ids| ids.len() == 1)?.first().cloned()
    }

    /// The one key of the issue that has an id.
    fn key_of(&self, id: &str) -> Option<String> {
        let mut keys = self.issues.iter().filter(|(_, ids)| ids.contains(id)).map(|(key, _)| key);
        keys.next().filter(|_| keys.next().is_none()).cloned()
    }

    fn user_at(&self, user: &Value) -> Value {
        cdm_id("user", self.people.id(user))
    }

    fn project(&self, record: &Value) -> Option<Expected> {
        let project_id = id(&record["id"])?;
        let mut reading = Reading::of(record);
        reading.put("source_id", json!(project_id));
        reading.text("source_project_key", "/key");
        reading.text("name", "/name");
        reading.text("url", "/url");
        reading.text("project_type", "/projectTypeKey");
        reading.truth("archived", "/archived");
        reading.rich("description", "/description");
        reading.put("lead_cdm_id", self.user_at(&record["lead"]));
        reading.put("source_url", json!(pages::browse(record, record["key"].as_str())));
        reading.keep_raw(&["/self", "/lead"]);
        let mapped = ["id", "key", "name", "url", "projectTypeKey", "archived", "description", "self", "lead"];
        reading.keep_rest("", &mapped, &["avatarUrls", "expand"]);
        Some(reading.expect(cdm_id("project", Some(project_id)), 1, None))
    }

    fn user(&self, record: &Value, rank: u8) -> Option<Expected> {
        let (member, shown) = named(record)?;
        let user_id = self.people.id(record)?;
        let mut reading = Reading::of(record);
        reading.put("source_user_id", json!(user_id));
        reading.text("display_name", "/displayName");
        reading.text("email", "/emailAddress");
        reading.truth("active", "/active");
        reading.text("time_zone", "/timeZone");
        reading.text("account_type", "/accountType");
        reading.put("source_url", json!(pages::profile(record)));
        reading.keep_raw(&["/self"]);
        if shown != user_id {
            reading.keep_raw(&[&format!("/{member}")]);
        }
        let mapped = [member, "displayName", "emailAddress", "active", "timeZone", "accountType", "self"];
        reading.keep_rest("", &mapped, &["avatarUrl", "avatarUrls", "expand"]);
        Some(reading.expect(cdm_id("user", Some(user_id)), rank, None))
    }

    fn item(&self, record: &Value) -> Option<Expected> {
        let issue_id = id(&record["id"])?;
        let fields = &record["fields"];
        let mut reading = Reading::of(record);
        reading.put("source_id", json!(issue_id));
        reading.text("source_issue_key", "/key");
        reading.put("source_url", json!(pages::browse(record, record["key"].as_str())));
        reading.put("project_cdm_id", cdm_id("project", id(&fields["project"]["id"])));
        reading.put("parent_cdm_id", cdm_id("item", self.parent(fields)));
        reading.put("reporter_cdm_id", self.user_at(&fields["reporter"]));
        reading.put("assignee_cdm_id", self.user_at(&fields["assignee"]));
        reading.put("creator_cdm_id", self.user_at(&fields["creator"]));
        reading.text("issue_type", "/fields/issuetype/name");
        reading.text("status", "/fields/status/name");
        let category = match fields["status"]["statusCategory"]["key"].as_str() {
            Some("new") => json!("todo"),
            Some("indeterminate") => json!("in_progress"),
            Some("done") => json!("done"),
            _ => Value::Null,
        };
        reading.put("status_category", category);
        reading.text("status_category_name", "/fields/status/statusCategory/name");
        reading.text("priority", "/fields/priority/name");
        reading.text("resolution", "/fields/resolution/name");
        reading.text("summary", "/fields/summary");
        reading.rich("description", "/fields/description");
        reading.labels("labels", "/fields/labels");
        reading.time("created_at", "/fields/created");
        reading.time("updated_at", "/fields/updated");
        reading.day("due_on", "/fields/duedate");
        reading.time("closed_at", "/fields/resolutiondate");

        reading.keep_raw(&["/self"]);
        let objects =
            ["project", "parent", "reporter", "assignee", "creator", "issuetype", "status", "priority", "resolution"];
        reading.keep_raw(&objects.map(|name| format!("/fields/{name}")).each_ref().map(String::as_str));
        let mapped = ["summary", "description", "labels", "created", "updated", "duedate", "resolutiondate"];
        let pages = [("comment", "comments"), ("worklog", "worklogs")].into_iter();
        let pages = pages.filter(|(page, list)| fields[*page].is_array() || !fields[*page][list].is_null());
        let pages: Vec<&str> = pages.map(|(page, _)| page).collect();
        reading.keep_rest("/fields", &[&objects[..], &mapped].concat(), &pages);
        reading.keep_rest("", &["id", "key", "self", "fields"], &["expand"]);
        Some(reading.expect(cdm_id("item", Some(issue_id)), 1, time(&fields["updated"])))
    }

    /// The parent that an issue names, or its epic: by the id, or by the key of an issue of the export.
    fn parent(&self, fields: &Value) -> Option<String> {
        let named = ["parent", "epic"].into_iter().map(|name| (id(&fields[name]["id"]), told(&fields[name]["key"])));
        let (id, key) = named.into_iter().find(|(id, key)| id.is_some() || key.is_some())?;
        id.or_else(|| self.id_of(&key?))
    }

    /// A comment or a worklog.
    fn said_on(&self, kind: &Said, record: &Value, issue_id: &str, issue_key: Option<&str>) -> Option<Expected> {
        let said_id = id(&record["id"])?;
        let mut reading = Reading::of(record);
        reading.put("item_cdm_id", cdm_id("item", Some(issue_id.to_owned())));
        reading.put("author_cdm_id", self.user_at(&record["author"]));
        reading.put("visibility", json!(visibility(record)));
        reading.time("created_at", "/created");
        reading.time("updated_at", "/updated");
        reading.put(kind.id, json!(said_id));
        reading.put("source_url", json!(pages::focused(record, issue_key, kind.title, &said_id)));
        reading.rich(kind.text, &format!("/{}", kind.text));
        (kind.more)(&mut reading);
        reading.keep_said(issue_id, kind.mapped);
        let key = cdm_id(kind.entity, Some(format!("{issue_id}:{said_id}")));
        Some(reading.expect(key, 1, time(&record["updated"])))
    }
}

/// What sets comments and worklogs apart.
struct Said {
    unit: &'static str,
    entity: &'static str,
    /// How the page of an issue calls it.
    title: &'static str,
    /// The column of its own id.
    id: &'static str,
    /// The column of its text, and the member.
    text: &'static str,
    mapped: &'static [&'static str],
    more: fn(&mut Reading<'_>),
}

const COMMENTS: Said = Said {
    unit: "comments",
    entity: "comment",
    title: "Comment",
    id: "source_comment_id",
    text: "body",
    mapped: &["body"],
    more: |_| {},
};

const WORKLOGS: Said = Said {
    unit: "worklogs",
    entity: "worklog",
    title: "Worklog",
    id: "source_worklog_id",
    text: "comment",
    mapped: &["comment", "started", "timeSpentSeconds"],
    more: |reading| {
        reading.time("started_at", "/started");
        reading.whole("time_spent_seconds", "/timeSpentSeconds");
    },
};

/// A record that is read field by field. A field whose value cannot be read is null, and `raw_source` has the value at
/// its place.
struct Reading<'v> {
    record: &'v Value,
    columns: BTreeMap<&'static str, Value>,
    kept: Vec<Kept>,
    document: Option<(&'static str, Value)>,
}

impl<'v> Reading<'v> {
    fn of(record: &'v Value) -> Self {
        Self { record, columns: BTreeMap::new(), kept: Vec::new(), document: None }
    }

    fn at(&self, place: &str) -> &'v Value {
        self.record.pointer(place).unwrap_or(&Value::Null)
    }

    fn put(&mut self, column: &'static str, value: Value) {
        self.columns.insert(column, value);
    }

    /// What was made of the value at a place; what nothing could be made of is kept.
    fn put_read(&mut self, column: &'static str, place: &str, read: Option<Value>) {
        if read.is_none() {
            self.keep_raw(&[place]);
        }
        self.put(column, read.unwrap_or_default());
    }

    fn text(&mut self, column: &'static str, place: &str) {
        self.put_read(column, place, text(self.at(place)));
    }

    fn truth(&mut self, column: &'static str, place: &str) {
        self.put_read(column, place, truth(self.at(place)));
    }

    /// A value of which a blank text is none.
    fn unless_blank(&mut self, column: &'static str, place: &str, read: impl Fn(&Value) -> Option<Value>) {
        match self.at(place) {
            blank if is_blank(blank) => self.put(column, Value::Null),
            value => self.put_read(column, place, read(value)),
        }
    }

    fn time(&mut self, column: &'static str, place: &str) {
        self.unless_blank(column, place, |value| time(value).map(Value::from));
    }

    fn day(&mut self, column: &'static str, place: &str) {
        self.unless_blank(column, place, day);
    }

    fn whole(&mut self, column: &'static str, place: &str) {
        self.unless_blank(column, place, |value| whole(value).map(Value::from));
    }

    /// A list of texts; one that holds something else is kept beside them.
    fn labels(&mut self, column: &'static str, place: &str) {
        let value = self.at(place);
        let labels = texts(value);
        if labels.as_ref().map(Vec::len) != value.as_array().map(Vec::len) {
            self.keep_raw(&[place]);
        }
        self.put_read(column, place, labels.map(Value::from));
    }

    /// Rich text: as it is, or the document whose texts are to be found, which may stand in a string.
    fn rich(&mut self, column: &'static str, place: &str) {
        let value = self.at(place);
        let in_string = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let document = in_string.filter(|document| document["type"] == "doc");
        let document = document.or_else(|| value.is_object().then(|| value.clone()));
        match document {
            Some(document) => {
                self.keep_raw(&[place]);
                self.document = Some((column, document));
            }
            None => self.put_read(column, place, text(value)),
        }
    }

    /// Expects in `raw_source` what stands at these places.
    fn keep_raw(&mut self, places: &[&str]) {
        for place in places {
            let value = self.at(place);
            if !value.is_null() {
                let at = vec![("raw_source", (*place).to_owned())];
                self.kept.push(Kept { at, value: value.clone(), is_shown_in_short: true });
            }
        }
    }

    /// Expects all members of the object at `place` but those that are mapped or dropped.
    fn keep_rest(&mut self, place: &str, mapped: &[&str], dropped: &[&str]) {
        let is_issue = self.record.get("fields").is_some();
        for (name, value) in self.at(place).as_object().into_iter().flatten() {
            if value.is_null() || mapped.contains(&name.as_str()) || dropped.contains(&name.as_str()) {
                continue;
            }
            let name_at = pointer(name);
            // The members of an issue itself stand beside those of its fields.
            let in_properties =
                if is_issue && place.is_empty() { format!("/@record{name_at}") } else { name_at.clone() };
            let at = vec![("properties", in_properties), ("raw_source", format!("{place}{name_at}"))];
            self.kept.push(Kept { at, value: value.clone(), is_shown_in_short: name == "updateAuthor" });
        }
    }

    /// What is kept of a comment or a worklog; `mapped` are the members that only one of them has.
    fn keep_said(&mut self, issue_id: &str, mapped: &[&str]) {
        self.keep_raw(&["/self", "/author", "/visibility"]);
        let mut mapped = [&["id", "self", "author", "created", "updated", "visibility"], mapped].concat();
        if id(&self.record["issueId"]).as_deref() == Some(issue_id) {
            mapped.push("issueId");
        }
        // A level that is told is all in the column.
        let levels = ["roleLevel", "groupLevel"].into_iter().find(|level| !self.record[level].is_null());
        if let Some(level) = levels.filter(|_| self.record["visibility"].is_null()) {
            if self.columns["visibility"] == "restricted:unreadable" {
                self.keep_raw(&[&format!("/{level}")]);
            }
            mapped.push(level);
        }
        self.keep_rest("", &mapped, &[]);
    }

    fn expect(self, key: Value, rank: u8, version_us: Option<i64>) -> Expected {
        let Self { columns, kept, document, .. } = self;
        Expected { key: key.as_str().unwrap().to_owned(), rank, version_us, columns, kept, document }
    }
}

/// Who may read a comment or a worklog: nothing only when everybody may.
fn visibility(record: &Value) -> Option<String> {
    let told = |value: &Value| id_or_empty(value).filter(|text| !text.trim().is_empty());
    let restriction = |kind: Option<String>, name: Option<String>| match (kind, name) {
        (Some(kind), Some(name)) => format!("{kind}:{name}"),
        _ => "restricted:unreadable".to_owned(),
    };
    let who = &record["visibility"];
    if !who.is_null() {
        return Some(restriction(told(&who["type"]), told(&who["value"]).or_else(|| told(&who["identifier"]))));
    }
    for (level, kind) in [("roleLevel", "role"), ("groupLevel", "group")] {
        if !record[level].is_null() {
            return Some(restriction(Some(kind.to_owned()), told(&record[level])));
        }
    }
    let is_true = |value: &Value| *value == json!(true) || *value == json!("true");
    let is_marked = !record["jsdPublic"].is_null() && !is_true(&record["jsdPublic"]);
    let mut marks = record["properties"].as_array().into_iter().flatten();
    let is_internal = marks.any(|mark| mark["key"] == "sd.public.comment" && is_true(&mark["value"]["internal"]));
    (is_marked || is_internal).then(|| "internal".to_owned())
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

/// The records that a field of an issue embeds: a page of them, or a bare list.
fn page_of<'v>(fields: &'v Value, page: &str, list: &str) -> impl Iterator<Item = &'v Value> {
    let list = fields[page].as_array().or_else(|| fields[page][list].as_array());
    list.into_iter().flatten().filter(|record| record.is_object())
}

/// The issue that a record names, by members of itself, by its URL, by the object or the URL of its issue.
fn issue_of(record: &Value, page: &str) -> Issue {
    let issue = &record["issue"];
    let parent = Some(&record["parent"]).filter(|parent| told(&parent["key"]).is_some());
    let in_url = |url: &str, behind: &str| {
        let (_, rest) = url.split_once("/issue/")?;
        let rest = rest.split(['?', '#']).next()?.trim_end_matches('/');
        let mut rest = rest.split('/');
        let issue = rest.next()?.to_owned();
        (rest.next().unwrap_or_default() == behind).then_some(issue)
    };
    let own_url = record["self"].as_str().and_then(|url| in_url(url, page));
    let issue_url = issue["self"].as_str().or(issue.as_str()).and_then(|url| in_url(url, ""));
    let bare = id(issue).filter(|issue| !issue.contains('/'));

    let either = [id(&record["issueIdOrKey"]), own_url, bare, issue_url];
    let id_of = |part: &&Option<String>| part.as_deref().is_some_and(is_digits);
    let key_of = |part: &&Option<String>| part.as_deref().is_some_and(|part| !is_digits(part));
    let ids = [&record["issueId"], &record["issue_id"]].map(id);
    let keys = [&record["issueKey"], &record["issue_key"]].map(told);
    let last_ids = [id(&issue["id"]), parent.and_then(|parent| id(&parent["id"]))];
    let last_keys = [told(&issue["key"]), parent.and_then(|parent| told(&parent["key"]))];
    Issue {
        id: ids
            .iter()
            .flatten()
            .next()
            .or_else(|| either.iter().find(id_of)?.as_ref())
            .or(last_ids.iter().flatten().next())
            .cloned(),
        key: keys
            .iter()
            .flatten()
            .next()
            .or_else(|| either.iter().find(key_of)?.as_ref())
            .or(last_keys.iter().flatten().next())
            .cloned(),
    }
}

/// A text that is not empty.
fn told(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A text, or the digits of a whole number.
fn id_or_empty(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| id(value))
}

fn cdm_id(entity: &str, id: Option<String>) -> Value {
    id.map_or(Value::Null, |id| json!(format!("cdm:work:{entity}:jira:{id}")))
}
