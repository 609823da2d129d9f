//! What many or large rejects cost: rows that are read, and memory.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    fs::{self, File},
    io::Write as _,
    thread,
    time::Duration,
};

use end_to_end::{Sandbox, until};
use serde_json::Value;

const MEMORY: u64 = 64 * 1024 * 1024;

/// The sinks of the tests: a database, and a file.
fn sandboxes() -> [Sandbox; 2] {
    let file = Sandbox::new();
    file.configure(|configuration| {
        let server = "driver = \"cdm.postgres\"\nconnection_url = \"${env:WAREHOUSE_URL}\"";
        configuration.replace(server, "driver = \"cdm.sqlite\"\npath = \"work.db\"")
    });
    file.cdm(["provision", "warehouse"]).expect(0);
    [Sandbox::provisioned(), file]
}

/// Puts rejects into the sink that could not be read, each with a record of this length.
fn unreadable(sandbox: &Sandbox, count: u32, length: u32) {
    let columns = "(id, ingestion, run_id, observation, stage, reason, origin, raw, raw_length, raw_hash, rejected_at)";
    let values = "'acme_jira/jira.issues/warehouse/cdm', 'run', 1, 'source', 'not JSON'";
    if sandbox.path("work.db").exists() {
        let file = rusqlite::Connection::open(sandbox.path("work.db")).unwrap();
        let statement = format!(
            "with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {count}) \
             insert into _cdm_reject {columns} select printf('%032x', n * 7919), {values}, 'issues.jsonl:' || n, \
             zeroblob({length}), {length}, 'hash', '2024-01-01T00:00:00Z' from numbers"
        );
        file.execute(&statement, []).unwrap();
    } else {
        sandbox.ask(&format!(
            "insert into cdm_work._cdm_reject {columns} select md5(n::text), {values}, 'issues.jsonl:' || n, \
             convert_to(repeat('x', {length}), 'UTF8'), {length}, 'hash', now() from generate_series(1, {count}) n"
        ));
    }
}

/// The rows of rejects that the server has read since it was last asked, once its sessions have reported them.
fn rows_read(sandbox: &Sandbox) -> u64 {
    let of = |column: &str| format!("(select {column} from pg_stat_user_tables where relname = '_cdm_reject')");
    let is_over = "select count(*) = 0 from pg_stat_activity where datname = current_database() \
                   and pid <> pg_backend_pid() and backend_type = 'client backend'";
    until("the sessions are over", || sandbox.value(is_over) == "t");
    let read = format!("select {} + coalesce({}, 0)", of("seq_tup_read"), of("idx_tup_fetch"));
    let read = sandbox.value(&read).parse().unwrap();
    sandbox.ask("select pg_stat_reset()");
    read
}

/// The most memory that a command holds, and its exit code; what it prints goes into `printed`.
fn peak_of(sandbox: &Sandbox, arguments: &[&str]) -> (u64, Option<i32>) {
    let mut command = sandbox.command(arguments.iter().copied());
    let printed = File::create(sandbox.path("printed")).unwrap();
    let mut child = command.stdout(printed).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let now = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        peak = peak.max(now.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024);
        thread::sleep(Duration::from_millis(1));
    }
    (peak, child.wait().unwrap().code())
}

fn printed(sandbox: &Sandbox) -> Value {
    serde_json::from_slice(&fs::read(sandbox.path("printed")).unwrap()).unwrap()
}

