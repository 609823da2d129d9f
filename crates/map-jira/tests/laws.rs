//! Every member of a record counts: changing it changes the row, unless it stands on the list of what
//! is dropped, and then it does not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{ON_ISSUE, map};
use endpoint_api::{Mapper, batch::Parent};
use map_jira::{DROPPED, JiraComments, JiraIssues, JiraProjects, JiraUsers, JiraWorklogs};
use proptest::{option, prelude::*};
use serde_json::{Map, Value, json};

fn text() -> impl Strategy<Value = Value> {
    prop_oneof!["[a-z ]{0,12}", "\\PC{0,8}", "[\\x00-\\x1f\"\\\\/\u{2028}é😀]{0,6}"].prop_map(Value::from)
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1.0e6..1.0e6).prop_map(|number: f64| json!(number)),
        text(),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-c]{1,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn time() -> impl Strategy<Value = Value> {
    (1990..2030u32, 1..=12u32, 1..=28u32, 0..24u32, 0..1000u32, prop_oneof!["\\+0000", "-0730", "\\+1300"])
        .prop_map(|(y, m, d, h, ms, offset)| json!(format!("{y}-{m:02}-{d:02}T{h:02}:59:00.{ms:03}{offset}")))
}

fn date() -> impl Strategy<Value = Value> {
    (1990..2030u32, 1..=12u32, 1..=28u32).prop_map(|(y, m, d)| json!(format!("{y}-{m:02}-{d:02}")))
}

fn id() -> impl Strategy<Value = Value> {
    prop_oneof![(1..100_000u64).prop_map(|id| json!(id.to_string())), (1..100_000u64).prop_map(Value::from)]
}

/// An object in which each member may be absent or null.
fn object(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let members: Vec<_> = members
        .into_iter()
        .map(|(name, value)| {
            let value = prop_oneof![9 => value, 1 => Just(Value::Null)];
            option::weighted(0.8, value).prop_map(move |value| (name, value))
        })
        .collect();
    members
        .prop_map(|members| {
            let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            Value::Object(present.collect())
        })
        .boxed()
}

fn pictures() -> BoxedStrategy<Value> {
    Just(json!({ "48x48": "https://acme.example/a.png" })).boxed()
}

fn user() -> BoxedStrategy<Value> {
    object(vec![
        ("accountId", text().boxed()),
        ("key", text().boxed()),
        ("name", text().boxed()),
        ("displayName", text().boxed()),
        ("emailAddress", text().boxed()),
        ("active", any::<bool>().prop_map(Value::from).boxed()),
        ("timeZone", text().boxed()),
        ("accountType", text().boxed()),
        ("self", text().boxed()),
        ("avatarUrls", pictures()),
        ("avatarUrl", text().boxed()),
        ("expand", text().boxed()),
        ("groups", anything().boxed()),
    ])
}

fn named() -> BoxedStrategy<Value> {
    object(vec![("id", id().boxed()), ("name", text().boxed()), ("iconUrl", text().boxed()), ("self", text().boxed())])
}

fn rich_text() -> BoxedStrategy<Value> {
    let document = (text(), any::<bool>()).prop_map(|(text, heading)| {
        let kind = if heading { "heading" } else { "mystery" };
        json!({ "type": "doc", "version": 1, "content": [{ "type": kind, "attrs": { "level": 1 }, "content": [{ "type": "text", "text": text }] }] })
    });
    prop_oneof![text(), document].boxed()
}

fn page(of: &'static str) -> BoxedStrategy<Value> {
    let page = prop::collection::vec(object(vec![("id", id().boxed()), ("body", text().boxed())]), 0..3)
        .prop_map(move |records| json!({ of: records, "total": 3, "maxResults": 50 }));
    prop_oneof![4 => page, 1 => Just(json!({ "name": "no page" }))].boxed()
}

fn fields() -> BoxedStrategy<Value> {
    let category = object(vec![
        ("key", prop_oneof!["new", "indeterminate", "done", "undefined"].prop_map(Value::from).boxed()),
        ("name", text().boxed()),
        ("id", id().boxed()),
    ]);
    let project = object(vec![("id", id().boxed()), ("key", text().boxed()), ("avatarUrls", pictures())]);
    let parent = object(vec![("id", id().boxed()), ("key", text().boxed()), ("fields", anything().boxed())]);
    object(vec![
        ("summary", text().boxed()),
        ("description", rich_text()),
        ("status", object(vec![("name", text().boxed()), ("iconUrl", text().boxed()), ("statusCategory", category)])),
        ("issuetype", named()),
        ("priority", named()),
        ("resolution", named()),
        ("project", project),
        ("parent", parent),
        ("reporter", user()),
        ("assignee", user()),
        ("creator", user()),
        ("labels", prop::collection::vec(text(), 0..3).prop_map(Value::from).boxed()),
        ("created", time().boxed()),
        ("updated", time().boxed()),
        ("duedate", date().boxed()),
        ("resolutiondate", time().boxed()),
        ("comment", page("comments")),
        ("worklog", page("worklogs")),
        ("customfield_10010", anything().boxed()),
        ("Story points", anything().boxed()),
        ("@record", anything().boxed()),
    ])
}

fn issue() -> BoxedStrategy<Value> {
    object(vec![
        ("key", text().boxed()),
        ("self", Just(json!("https://acme.example/rest/api/3/issue/1")).boxed()),
        ("expand", text().boxed()),
        ("changelog", anything().boxed()),
        ("boardId", anything().boxed()),
        ("fields", fields()),
    ])
}

fn project() -> BoxedStrategy<Value> {
    object(vec![
        ("key", text().boxed()),
        ("name", text().boxed()),
        ("self", text().boxed()),
        ("description", rich_text()),
        ("url", text().boxed()),
        ("projectTypeKey", text().boxed()),
        ("lead", user()),
        ("archived", any::<bool>().prop_map(Value::from).boxed()),
        ("avatarUrls", pictures()),
        ("expand", text().boxed()),
        ("components", anything().boxed()),
    ])
}

fn visibility() -> BoxedStrategy<Value> {
    object(vec![("type", text().boxed()), ("value", text().boxed()), ("identifier", text().boxed())])
}

fn said() -> BoxedStrategy<Value> {
    object(vec![
        ("self", text().boxed()),
        ("issueId", id().boxed()),
        ("issueKey", text().boxed()),
        ("author", user()),
        ("updateAuthor", user()),
        ("body", rich_text()),
        ("comment", rich_text()),
        ("visibility", visibility()),
        ("roleLevel", text().boxed()),
        ("groupLevel", text().boxed()),
        ("created", time().boxed()),
        ("updated", time().boxed()),
        ("started", time().boxed()),
        ("timeSpentSeconds", any::<i64>().prop_map(Value::from).boxed()),
        ("jsdPublic", any::<bool>().prop_map(Value::from).boxed()),
    ])
}

/// The paths to all leaves: values without members, and empty lists and objects.
fn leaves(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let mut descend = |name: String, member: &Value| {
        path.push(name);
        leaves(member, path, found);
        path.pop();
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(name, member)| descend(name.clone(), member));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(index, item)| descend(index.to_string(), item));
        }
        _ => found.push(path.clone()),
    }
}

