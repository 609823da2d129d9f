use std::collections::BTreeMap;

use endpoint_api::UnitField;
use serde::{
    Deserialize as _, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::pages::FieldsMember;

/// More fields than any Jira has; what comes after them is not kept.
const MOST_FIELDS: usize = 20_000;

/// The type of the field that holds the key of an issue's epic.
const EPIC_LINK: &str = "\"com.pyxis.greenhopper.jira:gh-epic-link\"";

/// What pages say of the fields of their issues (`names` and `schema`, which the search answers when it is asked
/// to expand them): what `customfield_10016` is called, and what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldNames(BTreeMap<String, FieldName>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct FieldName {
    name: Option<String>,
    /// As the page has it.
    schema: Option<String>,
}

impl FieldNames {
    /// Takes note of the value of a page's member. What an earlier page said of a field stays.
    pub(crate) fn note(&mut self, member: FieldsMember, value: &[u8]) {
        let mut deserializer = serde_json::Deserializer::from_slice(value);
        // What is no object says nothing.
        let _ = deserializer.deserialize_map(Members { member, fields: self });
    }

    /// Adds what another file says of fields that are not known yet.
    pub(crate) fn add(&mut self, other: &Self) {
        for (id, field) in &other.0 {
            if let Some(known) = self.known(id) {
                known.name = known.name.take().or_else(|| field.name.clone());
                known.schema = known.schema.take().or_else(|| field.schema.clone());
            }
        }
    }

    /// The field that holds the key of an issue's epic: the one of that type. Where several are, the first one.
    pub(crate) fn epic_link(&self) -> Option<&str> {
        let is_link = |field: &FieldName| field.schema.as_deref().is_some_and(|schema| schema.contains(EPIC_LINK));
        self.0.iter().find(|(_, field)| is_link(field)).map(|(id, _)| id.as_str())
    }

    fn known(&mut self, id: &str) -> Option<&mut FieldName> {
        if self.0.len() >= MOST_FIELDS && !self.0.contains_key(id) {
            return None;
        }
        Some(self.0.entry(id.to_owned()).or_default())
    }

    /// The fields as members of an issue: the description is the field's name and, where the page has one, its
    /// schema as it stands there.
    pub(crate) fn unit_fields(&self) -> impl Iterator<Item = UnitField> + '_ {
        self.0.iter().map(|(id, FieldName { name, schema })| {
            let name = name.as_deref().unwrap_or(id);
            let description = match schema {
                Some(schema) => format!("{name}; schema {schema}"),
                None => name.to_owned(),
            };
            UnitField { name: format!("fields.{id}"), json_type: json_type(schema.as_deref()).to_owned(), description }
        })
    }
}

/// The JSON type of the values of a field with that schema.
fn json_type(schema: Option<&str>) -> &'static str {
    #[derive(serde::Deserialize)]
    struct Schema {
        #[serde(rename = "type")]
        kind: String,
    }
    let kind = schema.and_then(|schema| serde_json::from_str::<Schema>(schema).ok()).map(|schema| schema.kind);
    match kind.as_deref() {
        None | Some("any") => "any",
        Some("string" | "date" | "datetime") => "string",
        Some("number") => "number",
        Some("array") => "array",
        Some(_) => "object",
    }
}

struct Members<'f> {
    member: FieldsMember,
    fields: &'f mut FieldNames,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(id) = map.next_key::<String>()? {
            let value: Box<RawValue> = map.next_value()?;
            let Some(field) = self.fields.known(&id) else { continue };
            match self.member {
                FieldsMember::Names => {
                    let name = || String::deserialize(&*value).ok();
                    field.name = field.name.take().or_else(name);
                }
                FieldsMember::Schema => field.schema = field.schema.take().or_else(|| Some(value.get().to_owned())),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_schemas_become_fields_of_an_issue() {
        let mut fields = FieldNames::default();
        fields.note(FieldsMember::Names, br#"{"customfield_10016":"Story Points","customfield_2":"Teams","x":5}"#);
        fields.note(FieldsMember::Schema, br#"{"customfield_10016":{"type":"number","customId":10016}}"#);
        fields.note(FieldsMember::Schema, br#"{"customfield_2":{"type":"array","items":"option"}}"#);
        fields.note(FieldsMember::Names, b"[]");
        fields.note(FieldsMember::Names, br#"{"customfield_10016":"Renamed"}"#);
        let mut all = FieldNames::default();
        all.add(&fields);
        all.add(&fields);
        let found: Vec<_> = all
            .unit_fields()
            .map(|field| format!("{} {} {}", field.name, field.json_type, field.description))
            .collect();
        assert_eq!(
            found,
            [
                r#"fields.customfield_10016 number Story Points; schema {"type":"number","customId":10016}"#,
                r#"fields.customfield_2 array Teams; schema {"type":"array","items":"option"}"#,
                "fields.x any x",
            ]
        );
    }
}
