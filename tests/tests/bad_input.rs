//! Files that cannot be read, are cut short, or hold what is no record: what is said, what is kept, and
//! that a run after the repair lands the rest.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    os::unix::process::CommandExt as _,
    thread,
    time::Duration,
};

use end_to_end::Sandbox;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

fn issue(id: u32) -> String {
    format!(r#"{{"id":"{id}","key":"A-{id}","fields":{{"summary":"Number {id}"}}}}"#)
}

/// A sandbox that has loaded issue 1 from `issues-1.jsonl`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::provisioned();
    sandbox.export("issues-1.jsonl", &[&issue(1)]);
    assert_eq!(sandbox.ingest(&["issues", "issues_raw"])[0]["inserted"], 1);
    sandbox
}

/// The ids of the issues that are in the warehouse.
fn loaded(sandbox: &Sandbox) -> String {
    sandbox.value("select string_agg(source_id, ' ' order by source_id::int) from cdm_work.cdm_work_item")
}

/// Which files the ingestion of issues has behind it.
fn files_read(sandbox: &Sandbox) -> String {
    let files = "select string_agg(name, ' ' order by name) from cdm_work._cdm_ingestion, \
                 json_object_keys(checkpoint->'files') name where ingestion = 'acme_jira/jira.issues/warehouse/cdm'";
    sandbox.value(files)
}

/// Ingests `issues`, which must fail with that code and message, and kept nothing of `issues-2`.
fn assert_refused(sandbox: &Sandbox, code: i32, expected: &str) {
    let ran = sandbox.cdm(["ingest", "issues"]);
    let message = ran.error(code);
    assert!(message.starts_with(&format!("ingest.issues: {expected}")), "{message}");
    let run = &ran.json()["runs"][0];
    assert_eq!((&run["status"], &run["read"], &run["slices"]), (&"failed".into(), &0.into(), &0.into()));
    assert!(run["error"].as_str().unwrap().starts_with(expected), "{run}");
    assert_eq!((loaded(sandbox).as_str(), files_read(sandbox).as_str()), ("1", "issues-1.jsonl"));
    assert_eq!(sandbox.rejects("warehouse"), [""; 0]);
}

