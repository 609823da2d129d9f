//! Exports that somebody has made to do harm.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::symlink,
    process::Command,
    time::Duration,
};

use flate2::write::GzEncoder;

use crate::{
    damage::damaged,
    ground::{Bounds, Ground},
    rng, scaled,
};

/// The issue that stands in a file of its own beside what is hostile, and has to be loaded.
const GOOD: &str = r#"{"id":"424242","key":"GOOD-1","fields":{"summary":"good"}}"#;

/// Ingests the export in both modes, twice in CDM mode. What is good must be there.
fn assert_survived(ground: &Ground, what: &str, bounds: Bounds) {
    ground.write("export/issues-good.jsonl", format!("{GOOD}\n"));
    ground.run(what, &["check", "acme_jira"], bounds);
    ground.run(what, &["ingest"], bounds);
    assert!(ground.has_issue("424242"), "{what}: the good issue is not loaded");
    let rows = ground.issues();
    ground.run(what, &["ingest", "issues", "--full"], bounds);
    assert_eq!(ground.issues(), rows, "{what}: the same export gives other rows");
    for sink in ["warehouse", "lake"] {
        ground.run(what, &["rejects", "list", sink, "--group-by", "reason"], bounds);
        ground.run(what, &["rejects", "list", sink], bounds);
    }
    ground.run(what, &["runs"], bounds);
}

fn issue(id: usize, fields: &str) -> String {
    format!("{{\"id\":\"{id}\",\"key\":\"A-{id}\",\"fields\":{{{fields}}}}}\n")
}

#[test]
fn values_that_are_nested_without_an_end() {
    let ground = Ground::new();
    let mut lines = String::new();
    for (id, depth) in [100, 127, 128, 129, 1_000, scaled(100_000, 3_000_000)].into_iter().enumerate() {
        lines += &issue(id * 3, &format!("\"customfield_1\":{}{}", "[".repeat(depth), "]".repeat(depth)));
        lines +=
            &issue(id * 3 + 1, &format!("\"description\":{}1{}", "{\"content\":".repeat(depth), "}".repeat(depth)));
        lines += &"[".repeat(depth);
        lines.push('\n');
    }
    ground.write("export/issues.jsonl", &lines);
    ground.write("export/issues-nested.json", lines.replace('\n', ""));
    assert_survived(&ground, "nesting", Bounds::SMALL.memory(160));
}

#[test]
fn members_without_number_and_of_any_length() {
    let ground = Ground::new();
    let many = scaled(20_000, 400_000);
    let members: Vec<String> = (0..many).map(|n| format!("\"customfield_{n}\":{n}")).collect();
    let same = vec!["\"summary\":\"x\""; many];
    let labels: Vec<String> = (0..many).map(|n| format!("\"l{n}\"")).collect();
    let authors: Vec<String> =
        (0..many / 10).map(|n| format!("{{\"author\":{{\"accountId\":\"a{n}\",\"displayName\":\"A\"}}}}")).collect();
    let long = "n".repeat(scaled(1 << 20, 8 << 20));
    let lines = [
        issue(1, &members.join(",")),
        issue(2, &same.join(",")),
        issue(3, &format!("\"labels\":[{}]", labels.join(","))),
        issue(4, &format!("\"comment\":{{\"comments\":[{}]}}", authors.join(","))),
        issue(5, &format!("\"{long}\":1")),
        issue(6, &format!("\"duedate\":\"{long}\",\"created\":{}", "9".repeat(many))),
    ];
    ground.write("export/issues.jsonl", lines.concat());
    assert_survived(&ground, "members", Bounds::SMALL.memory(scaled(256, 512) as u64));
}

#[test]
fn records_that_are_huge() {
    let ground = Ground::new();
    let (under, over) = (scaled(4, 15) << 20, scaled(20, 400) << 20);
    let mut file = fs::File::create(ground.path("export/issues.jsonl")).unwrap();
    for (id, length) in [under, over, under].into_iter().enumerate() {
        file.write_all(issue(id, &format!("\"description\":\"{}\"", "x".repeat(length))).as_bytes()).unwrap();
    }
    // A line that never ends is no record either.
    file.write_all(&vec![b' '; over]).unwrap();
    drop(file);
    assert_survived(&ground, "huge records", Bounds::SMALL.memory(512));
}

#[test]
fn compressed_files_that_become_large() {
    let ground = Ground::new();
    let large = scaled(24, 1024) << 20;
    let gzip = |chunk: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        (0..large / chunk.len()).for_each(|_| encoder.write_all(chunk).unwrap());
        encoder.finish().unwrap()
    };
    ground.write("export/issues-blanks.jsonl.gz", gzip(&[b' '; 65_536]));
    ground.write("export/issues-one-text.json.gz", gzip(&[b'x'; 65_536]));
    ground.write("export/issues-twice.jsonl.gz", {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&gzip(&[b' '; 65_536])).unwrap();
        encoder.finish().unwrap()
    });
    ground.write("export/issues-nulls.jsonl.zst", zstd::encode_all(std::io::repeat(0).take(large as u64), 1).unwrap());
    ground.write("export/issues-cut.jsonl.gz", &gzip(&[b'{'; 65_536])[..1000]);
    assert_survived(&ground, "bombs", Bounds { time: Duration::from_secs(120), ..Bounds::SMALL }.memory(256));
}

