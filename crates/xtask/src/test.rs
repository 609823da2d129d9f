use std::fs;

use local_postgres::{CLUSTER_VARIABLE, Cluster, Options};

use crate::{
    generate, policy, setup,
    steps::{Done, built_cdm, cargo, cargo_has, step},
    third_party,
};

/// Everything that has to pass.
pub(crate) fn test() -> Done {
    let programs = setup::servers()?;
    step("formatting", &mut cargo(&["fmt", "--all", "--check"]))?;
    let lints = ["clippy", "--workspace", "--all-targets", "--all-features", "--quiet", "--", "-D", "warnings"];
    step("lints", &mut cargo(&lints))?;
    let binary = built_cdm()?;
    generate::generate(&binary, true)?;

    // One cluster serves all tests of this run, each in a database of its own. It goes with this
    // process, however that ends.
    let cluster = Cluster::start(&programs, &Options::default())?;
    let results = generate::conformance_results();
    if results.exists() {
        fs::remove_dir_all(&results)?;
    }
    let with_server = |mut command: std::process::Command| {
        command.env(CLUSTER_VARIABLE, cluster.url("postgres")).env("CDM_BIN", &binary);
        command.env("CDM_CONFORMANCE_REQUIRED", "1").env("CDM_CONFORMANCE_RESULTS", &results);
        command
    };
    if cargo_has("nextest") {
        step("tests", &mut with_server(cargo(&["nextest", "run", "--workspace", "--no-fail-fast"])))?;
    } else {
        step("tests", &mut with_server(cargo(&["test", "--workspace", "--all-targets", "--no-fail-fast", "--quiet"])))?;
    }
    step("documentation tests", &mut with_server(cargo(&["test", "--workspace", "--doc", "--quiet"])))?;
    drop(cluster);
    third_party::test()?;
    generate::generate_matrix(true)?;
    policy::check()?;
    eprintln!("\nAll is well.");
    Ok(())
}
