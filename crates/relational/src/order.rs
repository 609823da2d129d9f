use std::cmp::Ordering;

use endpoint_api::batch::{Operation, Rank};

use crate::plumbing;

/// By what one record of a key is greater than another: the total order of records.
///
/// Compared in this order: whether it is the record itself or a part of another, version time (absent is
/// least), whether it states who may read it, observation, mapper revision, content hash. Between records
/// that are parts of others the observation does not count: which of them was seen last says nothing, so
/// the greatest hash decides.
///
/// Because it is total, the greatest record of a key is the same in whatever order, and however
/// often, records arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// How much the record told.
    pub rank: Rank,
    /// When it last changed at its source, in microseconds since the epoch.
    pub version_at: Option<i64>,
    /// The observation that saw it.
    pub observation: u64,
    /// The revision of the mapper that made the row.
    pub mapper_revision: u32,
    /// The hash of its content.
    pub content_hash: [u8; 16],
}

impl Version {
    /// Whether `other` says the same as this, whoever saw it when.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        (self.rank, self.version_at, self.content_hash) == (other.rank, other.version_at, other.content_hash)
    }

    /// Whether this shows that the record is live although it was deleted when `before` was stored: a later
    /// observation, and of a record that is no part of another, unless only parts were ever seen.
    pub fn revives(&self, before: &Self) -> bool {
        self.observation > before.observation && (!self.rank.is_part() || before.rank.is_part())
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |version: &Self| {
            let is_part = version.rank.is_part();
            let observation = if is_part { 0 } else { version.observation };
            let rank = version.rank.number();
            (!is_part, version.version_at, rank, observation, version.mapper_revision, version.content_hash)
        };
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a table holds for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The version of the stored row. Its observation is the newest that wrote the row.
    pub version: Version,
    /// Whether the record is known to be deleted.
    pub deleted: bool,
    /// The hash of the source record that the row was made of.
    pub source_hash: Option<[u8; 16]>,
}

/// What a table holds of the row that a source record would become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// No row with its key.
    Missing,
    /// A row that was made of another record, or one that is deleted.
    Otherwise,
    /// The row exactly so, live.
    Exactly,
    /// Likewise, of a mention: a record that was seen only as a part of another.
    ExactlyMention,
    /// Likewise, of a whole record and by an earlier observation: this one is the first to see it again.
    ExactlyBefore,
}

impl Stored {
    /// What this is to a source record with this hash, at this observation.
    pub(crate) fn found(&self, source_hash: [u8; 16], observation: u64) -> Recorded {
        if self.deleted || self.source_hash != Some(source_hash) {
            Recorded::Otherwise
        } else if self.version.rank.is_part() {
            Recorded::ExactlyMention
        } else if self.version.observation < observation {
            Recorded::ExactlyBefore
        } else {
            Recorded::Exactly
        }
    }
}

/// What becomes of an incoming row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its content replaces what is stored, or nothing is stored.
    Store,
    /// The stored content stays; the record, which was deleted, is live again.
    Revive,
    /// The record is deleted.
    Delete,
    /// All of it is already there.
    Unchanged,
    /// What is stored is greater.
    Stale,
}

/// Judges an incoming row by what is stored for its key.
///
/// Content is a register ordered by [`Version`]. Presence is a register of its own, ordered by
/// observation: a record that is seen again after it was deleted is live again, even when its content
/// is as before; within one run a deletion stands. A part of another record is no sign of life.
pub fn judge(operation: Operation, incoming: &Version, stored: Option<&Stored>) -> Verdict {
    let Some(stored) = stored else {
        return if operation == Operation::Delete { Verdict::Delete } else { Verdict::Store };
    };
    match operation {
        Operation::Delete if stored.deleted => Verdict::Unchanged,
        Operation::Delete if incoming.observation >= stored.version.observation => Verdict::Delete,
        Operation::Delete => Verdict::Stale,
        Operation::Upsert => {
            let revives = stored.deleted && incoming.revives(&stored.version);
            if incoming.same_content(&stored.version) {
                match (stored.deleted, revives) {
                    (false, _) => Verdict::Unchanged,
                    (true, true) => Verdict::Revive,
                    (true, false) => Verdict::Stale,
                }
            } else if *incoming > stored.version {
                Verdict::Store
            } else if revives {
                Verdict::Revive
            } else {
                Verdict::Stale
            }
        }
    }
}

/// The SQL condition that the row `incoming` is greater than the row `stored`, as [`Version`] orders
/// them, and says something else. `least_time` is a value below all times.
pub fn newer(incoming: &str, stored: &str, least_time: &str) -> String {
    let key = |row: &str| {
        format!(
            "(case when {row}.{rank} = 0 then 0 else 1 end, coalesce({row}.{version_at}, {least_time}), {row}.{rank}, \
             case when {row}.{rank} = 0 then 0 else {row}.{observation} end, \
             {row}.{revision}, {row}.{hash})",
            rank = plumbing::RANK,
            version_at = plumbing::VERSION_AT,
            observation = plumbing::OBSERVATION,
            revision = plumbing::MAPPER_REVISION,
            hash = plumbing::CONTENT_HASH,
        )
    };
    let content = |row: &str| {
        format!(
            "({row}.{rank}, coalesce({row}.{version_at}, {least_time}), {row}.{hash})",
            rank = plumbing::RANK,
            version_at = plumbing::VERSION_AT,
            hash = plumbing::CONTENT_HASH,
        )
    };
    format!("{} > {} and {} <> {}", key(incoming), key(stored), content(incoming), content(stored))
}

#[cfg(test)]
mod tests;
