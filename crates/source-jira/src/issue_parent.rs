//! The parent that an issue names only by a key: `fields.parent`, `fields.epic`, or the field of the epic link.

use memchr::memmem;
use serde_json::value::RawValue;

use crate::{
    json::{id, members, text},
    parent::IssueRef,
};

/// Finds the parents of issues that are named only by a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ParentKeys<'e> {
    /// The member of `fields` that holds the key of the epic: what is configured, otherwise the field of the type
    /// `com.pyxis.greenhopper.jira:gh-epic-link` in the `schema` of the file's pages.
    epic_link: Option<&'e str>,
}

impl<'e> ParentKeys<'e> {
    /// The epic link is the field with the id `epic_link`, where one is told.
    pub(crate) fn new(epic_link: Option<&'e str>) -> Self {
        Self { epic_link }
    }

    /// The members that may name a parent.
    pub(crate) fn members(&self) -> impl Iterator<Item = &'e str> {
        ["parent", "epic"].into_iter().chain(self.epic_link)
    }

    /// The parent of the issue `json`, when it is told by a key and by no id. An id in `fields.parent` or
    /// `fields.epic` needs no help.
    pub(crate) fn of_issue<'a>(self, json: &'a str) -> IssueRef<'a> {
        let is_possible = lacks_id(json, "parent") || lacks_id(json, "epic") || self.has_epic_link(json);
        if is_possible { self.find(json).unwrap_or_default() } else { IssueRef::default() }
    }

    fn find<'a>(self, json: &'a str) -> Option<IssueRef<'a>> {
        let [fields] = members(json, ["fields"])?;
        let [parent, epic, link] = members(fields?.get(), ["parent", "epic", self.epic_link.unwrap_or("epic")])?;
        for object in [parent, epic].into_iter().flatten() {
            let Some([object_id, key]) = members(object.get(), ["id", "key"]) else { continue };
            if object_id.and_then(id).is_some() {
                return None;
            }
            if let Some(key) = key.and_then(text) {
                return Some(IssueRef { id: None, key: Some(key) });
            }
        }
        let link = self.epic_link.and(link)?;
        Some(IssueRef { id: None, key: Some(text(link)?) })
    }

    fn has_epic_link(self, json: &str) -> bool {
        self.epic_link.is_some_and(|name| values(json, name).any(|value| value.starts_with('"')))
    }
}

/// Whether an object without an id stands under `name` somewhere in a text.
fn lacks_id(json: &str, name: &str) -> bool {
    values(json, name).filter(|value| value.starts_with('{')).any(|value| {
        let Some(object) = first_value(value) else { return false };
        members(object.get(), ["id"]).is_some_and(|[id]| id.is_none())
    })
}

/// What follows each member `name` in a text, at whatever depth.
pub(crate) fn values<'a>(json: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let name = format!("\"{name}\"");
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let at = memmem::find(rest.as_bytes(), name.as_bytes())?;
            rest = rest.get(at + name.len()..)?;
            if let Some(value) = rest.trim_ascii_start().strip_prefix(':') {
                return Some(value.trim_ascii_start());
            }
        }
    })
}

/// The JSON value that a text begins with.
pub(crate) fn first_value(text: &str) -> Option<&RawValue> {
    serde_json::Deserializer::from_str(text).into_iter::<&RawValue>().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(json: &str, epic_link: Option<&str>) -> Option<String> {
        let IssueRef { id, key } = ParentKeys::new(epic_link).of_issue(json);
        assert_eq!(id, None);
        key.map(|key| key.into_owned())
    }

    #[test]
    fn a_parent_may_be_told_by_key_by_the_epic_or_by_the_epic_link() {
        for (fields, found) in [
            (r#"{"parent":{"key":"AB-1"}}"#, Some("AB-1")),
            (r#"{"parent" : { "id":null,"key":"AB-1"}}"#, Some("AB-1")),
            (r#"{"parent":{"key":"AB-1","id":"7"}}"#, None),
            (r#"{"parent":{"fields":{"parent":{"key":"AB-9"}},"id":7},"cf_1":"AB-2"}"#, None),
            (r#"{"epic":{"key":"AB-1"}}"#, Some("AB-1")),
            (r#"{"epic":{"id":7,"key":"AB-1"},"cf_1":"AB-2"}"#, None),
            (r#"{"parent":{"key":"AB-1"},"epic":{"id":7},"cf_1":"AB-2"}"#, Some("AB-1")),
            (r#"{"parent":null,"epic":null,"cf_1":"AB-2"}"#, Some("AB-2")),
            (r#"{"cf_1":null}"#, None),
            (r#"{"cf_1":7}"#, None),
            (r#"{"cf_2":"AB-2","summary":"\"parent\":{}"}"#, None),
            (r#"{"x":{"parent":{"key":"AB-9"}}}"#, None),
        ] {
            let issue = format!(r#"{{"id":"1","fields":{fields}}}"#);
            assert_eq!(key(&issue, Some("cf_1")).as_deref(), found, "{fields}");
        }
        assert_eq!(key(r#"{"fields":{"cf_1":"AB-1","epic":"AB-2"}}"#, None), None);
        assert_eq!(key(r#"{"parent":{"key":"AB-1"},"fields":{}"#, None), None);
    }
}
