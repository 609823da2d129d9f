use std::{collections::BTreeMap, fmt};

/// Of each kind of fault: how many were tried, how many hit a command that was under way, and how many were in a round
/// that failed.
#[derive(Debug, Default)]
pub struct Tally {
    kinds: BTreeMap<&'static str, Counts>,
    failures: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    tried: usize,
    hit: usize,
    in_failed_rounds: usize,
}

impl Tally {
    /// How many faults were tried.
    pub fn faults(&self) -> usize {
        self.kinds.values().map(|counts| counts.tried).sum()
    }

    /// How many of them hit.
    pub fn hits(&self) -> usize {
        self.kinds.values().map(|counts| counts.hit).sum()
    }

    /// How many kinds hit.
    pub fn kinds(&self) -> usize {
        self.kinds.values().filter(|counts| counts.hit > 0).count()
    }

    /// Why rounds failed; empty when none did.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Says that a fault of a kind was tried.
    pub(super) fn count(&mut self, kind: &'static str) {
        self.kinds.entry(kind).or_default().tried += 1;
    }

    /// Says that the last fault of a kind hit.
    pub(super) fn hit(&mut self, kind: &'static str) {
        self.kinds.entry(kind).or_default().hit += 1;
    }

    /// Adds a round, which failed or not.
    pub(super) fn add(&mut self, round: &Self, failure: Option<String>) {
        for (kind, counts) in &round.kinds {
            let sum = self.kinds.entry(kind).or_default();
            sum.tried += counts.tried;
            sum.hit += counts.hit;
            sum.in_failed_rounds += if failure.is_some() { counts.tried } else { 0 };
        }
        self.failures.extend(failure);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>6} {:>6} {:>17}  kind of fault", "tried", "hit", "in failed rounds")?;
        for (kind, Counts { tried, hit, in_failed_rounds }) in &self.kinds {
            writeln!(f, "{tried:6} {hit:6} {in_failed_rounds:17}  {kind}")?;
        }
        write!(f, "{:6} {:6} {:17}  all; rounds that failed: {}", self.faults(), self.hits(), "", self.failures.len())
    }
}
