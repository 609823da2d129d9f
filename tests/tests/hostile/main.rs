//! Hostile inputs for everything that reads: exports, the state of `raw.files`, catalogs, plans and configurations.
//!
//! Whatever comes, the program ends by itself with one of its exit codes, within bounds of time and memory, without a
//! panic, prints nothing that draws on a terminal, and loads what is good beside what is bad.
//!
//! `CDM_HOSTILE=long` takes larger inputs and more of them; `CDM_HOSTILE_SEED` is the seed from which they are drawn.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod damage;
mod export;
mod ground;
mod parsers;
mod state;

use std::env;

use fastrand::Rng;

/// Whether larger inputs are wanted, and more of them.
fn is_long() -> bool {
    env::var("CDM_HOSTILE").is_ok_and(|form| form == "long")
}

/// How much larger inputs are in the long form.
fn scaled(short: usize, long: usize) -> usize {
    if is_long() { long } else { short }
}

/// A generator whose seed is printed, so that a failure can be repeated.
fn rng() -> Rng {
    let seed = env::var("CDM_HOSTILE_SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("CDM_HOSTILE_SEED={seed}");
    Rng::with_seed(seed)
}
