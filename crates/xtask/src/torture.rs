use crate::steps::{Done, cargo, release_cdm, step};

/// Loads under so many faults drawn from a seed, or from one by the clock, with the program as it is released.
pub(crate) fn torture(kills: u32, seed: Option<u64>) -> Done {
    let binary = release_cdm()?;
    let mut torture = cargo(&["test", "--quiet", "--package", "end-to-end", "--test", "torture", "--", "--nocapture"]);
    torture.env("CDM_BIN", binary).env("CDM_TORTURE_KILLS", kills.to_string());
    if let Some(seed) = seed {
        torture.env("CDM_TORTURE_SEED", seed.to_string());
    }
    step(&format!("torture with {kills} faults"), &mut torture)
}
