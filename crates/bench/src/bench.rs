use std::{
    error::Error,
    fs::{self, File},
    io::{BufWriter, Read as _, Seek as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use local_postgres::{Cluster, Options, Programs};
use tempfile::TempDir;
use wait4::Wait4 as _;

use crate::generate::Export;

/// The result of a step.
pub(crate) type Done<T = ()> = Result<T, Box<dyn Error>>;

/// Where the yardstick's rows go: a schema like that of the sink.
const YARDSTICK: &str = "yardstick";

/// The sink's table.
pub(crate) const ITEMS: &str = "cdm_work.cdm_work_item";

/// A sink that is loaded: its schema, and the file of its configuration in the folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sink<'a> {
    pub(crate) schema: &'a str,
    pub(crate) configuration: &'a str,
}

impl Sink<'static> {
    /// The sink of the program that is measured.
    pub(crate) const OURS: Self = Self { schema: "cdm_work", configuration: "cdm.toml" };
}

/// A server and a folder to measure in.
pub(crate) struct Bench {
    folder: TempDir,
    cluster: Cluster,
    programs: Programs,
    cdm: PathBuf,
}

/// What a process used.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(crate) struct Used {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
    pub(crate) wal_bytes: u64,
}

/// The settings that differ from a new server's: what is measured must not depend on when a checkpoint
/// happens to begin.
pub(crate) const SETTINGS: [(&str, &str); 5] = [
    ("fsync", "on"),
    ("max_wal_size", "16GB"),
    ("checkpoint_timeout", "1h"),
    ("shared_buffers", "2GB"),
    ("autovacuum", "off"),
];

const CONFIGURATION: &str = r#"
[endpoints.jira]
driver = "jira.export"
path = "export"

[endpoints.warehouse]
driver = "cdm.postgres"
connection_url = "${env:BENCH_URL}"

[endpoints.yardstick]
driver = "cdm.postgres"
connection_url = "${env:BENCH_URL}"
schema = "yardstick"

[ingest.issues]
source = "jira"
unit = "jira.issues"
sink = "warehouse"
mode = "cdm"
"#;

