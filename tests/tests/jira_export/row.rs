//! Rows of the tables, and whether they are what a record should have become.

use serde_json::{Map, Value, json};

use crate::{
    reading::Expected,
    values::{storable, time},
};

/// A value that a row must keep.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The columns and the places in them that it may stand at, as JSON pointers; one is enough.
    pub(crate) at: Vec<(&'static str, String)>,
    pub(crate) value: Value,
    /// Whether it is kept without the addresses of its pictures.
    pub(crate) is_shown_in_short: bool,
}

/// The JSON pointer to a member.
pub(crate) fn pointer(name: &str) -> String {
    format!("/{}", storable(name).replace('~', "~0").replace('/', "~1"))
}

/// An object without the addresses of its pictures, and without what is null.
fn without_pictures(value: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let is_kept =
        |(name, value): &(&String, &Value)| !value.is_null() && !matches!(name.as_str(), "avatarUrls" | "iconUrl");
    members.iter().filter(is_kept).map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
}

/// Every row of a table as JSON, by its key, with times in microseconds.
pub(crate) fn row(mut row: Map<String, Value>) -> Map<String, Value> {
    for name in ["created_at", "updated_at", "closed_at", "started_at", "_cdm_version_at"] {
        if let Some(value) = row.get_mut(name) {
            *value = json!(time(value));
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
    for Kept { at, value, is_shown_in_short } in &expected.kept {
        let in_short = |value: &Value| if *is_shown_in_short { without_pictures(value) } else { value.clone() };
        let found: Vec<_> = at.iter().filter_map(|(column, place)| row[*column].pointer(place)).collect();
        if !found.iter().any(|found| same(&in_short(found), &in_short(value))) {
            return Some(format!("at {at:?} stands {found:?} and not {value}"));
        }
    }
    let (column, document) = expected.document.as_ref()?;
    let texts = texts(document);
    if document["type"] != "doc" && texts.is_empty() && !row[*column].is_null() {
        return Some(format!("{column} is {} of an object without a text", row[*column]));
    }
    let mut rest: &str = &row[*column].as_str().unwrap_or_default().split_whitespace().collect::<String>();
    for text in texts {
        let text: String = storable(text).split_whitespace().collect();
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
        (Value::String(left), Value::String(right)) => *left == storable(right),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && right.iter().all(|(name, right)| left.get(&storable(name)).is_some_and(|left| same(left, right)))
        }
        _ => left == right,
    }
}
