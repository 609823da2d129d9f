use std::borrow::Cow;

use cdm_models::json::{members, nested_members};
use endpoint_api::Rejection;
use serde::de::IgnoredAny;

use crate::expected::{Expected, Present};

/// The members of a JSON object that are not null, as slices of its text.
///
/// A mapper takes out the members that it knows; the rest are what no field holds. A member that is
/// null says no more than one that is absent, and is treated as that. Of a member that is repeated the
/// last one counts; the others are [superseded](Self::superseded).
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// A member that was taken out has an empty text, which no value has.
    members: Vec<Member<'a>>,
    /// Members that a later one of the same name replaced, in their order.
    superseded: Vec<Member<'a>>,
    names: NameFilter,
    expected: &'static Expected,
    present: Present,
}

/// A member of an object: its name and its exact text.
type Member<'a> = (Cow<'a, str>, &'a str);

impl<'a> Record<'a> {
    /// The members of a source record, of which `expected` are looked for.
    pub(crate) fn parse(json: &'a str, expected: &'static Expected) -> Result<Self, Rejection> {
        let mut record = Self::with_capacity(16, expected);
        for member in members(json) {
            let Ok((name, value)) = member else { return Err(no_record(json)) };
            record.add(name, value);
        }
        Ok(record)
    }

    /// The members of the object `json`; `None` when it is not an object.
    pub(crate) fn object(json: &'a str) -> Option<Self> {
        Self::parse(json, &Expected::NONE).ok()
    }

    /// The members of a source record and those of its member `name`, in one pass over the text. Where that member
    /// is repeated, the last one counts; a value of it that is not an object stays a member of the record.
    pub(crate) fn parse_nested(
        json: &'a str,
        name: &str,
        expected: &'static Expected,
        expected_nested: &'static Expected,
    ) -> Result<(Self, Self), Rejection> {
        let mut record = Self::with_capacity(16, expected);
        let mut nested = Self::with_capacity(64, expected_nested);
        for member in nested_members(json, name) {
            let Ok((member, value, is_nested)) = member else { return Err(no_record(json)) };
            if is_nested {
                nested.add(member, value);
            } else if member == name {
                // Behind the first object of this name, or not an object.
                return Self::parse_repeated(json, name, expected, expected_nested);
            } else {
                record.add(member, value);
            }
        }
        Ok((record, nested))
    }

    /// As [`parse_nested`](Self::parse_nested), where the member `name` is repeated or not an object.
    fn parse_repeated(
        json: &'a str,
        name: &str,
        expected: &'static Expected,
        expected_nested: &'static Expected,
    ) -> Result<(Self, Self), Rejection> {
        let mut record = Self::parse(json, expected)?;
        match record.get(name).map(|value| Self::parse(value, expected_nested)) {
            Some(Ok(nested)) => {
                record.take(name);
                Ok((record, nested))
            }
            _ => Ok((record, Self::with_capacity(0, expected_nested))),
        }
    }

    fn with_capacity(members: usize, expected: &'static Expected) -> Self {
        Self {
            members: Vec::with_capacity(members),
            superseded: Vec::new(),
            names: NameFilter::default(),
            expected,
            present: Present::default(),
        }
    }

    fn add(&mut self, name: Cow<'a, str>, value: &'a str) {
        self.present.note(self.expected, &name);
        let is_null = value == "null";
        if self.names.may_know(&name, !is_null)
            && let Some(known) = self.members.iter_mut().rfind(|(known, value)| *known == name && !value.is_empty())
        {
            let earlier = std::mem::take(&mut known.1);
            self.superseded.push((name.clone(), earlier));
        }
        if !is_null {
            self.members.push((name, value));
        }
    }

    /// Whether it has no member.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Takes a member out.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a str> {
        let (_, value) = self.members.iter_mut().rfind(|(known, value)| known == name && !value.is_empty())?;
        Some(std::mem::take(value))
    }

    /// A member, which stays.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.members.iter().rfind(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| *value)
    }

    /// Drops a member: one that the mapper's lineage says is dropped, or that is told by the row.
    pub(crate) fn discard(&mut self, name: &str) {
        self.take(name);
    }

    /// The members that a later one of the same name replaced, in their order.
    pub(crate) fn superseded(&self) -> &[(Cow<'a, str>, &'a str)] {
        &self.superseded
    }

    /// The value of a member that is not null and stands last, also when null follows it; it is taken out.
    pub(crate) fn take_any(&mut self, name: &str) -> Option<&'a str> {
        self.take(name).or_else(|| self.superseded_of(name).last())
    }

    /// All values of a member that are not null.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.superseded_of(name).chain(self.get(name))
    }

    fn superseded_of(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.superseded.iter().filter(move |(known, _)| known == name).map(|(_, value)| *value)
    }

    /// The expected members that the object lacks; one that is null is not lacking.
    pub(crate) fn lacking(&self) -> impl Iterator<Item = &'static str> {
        self.present.lacking(self.expected)
    }

    /// The members that were not taken out.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = Member<'a>> {
        self.members.into_iter().filter(|(_, value)| !value.is_empty())
    }
}

