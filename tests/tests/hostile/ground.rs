//! Where the program meets hostile input: a folder with sinks that need no server, and bounds on what a command takes.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use end_to_end::cdm;
use rusqlite::Connection;
use tempfile::TempDir;

const CONFIGURATION: &str = r#"
[endpoints.acme_jira]
driver = "jira.export"
path = "export"
follow_links = true

[endpoints.warehouse]
driver = "cdm.sqlite"
path = "work.db"

[endpoints.lake]
driver = "raw.files"
path = "raw"

[ingest.issues]
source = "acme_jira"
unit = "jira.issues"
sink = "warehouse"
mode = "cdm"

[ingest.users]
source = "acme_jira"
unit = "jira.users"
sink = "warehouse"
mode = "cdm"

[ingest.issues_raw]
source = "acme_jira"
unit = "jira.issues"
sink = "lake"
mode = "raw"
"#;

/// What a command may take.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) time: Duration,
    /// Resident memory in bytes, where the system tells it.
    pub(crate) memory: u64,
}

impl Bounds {
    /// For a command that has little to do.
    pub(crate) const SMALL: Self = Self { time: Duration::from_secs(60), memory: 96 << 20 };

    pub(crate) const fn memory(self, mebibytes: u64) -> Self {
        Self { memory: mebibytes << 20, ..self }
    }
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The folder.
pub(crate) struct Ground(TempDir);

impl Ground {
    /// With a configuration, tables, an empty export and nothing loaded.
    pub(crate) fn new() -> Self {
        let ground = Self(tempfile::tempdir().unwrap());
        ground.write("cdm.toml", CONFIGURATION);
        fs::create_dir(ground.path("export")).unwrap();
        assert_eq!(ground.run("provision", &["provision", "warehouse"], Bounds::SMALL).code, 0);
        ground
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).unwrap();
    }

    /// The rows of issues in the sink.
    pub(crate) fn issues(&self) -> i64 {
        let sink = Connection::open(self.path("work.db")).unwrap();
        sink.query_row("select count(*) from cdm_work_item", [], |row| row.get(0)).unwrap()
    }

    /// Whether the issue with this id is stored.
    pub(crate) fn has_issue(&self, id: &str) -> bool {
        let sink = Connection::open(self.path("work.db")).unwrap();
        let count = "select count(*) from cdm_work_item where source_id = ?1";
        sink.query_row(count, [id], |row| row.get::<_, i64>(0)).unwrap() == 1
    }

    /// Runs a command as people do; `what` says in a failure what it has met.
    pub(crate) fn run(&self, what: &str, arguments: &[&str], bounds: Bounds) -> Ended {
        let mut command = Command::new(cdm());
        command.current_dir(self.0.path()).env_remove("CDM_CONFIG").env_remove("CDM_LOG").args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        let (out, err) = (read(child.stdout.take().unwrap()), read(child.stderr.take().unwrap()));
        let mut peak = 0;
        let status = loop {
            peak = peak.max(memory(&child));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > bounds.time {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{what}: {arguments:?} took more than {:?}", bounds.time);
            }
            thread::sleep(Duration::from_millis(3));
        };
        let ended = Ended {
            code: status.code().unwrap_or_else(|| panic!("{what}: {arguments:?} was ended by {status}")),
            out: String::from_utf8(out.join().unwrap()).unwrap(),
            err: String::from_utf8(err.join().unwrap()).unwrap(),
        };
        println!("{what}: {arguments:?}: code {}, {} MiB, {:?}", ended.code, peak >> 20, began.elapsed());
        ended.judge(what, arguments);
        assert!(peak <= bounds.memory, "{what}: {arguments:?} took {} MiB of {}", peak >> 20, bounds.memory >> 20);
        ended
    }
}

impl Ended {
    fn judge(&self, what: &str, arguments: &[&str]) {
        let Self { code, out, err } = self;
        assert!((0..=4).contains(code), "{what}: {arguments:?} ended with {code}\n{err}");
        for text in [out, err] {
            assert!(!text.contains("panicked at"), "{what}: {arguments:?}\n{text}");
            let draws = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
            assert!(!text.contains(draws), "{what}: {arguments:?} draws on the terminal: {text:?}");
        }
        assert!(!err.contains("has panicked") && !err.contains("was cut short"), "{what}: {arguments:?}\n{err}");
    }
}

fn read(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// The most memory that a process has held so far, in bytes; 0 where the system does not tell.
fn memory(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() << 10
}
