//! Whatever fails, and however often, a load that is taken up again comes to the same as one that nothing
//! disturbed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{env, time::SystemTime};

use end_to_end::torture::torture;

/// A number from the environment.
fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// `CDM_TORTURE_KILLS` says how many faults there are, and `CDM_TORTURE_SEED` from which seed they are drawn.
#[test]
fn loads_under_faults_come_to_what_one_without_any_comes_to() {
    let faults = usize::try_from(number("CDM_TORTURE_KILLS").unwrap_or(25)).unwrap();
    let by_the_clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = number("CDM_TORTURE_SEED").unwrap_or_else(by_the_clock);
    println!("CDM_TORTURE_SEED={seed}");
    let tally = torture(faults, seed);
    println!("{tally}");
    assert_eq!(tally.faults(), faults);
    if faults >= 20 {
        assert!(tally.kinds() >= 3 && tally.hits() * 2 > faults, "too few of them hit anything:\n{tally}");
    }
}
