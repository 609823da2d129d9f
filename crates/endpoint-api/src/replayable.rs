use async_trait::async_trait;

use crate::{RejectFilter, Result, StoredReject};

/// Reads the rejects that can be loaded again, those of which [`StoredReject::replayable`] is true. An optional role of
/// a sink: `Some` from [`Sink::replayable_rejects`](crate::Sink::replayable_rejects) if and only if the driver declares
/// [`SinkCapabilities::replay`](crate::SinkCapabilities::replay).
#[async_trait]
pub trait ReplayableRejects: Send + Sync {
    /// The next rejects that match and can be loaded again, with their records, ordered by their ids: those whose ids
    /// come after `after`, or the first ones. A page without a reject is the end.
    ///
    /// Rejects that are stored or removed between two pages change nothing for the others: every reject that stays is
    /// on one page. All pages together SHOULD cost a time that is linear in the number of rejects.
    async fn page(&self, filter: &RejectFilter, after: Option<&str>, limit: PageLimit) -> Result<Vec<StoredReject>>;

    /// Counts the rejects that match and cannot be loaded again: those that are no records, and those of which only the
    /// beginning is kept.
    async fn count_others(&self, filter: &RejectFilter) -> Result<u64>;
}

/// The size of a page of rejects with their records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    /// The maximum number of rejects.
    pub rejects: usize,
    /// The maximum number of bytes that the records have together. A page whose first record is longer has that one.
    pub bytes: u64,
}

impl PageLimit {
    /// Whether a page with this number of rejects has room for another one, with which its records have `bytes` bytes.
    pub fn has_room(self, rejects: usize, bytes: u64) -> bool {
        rejects < self.rejects && (rejects == 0 || bytes <= self.bytes)
    }

    /// How many of the first records, of these lengths in bytes, are on a page.
    pub fn take(self, lengths: impl IntoIterator<Item = u64>) -> usize {
        let mut bytes = 0_u64;
        let fits = |(rejects, length): &(usize, u64)| {
            bytes = bytes.saturating_add(*length);
            self.has_room(*rejects, bytes)
        };
        lengths.into_iter().enumerate().take_while(fits).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded_in_rejects_and_in_bytes_and_has_one_reject_at_least() {
        let take = |rejects, bytes, lengths: &[u64]| PageLimit { rejects, bytes }.take(lengths.iter().copied());
        assert_eq!(take(2, 100, &[1, 1, 1]), 2);
        assert_eq!(take(9, 10, &[4, 6, 1]), 2);
        assert_eq!(take(9, 10, &[11, 1]), 1);
        assert_eq!(take(9, 10, &[1, u64::MAX, 1]), 1);
        assert_eq!((take(9, 10, &[]), take(0, 10, &[1])), (0, 0));
    }
}
