//! Reads the nodes of a document that the format does not allow: whatever is odd is passed over, the rest stays.

use std::borrow::Cow;

use cdm_models::json::members;
use serde_json::value::RawValue;

use super::Node;
use crate::values::string;

/// How deeply nodes are read one by one, as deeply as documents are otherwise. Of what is nested deeper only the text
/// is read, without its structure.
const DEEPEST: usize = 64;

/// The node that `json` is, `depth` levels below the document; `None` when it is not an object.
pub(super) fn node(json: &str, depth: usize) -> Option<Node<'_>> {
    let mut node = Node { kind: Cow::Borrowed(""), text: None, attrs: None, content: None, marks: None };
    // Of a member that is repeated the last counts.
    for member in members(json) {
        let (name, value) = member.ok()?;
        match name.as_ref() {
            "type" => node.kind = string(value).unwrap_or_default(),
            "text" => node.text = string(value),
            "attrs" => node.attrs = serde_json::from_str(value).ok(),
            "marks" => node.marks = serde_json::from_str(value).ok(),
            "content" if depth < DEEPEST => node.content = children(value, depth + 1),
            "content" => node.content = Some(vec![text(all_text(value))]),
            _ => {}
        }
    }
    Some(node)
}

fn children(list: &str, depth: usize) -> Option<Vec<Node<'_>>> {
    let list: Vec<&RawValue> = serde_json::from_str(list).ok()?;
    Some(list.into_iter().filter_map(|child| node(child.get(), depth)).collect())
}

fn text(text: String) -> Node<'static> {
    Node { kind: Cow::Borrowed("text"), text: Some(Cow::Owned(text)), attrs: None, content: None, marks: None }
}

/// Every text in a JSON value of any depth: the strings of its members `text`, with a space between them.
fn all_text(json: &str) -> String {
    let mut found = String::new();
    let mut rest = json;
    let mut is_text = false;
    while let Some((before, after)) = rest.split_once('"') {
        // Between two strings stands a colon where the first is a name.
        let is_value = is_text && before.trim() == ":";
        let Some(end) = end_of_string(after) else { break };
        let (inner, behind) = after.split_at(end);
        if is_value && let Some(text) = string(&format!("\"{inner}\"")) {
            if !found.is_empty() {
                found.push(' ');
            }
            found.push_str(&text);
        }
        is_text = !is_value && inner == "text";
        rest = behind.get(1..).unwrap_or_default();
    }
    found
}

/// Where the string that `text` begins within ends: the place of its closing quote.
fn end_of_string(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}
