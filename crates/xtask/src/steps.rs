//! Running the programs that a command is made of.

use std::{
    error::Error,
    io::{IsTerminal as _, stderr},
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// The result of a developer command.
pub(crate) type Done<T = ()> = Result<T, Box<dyn Error>>;

/// How often a step says that it is still running where there is no terminal to show progress on.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

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

/// Where a program is that was built in a profile.
pub(crate) fn program_of(profile: &str, name: &str) -> PathBuf {
    target().join(profile).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Builds `cdm` as it is released. Returns its path.
pub(crate) fn release_cdm() -> Done<PathBuf> {
    step("build for release", &mut cargo(&["build", "--release", "--package", "host", "--bin", "cdm"]))?;
    Ok(program_of("release", "cdm"))
}

/// The folder of what is built.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |target| root().join(target))
}

/// Runs a program as a step with a title and says how long it took. Fails when the program does.
pub(crate) fn step(title: &str, command: &mut Command) -> Done {
    eprintln!("\n==> {title}");
    let started = Instant::now();
    run(title, command)?;
    eprintln!("    {title}: {}", spoken(started.elapsed()));
    Ok(())
}

/// Runs a program. Fails when the program does. Where standard error is no terminal, a line every 30 seconds says
/// that it is still running.
pub(crate) fn run(title: &str, command: &mut Command) -> Done {
    let started = Instant::now();
    let mut child =
        command.spawn().map_err(|error| format!("{title}: cannot run {}: {error}", command.get_program().display()))?;
    let (ended, wait) = channel::<()>();
    let status = thread::scope(|scope| {
        if !stderr().is_terminal() {
            scope.spawn(move || {
                while wait.recv_timeout(SIGN_OF_LIFE) == Err(RecvTimeoutError::Timeout) {
                    eprintln!("    {title}: running for {}", spoken(started.elapsed()));
                }
            });
        }
        let status = child.wait();
        drop(ended);
        status
    })?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", shown(command)).into()) }
}

/// A command as somebody would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or_default();
    let words = std::iter::once(name.to_owned())
        .chain(command.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    words.collect::<Vec<_>>().join(" ")
}

/// A duration for people: `4.2 s`, `2 min 05 s`.
pub(crate) fn spoken(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// Whether a program can be run.
pub(crate) fn has(program: &str, argument: &str) -> bool {
    succeeds(Command::new(program).arg(argument))
}

/// Whether cargo has that subcommand.
pub(crate) fn cargo_has(subcommand: &str) -> bool {
    succeeds(&mut cargo(&[subcommand, "--version"]))
}

/// Whether a command succeeds; what it prints is not shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
