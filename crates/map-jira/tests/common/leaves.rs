//! The leaves of a record, to change one at a time.

use serde_json::{Value, json};

/// The paths to all leaves: values without members, and empty lists and objects.
pub(crate) fn leaves(record: &Value) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    find_leaves(record, &mut Vec::new(), &mut found);
    found
}

fn find_leaves(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let mut descend = |name: String, member: &Value| {
        path.push(name);
        find_leaves(member, path, found);
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

/// The record with another value of the same kind at `path`.
pub(crate) fn changed_at(record: &Value, path: &[String]) -> Value {
    let mut changed = record.clone();
    let leaf = at(&mut changed, path);
    *leaf = other(leaf);
    changed
}

/// The record without the member at `path`.
pub(crate) fn without(record: &Value, path: &[String]) -> Value {
    let mut without = record.clone();
    let (name, above) = path.split_last().unwrap();
    at(&mut without, above).as_object_mut().unwrap().remove(name);
    without
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
        Value::String(text) if text.starts_with("https://") && text.contains("/rest/") => {
            json!(text.replace("https://", "https://another."))
        }
        Value::String(text) => json!(format!("{text}x")),
        Value::Array(_) => json!(["something"]),
        Value::Object(_) => json!({ "something": 1 }),
    }
}

/// Whether a null stands at `path`, where members are mapped one by one.
pub(crate) fn is_direct_null(record: &Value, path: &[String]) -> bool {
    let depth = if path[0] == "fields" { 2 } else { 1 };
    path.len() <= depth && path.iter().fold(record, |value, name| &value[name.as_str()]).is_null()
}
