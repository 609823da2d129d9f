use std::{collections::BTreeMap, fmt::Write as _};

use crate::{Outcome, Verdict};

/// The abilities that the matrix shows, each with the beginning of the names of the tests that prove it.
const ABILITIES: [(&str, &[&str]); 12] = [
    ("registry, configuration", &["driver::"]),
    ("source", &["source::"]),
    ("sink.raw", &["raw::"]),
    ("sink.cdm", &["sink::"]),
    ("sink.transactional", &["transaction::"]),
    ("runs", &["run::"]),
    ("sink.autoprovision", &["provision::"]),
    ("sink.replay", &["replay::"]),
    ("sink.verify", &["verify::"]),
    ("sink.grants", &["grants::"]),
    ("sink.outbox", &["outbox::"]),
    ("sink.reject_listing, sink.dismissals", &["rejects::"]),
];

/// A table in Markdown of what drivers were shown to do: of each ability how many tests passed, and `–` where a
/// driver does not declare it.
pub fn support_matrix(drivers: &BTreeMap<String, Vec<Outcome>>) -> String {
    let mut table = "| ability |".to_owned();
    for driver in drivers.keys() {
        let _ = write!(table, " `{driver}` |"); // a string takes all of it
    }
    table.push_str(&format!("\n| --- |{}\n", " --- |".repeat(drivers.len())));
    for (ability, prefixes) in ABILITIES {
        let _ = write!(table, "| {ability} |");
        for outcomes in drivers.values() {
            let of_ability: Vec<&Outcome> = outcomes
                .iter()
                .filter(|outcome| prefixes.iter().any(|prefix| outcome.test.starts_with(prefix)))
                .collect();
            let passed = of_ability.iter().filter(|outcome| outcome.verdict == Verdict::Passed).count();
            let _ = match (of_ability.len(), passed) {
                (0, _) => write!(table, " – |"),
                (1, 1) => write!(table, " 1 test |"),
                (all, passed) if all == passed => write!(table, " {passed} tests |"),
                (all, passed) => write!(table, " **{passed} of {all} tests** |"),
            };
        }
        table.push('\n');
    }
    table
}
