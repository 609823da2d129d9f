use endpoint_api::Counts;

use crate::Verdict;

/// Counts what becomes of a load's rows.
///
/// Most rows are decided when they arrive, by what the table holds for their key. The others are
/// staged and decided when the load is merged: of the staged rows of one key the greatest is
/// inserted or replaces the stored one, and the others are duplicates.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Counts,
    staged: u64,
}

/// What merging the staged rows did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merged {
    /// How many rows, of distinct keys, were merged.
    pub distinct: u64,
    /// How many of them were not there before.
    pub inserted: u64,
    /// How many of them changed a stored row.
    pub updated: u64,
    /// How many of them were there exactly so.
    pub unchanged: u64,
}

impl std::ops::AddAssign for Merged {
    fn add_assign(&mut self, other: Self) {
        self.distinct += other.distinct;
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
    }
}

impl Tally {
    /// Counts a row that was judged on arrival; says whether it is to be staged.
    pub fn judge(&mut self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Unchanged => self.counts.unchanged += 1,
            Verdict::Stale => self.counts.stale += 1,
            Verdict::Store | Verdict::Revive | Verdict::Delete => {
                self.staged += 1;
                return true;
            }
        }
        false
    }

    /// Counts rows that were inserted without having been judged.
    pub fn insert(&mut self, rows: u64) {
        self.counts.inserted += rows;
    }

    /// Counts staged rows, each the only one of its key in the load, that were inserted straight away.
    pub fn insert_staged(&mut self, rows: u64) {
        self.staged = self.staged.saturating_sub(rows);
        self.counts.inserted += rows;
    }

    /// Counts a staged row whose key this load has already merged or inserted.
    pub fn repeat_staged(&mut self) {
        self.staged = self.staged.saturating_sub(1);
        self.counts.duplicate += 1;
    }

    /// Counts repeated rows that were inserted all the same, because the first of their keys was refused.
    pub fn insert_repeated(&mut self, rows: u64) {
        self.counts.duplicate = self.counts.duplicate.saturating_sub(rows);
        self.counts.inserted += rows;
    }

    /// Counts records that were rejected.
    pub fn reject(&mut self, records: u64) {
        self.counts.rejected += records;
    }

    /// Counts a staged row that was rejected after all.
    pub fn reject_staged(&mut self) {
        self.staged = self.staged.saturating_sub(1);
        self.counts.rejected += 1;
    }

    /// Counts a repeated row that was rejected after all.
    pub fn reject_repeated(&mut self) {
        self.counts.duplicate = self.counts.duplicate.saturating_sub(1);
        self.counts.rejected += 1;
    }

    /// How many rows are staged.
    pub fn staged(&self) -> u64 {
        self.staged
    }

    /// The counts once the staged rows are merged. A merged row that did nothing of these lost to a
    /// row that another load stored in the meantime: it is stale.
    pub fn settle(mut self, merged: Merged) -> Counts {
        self.counts.inserted += merged.inserted;
        self.counts.updated += merged.updated;
        self.counts.unchanged += merged.unchanged;
        self.counts.duplicate += self.staged.saturating_sub(merged.distinct);
        let settled = merged.inserted + merged.updated + merged.unchanged;
        self.counts.stale += merged.distinct.saturating_sub(settled);
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_counts_once() {
        let mut tally = Tally::default();
        for verdict in [
            Verdict::Store,
            Verdict::Store,
            Verdict::Store,
            Verdict::Delete,
            Verdict::Revive,
            Verdict::Unchanged,
            Verdict::Stale,
        ] {
            tally.judge(verdict);
        }
        tally.reject(2);
        tally.reject_staged();
        tally.judge(Verdict::Store);
        assert_eq!(tally.staged(), 5);
        let counts = tally.settle(Merged { distinct: 4, inserted: 1, updated: 1, unchanged: 1 });
        assert_eq!(counts, Counts { inserted: 1, updated: 1, unchanged: 2, stale: 2, duplicate: 1, rejected: 3 });
        assert_eq!(counts.total(), 10);
    }
}
