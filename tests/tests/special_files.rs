//! Files that are none, and who may read those that the program makes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use end_to_end::{Sandbox, cdm};

const REFUSED: &str = "not a regular file";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.export("issues.jsonl", &[r#"{"id":"1","key":"A-1"}"#, "not a record"]);
    sandbox
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn what_is_no_regular_file_is_refused_wherever_a_file_is_read_and_nothing_waits() {
    let sandbox = sandbox();
    pipe(&sandbox.path("pipe"));
    let good = fs::read_to_string(sandbox.path("cdm.toml")).unwrap();
    let began = Instant::now();
    for special in ["pipe", "/dev/zero"] {
        let refused = |arguments: &[&str], code: i32| {
            let ran = sandbox.cdm(arguments.iter().copied());
            assert_eq!(ran.code, Some(code), "{special} {arguments:?}: {ran:?}");
            assert!(ran.out.contains(REFUSED), "{special} {arguments:?}: {ran:?}");
        };
        refused(&["--config", special, "check"], 2);
        refused(&["provision", "warehouse", "--apply", special], 2);
        let with = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            sandbox.write("cdm.toml", good.replace(from, to));
        };
        let url = "connection_url = \"${env:WAREHOUSE_URL}\"";
        with(url, &format!("connection_url = \"${{file:{special}}}\""));
        refused(&["check", "warehouse"], 2);
        with(url, &format!("{url}\nssl_mode = \"verify-ca\"\nssl_root_cert = \"{special}\""));
        refused(&["check", "warehouse"], 2);
        with("[endpoints.warehouse]", &format!("[metadata]\nurl = \"sqlite:{special}\"\n\n[endpoints.warehouse]"));
        refused(&["check"], 2);
        let sqlite = format!("driver = \"cdm.sqlite\"\npath = \"{special}\"");
        with(&format!("driver = \"cdm.postgres\"\n{url}"), &sqlite);
        refused(&["check", "warehouse"], 1);
        refused(&["provision", "warehouse"], 2);
        with("path = \"export\"", "path = \"export\"\nfollow_links = true");
        let link = sandbox.path("export/comments.jsonl");
        std::os::unix::fs::symlink(fs::canonicalize(sandbox.folder().join(special)).unwrap(), &link).unwrap();
        refused(&["check", "acme_jira"], 0);
        fs::remove_file(link).unwrap();
        sandbox.write("cdm.toml", &good);
    }
    let config = sandbox.path("large.toml");
    fs::write(&config, "#".repeat(1024 * 1024 + 1)).unwrap();
    let large = sandbox.cdm(["--config", "large.toml", "check"]).error(2);
    assert_eq!(large, "large.toml: the file cannot be read: it is larger than 1 MiB");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_lineage_file_that_is_a_pipe_holds_no_run_up() {
    let sandbox = sandbox();
    pipe(&sandbox.path("pipe"));
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    sandbox.configure(|configuration| format!("{configuration}\n[lineage]\nfile = \"pipe\"\ntimeout_seconds = 1\n"));
    let ran = sandbox.people(&["ingest", "issues"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains(REFUSED), "{ran:?}");
}

/// Runs a command of the program under that umask.
fn under(umask: &str, folder: &Path, arguments: &[&str]) -> Output {
    let script = "umask \"$1\"; shift; exec \"$@\"";
    let mut command = Command::new("sh");
    command.current_dir(folder).args(["-c", script, "sh", umask]).arg(cdm()).args(arguments);
    command.output().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The files and folders below, with their modes.
fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.push((path.display().to_string(), mode(&path)));
        if path.is_dir() {
            found.extend(modes(&path));
        }
    }
    found
}

#[test]
fn what_is_made_is_its_owners_alone_whatever_the_umask() {
    for umask in ["000", "022"] {
        let sandbox = sandbox();
        sandbox.configure(|configuration| {
            let server = "driver = \"cdm.postgres\"\nconnection_url = \"${env:WAREHOUSE_URL}\"";
            let file = "driver = \"cdm.sqlite\"\npath = \"work.db\"";
            let told = "[lineage]\nfile = \"events.jsonl\"\n";
            format!("{}\n{told}", configuration.replace(server, file))
        });
        sandbox.write("older.json", "{}");
        fs::set_permissions(sandbox.path("older.json"), fs::Permissions::from_mode(0o640)).unwrap();
        let run = |arguments: &[&str], code: i32| {
            let ran = under(umask, sandbox.folder(), arguments);
            assert_eq!(ran.status.code(), Some(code), "{arguments:?}: {ran:?}");
        };
        run(&["provision", "warehouse", "--plan", "--out", "plan.json"], 3);
        run(&["provision", "warehouse", "--plan", "--out", "older.json"], 3);
        run(&["provision", "warehouse"], 0);
        // Two connections, so that the files beside the database are still there afterwards.
        let held = rusqlite::Connection::open(sandbox.path("work.db")).unwrap();
        let _: i64 = held.query_row("select count(*) from cdm_work_item", [], |row| row.get(0)).unwrap();
        run(&["ingest", "issues", "issues_raw"], 0);
        for name in ["cdm-metadata.db", "work.db", "work.db-wal", "work.db-shm", "plan.json", "events.jsonl"] {
            assert_eq!(mode(&sandbox.path(name)), 0o600, "{name} under {umask}");
        }
        assert_eq!(mode(&sandbox.path("older.json")), 0o640, "a file that is there keeps its mode");
        for (path, mode) in modes(&sandbox.path("raw")) {
            let is_private = path.contains("fences") || path.contains("rejects") || path.contains("lock-");
            assert!(!is_private || mode & 0o077 == 0, "{path} has {mode:o} under {umask}");
            assert!(is_private || mode & 0o044 == 0o044, "{path} is for readers and has {mode:o} under {umask}");
        }
    }
}

#[test]
fn the_folder_of_a_demonstration_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let ran = under("000", folder.path(), &["demo", "--dir", "demo"]);
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let demo = folder.path().join("demo");
    assert_eq!(mode(&demo), 0o700);
    for (path, mode) in modes(&demo) {
        // Readers of raw files are let in by the folder above, or not.
        assert!(path.contains("/raw") || mode & 0o077 == 0, "{path} has {mode:o}");
    }
}
