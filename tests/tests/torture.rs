//! Whatever fails, and however often, a load that is taken up again comes to the same as one that nothing
//! disturbed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use std::{env, time::SystemTime};

use end_to_end::torture::{Target, torture};

/// A number from the environment.
fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// `CDM_TORTURE_KILLS` is the number of faults over all targets, of which this target has a share in percent;
/// `CDM_TORTURE_SEED` the seed from which they are drawn, and `CDM_TORTURE_ROUND` the only round to be done.
fn assert_nothing_differs(target: Target, percent: u64) {
    let faults = usize::try_from((number("CDM_TORTURE_KILLS").unwrap_or(40) * percent).div_ceil(100)).unwrap();
    let by_the_clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = number("CDM_TORTURE_SEED").unwrap_or_else(by_the_clock);
    let round = number("CDM_TORTURE_ROUND");
    println!("{target}: seed {seed}");
    let began = SystemTime::now();
    let tally = torture(target, faults, seed, round, |text| println!("{text}"));
    let took = began.elapsed().unwrap().as_secs_f64();
    let rate = tally.faults() as f64 * 60.0 / took;
    println!("{target}: seed {seed}, {took:.0} s, {rate:.0} faults a minute\n{tally}");
    assert!(tally.failures().is_empty(), "{}", tally.failures().join("\n"));
    if round.is_none() {
        assert_eq!(tally.faults(), faults);
    }
    if tally.faults() >= 20 {
        assert!(tally.kinds() >= 3 && tally.hits() * 2 > tally.faults(), "too few of them hit anything:\n{tally}");
    }
}

#[test]
fn loads_into_postgres_under_faults_come_to_what_one_without_any_comes_to() {
    assert_nothing_differs(Target::Postgres, 40);
}

#[test]
fn loads_into_sqlite_under_faults_come_to_what_one_without_any_comes_to() {
    assert_nothing_differs(Target::Sqlite, 30);
}

#[test]
fn loads_into_raw_files_under_faults_come_to_what_one_without_any_comes_to() {
    assert_nothing_differs(Target::RawFiles, 30);
}
