//! Loads that are made while the program, the server, the disks and the connections fail at random, again and again,
//! and must come to what one uninterrupted load comes to.
//!
//! A seed gives the exports and, with the number of a round, the scene of that round and the kinds, the order and the
//! moments of its faults ([`script`]). A round ([`round`]) provisions, loads two exports one after the other while faults
//! happen, compares what the sink holds with a load without faults ([`picture`]), lets faults happen that are not part
//! of a load, mends what they did as an operator would, and compares again.

mod export;
mod fault;
mod order;
mod picture;
mod round;
mod scene;
mod script;
mod stage;
mod tally;
mod target;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use fastrand::Rng;

use export::Export;
use order::Order;
use round::{Reference, round};
use stage::Stage;
pub use tally::Tally;
pub use target::Target;

/// Loads into a target while `faults` faults happen, drawn from a seed, in all rounds or in the one that `only` names.
/// Calls `say` as soon as a round fails.
///
/// A round fails when a load comes to something else than without faults, fails once the faults are over, hangs, panics,
/// or shows the value of a cell; the others go on.
///
/// # Panics
///
/// When the loads without faults fail.
pub fn torture(target: Target, faults: usize, seed: u64, only: Option<u64>, say: impl Fn(&str)) -> Tally {
    let stage = Stage::new(target);
    if let Some(lacks) = stage.lacks() {
        say(&format!("NOT RUN: {lacks}"));
    }
    let mut dice = Rng::with_seed(seed);
    let first = Export::generate(&mut dice);
    let second = first.changed(&mut dice);
    let reference = Reference::of(&stage, [first, second]);
    let mut tally = Tally::default();
    for number in only.unwrap_or(0).. {
        let left = faults.saturating_sub(tally.faults());
        if left == 0 || only.is_some_and(|only| only != number) {
            break;
        }
        let mut of_round = Tally::default();
        let mut dice = Rng::with_seed(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17));
        let outcome = catch_unwind(AssertUnwindSafe(|| round(&stage, &reference, left, &mut dice, &mut of_round)));
        let failure = outcome.err().map(|panic| {
            let failure = format!("round {number} of seed {seed} into {target}: {}", message(&*panic));
            let again = format!("cargo xtask torture --seed {seed} --target {target} --round {number}");
            say(&format!("FAILED {failure}\n{of_round}\nrepeat it with: {again}"));
            failure
        });
        tally.add(&of_round, failure);
    }
    tally
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
