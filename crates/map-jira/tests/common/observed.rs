//! What becomes of a record's row when one part of the record is changed.

use std::collections::BTreeSet;

use endpoint_api::{Mapper, Rejection, batch::Parent};
use map_jira::JiraUsers;
use serde_json::Value;

use super::{
    leaves::{changed_at, is_direct_null, leaves},
    map, map_from, map_noting, record as of_text,
};

/// A record, its row, and which fields change with which part of the record.
pub(crate) struct Observed {
    pub(crate) record: Value,
    pub(crate) row: Value,
    /// For each leaf that can be changed without a rejection: its path and the fields that change.
    pub(crate) leaves: Vec<(Vec<String>, BTreeSet<String>)>,
    /// The fields that change when the record comes from another source system.
    pub(crate) with_another_system: BTreeSet<String>,
    /// The fields that change when the record comes from another site.
    pub(crate) with_another_site: BTreeSet<String>,
    /// The fields that change when the record has a parent with another id.
    pub(crate) with_another_parent: BTreeSet<String>,
    /// The fields that change when the record has a parent with another key.
    pub(crate) with_another_parent_key: BTreeSet<String>,
}

impl Observed {
    pub(crate) fn of<M: Mapper>(record: Value, parent: Option<Parent<'_>>) -> Result<Self, Rejection> {
        let (row, _) = map::<M>(&record.to_string(), parent)?;
        let (_, noted) = map_noting::<M>(&of_text(&record.to_string(), parent));
        let mut changes = Vec::new();
        for path in leaves(&record) {
            if is_direct_null(&record, &path) || decides(M::UNIT, &record, &path) {
                continue;
            }
            let changed = changed_at(&record, &path).to_string();
            // A record that is now rejected is not lost either, nor is a value that can no longer be read.
            let (_, now_noted) = map_noting::<M>(&of_text(&changed, parent));
            if now_noted.iter().any(|note| note.contains("cannot be read") && !noted.contains(note)) {
                continue;
            }
            if let Ok((changed, _)) = map::<M>(&changed, parent) {
                changes.push((path, difference(&row, &changed)));
            }
        }
        let (of_another_system, _) = map_from::<M>("another", None, &record.to_string(), parent)?;
        let (of_another_site, _) = map_from::<M>("jira", Some("https://other.example"), &record.to_string(), parent)?;

        // Which issue it is told by the parent alone, so that nothing but the parent changes.
        let mut orphan = record.clone();
        orphan.as_object_mut().unwrap().remove("issueId");
        let (of_one_parent, _) = map::<M>(&orphan.to_string(), parent)?;
        let another = Some(Parent { id: Some("10002"), key: parent.and_then(|parent| parent.key) });
        let (of_another_parent, _) = map::<M>(&orphan.to_string(), another)?;
        let another = parent.map(|parent| Parent { key: Some("OTHER-1"), ..parent });
        let (of_another_parent_key, _) = map::<M>(&orphan.to_string(), another)?;
        Ok(Self {
            with_another_system: difference(&row, &of_another_system),
            with_another_site: difference(&row, &of_another_site),
            with_another_parent: difference(&of_one_parent, &of_another_parent),
            with_another_parent_key: difference(&of_one_parent, &of_another_parent_key),
            leaves: changes,
            record,
            row,
        })
    }
}

/// Whether a change makes another condition hold, and so moves a member that was not changed: an id that a user
/// did not have.
fn decides(unit: &str, record: &Value, path: &[String]) -> bool {
    const IDS: [&str; 3] = ["accountId", "key", "name"];
    unit == JiraUsers::UNIT && path.len() == 1 && IDS.contains(&path[0].as_str()) && record[&path[0]] == ""
}

/// The fields of which two rows differ.
fn difference(one: &Value, other: &Value) -> BTreeSet<String> {
    let names = [one, other].into_iter().flat_map(|row| row.as_object().unwrap().keys());
    names.filter(|name| one.get(name) != other.get(name)).cloned().collect()
}