fn at<'a>(value: &'a mut Value, path: &[String]) -> &'a mut Value {
    path.iter().fold(value, |value, name| match value {
        Value::Array(items) => &mut items[name.parse::<usize>().unwrap()],
        other => &mut other[name],
    })
}

/// Another value of the same kind.
fn other(value: &Value) -> Value {
    match value {
        Value::Null => json!("no longer null"),
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => json!(number ^ 1),
            None => json!(number.as_f64().unwrap() / 2.0 + 0.5),
        },
        Value::String(text) if text.contains(":59:00.") => json!(text.replace(":59:00.", ":58:00.")),
        Value::String(text) if text.len() == 10 && text.starts_with(['1', '2']) && text.contains('-') => {
            json!(if text.ends_with("01") { text[..8].to_owned() + "02" } else { text[..8].to_owned() + "01" })
        }
        Value::String(text) => json!(format!("{text}x")),
        Value::Array(_) => json!(["something"]),
        Value::Object(_) => json!({ "something": 1 }),
    }
}

fn is_dropped(unit: &str, path: &[String]) -> bool {
    let path = path.join(".");
    DROPPED.iter().filter(|dropped| dropped.unit == unit).any(|dropped| match dropped.path.strip_suffix(".**") {
        Some(prefix) => path == prefix || path.starts_with(&format!("{prefix}.")),
        None => path == dropped.path,
    })
}

