use serde::{Deserialize, Serialize};

/// So many stretches are kept apart; of a listing with more gaps nothing is known.
const MOST: usize = 64;

/// Which places of a listing are held: stretches from a first place to before a last one, sorted and apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Spans(Vec<(u64, u64)>);

impl Spans {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the places from `start` to before `end`.
    pub(crate) fn add(&mut self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        self.0.retain(|&(known_start, known_end)| {
            let is_apart = known_end < start || end < known_start;
            if !is_apart {
                (start, end) = (start.min(known_start), end.max(known_end));
            }
            is_apart
        });
        let place = self.0.partition_point(|&(known, _)| known < start);
        if self.0.len() < MOST {
            self.0.insert(place, (start, end));
        }
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        other.0.iter().for_each(|&(start, end)| self.add(start, end));
    }

    /// The first places that are not held among the first `total`: from the first of them to before the last.
    pub(crate) fn first_gap(&self, total: u64) -> Option<(u64, u64)> {
        if self.0.is_empty() || self.0.len() >= MOST {
            return None;
        }
        let ends = std::iter::once(0).chain(self.0.iter().map(|&(_, end)| end));
        let starts = self.0.iter().map(|&(start, _)| start).chain([total]);
        ends.zip(starts).find(|(end, start)| end < start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(spans: &[(u64, u64)]) -> Option<(u64, u64)> {
        let mut all = Spans::default();
        spans.iter().for_each(|&(start, end)| all.add(start, end));
        all.first_gap(150)
    }

    #[test]
    fn a_gap_is_found_in_whatever_order_the_pages_come() {
        assert_eq!(gap(&[(0, 50), (100, 150)]), Some((50, 100)));
        assert_eq!(gap(&[(100, 150), (0, 50), (200, 210)]), Some((50, 100)));
        assert_eq!(gap(&[(100, 150), (0, 50), (50, 100)]), None);
        assert_eq!(gap(&[(0, 60), (50, 150)]), None, "pages that overlap");
        assert_eq!(gap(&[(0, 50), (50, 100)]), Some((100, 150)), "at the end");
        assert_eq!(gap(&[(0, 200)]), None, "more than were announced");
        assert_eq!(gap(&[(50, 100)]), Some((0, 50)));
        assert_eq!(gap(&[(0, 0)]), None);
        assert_eq!(gap(&[]), None);
        let many: Vec<_> = (0..200).map(|place| (place * 2, place * 2 + 1)).collect();
        assert_eq!(gap(&many), None, "too many to be kept");
    }
}
