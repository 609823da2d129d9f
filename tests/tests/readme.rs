//! The README shows what the program prints. Its commands are run in its order, in an empty folder, and each must
//! print what the README shows below it. `[…]` stands for any text; times, ids and white space may differ.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{fs, path::Path, process::Command};

use end_to_end::Sandbox;
use regex::Regex;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The commands in the console blocks, each with what stands below it.
fn commands(readme: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut within = false;
    for line in readme.lines() {
        match line {
            "```console" => within = true,
            "```" => within = false,
            _ if !within => {}
            _ => match (line.strip_prefix("$ "), commands.last_mut()) {
                // The demonstration shows the commands that it carries out.
                (Some(_), Some((command, shown))) if command == "cargo demo" && line.contains("cdm-demo/cdm.toml") => {
                    shown.push_str(&format!("{line}\n"));
                }
                (Some(command), _) => commands.push((command.to_owned(), String::new())),
                (None, Some((_, shown))) => shown.push_str(&format!("{line}\n")),
                (None, None) => panic!("output without a command: {line}"),
            },
        }
    }
    commands
}

/// The text without what differs from run to run: ids, times, seconds, and white space, which depends on the width
/// of columns and terminals.
fn lasting(text: &str) -> String {
    let replacements = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "<run>"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>"),
        (r"(?m) \d+\.\d$", "<seconds>"),
        (r"\s+", ""),
    ];
    let replace = |text: String, (pattern, with): (&str, &str)| {
        Regex::new(pattern).unwrap().replace_all(&text, with).into_owned()
    };
    replacements.into_iter().fold(text.to_owned(), replace)
}

/// What is shown, as a pattern.
fn pattern(shown: &str) -> Regex {
    let pattern = regex::escape(&lasting(shown)).replace(&regex::escape("[…]"), ".*?");
    Regex::new(&format!("(?s)^{pattern}$")).unwrap()
}

/// What a command of the README prints in a folder; `None` for a command that only installs or tests.
fn run(sandbox: &Sandbox, command: &str) -> Option<String> {
    let (program, arguments) = command.split_once(' ').unwrap();
    let arguments: Vec<&str> = arguments.split(' ').collect();
    match (program, arguments.as_slice()) {
        ("cargo", ["install" | "xtask", ..]) => None,
        // An alias of `cdm demo`, as another test shows.
        ("cargo", ["demo"]) => run(sandbox, "cdm demo"),
        ("cdm", _) => {
            let mut words = sandbox.people_command(&[]);
            // What the README needs must not come from the environment.
            let output = words.args(&arguments).env_remove("WAREHOUSE_URL").output().unwrap();
            let code = if arguments.contains(&"--plan") { 3 } else { 0 };
            assert_eq!(output.status.code(), Some(code), "{command}: {output:?}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
        ("cp", ["-r", from, to]) => {
            let copied = Command::new("cp").args(["-r", from, to]).current_dir(sandbox.folder()).status().unwrap();
            assert!(copied.success(), "{command}");
            Some(String::new())
        }
        ("sqlite3", [file, ..]) => Some(ask(&sandbox.path(file), command.split('"').nth(1).unwrap())),
        _ => panic!("a command that this test cannot run: {command}"),
    }
}

/// As the program `sqlite3` answers.
fn ask(file: &Path, query: &str) -> String {
    let asked = rusqlite::Connection::open(file).unwrap();
    let mut statement = asked.prepare(query).unwrap();
    let columns = statement.column_count();
    let line = |row: &rusqlite::Row<'_>| {
        let cells = (0..columns).map(|column| match row.get_ref(column)? {
            rusqlite::types::ValueRef::Integer(number) => Ok(number.to_string()),
            other => Ok(other.as_str()?.to_owned()),
        });
        Ok(cells.collect::<rusqlite::Result<Vec<String>>>()?.join("|") + "\n")
    };
    statement.query_map([], line).unwrap().map(Result::unwrap).collect()
}

/// An empty folder.
fn empty() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.path("cdm.toml")).unwrap();
    fs::remove_dir(sandbox.path("export")).unwrap();
    sandbox
}

#[test]
fn the_commands_of_the_readme_run_in_an_empty_folder_and_print_what_it_shows() {
    let sandbox = empty();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut ran = Vec::new();
    for (command, shown) in commands(&readme) {
        let Some(printed) = run(&sandbox, &command) else { continue };
        assert!(pattern(&shown).is_match(&lasting(&printed)), "{command} prints\n{printed}");
        ran.push(command);
    }
    for command in ["cargo demo", "sqlite3", "cdm init", "cdm check", "cdm provision", "cdm ingest", "cdm catalog"] {
        assert!(ran.iter().any(|ran| ran.starts_with(command)), "{command} is not shown");
    }
}

