//! Records such as Jira could give: every member may be absent or null, and there are more than anybody knows.

use proptest::{option, prelude::*};
use serde_json::{Map, Value, json};

fn text() -> impl Strategy<Value = Value> {
    prop_oneof!["[a-z ]{0,12}", "\\PC{0,8}", "[\\x00-\\x1f\"\\\\/\u{2028}é😀]{0,6}"].prop_map(Value::from)
}

/// Any JSON.
pub(crate) fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        Just(json!(1.0e300)),
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

/// A user with at least one of the ids.
pub(crate) fn identified_user() -> BoxedStrategy<Value> {
    let is_identified = |user: &Value| {
        ["accountId", "key", "name"].iter().any(|id| user[*id].as_str().is_some_and(|id| !id.is_empty()))
    };
    user().prop_filter("nobody", is_identified).boxed()
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
        ("self", resource()),
        ("avatarUrls", pictures()),
        ("avatarUrl", text().boxed()),
        ("expand", text().boxed()),
        ("groups", anything().boxed()),
    ])
}

/// The address of a REST resource of one of two sites, or any text.
fn resource() -> BoxedStrategy<Value> {
    let resource = prop_oneof![
        Just(json!("https://acme.example/rest/api/3/thing/1")),
        Just(json!("https://acme.example/jira/rest/api/3/thing/1")),
    ];
    prop_oneof![3 => resource, 1 => text()].boxed()
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
        ("epic", object(vec![("id", id().boxed()), ("key", text().boxed())])),
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

/// An issue.
pub(crate) fn issue() -> BoxedStrategy<Value> {
    with_id(vec![
        ("key", text().boxed()),
        ("self", resource()),
        ("expand", text().boxed()),
        ("changelog", anything().boxed()),
        ("boardId", anything().boxed()),
        ("fields", fields()),
    ])
}

/// A project.
pub(crate) fn project() -> BoxedStrategy<Value> {
    with_id(vec![
        ("key", text().boxed()),
        ("name", text().boxed()),
        ("self", resource()),
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

/// Null in most cases.
fn sometimes(value: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop_oneof![2 => Just(Value::Null), 1 => value].boxed()
}

fn visibility() -> BoxedStrategy<Value> {
    object(vec![("type", text().boxed()), ("value", text().boxed()), ("identifier", text().boxed())])
}

fn properties() -> BoxedStrategy<Value> {
    let marked = any::<bool>().prop_map(|is| json!([{ "key": "sd.public.comment", "value": { "internal": is } }]));
    prop_oneof![marked, Just(json!([]))].boxed()
}

/// A comment, which may have members of a worklog, and is no worklog.
pub(crate) fn comment() -> BoxedStrategy<Value> {
    said().prop_map(|said| only_beside(said, "timeSpentSeconds", "body")).boxed()
}

/// A worklog, which may have members of a comment, and is no comment.
pub(crate) fn worklog() -> BoxedStrategy<Value> {
    said().prop_map(|said| only_beside(said, "body", "timeSpentSeconds")).boxed()
}

/// The record without a member, unless another one is there.
fn only_beside(mut record: Value, member: &str, other: &str) -> Value {
    if record[other].is_null() {
        record.as_object_mut().unwrap().remove(member);
    }
    record
}

/// A comment or a worklog.
fn said() -> BoxedStrategy<Value> {
    with_id(vec![
        ("self", resource()),
        ("issueId", id().boxed()),
        ("issueKey", text().boxed()),
        ("author", user()),
        ("updateAuthor", user()),
        ("body", rich_text()),
        ("comment", rich_text()),
        ("visibility", sometimes(visibility())),
        ("roleLevel", sometimes(text().boxed())),
        ("groupLevel", sometimes(text().boxed())),
        ("created", time().boxed()),
        ("updated", time().boxed()),
        ("started", time().boxed()),
        ("timeSpentSeconds", any::<i64>().prop_map(Value::from).boxed()),
        ("jsdPublic", any::<bool>().prop_map(Value::from).boxed()),
        ("properties", properties()),
    ])
}

/// An object with an id, in which each other member may be absent or null.
fn with_id(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let with_id = |(record, id): (Value, Value)| {
        let mut with_id = Map::from_iter([("id".to_owned(), id)]);
        with_id.extend(record.as_object().unwrap().clone());
        Value::Object(with_id)
    };
    (object(members), id()).prop_map(with_id).boxed()
}
