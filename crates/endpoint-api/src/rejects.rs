use std::ops::ControlFlow;

use async_trait::async_trait;
use serde::Serialize;

use crate::{Ingestion, Result, StoredReject, batch::Stage};

/// Lists the rejects of a sink by what they have in common, and counts them in groups. An optional role of a sink:
/// `Some` from [`Sink::reject_listing`](crate::Sink::reject_listing) if and only if the driver declares
/// [`SinkCapabilities::reject_listing`](crate::SinkCapabilities::reject_listing).
#[async_trait]
pub trait RejectListing: Send + Sync {
    /// Gives the rejects that match to `each`, the newest first as [`Sink::rejects`](crate::Sink::rejects) orders them:
    /// at most `limit`, and none after the one for which `each` breaks.
    ///
    /// Their records are not read: [`StoredReject::raw`] is empty, and the envelope need not be what came with the
    /// record. A listing SHOULD hold no more than a bounded number of rejects in memory.
    async fn list(&self, filter: &RejectFilter, limit: usize, each: &mut EachReject<'_>) -> Result<()>;

    /// Counts the rejects that match, in one group for each combination of values in `columns`, the largest group
    /// first. Without a column there is one group, or none when nothing matches. Reasons that differ in whole numbers only
    /// are one, see [`general_reason`].
    async fn count(&self, filter: &RejectFilter, columns: &[RejectColumn]) -> Result<Vec<RejectGroup>>;
}

/// What is done with each reject of a listing.
pub type EachReject<'e> = dyn FnMut(ListedReject) -> ControlFlow<()> + Send + 'e;

/// Sets rejects aside that nobody wants to look at again. They stay on record with the reason. An optional role of a
/// sink: `Some` from [`Sink::dismissals`](crate::Sink::dismissals) if and only if the driver declares
/// [`SinkCapabilities::dismissals`](crate::SinkCapabilities::dismissals), which needs a listing, too.
#[async_trait]
pub trait Dismissals: Send + Sync {
    /// Dismisses the rejects that match and are open; returns how many. The sink sets the time.
    ///
    /// A record that is rejected again at the same place for the same stage, field and reason stays dismissed; for
    /// anything else it is open again.
    ///
    /// A sink that was provisioned before it could keep dismissals says
    /// [`ErrorKind::NotProvisioned`](crate::ErrorKind::NotProvisioned).
    async fn dismiss(&self, filter: &RejectFilter, reason: &str, by: &str) -> Result<u64>;

    /// Opens the rejects that match and are dismissed; returns how many.
    async fn reopen(&self, filter: &RejectFilter) -> Result<u64>;
}

/// Which rejects are wanted: those that match all that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectFilter {
    /// Those with one of these ids; all when there is none.
    pub ids: Vec<String>,
    /// Those whose id begins so.
    pub id_prefix: Option<String>,
    /// Those of this ingestion.
    pub ingestion: Option<Ingestion>,
    /// Those of this stage.
    pub stage: Option<Stage>,
    /// Those in which this member is wrong.
    pub field: Option<String>,
    /// Those with this reason, or with one that is the same in general, see [`general_reason`].
    pub reason: Option<String>,
    /// Whether they are dismissed.
    pub state: RejectState,
}

/// Whether a reject is dismissed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RejectState {
    /// It is not.
    #[default]
    Open,
    /// It is.
    Dismissed,
    /// Either.
    Any,
}

impl RejectFilter {
    /// All that are open.
    pub fn open() -> Self {
        Self::default()
    }

    /// Those with one of these ids, dismissed or not.
    pub fn by_ids(ids: impl IntoIterator<Item = String>) -> Self {
        Self { ids: ids.into_iter().collect(), state: RejectState::Any, ..Self::default() }
    }

    /// Those whose id begins with `prefix`, dismissed or not.
    pub fn by_id_prefix(prefix: impl Into<String>) -> Self {
        Self { id_prefix: Some(prefix.into()), state: RejectState::Any, ..Self::default() }
    }

    /// Whether the id of a reject matches.
    pub fn takes_id(&self, id: &str) -> bool {
        (self.ids.is_empty() || self.ids.iter().any(|wanted| wanted == id))
            && self.id_prefix.as_ref().is_none_or(|prefix| id.starts_with(prefix.as_str()))
    }

    /// Whether the reason of a reject matches.
    pub fn takes_reason(&self, reason: &str) -> bool {
        self.reason.as_ref().is_none_or(|wanted| wanted == reason || *wanted == general_reason(reason))
    }
}