/// A member that is null is as good as absent, when it stands where members are mapped one by one.
fn is_direct_null(record: &Value, path: &[String]) -> bool {
    let depth = if path[0] == "fields" { 2 } else { 1 };
    path.len() <= depth && path.iter().fold(record, |value, name| &value[name.as_str()]).is_null()
}

fn every_leaf_counts<M: Mapper>(record: &Value, parent: Option<Parent<'_>>) -> Result<(), TestCaseError> {
    let row = map::<M>(&record.to_string(), parent);
    prop_assert!(row.is_ok(), "{row:?}");
    let row = row.unwrap();
    let mut paths = Vec::new();
    leaves(record, &mut Vec::new(), &mut paths);
    for path in paths {
        if is_direct_null(record, &path) {
            let mut without = record.clone();
            let (name, above) = path.split_last().unwrap();
            at(&mut without, above).as_object_mut().unwrap().remove(name);
            prop_assert_eq!(map::<M>(&without.to_string(), parent).unwrap(), row.clone(), "{:?} is null", path);
            continue;
        }
        let mut changed = record.clone();
        let leaf = at(&mut changed, &path);
        *leaf = other(leaf);
        // A record that is now rejected is not lost either.
        let Ok(changed_row) = map::<M>(&changed.to_string(), parent) else { continue };
        if !is_dropped(M::UNIT, &path) {
            prop_assert!(changed_row != row, "{path:?} of {record} does not count");
        } else if record.pointer("/fields/comment/name").or(record.pointer("/fields/worklog/name")).is_none() {
            prop_assert_eq!(changed_row, row.clone(), "{:?} is on the list of what is dropped", path);
        }
    }
    Ok(())
}

fn with_id(record: Value, id: Value) -> Value {
    let mut with_id = Map::new();
    with_id.insert("id".into(), id);
    with_id.extend(record.as_object().unwrap().clone());
    Value::Object(with_id)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_leaf_of_an_issue_counts(issue in issue(), id in id()) {
        every_leaf_counts::<JiraIssues>(&with_id(issue, id), None)?;
    }

    #[test]
    fn every_leaf_of_a_project_counts(project in project(), id in id()) {
        every_leaf_counts::<JiraProjects>(&with_id(project, id), None)?;
    }

    #[test]
    fn every_leaf_of_a_user_counts(mut user in user()) {
        user["accountId"] = json!("a1");
        every_leaf_counts::<JiraUsers>(&user, None)?;
    }

    #[test]
    fn every_leaf_of_a_comment_counts(comment in said(), id in id()) {
        every_leaf_counts::<JiraComments>(&with_id(comment, id), ON_ISSUE)?;
    }

    #[test]
    fn every_leaf_of_a_worklog_counts(worklog in said(), id in id()) {
        every_leaf_counts::<JiraWorklogs>(&with_id(worklog, id), ON_ISSUE)?;
    }

    /// Whatever is thrown at a mapper, it answers with a row or a rejection.
    #[test]
    fn no_input_makes_a_mapper_panic(value in anything(), text in "\\PC{0,40}", cut in 0usize..60) {
        let json = value.to_string();
        let cut = json.get(..cut.min(json.len())).unwrap_or_default();
        for json in [json.as_str(), text.as_str(), cut] {
            let _ = map::<JiraIssues>(json, None);
            let _ = map::<JiraProjects>(json, None);
            let _ = map::<JiraUsers>(json, None);
            let _ = map::<JiraComments>(json, ON_ISSUE);
            let _ = map::<JiraWorklogs>(json, ON_ISSUE);
        }
    }
}
