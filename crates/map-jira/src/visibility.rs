//! Who may read a comment or a worklog.
//!
//! A restriction that is there and cannot be read is said to be one: it never looks like none. Where a member is
//! repeated, null does not take a restriction back.

use std::borrow::Cow;

use endpoint_api::Note;
use serde_json::value::RawValue;

use crate::{
    ids::shown,
    keep::RawObject,
    odd::Odd,
    record::Record,
    values::{id_of, string},
};

/// There is a restriction, and by what cannot be read.
const UNREADABLE: &str = "restricted:unreadable";

/// An internal note of a service desk: people of the team may read it, customers may not.
const INTERNAL: &str = "internal";

/// The property by which Jira Service Management marks a note.
const NOTE_PROPERTY: &str = "sd.public.comment";

/// `role:<name>`, `group:<name>` or `group:<identifier>`, `internal`, `restricted:unreadable`; `None` when everybody
/// may read the record. Of a restriction and an internal mark the restriction is told, which is the stricter one;
/// the mark stays in `properties`.
pub(crate) fn visibility<'a>(
    record: &mut Record<'a>,
    raw: &mut RawObject<'_>,
    odd: &mut Odd<'a, '_>,
) -> Option<Cow<'a, str>> {
    let value = record.take_any("visibility");
    raw.keep_odd("visibility", value);
    let restriction = match value {
        Some(value) => restriction(value).or_else(|| {
            odd.note(Note::Restricted("visibility"));
            Some(UNREADABLE.into())
        }),
        None => level(record, odd),
    };
    restriction.or_else(|| is_internal(record).then_some(INTERNAL.into()))
}

/// What a `visibility` says.
fn restriction<'a>(value: &'a str) -> Option<Cow<'a, str>> {
    let [kind, name, identifier] = shown(value, ["type", "value", "identifier"])?;
    let kind = kind.and_then(told)?;
    let name = name.and_then(told).or_else(|| identifier.and_then(told))?;
    Some(format!("{kind}:{name}").into())
}

/// The form of the first versions of the REST API.
fn level<'a>(record: &mut Record<'a>, odd: &mut Odd<'a, '_>) -> Option<Cow<'a, str>> {
    for (member, kind) in [("roleLevel", "role"), ("groupLevel", "group")] {
        let Some(value) = record.take_any(member) else { continue };
        return match told(value) {
            Some(name) => Some(format!("{kind}:{name}").into()),
            None => {
                odd.keep_value(member, value);
                odd.note(Note::Restricted(member));
                Some(UNREADABLE.into())
            }
        };
    }
    None
}

/// A text or the digits of a number, unless there is nothing in it.
fn told(value: &str) -> Option<Cow<'_, str>> {
    id_of(value).filter(|text| !text.trim().is_empty())
}

/// Whether a record is marked as an internal note; a mark that cannot be read counts as one.
fn is_internal(record: &Record<'_>) -> bool {
    let says_public = |value: &str| value == "true" || string(value).is_some_and(|text| text == "true");
    let is_marked = record.all("jsdPublic").any(|value| !says_public(value));
    is_marked || record.all("properties").any(has_internal_property)
}

/// Whether a list of properties holds `{"key": "sd.public.comment", "value": {"internal": true}}`.
fn has_internal_property(properties: &str) -> bool {
    if !properties.contains(NOTE_PROPERTY) {
        return false;
    }
    let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(properties) else { return true };
    list.into_iter().any(|property| {
        // What names the property and is not one may be a mark.
        let names_it = || property.get().contains(NOTE_PROPERTY);
        let Some([Some(key), value]) = shown(property.get(), ["key", "value"]) else { return names_it() };
        let Some(key) = string(key) else { return names_it() };
        let is_public = value
            .and_then(|value| shown(value, ["internal"]))
            .is_some_and(|[internal]| internal.is_none_or(|internal| internal == "false" || internal == "\"false\""));
        key == NOTE_PROPERTY && !is_public
    })
}
