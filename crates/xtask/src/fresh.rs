//! `cargo xtask test --fresh`: the tests as they run on a machine that has never built anything.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::steps::{Done, target};

/// Set for the commands of such a run.
const VARIABLE: &str = "CDM_FRESH";

/// Whether this is such a run: tools that the user has installed are not used.
pub(crate) fn is_on() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Runs `cargo xtask test` with an empty cargo home, so that nothing can be found there that was not fetched for it,
/// and without the tools of earlier runs. How cargo reaches its registry is taken over from the user's cargo home.
pub(crate) fn test() -> Done {
    let folder = target().join("fresh");
    let home = folder.join("cargo-home");
    for old in [&folder, &target().join("tools")] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    fs::create_dir_all(&home)?;
    if let Some(users) = users_home() {
        take_over(&users, &home)?;
    }
    eprintln!("With an empty cargo home, {}.", home.display());
    let status = Command::new(env::current_exe()?).arg("test").env("CARGO_HOME", &home).env(VARIABLE, "1").status()?;
    fs::remove_dir_all(&folder)?;
    if status.success() { Ok(()) } else { Err("not all parts passed with an empty cargo home".into()) }
}

fn users_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".cargo")))
}

/// Copies cargo's settings: a registry or a proxy that somebody's network requires.
fn take_over(users: &Path, home: &Path) -> Done {
    for settings in ["config.toml", "config"] {
        if users.join(settings).is_file() {
            fs::copy(users.join(settings), home.join(settings))?;
        }
    }
    Ok(())
}
