use endpoint_api::{Counts, Mentions, batch::Rank};

use crate::Verdict;

/// Why a row is rejected that the database took without an error and did not keep.
pub const DROPPED: &str = "a trigger, rule or policy of the table dropped the row without an error";

/// Counts what becomes of a load's rows.
///
/// Most rows are decided when they arrive, by what the table holds for their key. The others are
/// staged and decided when the load is merged: of the staged rows of one key the greatest is
/// inserted or replaces the stored one, and the others are duplicates.
///
/// Rows are counted by their rank, so that mentions ([`Rank::Part`]) can be told apart. A row that only changes the
/// presence of a record ([`Verdict::Revive`], [`Verdict::Delete`]) counts as one of [`Rank::Whole`]; see
/// [`counted_rank`](Self::counted_rank).
#[derive(Debug, Default)]
pub struct Tally {
    records: OfRank,
    mentions: OfRank,
}

/// The counts of the rows of one rank.
#[derive(Debug, Default)]
struct OfRank {
    counts: Counts,
    staged: u64,
}

/// What merging the staged rows did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merged {
    /// What it did with keys whose greatest staged row is a record itself.
    pub records: MergedRows,
    /// What it did with keys of which mentions only were staged.
    pub mentions: MergedRows,
}

/// What merging did with rows of one rank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MergedRows {
    /// How many rows, of distinct keys, were merged.
    pub distinct: u64,
    /// How many of them were not there before.
    pub inserted: u64,
    /// How many of them changed a stored row.
    pub updated: u64,
    /// How many of them were there exactly so.
    pub unchanged: u64,
}

impl Merged {
    /// What it did with rows of this rank.
    pub fn of(&mut self, rank: Rank) -> &mut MergedRows {
        match rank {
            Rank::Part => &mut self.mentions,
            _ => &mut self.records,
        }
    }
}

impl std::ops::AddAssign for Merged {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.mentions += other.mentions;
    }
}

impl std::ops::AddAssign for MergedRows {
    fn add_assign(&mut self, other: Self) {
        self.distinct += other.distinct;
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
    }
}

impl Tally {
    /// The rank under which a row with this verdict counts, from [`judge`](Self::judge) to the merge.
    pub fn counted_rank(verdict: Verdict, rank: Rank) -> Rank {
        match verdict {
            Verdict::Revive | Verdict::Delete => Rank::Whole,
            Verdict::Store | Verdict::Unchanged | Verdict::Stale => rank,
        }
    }

    /// Counts a row of this rank that was judged on arrival; says whether it is to be staged.
    pub fn judge(&mut self, verdict: Verdict, rank: Rank) -> bool {
        let counted = self.of(Self::counted_rank(verdict, rank));
        match verdict {
            Verdict::Unchanged => counted.counts.unchanged += 1,
            Verdict::Stale => counted.counts.stale += 1,
            Verdict::Store | Verdict::Revive | Verdict::Delete => {
                counted.staged += 1;
                return true;
            }
        }
        false
    }

    /// Counts rows that were inserted without having been judged.
    pub fn insert(&mut self, rows: u64) {
        self.records.counts.inserted += rows;
    }

    /// Counts a staged row, the only one of its key in the load, that was inserted straight away.
    pub fn insert_staged(&mut self, rank: Rank) {
        let counted = self.of(rank);
        counted.staged = counted.staged.saturating_sub(1);
        counted.counts.inserted += 1;
    }

    /// Counts a staged row whose key this load has already merged or inserted.
    pub fn repeat_staged(&mut self, rank: Rank) {
        let counted = self.of(rank);
        counted.staged = counted.staged.saturating_sub(1);
        counted.counts.duplicate += 1;
    }

    /// Counts repeated rows that were inserted all the same, because the first of their keys was refused.
    pub fn insert_repeated(&mut self, rank: Rank, rows: u64) {
        let counts = &mut self.of(rank).counts;
        counts.duplicate = counts.duplicate.saturating_sub(rows);
        counts.inserted += rows;
    }

    /// Counts records that were rejected.
    pub fn reject(&mut self, records: u64) {
        self.records.counts.rejected += records;
    }

    /// Counts a staged row that was rejected after all.
    pub fn reject_staged(&mut self, rank: Rank) {
        let counted = self.of(rank);
        counted.staged = counted.staged.saturating_sub(1);
        counted.counts.rejected += 1;
    }

    /// Counts a repeated row that was rejected after all.
    pub fn reject_repeated(&mut self, rank: Rank) {
        let counts = &mut self.of(rank).counts;
        counts.duplicate = counts.duplicate.saturating_sub(1);
        counts.rejected += 1;
    }

    /// How many rows are staged.
    pub fn staged(&self) -> u64 {
        self.records.staged + self.mentions.staged
    }

    /// The counts once the staged rows are merged. A merged row that did nothing of these lost to a
    /// row that another load stored in the meantime: it is stale.
    pub fn settle(self, merged: Merged) -> Counts {
        let mut counts = self.records.settle(merged.records);
        let mentions = self.mentions.settle(merged.mentions);
        counts += Counts {
            mentions: Mentions { unchanged: mentions.unchanged, stale: mentions.stale, duplicate: mentions.duplicate },
            ..mentions
        };
        counts
    }

    fn of(&mut self, rank: Rank) -> &mut OfRank {
        match rank {
            Rank::Part => &mut self.mentions,
            _ => &mut self.records,
        }
    }
}

impl OfRank {
    fn settle(mut self, merged: MergedRows) -> Counts {
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
            tally.judge(verdict, Rank::Whole);
        }
        tally.reject(2);
        tally.reject_staged(Rank::Whole);
        tally.judge(Verdict::Store, Rank::Whole);
        assert_eq!(tally.staged(), 5);
        let records = MergedRows { distinct: 4, inserted: 1, updated: 1, unchanged: 1 };
        let counts = tally.settle(Merged { records, ..Merged::default() });
        let expected =
            Counts { inserted: 1, updated: 1, unchanged: 2, stale: 2, duplicate: 1, rejected: 3, ..Counts::default() };
        assert_eq!(counts, expected);
        assert_eq!(counts.total(), 10);
    }

    #[test]
    fn mentions_are_counted_apart_and_in_the_sum() {
        let mut tally = Tally::default();
        tally.judge(Verdict::Store, Rank::Whole);
        tally.judge(Verdict::Stale, Rank::Whole);
        for _ in 0..4 {
            tally.judge(Verdict::Store, Rank::Part);
        }
        tally.judge(Verdict::Stale, Rank::Part);
        tally.judge(Verdict::Unchanged, Rank::Part);
        tally.repeat_staged(Rank::Part);
        // One that brings a record back changes something.
        tally.judge(Verdict::Revive, Rank::Part);
        let records = MergedRows { distinct: 2, inserted: 1, updated: 1, unchanged: 0 };
        let mentions = MergedRows { distinct: 1, inserted: 1, updated: 0, unchanged: 0 };
        let counts = tally.settle(Merged { records, mentions });
        assert_eq!(counts.total(), 9);
        assert_eq!(counts.mentions, Mentions { unchanged: 1, stale: 1, duplicate: 3 });
        let apart = counts.without_mentions();
        assert_eq!(apart, Counts { inserted: 2, updated: 1, stale: 1, ..Counts::default() });
        assert_eq!(apart.total() + counts.mentions.total(), counts.total());
    }
}
