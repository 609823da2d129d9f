use std::borrow::Cow;

use cdm_models::json::{members, nested_members};
use endpoint_api::Rejection;
use serde::de::IgnoredAny;

use crate::values::expected;

/// The members of a JSON object that are not null, as slices of its text.
///
/// A mapper takes out the members that it knows; the rest are what no field holds. A member that is
/// null says no more than one that is absent, and is treated as that.
#[derive(Debug, Default)]
pub(crate) struct Record<'a> {
    members: Vec<Member<'a>>,
}

/// A member of an object: its name and its exact text.
type Member<'a> = (Cow<'a, str>, &'a str);

impl<'a> Record<'a> {
    /// The members of a source record.
    pub(crate) fn parse(json: &'a str) -> Result<Self, Rejection> {
        Self::object(json).ok_or_else(|| no_record(json))
    }

    /// The members of the object `json`; `None` when it is none.
    pub(crate) fn object(json: &'a str) -> Option<Self> {
        let mut record = Self { members: Vec::with_capacity(16) };
        record.add(json)?;
        Some(record)
    }

    /// The members of a source record and those of its member `name`, in one pass over the text. Of a
    /// member that is repeated all count, as if they were one.
    pub(crate) fn parse_nested(json: &'a str, name: &str) -> Result<(Self, Self), Rejection> {
        let mut record = Self { members: Vec::with_capacity(16) };
        let mut nested = Self { members: Vec::with_capacity(64) };
        for member in nested_members(json, name) {
            let Ok((member, value, is_nested)) = member else { return Err(no_record(json)) };
            if value == "null" {
                continue;
            }
            if !is_nested && member == name {
                return Err(expected("an object", value, name));
            }
            let into = if is_nested { &mut nested } else { &mut record };
            into.members.push((member, value));
        }
        Ok((record, nested))
    }

    fn add(&mut self, json: &'a str) -> Option<()> {
        for member in members(json) {
            let member = member.ok()?;
            if member.1 != "null" {
                self.members.push(member);
            }
        }
        Some(())
    }

    /// Takes a member out. Of a member that is repeated it is the last, as JSON readers have it.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a str> {
        let index = self.members.iter().rposition(|(known, _)| known == name)?;
        Some(self.members.swap_remove(index).1)
    }

    /// A member, which stays.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.members.iter().rfind(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Drops a member: one that the mapper's lineage says is dropped, or that is told by the row.
    pub(crate) fn discard(&mut self, name: &str) {
        self.members.retain(|(known, _)| known != name);
    }

    /// The members that were not taken out.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = Member<'a>> {
        self.members.into_iter()
    }
}

fn no_record(json: &str) -> Rejection {
    match serde_json::from_str::<IgnoredAny>(json) {
        Ok(_) if json.trim_start().starts_with('{') => Rejection::new("an object that cannot be read"),
        Ok(_) => Rejection::new("expected an object"),
        Err(error) => Rejection::new(format!("not JSON at line {}, column {}", error.line(), error.column())),
    }
}