#[test]
fn names_that_no_export_has() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let ground = Ground::new();
    let record = issue(1, "");
    for (at, name) in [
        "issues-\u{1b}[2J\n\r\u{9b}.jsonl",
        "issues-\u{202e}lnosj.jsonl",
        "issues-'; drop table cdm_work_item; --.jsonl",
        "issues-${env:HOME}.jsonl",
        "-issues.jsonl",
        "issues .jsonl",
        "issues-%s%n\\u0000.json",
        &format!("issues-{}.jsonl", "n".repeat(240)),
    ]
    .into_iter()
    .enumerate()
    {
        ground.write(format!("export/{name}"), issue(at + 10, ""));
    }
    fs::write(ground.path("export").join(OsStr::from_bytes(b"issues-\xFF\xFE.jsonl")), &record).unwrap();
    let mut deep = ground.path("export");
    for _ in 0..40 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
        fs::write(deep.join("issues.jsonl"), &record).unwrap();
    }
    symlink("..", ground.path("export/d/loop")).unwrap();
    symlink(".", ground.path("export/self")).unwrap();
    assert_survived(&ground, "names", Bounds::SMALL);
}

#[test]
fn files_without_number() {
    let ground = Ground::new();
    for n in 0..scaled(300, 20_000) {
        ground.write(format!("export/AB-{n}.json"), issue(n, "\"summary\":\"x\""));
    }
    let bounds = Bounds { time: Duration::from_secs(scaled(60, 600) as u64), ..Bounds::SMALL };
    assert_survived(&ground, "many files", bounds.memory(scaled(96, 1024) as u64));
}

#[test]
fn files_that_are_none() {
    let ground = Ground::new();
    for name in ["issues-pipe.jsonl", "AB-7.json", "users.jsonl"] {
        assert!(Command::new("mkfifo").arg(ground.path("export").join(name)).status().unwrap().success());
    }
    for (name, target) in [
        ("issues-zero.jsonl", "/dev/zero"),
        ("issues-random.jsonl", "/dev/urandom"),
        ("issues-tty.jsonl", "/dev/tty"),
        ("issues-kernel.jsonl", "/proc/kmsg"),
        ("issues-memory.jsonl", "/proc/self/mem"),
        ("issues-gone.jsonl", "/nowhere"),
        ("issues-itself.jsonl", "issues-itself.jsonl"),
    ] {
        symlink(target, ground.path("export").join(name)).unwrap();
    }
    let socket = std::os::unix::net::UnixListener::bind(ground.path("export/issues-socket.jsonl")).unwrap();
    fs::create_dir(ground.path("export/issues-folder.jsonl")).unwrap();
    assert_survived(&ground, "special files", Bounds::SMALL);
    drop(socket);
}

#[test]
fn texts_full_of_what_is_no_text() {
    let ground = Ground::new();
    let evil =
        [r"\u001b[2J", r"\r\nerror: fake", r"\u0000", r"\ud800", r"\udfff\ud800", r"\u202e", r"\u009b1A", "\u{feff}"]
            .concat();
    let record = format!(
        r#"{{"id":"7{evil}","key":"{evil}","self":"https://{evil}","{evil}":"{evil}","fields":{{"summary":"{evil}",
        "description":"{evil}","created":"{evil}","duedate":"{evil}","labels":["{evil}"],"{evil}":{{"{evil}":"{evil}"}},
        "status":{{"name":"{evil}","statusCategory":{{"key":"{evil}"}}}},"project":{{"id":"{evil}","key":"{evil}"}},
        "assignee":{{"accountId":"{evil}","displayName":"{evil}"}},"issuetype":{{"name":"{evil}"}},
        "comment":{{"total":9,"comments":[{{"id":"{evil}","author":"{evil}","body":"{evil}","created":"{evil}"}}]}}}}}}"#
    );
    ground.write("export/issues.json", &record);
    let lines = ["\x1b]0;owned\x07", "\u{9b}2J", "caf\u{e9}\r", "\u{202e}{}", "{\"id\":\"\x1b[1A\"}", "\0\0\0"];
    ground.write("export/issues-lines.jsonl", lines.join("\n"));
    ground.write("export/issues-latin.jsonl", b"{\"id\":\"8\",\"key\":\"caf\xE9\xFF\xED\xA0\x80\"}\n");
    assert_survived(&ground, "controls", Bounds::SMALL);
    ground.run("controls", &["-vv", "ingest", "--full"], Bounds::SMALL);
}

#[test]
fn exports_that_were_damaged() {
    let mut rng = rng();
    let issues: String = (0..40)
        .map(|n| {
            issue(
                n,
                "\"summary\":\"x\",\"created\":\"2024-01-02T03:04:05.000+0000\",\"reporter\":{\"accountId\":\"a\"}",
            )
        })
        .collect();
    let page = format!("{{\"startAt\":0,\"total\":2,\"issues\":[{}]}}", issues.trim_end().replace('\n', ","));
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(issues.as_bytes()).unwrap();
    let compressed = encoder.finish().unwrap();
    for round in 0..scaled(2, 300) {
        let ground = Ground::new();
        for n in 0..6 {
            ground.write(format!("export/issues-{n}.jsonl"), damaged(issues.as_bytes(), &mut rng));
            ground.write(format!("export/issues-{n}.json"), damaged(page.as_bytes(), &mut rng));
            ground.write(format!("export/issues-{n}.jsonl.gz"), damaged(&compressed, &mut rng));
        }
        assert_survived(&ground, &format!("damage {round}"), Bounds::SMALL);
    }
}
