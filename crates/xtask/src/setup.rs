use std::process::Command;

use local_postgres::Programs;

use crate::steps::{Done, has, step};

/// Installs the servers that tests start, PostgreSQL and PgBouncer, where they are missing: with apt as root or
/// through sudo, with Homebrew on a Mac. Says where PostgreSQL's programs are.
pub(crate) fn servers() -> Done<Programs> {
    let mut missing = Vec::new();
    if Programs::find().is_err() {
        missing.push("postgresql");
    }
    if !has("pgbouncer", "--version") && !has("/usr/sbin/pgbouncer", "--version") {
        missing.push("pgbouncer");
    }
    if !missing.is_empty() {
        install(&missing)?;
    }
    Ok(Programs::find()?)
}

fn install(packages: &[&str]) -> Done {
    let what = packages.join(" and ");
    if cfg!(target_os = "macos") {
        step(&format!("install {what} with Homebrew"), Command::new("brew").arg("install").args(packages))?;
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
        let install = ["install", "-y", "-qq", "--no-install-recommends"];
        step(&format!("install {what} with apt"), apt(&install).args(packages))?;
    }
    Ok(())
}
