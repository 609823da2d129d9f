//! Compares two builds of the program: `cargo xtask bench --against FILE`.

use std::path::Path;

use serde_json::json;

use crate::{
    bench::{Bench, Done, Sink},
    generate::{Export, Profile},
    report::{Finding, Target},
    statistics::Sample,
};

/// The sink of the other build. Each build provisions its own tables, so that a difference in the tables counts.
const BEFORE: Sink<'static> = Sink { schema: "before", configuration: "before.toml" };

/// Loads with this build, the other one, and the other one once more, `rounds` times in turn.
///
/// The ratio of the two loads of the other build is the control: it says how far two equal builds are apart on this
/// machine. This build is slower when its median is above the control's third quartile.
///
/// # Errors
///
/// When a program cannot be started or fails, with what it printed.
pub(crate) fn compare(bench: &Bench, other: &Path, rounds: usize, issues: usize) -> Done<Vec<Finding>> {
    bench.add_sink(other, BEFORE)?;
    bench.export(Export { issues, profile: Profile::Small, changed_percent: 0 })?;
    let first = |program: &Path, sink: Sink<'_>| -> Done<f64> {
        bench.empty(sink)?;
        Ok(bench.load(program, sink)?.seconds)
    };
    let again = |program: &Path, sink: Sink<'_>| -> Done<f64> {
        bench.run("checkpoint")?;
        Ok(bench.load(program, sink)?.seconds)
    };
    // The first load of each warms the server's and the system's caches, and is not counted.
    first(bench.program(), Sink::OURS)?;
    first(other, BEFORE)?;
    let first_load = Rounds::measure(rounds, bench.program(), other, first)?;
    for sink in [Sink::OURS, BEFORE] {
        bench.settle(sink)?;
    }
    let the_same_again = Rounds::measure(rounds, bench.program(), other, again)?;
    Ok(vec![first_load.finding("first load"), the_same_again.finding("the same again")])
}

/// What the loads of all rounds took.
#[derive(Default)]
struct Rounds {
    ours: Sample,
    theirs: Sample,
    ratios: Sample,
    controls: Sample,
}

impl Rounds {
    fn measure(count: usize, ours: &Path, other: &Path, load: impl Fn(&Path, Sink<'_>) -> Done<f64>) -> Done<Self> {
        let mut rounds = Self::default();
        for round in 1..=count {
            let mine = load(ours, Sink::OURS)?;
            let (before, before_again) = (load(other, BEFORE)?, load(other, BEFORE)?);
            eprintln!("    {round}/{count}: {mine:.2} s, before {before:.2} s and {before_again:.2} s");
            rounds.add(mine, before, before_again);
        }
        Ok(rounds)
    }

    fn add(&mut self, mine: f64, before: f64, before_again: f64) {
        self.ours.push(mine);
        self.theirs.push(before);
        self.ratios.push(mine / before);
        self.controls.push(before_again / before);
    }

    fn finding(&self, what: &str) -> Finding {
        let (low, high) = self.ratios.spread();
        let (control_low, control_high) = self.controls.spread();
        Finding {
            what: format!("{what}, against the other build"),
            figure: self.ratios.median(),
            shown: format!("{:.3} × ({low:.3} to {high:.3})", self.ratios.median()),
            // Rounded up, so that the target is never below what is shown of the control.
            target: Some(Target::AtMost((control_high.max(1.0) * 1000.0).ceil() / 1000.0)),
            beside: format!(
                "{:.2} s against {:.2} s, {} rounds; the other build against itself {:.3} × ({control_low:.3} to {control_high:.3})",
                self.ours.median(),
                self.theirs.median(),
                self.ratios.len(),
                self.controls.median(),
            ),
            measured: json!({ "ours": self.ours, "theirs": self.theirs, "controls": self.controls }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(ours: f64) -> Finding {
        let mut rounds = Rounds::default();
        for control in [0.98, 1.0, 1.02, 1.04, 0.96] {
            rounds.add(ours, 2.0, 2.0 * control);
        }
        rounds.finding("first load")
    }

    #[test]
    fn a_build_is_slower_when_it_is_beyond_the_spread_of_the_control() {
        let within = rounds(2.03);
        assert_eq!(within.is_met(), Some(true), "{within:?}");
        let slower = rounds(2.06);
        assert_eq!(slower.is_met(), Some(false), "{slower:?}");
        assert_eq!(slower.shown, "1.030 × (1.030 to 1.030)");
        assert!(slower.beside.ends_with("the other build against itself 1.000 × (0.980 to 1.020)"), "{slower:?}");
    }
}