/// Whether a name may have been seen before: nearly always tells a new one without a look at the others.
#[derive(Debug)]
struct NameFilter([u64; Self::WORDS]);

impl Default for NameFilter {
    fn default() -> Self {
        Self([0; Self::WORDS])
    }
}

impl NameFilter {
    const WORDS: usize = 32;

    /// Whether `name` may be known; from now on it is, if `remember` says so.
    #[inline]
    fn may_know(&mut self, name: &str, remember: bool) -> bool {
        let bytes = name.as_bytes();
        // Names of custom fields differ in their last digits.
        let end = match (bytes.last_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(end), ..) => u64::from_le_bytes(*end),
            (None, Some(start), Some(end)) => {
                u64::from(u32::from_le_bytes(*start)) << 32 | u64::from(u32::from_le_bytes(*end))
            }
            _ => bytes.iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte)),
        };
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let hash = (end ^ length.rotate_left(56)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 53;
        let (word, bit) = (usize::try_from(hash >> 6).unwrap_or(0), 1 << (hash & 63));
        let Some(word) = self.0.get_mut(word) else { return true };
        let may_know = *word & bit != 0;
        if remember {
            *word |= bit;
        }
        may_know
    }
}

fn no_record(json: &str) -> Rejection {
    match serde_json::from_str::<IgnoredAny>(json) {
        Ok(_) if json.trim_start().starts_with('{') => Rejection::new("an object that cannot be read"),
        Ok(_) => Rejection::new("expected an object"),
        Err(error) => Rejection::new(format!("not JSON at line {}, column {}", error.line(), error.column())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Expected = Expected::new(&["a", "fields.b", "fields.c"]);

    #[test]
    fn of_a_member_that_is_repeated_the_last_counts_and_the_others_are_kept() {
        let names: Vec<String> = (0..300).map(|name| format!("customfield_1{name:04}")).collect();
        let members = names.iter().map(|name| format!("\"{name}\":0,")).collect::<String>();
        let json = format!("{{{members}\"a\":1,\"b\":null,\"a\":2,\"c\":3,\"c\":null,\"b\":4,\"a\":5}}");
        let mut record = Record::object(&json).unwrap();
        let superseded: Vec<_> = record.superseded().iter().map(|(name, value)| (name.as_ref(), *value)).collect();
        assert_eq!(superseded, [("a", "1"), ("c", "3"), ("a", "2")]);
        assert_eq!(
            (record.take("a"), record.take("a"), record.get("b"), record.get("c")),
            (Some("5"), None, Some("4"), None)
        );
        assert_eq!(record.into_rest().count(), 301);
    }

    #[test]
    fn a_nested_object_that_is_repeated_or_none_is_the_last() {
        let nested = |json| {
            let (record, nested) = Record::parse_nested(json, "fields", &SOME, &SOME).unwrap();
            (record.get("fields"), nested.get("a"), record.superseded().len())
        };
        assert_eq!(nested(r#"{"fields":{"a":1}}"#), (None, Some("1"), 0));
        assert_eq!(nested(r#"{"fields":{"a":1},"fields":{"a":2}}"#), (None, Some("2"), 1));
        assert_eq!(nested(r#"{"fields":{"a":1},"fields":null}"#), (None, None, 1));
        assert_eq!(nested(r#"{"fields":null}"#), (None, None, 0));
        assert_eq!(nested(r#"{"fields":[1]}"#), (Some("[1]"), None, 0));
    }

    #[test]
    fn a_member_that_is_null_is_not_lacking() {
        static EXPECTED: Expected = Expected::new(&["id", "fields.summary", "fields.status"]);
        let lacking = |json| Record::parse(json, &EXPECTED).unwrap().lacking().collect::<Vec<_>>();
        assert_eq!(lacking(r#"{"id":1,"summary":null,"status":{}}"#), [""; 0]);
        assert_eq!(lacking(r#"{"status":{},"Status":1,"summar":2}"#), ["id", "fields.summary"]);
    }
}