#[test]
fn the_configuration_of_the_readme_is_what_init_writes() {
    let sandbox = empty();
    sandbox.cdm(["init"]).expect(0);
    let written = fs::read_to_string(sandbox.path("cdm.toml")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, block) = readme.split_once("```toml\n").unwrap();
    let (shown, _) = block.split_once("```").unwrap();
    for line in shown.lines() {
        assert!(written.lines().any(|other| other == line), "`{line}` is not in what `cdm init` writes");
    }
    let refused = sandbox.cdm(["init", "--postgres"]).error(2);
    assert!(refused.starts_with("cdm.toml: the file exists and was not changed"), "{refused}");
    assert_eq!(fs::read_to_string(sandbox.path("cdm.toml")).unwrap(), written);
}

#[test]
fn a_check_right_after_init_says_what_is_missing() {
    let sandbox = empty();
    sandbox.cdm(["init", "--sqlite"]).expect(0);
    let answer = sandbox.cdm(["check"]).expect(1);
    let state = |answer: &serde_json::Value| -> Vec<(String, bool)> {
        let endpoints = answer["endpoints"].as_array().unwrap().iter();
        endpoints.map(|of| (of["id"].as_str().unwrap().to_owned(), of["ok"].as_bool().unwrap())).collect()
    };
    let expected = [("acme_jira", false), ("warehouse", true), ("lake", true)].map(|(id, ok)| (id.to_owned(), ok));
    assert_eq!(state(&answer), expected);
    assert!(answer["endpoints"][0]["checks"][0]["detail"].as_str().unwrap().contains("./export"), "{answer}");

    // An endpoint that cannot be opened does not hide the others, and the variable is named.
    fs::create_dir(sandbox.path("server")).unwrap();
    sandbox.cdm(["--config", "server/cdm.toml", "init", "--postgres"]).expect(0);
    let mut check = sandbox.command(["--config", "server/cdm.toml", "check"]);
    let output = check.env_remove("WAREHOUSE_URL").output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{answer}");
    let expected = [("acme_jira", false), ("warehouse", false), ("lake", true)].map(|(id, ok)| (id.to_owned(), ok));
    assert_eq!(state(&answer), expected);
    assert_eq!(answer["error"]["message"], "the environment variable WAREHOUSE_URL is not set");
    assert_eq!(answer["endpoints"][1]["error"], answer["error"]);
}

#[test]
fn the_demonstration_runs_in_a_folder_of_its_own() {
    let sandbox = empty();
    let aliases = fs::read_to_string(root().join(".cargo/config.toml")).unwrap();
    let alias = aliases.lines().find_map(|line| line.strip_prefix("demo = ")).unwrap();
    assert!(alias.trim_matches('"').ends_with(" -- demo"), "`cargo demo` is `cdm demo`: {alias}");

    sandbox.cdm(["demo"]).expect(0);
    let answer = sandbox.cdm(["demo"]).expect(0);
    let steps = answer["steps"].as_array().unwrap();
    let commands: Vec<&str> = steps.iter().map(|step| step["command"].as_str().unwrap()).collect();
    assert_eq!(
        [commands[0], commands[1], &commands[2][..13], commands[3], commands[4]],
        ["provision warehouse", "ingest", "ingest --full", "rejects list warehouse", "catalog list"]
    );
    let runs = |step: usize| steps[step]["answer"]["runs"].as_array().unwrap();
    assert!(runs(1).iter().all(|run| run["read"] == 0), "nothing is read twice: {:?}", runs(1));
    assert!(runs(2).iter().all(|run| run["read"] != 0 && run["inserted"] == 0 && run["updated"] == 0));
    let tables = sandbox.path("cdm-demo/work.db");
    for (dataset, rows) in [("item", 5_000), ("user", 24), ("project", 6), ("worklog", 1_250)] {
        let counted = ask(&tables, &format!("select count(*) from cdm_work_{dataset}"));
        assert_eq!(counted, format!("{rows}\n"), "{dataset}");
    }

    fs::create_dir(sandbox.path("mine")).unwrap();
    sandbox.write("mine/precious.txt", "keep me");
    let refused = sandbox.cdm(["demo", "--dir", "mine"]);
    assert_eq!(refused.error(2), "mine holds something else; name another folder with --dir");
    assert!(sandbox.path("mine/precious.txt").exists());
}

#[test]
fn the_demonstration_also_runs_on_a_server_of_its_own() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        let shown = sandbox.people(&["demo", "--postgres"]);
        assert_eq!(shown.code, Some(0), "{shown:?}");
        for expected in ["55 changes made", "cdm_work.cdm_work_item", "harbour: Cranes", "The server is gone"] {
            assert!(shown.out.contains(expected), "{expected}: {}", shown.out);
        }
        let url = fs::read_to_string(sandbox.path("cdm-demo/warehouse.url")).unwrap();
        let (_, password) = url.split_once("postgres:").unwrap().1.split_once(':').unwrap_or_default();
        assert!(password.is_empty() || !shown.out.contains(password.split('@').next().unwrap()));
    }
}