/// Ingests `issues` again after `issues-2` was repaired.
fn assert_rest_lands(sandbox: &Sandbox) {
    let run = &sandbox.ingest(&["issues"])[0];
    assert_eq!((&run["read"], &run["inserted"]), (&1.into(), &1.into()), "only what is new is read");
    assert_eq!(loaded(sandbox), "1 2");
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_the_system_cannot_read_fails_the_run() {
    let sandbox = sandbox();
    sandbox.configure(|text| text.replace("path = \"export\"", "path = \"export\"\nfollow_links = true"));
    symlink("/proc/self/mem", sandbox.path("export/issues-2.jsonl")).unwrap();
    assert_refused(&sandbox, 1, "cannot read the file; `path` must name regular files (file: issues-2.jsonl)");
    fs::remove_file(sandbox.path("export/issues-2.jsonl")).unwrap();
    sandbox.export("issues-2.jsonl", &[&issue(2)]);
    assert_rest_lands(&sandbox);
}

#[test]
fn a_file_that_the_user_may_not_read_fails_the_run() {
    const NOBODY: u32 = 65534;
    let sandbox = Sandbox::new();
    sandbox.export("issues-1.jsonl", &[&issue(1)]);
    sandbox.export("issues-2.jsonl", &[&issue(2)]);
    let closed = sandbox.path("export/issues-2.jsonl");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything, so it lets nobody try, who needs the program in reach.
    let is_root = fs::metadata(&closed).unwrap().uid() == 0;
    fs::copy(end_to_end::cdm(), sandbox.path("cdm")).unwrap();
    let ingest = |expected| {
        let mut command = sandbox.command_of(&sandbox.path("cdm"), ["ingest", "issues_raw"]);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(expected), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    if is_root {
        chown(sandbox.folder(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let expected = "cannot read the file; allow it to the user that this program runs as (file: issues-2.jsonl): \
                    Permission denied (os error 13)";
    let refused = ingest(1);
    assert_eq!(refused["error"], json!({ "kind": "denied", "message": expected, "path": "ingest.issues_raw" }));
    let run = &refused["runs"][0];
    assert_eq!((&run["read"], &run["checkpoint"]["files"]["issues-2.jsonl"]), (&1.into(), &Value::Null), "{run}");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(ingest(0)["runs"][0]["inserted"], 1);
}

#[test]
fn a_link_to_nothing_and_a_path_to_nothing_are_named() {
    let sandbox = sandbox();
    symlink("gone", sandbox.path("export/issues-2.jsonl")).unwrap();
    let expected = "the link leads to nothing; put the file in its place, or remove the link (file: issues-2.jsonl)";
    assert_refused(&sandbox, 1, expected);
    let checks = sandbox.cdm(["check", "acme_jira"]).expect(1)["endpoints"][0]["checks"].clone();
    let issues = checks.as_array().unwrap().iter().find(|check| check["name"] == "issues").unwrap();
    assert!(issues["detail"].as_str().unwrap().contains("issues-2.jsonl"), "{checks}");
    fs::remove_file(sandbox.path("export/issues-2.jsonl")).unwrap();

    fs::rename(sandbox.path("export"), sandbox.path("elsewhere")).unwrap();
    assert_refused(&sandbox, 2, "the path does not exist (key: path, path: export): No such file or directory");
    fs::rename(sandbox.path("elsewhere"), sandbox.path("export")).unwrap();
    sandbox.export("issues-2.jsonl", &[&issue(2)]);
    assert_rest_lands(&sandbox);
}

#[test]
fn a_folder_with_the_name_of_a_file_is_a_folder_like_any_other() {
    let sandbox = sandbox();
    fs::create_dir(sandbox.path("export/issues-2.jsonl")).unwrap();
    assert_eq!(sandbox.cdm(["ingest", "issues"]).expect(0)["runs"][0]["read"], 0);
    fs::remove_file(sandbox.path("export/issues-1.jsonl")).unwrap();
    assert_refused(&sandbox, 2, "no file of an export is there; one is called `issues.jsonl`, ");
    sandbox.write("export/issues-2.jsonl/page-1.json", format!("[{}]", issue(2)));
    assert_rest_lands(&sandbox);
}

/// The whole of a file in each form, by the ending of its name.
fn whole(ending: &str) -> Vec<u8> {
    let lines = format!("{}\n", issue(2));
    let array = format!("[\n{}\n]\n", issue(2));
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    match ending {
        "json" => array.into_bytes(),
        "json.gz" => gzip(&array),
        "jsonl.gz" => gzip(&lines),
        "json.zst" => zstd::encode_all(array.as_bytes(), 0).unwrap(),
        "jsonl.zst" => zstd::encode_all(lines.as_bytes(), 0).unwrap(),
        _ => panic!("{ending}"),
    }
}

#[test]
fn a_file_that_is_cut_short_is_refused_as_a_whole_and_lands_when_it_is_complete() {
    let sandbox = sandbox();
    let compressed = "the compressed file is cut short; export it again";
    for (ending, expected) in [
        (
            "json",
            "the text ends in the middle of a value; export it again, or call it `.jsonl` if it has one record a line",
        ),
        ("json.gz", compressed),
        ("jsonl.gz", compressed),
        ("json.zst", compressed),
        ("jsonl.zst", compressed),
    ] {
        let (name, whole) = (format!("issues-2.{ending}"), whole(ending));
        for length in [whole.len() / 2, whole.len() - 3] {
            sandbox.write(&format!("export/{name}"), &whole[..length]);
            assert_refused(&sandbox, 1, &format!("{expected} (file: {name}"));
        }
        // Units that gather from the file fail with it, and so does raw mode; others do not.
        let answer = sandbox.cdm(["ingest", "users", "issues_raw", "projects"]).expect(1);
        let runs = answer["runs"].as_array().unwrap();
        let statuses: Vec<&Value> = runs.iter().map(|run| &run["status"]).collect();
        assert_eq!(statuses, ["failed", "failed", "succeeded"], "{answer}");
        assert!(runs[..2].iter().all(|run| run["error"].as_str().unwrap().contains(&name)), "{answer}");

        sandbox.write(&format!("export/{name}"), &whole);
        assert_rest_lands(&sandbox);
        let run = &sandbox.ingest(&["issues_raw"])[0];
        assert_eq!((&run["read"], &run["inserted"]), (&1.into(), &1.into()), "{ending}");
        // As it was, for the next form.
        fs::remove_file(sandbox.path(format!("export/{name}"))).unwrap();
        sandbox.ask("delete from cdm_work.cdm_work_item where source_id = '2'");
        sandbox.ingest(&["issues", "--full"]);
        assert_eq!(files_read(&sandbox), "issues-1.jsonl");
    }
}

#[test]
fn a_file_that_is_cut_short_keeps_no_other_from_being_loaded() {
    let sandbox = sandbox();
    sandbox.export("issues-2.jsonl", &[&issue(2)]);
    sandbox.write("export/issues-3.json", format!("[{},", issue(3)));
    sandbox.export("issues-4.jsonl", &[&issue(4)]);
    let ran = sandbox.cdm(["ingest", "issues", "--parallel", "1"]);
    assert!(ran.error(1).contains("issues-3.json"), "{ran:?}");
    let run = &ran.json()["runs"][0];
    assert_eq!((&run["read"], &run["slices"]), (&2.into(), &2.into()));
    assert_eq!((loaded(&sandbox).as_str(), files_read(&sandbox).as_str()), ("1 2 4", "issues-1.jsonl issues-2.jsonl"));

    // Several are named by one run, and what is new beside them is loaded.
    symlink("gone", sandbox.path("export/issues-5.jsonl")).unwrap();
    sandbox.export("issues-6.jsonl", &[&issue(6)]);
    let ran = sandbox.cdm(["ingest", "issues"]);
    let error = ran.error(1);
    assert!(error.contains("2 parts of the source cannot be read, and everything else was loaded"), "{error}");
    assert!(error.contains("issues-3.json") && error.contains("issues-5.jsonl"), "{error}");
    assert_eq!(loaded(&sandbox), "1 2 4 6");

    fs::remove_file(sandbox.path("export/issues-5.jsonl")).unwrap();
    sandbox.write("export/issues-3.json", format!("[{}]", issue(3)));
    sandbox.ingest(&["issues"]);
    assert_eq!(loaded(&sandbox), "1 2 3 4 6");
    assert_eq!(sandbox.ingest(&["issues"])[0]["read"], 0);
}

#[test]
fn a_line_that_is_no_record_is_rejected_by_its_place_and_the_rest_is_loaded() {
    let sandbox = Sandbox::provisioned();
    let (first, last) = (issue(1), issue(15));
    let lines: [&[u8]; 16] = [
        first.as_bytes(),
        br#"{"id":"2","fields":{"summary":"x"}"#,
        b"[1]",
        b"\"issue\"",
        b"17",
        b"null",
        b"",
        br#"{"key":"A-8","fields":{}}"#,
        br#"{"id":9.5,"fields":{}}"#,
        br#"{"id":"10","fields":{"created":"yesterday"}}"#,
        br#"{"id":"11","fields":{"duedate":"2021-02-30"}}"#,
        br#"{"id":"12","fields":{"summary":12}}"#,
        br#"{"id":"13","fields":[]}"#,
        b"{\"id\":\"14\",\"fields\":{\"summary\":\"Caf\xE9\"}}",
        last.as_bytes(),
        br#"{"id":"16","fields":{"summ"#,
    ];
    sandbox.write("export/issues.jsonl", lines.join(&b'\n'));
    let runs = sandbox.ingest(&["issues", "users", "comments", "issues_raw"]);
    let (issues, raw) = (&runs[0], &runs[3]);
    assert_eq!((&issues["read"], &issues["inserted"], &issues["rejected"]), (&15.into(), &6.into(), &9.into()));
    assert_eq!(loaded(&sandbox), "1 10 11 12 13 15");
    let unreadable = |member: &str, line| {
        let what = "has values that cannot be read; they are null in the rows and kept in `raw_source`";
        json!({ "resource": "issues.jsonl", "what": what, "member": member, "count": 1, "first_at": format!("issues.jsonl:{line}") })
    };
    for (member, line) in [("fields.created", 10), ("fields.duedate", 11), ("fields.summary", 12), ("fields", 13)] {
        let notes = issues["incomplete"].as_array().unwrap();
        assert!(notes.contains(&unreadable(member, line)), "{member}: {notes:?}");
    }
    let no_records = [
        "source issues.jsonl:14 -: not UTF-8 at byte 36",
        "source issues.jsonl:16 -: not JSON: EOF while parsing a string at column 26",
        "source issues.jsonl:2 -: not JSON: EOF while parsing an object at column 34",
        "source issues.jsonl:3 -: expected an object, found an array",
        "source issues.jsonl:4 -: expected an object, found a string",
        "source issues.jsonl:5 -: expected an object, found a number",
        "source issues.jsonl:6 -: expected an object, found null",
    ];
    let no_issues =
        ["map issues.jsonl:8 id: expected an id, found none", "map issues.jsonl:9 id: expected an id, found a number"];
    assert_eq!(sandbox.rejects("warehouse"), [&no_issues[..], &no_records].concat());

    // Raw mode keeps every object, whatever is in it.
    assert_eq!((&raw["inserted"], &raw["rejected"]), (&8.into(), &7.into()));
    assert_eq!(sandbox.rejects("lake"), no_records);
    for gathering in &runs[1..3] {
        let what = "contains lines that are not records";
        let note = json!([{ "resource": "issues.jsonl", "what": what, "count": 7, "first_at": "issues.jsonl:2" }]);
        assert_eq!((&gathering["status"], &gathering["incomplete"]), (&"succeeded".into(), &note), "{gathering}");
    }
    let people = sandbox.people(&["ingest", "users", "--full"]);
    let note = "users: issues.jsonl: contains lines that are not records (7 times, first at issues.jsonl:2)";
    assert!(people.out.contains(note), "{}", people.out);

    // The bytes are kept as they came.
    let rejects = sandbox.cdm(["rejects", "list", "warehouse"]).expect(0);
    let latin =
        rejects["rejects"].as_array().unwrap().iter().find(|reject| reject["origin"] == "issues.jsonl:14").unwrap();
    assert_eq!(latin["raw_hash"], blake3::hash(lines[13]).to_hex().as_str());
    let raw = "select convert_from(raw, 'latin1') from cdm_work._cdm_reject where origin = 'issues.jsonl:14'";
    assert!(sandbox.value(raw).contains("Café"));

    let repaired: Vec<String> = (1..=16).map(issue).collect();
    sandbox.export("issues.jsonl", &repaired.iter().map(String::as_str).collect::<Vec<_>>());
    let runs = sandbox.ingest(&["issues", "users"]);
    let counts = ["inserted", "updated", "unchanged", "rejected"].map(|outcome| &runs[0][outcome]);
    assert_eq!(counts, [&10, &4, &2, &0].map(|count| json!(count)).each_ref());
    assert_eq!(runs[1]["incomplete"], json!([]));
}

#[test]
fn utf_16_is_refused_with_the_way_out() {
    let sandbox = sandbox();
    let utf_16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let marked = utf_16(&format!("\u{FEFF}{}\n", issue(2)));
    for (name, bytes) in [
        ("issues-2.jsonl", marked.clone()),
        ("issues-2.json", marked.clone()),
        ("issues-2.jsonl", utf_16(&format!("{}\n", issue(2)))),
        ("issues-2.jsonl.zst", zstd::encode_all(marked.as_slice(), 0).unwrap()),
    ] {
        sandbox.write(&format!("export/{name}"), bytes);
        assert_refused(&sandbox, 1, &format!("the file is UTF-16; convert it to UTF-8 (file: {name})"));
        fs::remove_file(sandbox.path(format!("export/{name}"))).unwrap();
    }

    sandbox.export("issues-2.jsonl", &[&issue(2)]);
    assert_rest_lands(&sandbox);
}

const MIB: u64 = 1024 * 1024;

/// Writes issue 1, an issue of about 100 MiB and issue 3 with these separators; says the large one's length
/// and hash.
fn write_large(mut out: impl std::io::Write, [before, between, after]: [&str; 3]) -> (u64, String) {
    let (mut hash, mut length) = (blake3::Hasher::new(), 0);
    out.write_all(format!("{before}{}{between}", issue(1)).as_bytes()).unwrap();
    let filling = vec![b'x'; 1 << 20];
    let pieces = std::iter::repeat_n(filling.as_slice(), 100);
    for piece in [&br#"{"id":"2","fields":{"description":""#[..]].into_iter().chain(pieces).chain([&b"\"}}"[..]]) {
        hash.update(piece);
        length += u64::try_from(piece.len()).unwrap();
        out.write_all(piece).unwrap();
    }
    out.write_all(format!("{between}{}{after}", issue(3)).as_bytes()).unwrap();
    out.flush().unwrap();
    (length, hash.finalize().to_hex().to_string())
}

#[test]
#[cfg(target_os = "linux")]
fn a_record_of_100_mb_is_rejected_in_little_memory_and_the_rest_is_loaded() {
    for name in ["issues.jsonl", "issues.json.zst"] {
        let sandbox = Sandbox::provisioned();
        let file = BufWriter::new(File::create(sandbox.path(format!("export/{name}"))).unwrap());
        let (length, hash) = match name {
            "issues.jsonl" => write_large(file, ["", "\n", "\n"]),
            _ => write_large(zstd::Encoder::new(file, 1).unwrap().auto_finish(), ["[", ",", "]"]),
        };
        let mut running = sandbox.start(["ingest", "issues", "users"]);
        let mut peak = 0;
        while running.ended().is_none() {
            peak = running.peak_memory().unwrap_or(0).max(peak);
            thread::sleep(Duration::from_millis(1));
        }
        let answer = running.wait().expect(0);
        assert!((MIB..64 * MIB).contains(&peak), "{name}: {} MiB", peak / MIB);
        let run = &answer["runs"][0];
        assert_eq!((&run["read"], &run["inserted"], &run["rejected"]), (&3.into(), &2.into(), &1.into()));
        assert_eq!(loaded(&sandbox), "1 3");
        let note = json!([{ "resource": name, "what": "holds records larger than `max_record_bytes`", "count": 1,
                            "first_at": format!("{name}:2") }]);
        assert_eq!(answer["runs"][1]["incomplete"], note);

        let rejects = sandbox.cdm(["rejects", "list", "warehouse"]).expect(0);
        let reject = &rejects["rejects"][0];
        assert_eq!(reject["reason"], "larger than `max_record_bytes`, which is 16777216 bytes");
        assert_eq!((&reject["origin"], &reject["raw_length"]), (&format!("{name}:2").into(), &length.into()));
        assert_eq!(reject["raw_hash"], hash);
        let shown = sandbox.cdm(["rejects", "show", "warehouse", reject["id"].as_str().unwrap()]).expect(0);
        let raw = shown["reject"]["raw"].as_str().unwrap();
        assert_eq!(raw.len(), 64 * 1024);
        assert!(raw.starts_with(r#"{"id":"2","fields":{"description":"xxx"#));
    }
}
