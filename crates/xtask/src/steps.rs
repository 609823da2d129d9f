//! Running the programs that a step is made of.

use std::{
    error::Error,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

/// The result of a developer command.
pub(crate) type Done<T = ()> = Result<T, Box<dyn Error>>;

/// The repository's folder.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A cargo command in the repository.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root());
    // Set by the cargo that runs this; it would tie the inner one to this package.
    for variable in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        command.env_remove(variable);
    }
    command
}

/// Builds all programs, so that what they depend on is built once, and says where `cdm` is.
pub(crate) fn built_cdm() -> Done<PathBuf> {
    step("build", &mut cargo(&["build", "--workspace", "--bins", "--quiet"]))?;
    Ok(program_of("debug", "cdm"))
}

/// Builds `cdm` as it is released, and says where it is.
pub(crate) fn release_cdm() -> Done<PathBuf> {
    step("build for release", &mut cargo(&["build", "--release", "--package", "host", "--bin", "cdm", "--quiet"]))?;
    Ok(program_of("release", "cdm"))
}

/// Where a program is that was built in a profile.
pub(crate) fn program_of(profile: &str, name: &str) -> PathBuf {
    target().join(profile).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// The folder of what is built.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs a step of a command: says what it is and how long it took, and fails when the program does.
pub(crate) fn step(title: &str, command: &mut Command) -> Done {
    eprintln!("\n==> {title}");
    let started = Instant::now();
    let status =
        command.status().map_err(|error| format!("{title}: cannot run {:?}: {error}", command.get_program()))?;
    if !status.success() {
        return Err(format!("{title} failed").into());
    }
    eprintln!("    {title}: {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Whether a program can be run.
pub(crate) fn has(program: &str, argument: &str) -> bool {
    let mut probe = Command::new(program);
    probe.arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Whether cargo has that subcommand.
pub(crate) fn cargo_has(subcommand: &str) -> bool {
    cargo(&[subcommand, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
