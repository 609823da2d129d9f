use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use local_postgres::{Cluster, TestDatabase};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ran, Running, cdm, start};

/// A folder with a configuration, and a database.
pub struct Sandbox {
    folder: TempDir,
    database: TestDatabase,
}

/// A Jira export in `export`, a warehouse in the database and raw files in `raw`; every unit is ingested
/// in CDM mode, and in raw mode as `<unit>_raw`.
const CONFIGURATION: &str = r#"
[endpoints.acme_jira]
driver = "jira.export"
path = "export"

[endpoints.warehouse]
driver = "cdm.postgres"
connection_url = "${env:WAREHOUSE_URL}"

[endpoints.lake]
driver = "raw.files"
path = "raw"

[ingest]
retry_for = "8s"
"#;

/// The units of a Jira export without their prefix.
const UNITS: [&str; 5] = ["projects", "users", "issues", "comments", "worklogs"];

impl Sandbox {
    /// With a configuration, and nothing provisioned or exported yet.
    pub fn new() -> Self {
        Self::with(TestDatabase::create(), tempfile::tempdir().unwrap())
    }

    /// As [`new`](Self::new), with the database in a cluster of the test's own.
    pub fn in_cluster(cluster: &Cluster) -> Self {
        Self::with(TestDatabase::in_cluster(cluster), tempfile::tempdir().unwrap())
    }

    /// As [`new`](Self::new), with that folder, and with the database in a cluster of the test's own if there is one.
    pub fn within(folder: TempDir, cluster: Option<&Cluster>) -> Self {
        Self::with(cluster.map_or_else(TestDatabase::create, TestDatabase::in_cluster), folder)
    }

    fn with(database: TestDatabase, folder: TempDir) -> Self {
        let mut configuration = CONFIGURATION.to_owned();
        for (suffix, sink, mode) in [("", "warehouse", "cdm"), ("_raw", "lake", "raw")] {
            for unit in UNITS {
                configuration.push_str(&format!(
                    "\n[ingest.{unit}{suffix}]\nsource = \"acme_jira\"\nunit = \"jira.{unit}\"\nsink = \"{sink}\"\nmode = \"{mode}\"\n"
                ));
            }
        }
        let sandbox = Self { folder, database };
        sandbox.write("cdm.toml", configuration);
        fs::create_dir(sandbox.path("export")).unwrap();
        sandbox
    }

    /// As [`new`](Self::new), with the warehouse provisioned.
    pub fn provisioned() -> Self {
        let sandbox = Self::new();
        sandbox.cdm(["provision", "warehouse"]).expect(0);
        sandbox
    }

    /// A path in the folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file in the folder.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).unwrap();
    }

    /// Changes the configuration.
    pub fn configure(&self, change: impl FnOnce(String) -> String) {
        let configuration = fs::read_to_string(self.path("cdm.toml")).unwrap();
        self.write("cdm.toml", change(configuration));
    }

    /// From now on the warehouse is at that URL.
    pub fn connect(&self, url: &str) {
        self.configure(|configuration| {
            let lines = configuration.lines().map(|line| match line.starts_with("connection_url") {
                true => format!("connection_url = \"{url}\"\n"),
                false => format!("{line}\n"),
            });
            lines.collect()
        });
    }

    /// Writes a file of the export, a record a line.
    pub fn export(&self, name: &str, records: &[&str]) {
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        self.write(&format!("export/{name}"), lines);
    }

    /// The database's URL, with the superuser and its password.
    pub fn database_url(&self) -> &str {
        self.database.url()
    }

    /// The database.
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// A command of the program, in the folder, that answers in JSON.
    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        self.command_of(cdm(), arguments)
    }

    /// As [`command`](Self::command), of another host.
    pub fn command_of<'a>(&self, program: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.plain_command(program);
        command.args(["--output", "json"]).args(arguments);
        command
    }

    fn plain_command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env("WAREHOUSE_URL", self.database.url());
        command.env_remove("CDM_CONFIG").env_remove("CDM_LOG");
        command
    }

    /// Runs a command of the program, answering in JSON.
    pub fn cdm<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// As [`cdm`](Self::cdm), of another host.
    pub fn run<'a>(&self, program: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Ran {
        Ran::of(self.command_of(program, arguments).output().unwrap())
    }

    /// As [`people`](Self::people), with a terminal of that many columns.
    pub fn people_at(&self, columns: u32, arguments: &[&str]) -> Ran {
        let mut command = self.plain_command(cdm());
        Ran::of(command.env("COLUMNS", columns.to_string()).args(arguments).output().unwrap())
    }

    /// Runs a command of the program as people do, without `--output json`.
    pub fn people(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.people_command(arguments).output().unwrap())
    }

    /// A command of the program as people give it, without `--output json`.
    pub fn people_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.plain_command(cdm());
        command.args(arguments);
        command
    }

    /// Starts a command of the program.
    pub fn start<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Running {
        start(&mut self.command(arguments))
    }

    /// Ingests what is named, which must succeed; says the runs.
    pub fn ingest(&self, arguments: &[&str]) -> Vec<Value> {
        let all: Vec<&str> = std::iter::once("ingest").chain(arguments.iter().copied()).collect();
        let json = self.cdm(all).expect(0);
        json["runs"].as_array().unwrap().clone()
    }

    /// The rows of a query in the database, each as its columns' texts, null as `null`.
    pub fn ask(&self, query: &str) -> Vec<Vec<String>> {
        let text = |cell: Option<String>| cell.unwrap_or_else(|| "null".to_owned());
        self.database.query(query).into_iter().map(|row| row.into_iter().map(text).collect()).collect()
    }

    /// The one value of a query in the database.
    pub fn value(&self, query: &str) -> String {
        self.ask(query)[0][0].clone()
    }

    /// The rejects of a sink, as `stage origin field: reason`, sorted.
    pub fn rejects(&self, sink: &str) -> Vec<String> {
        let json = self.cdm(["rejects", "list", sink, "--limit", "1000"]).expect(0);
        let mut rejects: Vec<String> = json["rejects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reject| {
                let text = |name: &str| reject[name].as_str().unwrap_or("-");
                format!("{} {} {}: {}", text("stage"), text("origin"), text("field"), text("reason"))
            })
            .collect();
        rejects.sort();
        rejects
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}
