//! Measures speed and size: `cargo xtask bench`.
//!
//! The yardstick is `psql \copy` of the finished rows as CSV into an identical, empty, provisioned table on
//! the same server. Ours and psql's runs take turns; what counts is the median of their ratios. Machines
//! differ and are noisy; a ratio of neighbours holds.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints what it found")]

mod bench;
mod builds;
mod generate;
mod in_process;
mod peers;
mod report;
mod scenarios;
mod statistics;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use bench::{Bench, Done, SETTINGS};
use clap::Parser;
use report::{Finding, table};
use scenarios::Amount;

/// What can be measured alone. `peers`, which installs other tools, is measured only when it is named.
const SCENARIOS: [&str; 10] = [
    "first-load",
    "reload-unchanged",
    "reload-changed",
    "large",
    "mapping",
    "pipeline",
    "growth",
    "provision",
    "start-up",
    "peers",
];

/// Measure cdm against psql. Exit code 1 when a target is missed or the yardstick wavers.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Cli {
    /// The program to measure, built with --release.
    #[arg(long, value_name = "FILE")]
    cdm: PathBuf,
    /// Compare with another build of the program instead of psql: first loads and reloads in turn, beside the other
    /// build against itself.
    #[arg(long, value_name = "FILE", conflicts_with = "only")]
    against: Option<PathBuf>,
    /// Only these scenarios. `peers` compares with target-postgres and dlt, which it installs from PyPI with
    /// python3 into a folder beside the program; without this option it is left out.
    #[arg(long, value_name = "SCENARIO", value_parser = SCENARIOS)]
    only: Vec<String>,
    /// So many runs of ours and of psql.
    #[arg(long, default_value_t = 9)]
    pairs: usize,
    /// So many issues in each of them.
    #[arg(long, default_value_t = 100_000)]
    issues: usize,
    /// So many issues, and a tenth of them, for memory and growth.
    #[arg(long, default_value_t = 1_000_000)]
    growth_issues: usize,
    /// So many issues in each load of `peers`, where three rounds are enough.
    #[arg(long, default_value_t = 20_000)]
    peer_issues: usize,
    /// Where every measurement goes.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match measure(&Cli::parse()) {
        Ok(findings) if findings.iter().all(|finding| finding.is_met() != Some(false)) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(cli: &Cli) -> Done<Vec<Finding>> {
    let wants = |scenario: &str| cli.only.is_empty() || cli.only.iter().any(|only| only == scenario);
    let named = |scenario: &str| cli.only.iter().any(|only| only == scenario);
    let amount = Amount { pairs: cli.pairs, issues: cli.issues, growth_issues: cli.growth_issues };
    let cdm = fs::canonicalize(&cli.cdm).map_err(|error| format!("{}: {error}", cli.cdm.display()))?;
    let bench = Bench::start(&cdm)?;
    let settings: Vec<String> = SETTINGS.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    eprintln!("a server of its own with data checksums, {}", settings.join(", "));

    if let Some(other) = &cli.against {
        let other = fs::canonicalize(other).map_err(|error| format!("{}: {error}", other.display()))?;
        return report(builds::compare(&bench, &other, cli.pairs, cli.issues)?, cli.json.as_deref());
    }
    let mut findings = Vec::new();
    if ["first-load", "reload-unchanged", "reload-changed", "large"].into_iter().any(wants) {
        findings.extend(scenarios::loads(&bench, amount, wants)?);
    }
    if wants("growth") {
        findings.extend(scenarios::growth(&bench, amount)?);
    }
    findings.extend(scenarios::commands(&bench, amount, wants)?);
    if named("peers") {
        let folder = cdm.ancestors().nth(2).ok_or("the program is in no folder")?.join("peers");
        findings.extend(peers::compare(&bench, cli.pairs.min(3), cli.peer_issues, &folder)?);
    }
    // Last, because it takes memory: the peak of a process counts from that of the one which starts it.
    if ["mapping", "pipeline"].into_iter().any(wants) {
        findings.extend(scenarios::in_process(&bench, amount, wants)?);
    }
    report(findings, cli.json.as_deref())
}

/// Prints the findings, and writes every measurement to the file `json`.
fn report(findings: Vec<Finding>, json: Option<&Path>) -> Done<Vec<Finding>> {
    print!("{}", table(&findings));
    if let Some(path) = json {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, serde_json::to_vec_pretty(&findings)?)?;
        eprintln!("every measurement is in {}", path.display());
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program as tests have it, which `CDM_BIN` may name.
    fn built() -> PathBuf {
        if let Some(cdm) = std::env::var_os("CDM_BIN") {
            return cdm.into();
        }
        let test = std::env::current_exe().unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = std::process::Command::new(cargo).args(["build", "--quiet", "--workspace", "--bins"]).status();
        assert!(built.unwrap().success());
        test.ancestors().nth(2).unwrap().join("cdm")
    }

    #[test]
    fn every_scenario_finds_something() {
        let cli = Cli {
            cdm: built(),
            against: None,
            only: Vec::new(),
            pairs: 1,
            issues: 300,
            growth_issues: 600,
            peer_issues: 0,
            json: None,
        };
        let findings = measure(&cli).unwrap();
        assert_eq!(findings.len(), 15, "{findings:?}");
        assert!(findings.iter().all(|finding| finding.figure.is_finite() && finding.figure >= 0.0), "{findings:?}");
        let again = findings.iter().find(|finding| finding.what == "the same again").unwrap();
        assert!(again.beside.contains("no row touched"), "{again:?}");
    }

    #[test]
    fn a_build_is_compared_with_another_one() {
        let cdm = built();
        let cli = Cli {
            against: Some(cdm.clone()),
            cdm,
            only: Vec::new(),
            pairs: 2,
            issues: 300,
            growth_issues: 0,
            peer_issues: 0,
            json: None,
        };
        let findings = measure(&cli).unwrap();
        let what: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(what, ["first load, against the other build", "the same again, against the other build"]);
        assert!(findings.iter().all(|finding| finding.figure > 0.0), "{findings:?}");
    }
}
