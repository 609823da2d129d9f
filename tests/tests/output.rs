//! What is printed is complete or a failure, and nothing in it comes from data but as text.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    fs::{self, File},
    process::{Command, Stdio},
};

use end_to_end::{Sandbox, cdm};

/// A sandbox whose sink is a file.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.configure(|configuration| {
        let server = "driver = \"cdm.postgres\"\nconnection_url = \"${env:WAREHOUSE_URL}\"";
        configuration.replace(server, "driver = \"cdm.sqlite\"\npath = \"work.db\"")
    });
    sandbox
}

#[test]
fn an_answer_that_could_not_be_written_is_a_failure() {
    let sandbox = Sandbox::provisioned();
    for arguments in [
        &["drivers"][..],
        &["--output", "json", "drivers"],
        &["--log-format", "json", "drivers"],
        &["grants", "warehouse"],
        &["provision", "warehouse", "--check"],
        &["check"],
        &["--help"],
        &["--version"],
        &["demo", "--dir", "demo"],
    ] {
        let mut command = sandbox.people_command(arguments);
        let full = command.stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
        let said = String::from_utf8(full.stderr).unwrap();
        assert_eq!(full.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("the answer could not be written to standard output"), "{arguments:?}: {said}");
        assert!(said.contains("No space left on device"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let sandbox = Sandbox::new();
    for arguments in [&["drivers", "cdm.postgres"][..], &["--output", "json", "drivers"], &["--help"]] {
        let mut child =
            sandbox.people_command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap().as_str()), (Some(0), ""));
    }
}

#[test]
fn a_plan_that_cannot_be_written_leaves_the_older_file_as_it_was() {
    let sandbox = sandbox();
    // Nothing but the plan is written.
    sandbox.configure(|configuration| format!("[metadata]\nurl = \"sqlite::memory:\"\n{configuration}"));
    let plan = ["provision", "warehouse", "--plan", "--out", "plan.json"];
    sandbox.cdm(plan).expect(3);
    let older = fs::read(sandbox.path("plan.json")).unwrap();
    assert!(older.len() > 8 * 1024, "{}", older.len());
    // Files of at most 4 KiB, as a disk that is full.
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.current_dir(sandbox.folder()).args(["-c", script]).arg(cdm()).args(plan);
    let ran = command.output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(said.contains("plan.json: the plan cannot be written: "), "{said}");
    assert!(said.contains("; the older file is as it was"), "{said}");
    assert_eq!(fs::read(sandbox.path("plan.json")).unwrap(), older);
    let left: Vec<_> = fs::read_dir(sandbox.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().ends_with(".tmp")), "{left:?}");

    let refused = sandbox.cdm(["provision", "warehouse", "--plan", "--out", "/dev/full"]).error(2);
    assert!(refused.contains("it is not a regular file"), "{refused}");
}

/// Whether a text draws on a terminal.
fn draws(text: &str) -> bool {
    let turns =
        |character| matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.contains(|character: char| (character.is_control() && !matches!(character, '\n' | '\t')) || turns(character))
}

#[test]
fn nothing_from_data_or_names_draws_on_the_terminal_or_fakes_a_line() {
    let sandbox = sandbox();
    // Names that begin, end and go up lines, colour them, and turn them round.
    let fake = "\u{1b}[1A\u{1b}[2K\r\nerror: fake\u{9b}31m\u{202e}";
    sandbox.export(
        &format!("issues-{fake}.jsonl"),
        &[
            r#"{"id":"1","key":"A-1","fields":{"created":"\u001b[2J\nerror: fake"}}"#,
            r#"{"key":"\u001b[2J\r\nerror: fake\u202e"}"#,
            "\u{1b}]0;owned\u{7} is not JSON",
        ],
    );
    sandbox.export(&format!("notes {fake}.json.bz2"), &[]);
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    let id = |sandbox: &Sandbox, at: usize| {
        sandbox.cdm(["rejects", "list", "warehouse"]).expect(0)["rejects"][at]["id"].as_str().unwrap().to_owned()
    };
    sandbox.people(&["-vv", "ingest", "issues"]);
    let (one, other) = (id(&sandbox, 0), id(&sandbox, 1));
    for arguments in [
        &["-vv", "ingest", "issues", "--full"][..],
        &["check"],
        &["rejects", "list", "warehouse"],
        &["rejects", "list", "warehouse", "--group-by", "reason,field"],
        &["rejects", "show", "warehouse", &one],
        &["rejects", "show", "warehouse", &other],
        &["rejects", "dismiss", "warehouse", &one, "--reason", fake],
        &["rejects", "list", "warehouse", "--dismissed"],
        &["runs"],
        &["catalog", "annotate", "jira.issues@acme_jira", "--description", fake, "--owner", fake],
        &["catalog", "show", "jira.issues@acme_jira"],
        &["catalog", "history", "jira.issues@acme_jira"],
        &["catalog", "search", "fake"],
        &["check", fake],
        &["provision", "warehouse", "--model", "\u{1b}[2J"],
        &["--\u{9b}2J"],
        &["runs", fake],
        &["--config", fake, "check"],
        &["provision", "warehouse", "--apply", fake],
    ] {
        let ran = sandbox.people(arguments);
        for text in [&ran.out, &ran.err] {
            assert!(!draws(text), "{arguments:?}: {text:?}");
            assert!(text.lines().all(|line| !line.trim_start().starts_with("error: fake")), "{arguments:?}: {text}");
        }
    }
}
