use std::process::Command;

use local_postgres::Programs;

use crate::steps::{Done, has, step};

/// Finds PostgreSQL's server programs, and installs them where they are missing: with apt as root or
/// through sudo, with Homebrew on a Mac.
pub(crate) fn postgres() -> Done<Programs> {
    if let Ok(programs) = Programs::find() {
        return Ok(programs);
    }
    if cfg!(target_os = "macos") {
        step("install PostgreSQL with Homebrew", Command::new("brew").args(["install", "postgresql"]))?;
    } else if has("apt-get", "--version") {
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
        let apt = |arguments: &[&str]| {
            let mut command = if is_root { Command::new("apt-get") } else { Command::new("sudo") };
            if !is_root {
                command.args(["-n", "apt-get"]);
            }
            command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
            command
        };
        step("look for packages", &mut apt(&["update", "-qq"]))?;
        step(
            "install PostgreSQL with apt",
            &mut apt(&["install", "-y", "-qq", "--no-install-recommends", "postgresql"]),
        )?;
    }
    Ok(Programs::find()?)
}
