use std::{borrow::Cow, fmt};

use endpoint_api::Rejection;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

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
type Member<'a> = (Cow<'a, str>, &'a RawValue);

impl<'a> Record<'a> {
    /// The members of a source record.
    pub(crate) fn parse(json: &'a str) -> Result<Self, Rejection> {
        Self::object(json).ok_or_else(|| no_record(json))
    }

    /// The members of the object `json`; `None` when it is none.
    pub(crate) fn object(json: &'a str) -> Option<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let record = deserializer.deserialize_map(Members).ok()?;
        deserializer.end().ok()?;
        Some(record)
    }

    /// The members of a source record and those of its member `name`, in one pass over the text.
    pub(crate) fn parse_nested(json: &'a str, name: &'static str) -> Result<(Self, Self), Rejection> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let records = deserializer.deserialize_map(NestedMembers(name)).and_then(|records| {
            deserializer.end()?;
            Ok(records)
        });
        records.or_else(|_| {
            // Which of the two is no object decides what the reason says.
            let mut record = Self::parse(json)?;
            match record.take(name) {
                Some(value) => Err(expected("an object", value, name)),
                None => Err(no_record(json)),
            }
        })
    }

    /// Takes a member out. Of a member that is repeated it is the last, as JSON readers have it.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.members.iter().rposition(|(known, _)| known == name)?;
        Some(self.members.swap_remove(index).1)
    }

    /// A member, which stays.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().rfind(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Drops a member: one that stands on the list of what is dropped, or that is told by the row.
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

struct Members;

impl<'a> Visitor<'a> for Members {
    type Value = Record<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Record<'a>, A::Error> {
        let mut members = Vec::with_capacity(24);
        while let Some(Name(name)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            if value.get() != "null" {
                members.push((name, value));
            }
        }
        Ok(Record { members })
    }

    /// A member that may be an object may also be null.
    fn visit_unit<E>(self) -> Result<Record<'a>, E> {
        Ok(Record::default())
    }
}

impl<'a> DeserializeSeed<'a> for Members {
    type Value = Record<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Record<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

struct NestedMembers(&'static str);

impl<'a> Visitor<'a> for NestedMembers {
    type Value = (Record<'a>, Record<'a>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut outer, mut inner) = (Record::default(), Record::default());
        while let Some(Name(name)) = map.next_key()? {
            if name == self.0 {
                inner.members.extend(map.next_value_seed(Members)?.members);
                continue;
            }
            let value: &RawValue = map.next_value()?;
            if value.get() != "null" {
                outer.members.push((name, value));
            }
        }
        Ok((outer, inner))
    }
}

/// A member's name, borrowed where it has no escape.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'a> Visitor<'a> for NameVisitor {
            type Value = Name<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Name<'a>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'a>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
