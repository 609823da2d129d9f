//! What comments and worklogs have in common: the issue that they are on.

use std::borrow::Cow;

use endpoint_api::{Rejection, batch::Parent};

use crate::{record::Record, values::id_of};

/// The id of the issue that a comment or a worklog is on.
pub(crate) fn issue_id(parent: Option<Parent<'_>>) -> Result<&str, Rejection> {
    match parent {
        Some(Parent { id: Some(id), .. }) => Ok(id),
        Some(Parent { key: Some(_), .. }) => Err(Rejection::new(
            "the record names its issue only by a key, and no issue, or more than one, with that key was read",
        )
        .field("issueKey")),
        _ => Err(Rejection::new("expected the record's issue in `issueId`, `issueKey`, `issue` or `self`, found none")
            .field("issueId")),
    }
}

/// The key of the issue that a record is on, where it is known.
pub(crate) fn issue_key(parent: Option<Parent<'_>>) -> Option<&str> {
    parent.and_then(|parent| parent.key)
}

/// Drops the record's own mention of the issue's id, which the row's reference tells.
pub(crate) fn drop_issue_id(record: &mut Record<'_>, issue_id: &str) {
    let own: Option<Cow<'_, str>> = record.get("issueId").and_then(id_of);
    if own.as_deref() == Some(issue_id) {
        record.discard("issueId");
    }
}
