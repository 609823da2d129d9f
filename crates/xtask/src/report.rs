//! The parts of `cargo xtask test`: each is run, timed and reported, whatever happens to the others.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use crate::steps::{Done, spoken};

/// The result of a part that did not fail.
pub(crate) enum Outcome {
    /// Everything was checked and passed.
    Passed,
    /// Something could not be looked at, and why.
    NotChecked(String),
}

/// The result of a part as it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Passed,
    NotChecked(String),
    Failed(String),
}

struct Part {
    name: &'static str,
    time: Duration,
    verdict: Verdict,
}

/// The parts so far.
#[derive(Default)]
pub(crate) struct Report {
    parts: Vec<Part>,
}

impl Report {
    /// Runs a part that passes or fails. Says whether it passed.
    pub(crate) fn part(&mut self, name: &'static str, run: impl FnOnce() -> Done) -> bool {
        self.part_with(name, || run().map(|()| Outcome::Passed))
    }

    /// Runs a part that can also end without having looked at everything. Says whether it did not fail.
    pub(crate) fn part_with(&mut self, name: &'static str, run: impl FnOnce() -> Done<Outcome>) -> bool {
        eprintln!("\n==> {name}");
        let started = Instant::now();
        let verdict = match run() {
            Ok(Outcome::Passed) => Verdict::Passed,
            Ok(Outcome::NotChecked(why)) => Verdict::NotChecked(why),
            Err(error) => Verdict::Failed(error.to_string()),
        };
        let part = Part { name, time: started.elapsed(), verdict };
        eprintln!("    {}: {} ({})", part.name, part.verdict.shown(), spoken(part.time));
        let passed = !matches!(part.verdict, Verdict::Failed(_));
        self.parts.push(part);
        passed
    }

    /// The table of all parts.
    fn table(&self) -> String {
        let width = self.parts.iter().map(|part| part.name.len()).max().unwrap_or(0);
        let mut table = String::new();
        for Part { name, time, verdict } in &self.parts {
            let _ = writeln!(table, "{name:<width$}  {:>11}  {}", spoken(*time), verdict.shown()); // a string takes all
        }
        let total = self.parts.iter().map(|part| part.time).sum();
        let _ = writeln!(table, "{:<width$}  {:>11}", "total", spoken(total)); // as above
        table
    }

    /// What all parts came to: a sentence, as an error when a part failed.
    fn conclusion(&self) -> Result<String, String> {
        let of = |wanted: fn(&Verdict) -> Option<String>| -> Vec<String> {
            self.parts
                .iter()
                .filter_map(|part| wanted(&part.verdict).map(|why| format!("{}{why}", part.name)))
                .collect()
        };
        let failed = of(|verdict| matches!(verdict, Verdict::Failed(_)).then(String::new));
        let unchecked = of(|verdict| match verdict {
            Verdict::NotChecked(why) => Some(format!(" ({why})")),
            Verdict::Passed | Verdict::Failed(_) => None,
        });
        let unchecked = match unchecked.is_empty() {
            true => String::new(),
            false => format!("; not checked: {}", unchecked.join(", ")),
        };
        match failed.as_slice() {
            [] => Ok(format!("All parts passed{unchecked}.")),
            [one] => Err(format!("1 part failed: {one}{unchecked}")),
            _ => Err(format!("{} parts failed: {}{unchecked}", failed.len(), failed.join(", "))),
        }
    }

    /// Prints the table and what all parts came to; fails when a part failed.
    pub(crate) fn finish(self) -> Done {
        eprintln!("\n{}", self.table());
        eprintln!("{}", self.conclusion()?);
        Ok(())
    }
}

impl Verdict {
    fn shown(&self) -> String {
        match self {
            Self::Passed => "passed".to_owned(),
            Self::NotChecked(why) => format!("NOT CHECKED: {why}"),
            Self::Failed(why) => format!("FAILED: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_after_a_failure_run_and_the_end_names_what_failed() {
        let mut report = Report::default();
        assert!(report.part("lints", || Ok(())));
        assert!(!report.part("tests", || Err("2 tests failed".into())));
        assert!(report.part("dependency policy", || Ok(())));
        let table = report.table();
        let verdicts: Vec<&str> = table.lines().map(|line| line.split("  ").last().unwrap_or_default()).collect();
        assert_eq!(verdicts[..3], ["passed", "FAILED: 2 tests failed", "passed"], "{table}");
        assert!(verdicts[3].ends_with(" s"), "{table}");
        assert_eq!(report.conclusion(), Err("1 part failed: tests".to_owned()));
    }

    #[test]
    fn what_was_not_looked_at_is_no_failure_and_is_said() {
        let mut report = Report::default();
        report.part("tests", || Ok(()));
        assert_eq!(report.conclusion(), Ok("All parts passed.".to_owned()));
        report.part_with("known vulnerabilities", || Ok(Outcome::NotChecked("no network".to_owned())));
        let said = "All parts passed; not checked: known vulnerabilities (no network).";
        assert_eq!(report.conclusion(), Ok(said.to_owned()));
        assert!(report.table().contains("NOT CHECKED: no network"));
    }
}