#[test]
fn a_replay_reads_each_reject_a_few_times_whatever_their_number() {
    const COUNT: u32 = 4_000;
    let sandbox = Sandbox::provisioned();
    unreadable(&sandbox, COUNT, 20);
    rows_read(&sandbox);
    let replayed = sandbox.cdm(["rejects", "replay", "warehouse"]).expect(0);
    assert_eq!((&replayed["replayed"], &replayed["skipped"]), (&0.into(), &COUNT.into()));
    let read = rows_read(&sandbox);
    assert!((u64::from(COUNT)..4 * u64::from(COUNT)).contains(&read), "unreadable ones: {read} rows were read");

    // And so it is with records that are refused again.
    let sandbox = Sandbox::provisioned();
    let lines: Vec<String> = (0..COUNT).map(|id| format!(r#"{{"id":"","key":"A-{id}","fields":{{}}}}"#)).collect();
    sandbox.export("issues.jsonl", &lines.iter().map(String::as_str).collect::<Vec<_>>());
    sandbox.cdm(["ingest", "issues"]).expect(4);
    sandbox.ask("analyze");
    rows_read(&sandbox);
    for more in [&[][..], &["--rejected-for", "expected an id, found none"], &["--ingestion", "issues"]] {
        let all: Vec<&str> = ["rejects", "replay", "warehouse"].into_iter().chain(more.iter().copied()).collect();
        let replayed = sandbox.cdm(all).expect(0);
        assert_eq!((&replayed["rejected"], &replayed["skipped"]), (&COUNT.into(), &0.into()), "{more:?}");
        let read = rows_read(&sandbox);
        assert!((u64::from(COUNT)..20 * u64::from(COUNT)).contains(&read), "{more:?}: {read} rows were read");
    }
}

#[test]
fn a_slice_of_rejects_is_not_held_in_memory() {
    // A compressed file is one slice.
    const COUNT: u32 = 36_000;
    for sandbox in sandboxes() {
        let file = File::create(sandbox.path("export/issues.jsonl.gz")).unwrap();
        let mut file = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        for number in 0..COUNT {
            writeln!(file, "{number} {}", "x".repeat(2000)).unwrap();
        }
        // The same once more is the same reject.
        writeln!(file, "0 {}", "x".repeat(2000)).unwrap();
        file.finish().unwrap();
        let (peak, code) = peak_of(&sandbox, &["ingest", "issues"]);
        let run = &printed(&sandbox)["runs"][0];
        assert_eq!((code, &run["rejected"]), (Some(4), &(COUNT + 1).into()), "{run}");
        assert!((1..MEMORY + MEMORY / 2).contains(&peak), "{peak} bytes");
        let list = sandbox.cdm(["rejects", "list", "warehouse", "--limit", "1"]).expect(0);
        assert_eq!(list["total"], COUNT);
    }
}

#[test]
fn a_list_reads_no_records() {
    for sandbox in sandboxes() {
        unreadable(&sandbox, 16, 8 * 1024 * 1024);
        for arguments in [
            &["rejects", "list", "warehouse"][..],
            &["rejects", "list", "warehouse", "--limit", "2000"],
            &["rejects", "replay", "warehouse"],
        ] {
            let (peak, code) = peak_of(&sandbox, arguments);
            assert_eq!(code, Some(0), "{arguments:?}");
            assert!((1..MEMORY).contains(&peak), "{arguments:?}: {peak} bytes");
        }
        assert_eq!(printed(&sandbox)["skipped"], 16);
        let list = sandbox.cdm(["rejects", "list", "warehouse"]).expect(0);
        assert_eq!(list["rejects"][0]["raw_length"], 8 * 1024 * 1024);
        let id = list["rejects"][0]["id"].as_str().unwrap();
        let shown = sandbox.cdm(["rejects", "show", "warehouse", id]).expect(0);
        assert_eq!(shown["reject"]["raw"].as_str().unwrap().len(), 8 * 1024 * 1024, "the record itself is shown");
    }
}

#[test]
fn a_long_list_is_printed_piece_by_piece() {
    const COUNT: u32 = 60_000;
    for sandbox in sandboxes() {
        unreadable(&sandbox, COUNT, 20);
        let (peak, code) = peak_of(&sandbox, &["rejects", "list", "warehouse", "--limit", "100000"]);
        assert_eq!(code, Some(0));
        assert!((1..MEMORY).contains(&peak), "{peak} bytes");
        let long = printed(&sandbox);
        let members: Vec<&str> = long.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["rejects", "total", "dismissed"]);
        let rejects = long["rejects"].as_array().unwrap();
        assert_eq!((rejects.len(), &long["total"], &long["dismissed"]), (COUNT as usize, &COUNT.into(), &0.into()));
        let short = sandbox.cdm(["rejects", "list", "warehouse", "--limit", "1000"]).expect(0);
        assert_eq!(short["rejects"].as_array().unwrap()[..], rejects[..1000], "it begins like a short one");

        let people = sandbox.people(&["rejects", "list", "warehouse", "--limit", "2500"]).out;
        let heads = people.lines().filter(|line| line.starts_with("ID ")).count();
        assert_eq!((heads, people.lines().count()), (3, 2504), "a table for each piece, and the summary");
        assert!(
            people
                .ends_with("showing 2,500 of 60,000 rejects; --limit shows more, and --group-by reason counts them\n")
        );
    }
}

#[test]
fn a_long_list_that_fails_says_so() {
    let sandbox = Sandbox::provisioned();
    unreadable(&sandbox, 3_000, 20);
    let list = ["rejects", "list", "warehouse", "--limit", "5000"];
    for output in [&["--output", "json"][..], &[]] {
        let mut command = sandbox.people_command(&[output, &list].concat());
        let full = command.stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
        let said = String::from_utf8(full.stderr).unwrap();
        assert_eq!(full.status.code(), Some(1), "{said}");
        assert!(said.contains("the answer could not be written to standard output"), "{said}");
    }
    // A row in the midst of the list cannot be given.
    sandbox.ask(
        "alter table cdm_work._cdm_reject rename to rejects;
         create view cdm_work._cdm_reject as select id, ingestion, run_id, observation, stage, reason, field, origin, key,
           parent_id, parent_key, rank, raw, raw_length / (n <> 2000)::int as raw_length, raw_hash, rejected_at, aliases,
           row_key, dismissed_at, dismissed_by, dismissed_reason, dismissed_verdict
         from (select *, row_number() over (order by origin) as n from cdm_work.rejects) numbered",
    );
    let broken = sandbox.cdm(list).expect(1);
    assert!(broken["error"]["message"].as_str().unwrap().contains("SQLSTATE 22012"), "{broken}");
    assert_eq!(broken["total"], 3_000);
    assert!(sandbox.people(&list).err.contains("SQLSTATE 22012"));
}
