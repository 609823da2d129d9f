use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::steps::{Done, cargo, program_of, release_cdm, step, target};

/// Builds the program and the benchmark with optimisation and runs the benchmark.
pub(crate) fn bench(arguments: &[String]) -> Done {
    let cdm = release_cdm()?;
    step("build the benchmark", &mut cargo(&["build", "--release", "--package", "bench"]))?;
    let mut bench = Command::new(program_of("release", "bench"));
    bench.arg("--cdm").arg(cdm);
    if !arguments.iter().any(|argument| argument.starts_with("--json")) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        bench.arg("--json").arg(target().join(format!("bench/{now}.json")));
    }
    step("bench", bench.args(arguments))
}