impl Bench {
    /// Starts a server and provisions the sink and the yardstick's tables.
    pub(crate) fn start(cdm: &Path) -> Done<Self> {
        let programs = Programs::find()?;
        let options = SETTINGS
            .iter()
            .fold(Options::default().initdb("--data-checksums"), |options, (name, value)| options.setting(name, value));
        let cluster = Cluster::start(&programs, &options)?;
        let bench = Self { folder: tempfile::tempdir()?, cluster, programs, cdm: cdm.to_owned() };
        fs::write(bench.path("cdm.toml"), CONFIGURATION)?;
        fs::create_dir(bench.path("export"))?;
        for sink in ["warehouse", "yardstick"] {
            bench.cdm(&["provision", sink])?;
        }
        Ok(bench)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the export that is ingested from now on; says how many bytes it has.
    pub(crate) fn export(&self, export: Export) -> Done<u64> {
        let path = self.path("export/issues.jsonl");
        export.write(&mut BufWriter::new(File::create(&path)?))?;
        Ok(fs::metadata(path)?.len())
    }

    /// Writes an export that stands beside the one that is ingested.
    pub(crate) fn export_aside(&self, export: Export) -> Done {
        export.write(&mut BufWriter::new(File::create(self.path("aside.jsonl"))?))?;
        // The source does not trust the times of files that were written just now, and reads those twice.
        std::thread::sleep(Duration::from_secs(3));
        Ok(())
    }

    /// Puts the export that stands beside the other into its place.
    pub(crate) fn swap_exports(&self) -> Done {
        let (export, aside) = (self.path("export/issues.jsonl"), self.path("aside.jsonl"));
        let between = self.path("between");
        fs::rename(&export, &between)?;
        fs::rename(&aside, &export)?;
        fs::rename(&between, &aside)?;
        Ok(())
    }

    /// The issues of the export, as text.
    pub(crate) fn exported(&self) -> Done<String> {
        Ok(fs::read_to_string(self.path("export/issues.jsonl"))?)
    }

    /// The folder with the configuration and the export.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Provisions a sink for another build of the program.
    pub(crate) fn add_sink(&self, program: &Path, sink: Sink<'_>) -> Done {
        let warehouse = "[endpoints.warehouse]\n";
        let configuration = CONFIGURATION.replace(warehouse, &format!("{warehouse}schema = \"{}\"\n", sink.schema));
        let metadata = format!("[metadata]\nurl = \"sqlite:{}.db\"\n", sink.schema);
        fs::write(self.path(sink.configuration), metadata + &configuration)?;
        self.run_program(program, sink.configuration, &["provision", "warehouse"]).map(drop)
    }

    /// Loads the export into a sink from the beginning.
    pub(crate) fn load(&self, program: &Path, sink: Sink<'_>) -> Done<Used> {
        self.run_program(program, sink.configuration, &["ingest", "issues", "--full"])
    }

    /// The program that is measured.
    pub(crate) fn program(&self) -> &Path {
        &self.cdm
    }

    /// Runs the program to its end.
    pub(crate) fn cdm(&self, arguments: &[&str]) -> Done<Used> {
        self.run_program(&self.cdm, Sink::OURS.configuration, arguments)
    }

    fn run_program(&self, program: &Path, configuration: &str, arguments: &[&str]) -> Done<Used> {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        command.args(["--config", configuration]).args(arguments).args(["--output", "json"]);
        command.current_dir(self.folder.path());
        command.env("BENCH_URL", format!("{}?sslmode=disable", self.url()));
        self.measure(&mut command)
    }

    /// Copies the finished rows into the yardstick's table, as CSV.
    pub(crate) fn yardstick(&self) -> Done<Used> {
        self.psql(&format!("\\copy {YARDSTICK}.cdm_work_item from '{}' csv", self.path("items.csv").display()))
    }

    /// Writes the rows that are in the sink now as the CSV of the yardstick.
    pub(crate) fn finish_rows(&self) -> Done {
        let file = self.path("items.csv");
        self.psql(&format!("\\copy cdm_work.cdm_work_item to '{}' csv", file.display())).map(drop)
    }

    /// The server's address, with the password.
    pub(crate) fn url(&self) -> String {
        self.cluster.url("postgres")
    }

    pub(crate) fn psql(&self, command: &str) -> Done<Used> {
        let mut psql = self.programs.psql();
        psql.stdin(Stdio::null());
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command", command])
            .args(["--host=127.0.0.1", "--username=postgres", "--port", &self.cluster.port().to_string(), "postgres"])
            .env("PGPASSWORD", self.cluster.password());
        self.measure(&mut psql)
    }

    /// Runs a command to its end.
    pub(crate) fn measure(&self, command: &mut Command) -> Done<Used> {
        let before = self.wal()?;
        let started = Instant::now();
        // Files hold all that it says, however much that is.
        let mut said = tempfile::tempfile()?;
        let child = command.stdout(said.try_clone()?).stderr(said.try_clone()?).spawn()?;
        let used = child.wait4()?;
        let seconds = started.elapsed().as_secs_f64();
        if !used.status.success() {
            let mut text = String::new();
            said.rewind()?;
            said.read_to_string(&mut text)?;
            return Err(format!("{:?} failed: {text}", command.get_program()).into());
        }
        Ok(Used {
            seconds,
            cpu_seconds: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
            peak_bytes: used.rusage.maxrss,
            wal_bytes: self.wal()?.saturating_sub(before),
        })
    }

    /// The texts of a query's one column.
    pub(crate) fn texts(&self, query: &str) -> Done<Vec<String>> {
        let rows = self.cluster.query("postgres", query)?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// The one number of a query.
    pub(crate) fn number(&self, query: &str) -> Done<u64> {
        let rows = self.cluster.query("postgres", query)?;
        let cell = rows.last().and_then(|row| row.first()).cloned().flatten();
        Ok(cell.ok_or("the query has no answer")?.parse()?)
    }

    pub(crate) fn run(&self, statements: &str) -> Done {
        self.cluster.query("postgres", statements)?;
        Ok(())
    }

    fn wal(&self) -> Done<u64> {
        self.number("select (pg_current_wal_insert_lsn() - '0/0')::bigint")
    }

    /// Empties the sink of the program that is measured; see [`empty`](Self::empty).
    pub(crate) fn empty_sink(&self) -> Done {
        self.empty(Sink::OURS)
    }

    /// Empties a sink and what it knows of earlier runs.
    pub(crate) fn empty(&self, Sink { schema, .. }: Sink<'_>) -> Done {
        self.run(&format!(
            "truncate {schema}.cdm_work_item, {schema}._cdm_load, {schema}._cdm_reject, {schema}._cdm_ingestion; \
             checkpoint",
        ))
    }

    pub(crate) fn empty_yardstick(&self) -> Done {
        self.run("truncate yardstick.cdm_work_item; checkpoint")
    }

    /// Brings the table of the program that is measured into the state of a table at rest.
    pub(crate) fn settle_sink(&self) -> Done {
        self.settle(Sink::OURS)
    }

    /// Brings a sink's table into the state of a table at rest.
    pub(crate) fn settle(&self, Sink { schema, .. }: Sink<'_>) -> Done {
        self.run(&format!("vacuum analyze {schema}.cdm_work_item"))?;
        self.run("checkpoint")
    }

    /// How many versions of rows in the sink's table are dead.
    pub(crate) fn dead_rows(&self) -> Done<u64> {
        self.run("select pg_stat_force_next_flush()").or_else(|_| self.run("select pg_sleep(1)"))?;
        self.number("select n_dead_tup from pg_stat_user_tables where relid = 'cdm_work.cdm_work_item'::regclass")
    }
}