/// A reject as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedReject {
    /// The reject, without its record.
    pub reject: StoredReject,
    /// Why it was dismissed, if it is.
    pub dismissal: Option<Dismissal>,
}

impl ListedReject {
    /// A reject, with its dismissal if it is dismissed.
    pub fn new(reject: StoredReject, dismissal: Option<Dismissal>) -> Self {
        Self { reject, dismissal }
    }
}

/// Why a reject was dismissed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Dismissal {
    /// Why, in the words of the person.
    pub reason: String,
    /// Who did it.
    pub by: String,
    /// When: RFC 3339, by the sink's clock.
    pub at: String,
}

impl Dismissal {
    /// A dismissal.
    pub fn new(reason: impl Into<String>, by: impl Into<String>, at: impl Into<String>) -> Self {
        Self { reason: reason.into(), by: by.into(), at: at.into() }
    }
}

/// By what rejects are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectColumn {
    /// The ingestion's key.
    Ingestion,
    /// Who rejected the record.
    Stage,
    /// Which member is wrong.
    Field,
    /// Why, in general: see [`general_reason`].
    Reason,
}

impl RejectColumn {
    /// The column's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingestion => "ingestion",
            Self::Stage => "stage",
            Self::Field => "field",
            Self::Reason => "reason",
        }
    }
}

/// Rejects that have something in common.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectGroup {
    /// What they have in common, in the order of the columns; `None` where they have no value.
    pub values: Vec<Option<String>>,
    /// How many there are.
    pub count: u64,
    /// When the newest of them was first rejected: RFC 3339, by the sink's clock.
    pub newest: String,
    /// The id of one of them.
    pub example: String,
}

impl RejectGroup {
    /// A group.
    pub fn new(values: Vec<Option<String>>, count: u64, newest: String, example: String) -> Self {
        Self { values, count, newest, example }
    }

    /// Puts groups together whose reasons are the same in general, and the largest first.
    pub fn merged(groups: Vec<Self>, columns: &[RejectColumn]) -> Vec<Self> {
        let reason = columns.iter().position(|column| *column == RejectColumn::Reason);
        let mut merged: Vec<Self> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for mut group in groups {
            if let Some(Some(reason)) = reason.and_then(|place| group.values.get_mut(place)) {
                *reason = general_reason(reason);
            }
            let place = *places.entry(group.values.clone()).or_insert(merged.len());
            match merged.get_mut(place) {
                Some(same) => {
                    same.count += group.count;
                    if group.newest > same.newest {
                        (same.newest, same.example) = (group.newest, group.example);
                    }
                }
                None => merged.push(group),
            }
        }
        merged.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.values.cmp(&other.values)));
        merged
    }
}

/// A reason without what differs from record to record: each whole number is `N`. `not JSON: expected value at
/// column 17` and `… at column 3` are one reason then; `2021-03-04T05:06:07` stays.
pub fn general_reason(reason: &str) -> String {
    const AROUND: &[char] = &['(', ')', ',', '.', ';', ':', '`'];
    let general = reason.split(' ').map(|word| {
        let number = word.trim_matches(AROUND);
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
        if is_number { word.replacen(number, "N", 1) } else { word.to_owned() }
    });
    general.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_in_figures_are_one() {
        for (reason, general) in [
            ("not JSON: expected value at column 17", "not JSON: expected value at column N"),
            ("expected at most 255 bytes, found 1,312 (or 3)", "expected at most N bytes, found N (or N)"),
            ("expected a time such as 2021-03-04, found 7", "expected a time such as 2021-03-04, found N"),
            ("", ""),
        ] {
            assert_eq!(general_reason(reason), general);
        }
        let group = |reason: &str, count, newest: &str| {
            RejectGroup::new(vec![Some(reason.to_owned())], count, newest.to_owned(), format!("{reason} {newest}"))
        };
        let groups = vec![group("no id", 3, "2024"), group("at 1", 2, "2024"), group("at 22", 5, "2025")];
        let merged = RejectGroup::merged(groups, &[RejectColumn::Reason]);
        assert_eq!(
            merged,
            [RejectGroup { example: "at 22 2025".to_owned(), ..group("at N", 7, "2025") }, group("no id", 3, "2024"),]
        );
    }

    #[test]
    fn a_filter_takes_a_reason_as_it_is_and_in_general() {
        let filter = |reason: &str| RejectFilter { reason: Some(reason.to_owned()), ..RejectFilter::open() };
        assert!(filter("at 7").takes_reason("at 7") && filter("at N").takes_reason("at 7"));
        assert!(!filter("at 8").takes_reason("at 7") && RejectFilter::open().takes_reason("at 7"));
    }
}
