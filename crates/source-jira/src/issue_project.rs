//! The project that an issue names only by its key.

use std::borrow::Cow;

use crate::{
    issue_parent::values,
    json::{id, members, text},
};

/// The key in `fields.project` of an issue, when no id stands beside it.
pub(crate) fn key_without_id(issue: &str) -> Option<Cow<'_, str>> {
    if !values(issue, "project").any(may_lack_id) {
        return None;
    }
    let [fields] = members(issue, ["fields"])?;
    let [project] = members(fields?.get(), ["project"])?;
    match members(project?.get(), ["id", "key"])? {
        [Some(known), _] if id(known).is_some() => None,
        [_, key] => key.and_then(text),
    }
}

/// Whether an object at the beginning of a text may have no member `id`. To see that it has one is quick where the
/// member stands before any object in it, as Jira writes it.
fn may_lack_id(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('{') else { return false };
    let head = memchr::memchr2(b'{', b'}', inside.as_bytes()).and_then(|end| inside.get(..end)).unwrap_or(inside);
    !values(head, "id").any(|value| !value.starts_with("null") && !value.starts_with("\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_may_be_named_by_its_key_alone() {
        for (fields, key) in [
            (r#"{"project":{"key":"AB"}}"#, Some("AB")),
            (r#"{"project":{"key":"AB","id":null}}"#, Some("AB")),
            (r#"{"project" : {"id":"", "key":"AB"}}"#, Some("AB")),
            (r#"{"project":{"key":"AB","projectCategory":{"id":"7"}}}"#, Some("AB")),
            (r#"{"project":{"self":"https://x","id":"1","key":"AB"}}"#, None),
            (r#"{"project":{"projectCategory":{"id":"7"},"id":1,"key":"AB"}}"#, None),
            (r#"{"project":{"name":"A"}}"#, None),
            (r#"{"project":"AB"}"#, None),
            (r#"{"project":null}"#, None),
            (r#"{"x":{"project":{"key":"AB"}}}"#, None),
        ] {
            let issue = format!(r#"{{"id":"1","fields":{fields}}}"#);
            assert_eq!(key_without_id(&issue).as_deref(), key, "{fields}");
        }
        assert_eq!(key_without_id("{"), None);
    }
}
