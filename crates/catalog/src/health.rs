use cdm_models::Timestamp;
use jiff::SignedDuration;

use crate::{Dataset, Interval, LoadFacts, RowBand};

/// Whether something that people expect of a dataset is so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthCheck {
    /// What was looked at: `freshness`, `volume`.
    pub name: &'static str,
    /// Whether it is as expected. What cannot be told is not.
    pub ok: bool,
    /// What people expect: `24h`, `100..5000`.
    pub expected: String,
    /// What there is, in words.
    pub found: String,
}

/// Compares a dataset with what people expect of it, at the time `now`. Of one of which nothing is expected there
/// is nothing to check. `last_good`, the last load of a run that succeeded, decides on freshness, whatever was loaded
/// after it.
pub fn health(dataset: &Dataset, last_good: Option<&LoadFacts>, now: Timestamp) -> Vec<HealthCheck> {
    let expected = dataset.annotations.expectations;
    let freshness = expected.every.map(|every| freshness(dataset, last_good, every, now));
    let volume = expected.rows.map(|rows| volume(dataset, rows));
    freshness.into_iter().chain(volume).collect()
}

fn freshness(dataset: &Dataset, last_good: Option<&LoadFacts>, every: Interval, now: Timestamp) -> HealthCheck {
    let (ok, found) = match (last_good, &dataset.last_load) {
        (None, None) => (false, "never loaded".to_owned()),
        (None, Some(load)) => {
            (false, format!("no run that loaded records has succeeded; the last one that failed is {}", load.run_id))
        }
        (Some(load), _) => {
            // A load that is ahead of this clock is as fresh as can be.
            let age = now.as_microsecond().saturating_sub(load.at.as_microsecond()).max(0);
            let is_fresh = age <= i64::from(every.seconds()) * 1_000_000;
            let age = SignedDuration::from_secs(age / 1_000_000);
            (is_fresh, format!("loaded {age:#} ago, by run {}", load.run_id))
        }
    };
    HealthCheck { name: "freshness", ok, expected: every.to_string(), found }
}

fn volume(dataset: &Dataset, band: RowBand) -> HealthCheck {
    let (ok, found) = match &dataset.last_load {
        None => (false, "never loaded".to_owned()),
        Some(load) => match load.rows {
            Some(rows) => (band.contains(rows), format!("{rows} rows")),
            None => (false, "the sink does not count its rows".to_owned()),
        },
    };
    HealthCheck { name: "volume", ok, expected: band.to_string(), found }
}
