use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::steps::{Done, cargo, step, target};

/// Builds the program and the benchmark with optimisation and runs the benchmark.
pub(crate) fn bench(arguments: &[String]) -> Done {
    let build = ["build", "--release", "--quiet", "--bin", "cdm", "--bin", "bench"];
    step("build", &mut cargo(&build))?;
    let programs = target().join("release");
    let program = |name: &str| programs.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let mut bench = Command::new(program("bench"));
    bench.arg("--cdm").arg(program("cdm"));
    if !arguments.iter().any(|argument| argument.starts_with("--json")) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        bench.arg("--json").arg(target().join(format!("bench/{now}.json")));
    }
    step("bench", bench.args(arguments))
}
