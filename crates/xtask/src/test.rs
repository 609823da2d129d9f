use std::{fs, process::Command};

use local_postgres::{CLUSTER_VARIABLE, Cluster, Options, Programs};

use crate::{
    generate, policy,
    report::Report,
    setup,
    steps::{Done, cargo, cargo_has, program_of, run},
    third_party,
};

/// Everything that has to pass. A part that fails does not stop the others.
pub(crate) fn test() -> Done {
    let mut report = Report::default();
    report.part("servers", setup::servers);
    report.part("formatting", || run("formatting", &mut cargo(&["fmt", "--all", "--check"])));
    let lints = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    report.part("lints", || run("lints", &mut cargo(&lints)));
    // Programs and tests at once, so that each crate is built with one set of features.
    report.part("build", || run("build", &mut cargo(&["build", "--workspace", "--all-targets"])));
    report.part("generated files", || generate::documents(true));
    report.part("tests", tests);
    report.part("documentation tests", || {
        run("documentation tests", &mut with_programs(cargo(&["test", "--workspace", "--doc"])))
    });
    third_party::test(&mut report);
    report.part("support matrix", || generate::matrix(true));
    policy::check(&mut report);
    report.finish()
}

/// All tests but those in the documentation, with one cluster, each test in a database of its own. The cluster ends
/// with this function, and with this process if that is killed.
fn tests() -> Done {
    let results = generate::conformance_results();
    if results.exists() {
        fs::remove_dir_all(&results)?;
    }
    let cluster = Cluster::start(&Programs::find()?, &Options::default())?;
    let arguments: &[&str] = match cargo_has("nextest") {
        true => &["nextest", "run", "--workspace", "--no-fail-fast"],
        false => &["test", "--workspace", "--all-targets", "--no-fail-fast"],
    };
    run("tests", with_programs(cargo(arguments)).env(CLUSTER_VARIABLE, cluster.url("postgres")))
}

fn with_programs(mut command: Command) -> Command {
    command.env("CDM_BIN", program_of("debug", "cdm"));
    command.env("CDM_CONFORMANCE_REQUIRED", "1").env("CDM_CONFORMANCE_RESULTS", generate::conformance_results());
    command
}
