//! Records of another kind in a file: an issue among comments is no comment without text.

use endpoint_api::Rejection;

use crate::record::Record;

/// Members that only one kind of record has, and the kinds. The first one counts.
const TELLING: [(&str, &str); 7] = [
    ("fields", "an issue"),
    ("timeSpentSeconds", "a worklog"),
    ("timeSpent", "a worklog"),
    ("body", "a comment"),
    ("projectTypeKey", "a project"),
    ("accountId", "a user"),
    ("emailAddress", "a user"),
];

/// Rejects a record that is evidently of another kind than `expected`. It is asked when a record lacks what its own
/// kind always has.
pub(crate) fn reject_other(record: &Record<'_>, expected: &str) -> Result<(), Rejection> {
    let told = TELLING.iter().find(|(member, kind)| {
        let value = record.get(member);
        *kind != expected && value.is_some_and(|value| *member != "fields" || value.starts_with('{'))
    });
    match told {
        Some((member, kind)) => {
            let message = format!("expected {expected}, found {kind}; put it into a file of its own kind");
            Err(Rejection::new(message).field(*member))
        }
        None => Ok(()),
    }
}
