//! The README shows what the program prints. Its commands are run in its order, and what stands below each
//! must be what comes out, with `[…]` for what is left out, and with any times, ids and space.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{fs, path::Path};

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
                (Some(command), _) => commands.push((command.to_owned(), String::new())),
                (None, Some((_, shown))) => shown.push_str(&format!("{line}\n")),
                (None, None) => panic!("output without a command: {line}"),
            },
        }
    }
    commands
}

/// The text without what is another at each time: ids, times, seconds, and space, which goes with the
/// width of columns and of terminals.
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

/// Without the counts that tell which of several slices with records of one key came first: read, updated, unchanged,
/// stale, duplicate and mentions. A mention that came before its record was inserted, and counts as read.
fn in_any_order(text: &str) -> String {
    let counts = Regex::new(r"(?m)succeeded +[\d,]+( +[\d,]+)( +[\d,]+){4}( +[\d,]+) +[\d,]+").unwrap();
    counts.replace_all(text, "succeeded$1$3").into_owned()
}

/// What is shown, as a pattern.
fn pattern(shown: &str) -> Regex {
    let pattern = regex::escape(&lasting(&in_any_order(shown))).replace(&regex::escape("[…]"), ".*?");
    Regex::new(&format!("(?s)^{pattern}$")).unwrap()
}

#[test]
fn the_readme_shows_what_is_printed() {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.path("cdm.toml")).unwrap();
    for file in fs::read_dir(root().join("tests/fixtures/jira")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), sandbox.path("export").join(file.file_name())).unwrap();
    }
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut ran = Vec::new();
    for (command, shown) in commands(&readme) {
        let Some(arguments) = command.strip_prefix("cdm ") else { continue };
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let answer = sandbox.people(&arguments);
        let code = if arguments.contains(&"--plan") { 3 } else { 0 };
        assert_eq!(answer.code, Some(code), "{command}: {answer:?}");
        assert!(pattern(&shown).is_match(&lasting(&in_any_order(&answer.out))), "{command} prints\n{}", answer.out);
        ran.push(arguments[0].to_owned());
    }
    for command in ["drivers", "provision", "ingest", "catalog"] {
        assert!(ran.iter().any(|ran| ran == command), "{command} is not shown");
    }
}

#[test]
fn the_configuration_of_the_readme_is_what_init_writes() {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.path("cdm.toml")).unwrap();
    sandbox.people(&["init"]);
    let written = fs::read_to_string(sandbox.path("cdm.toml")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, block) = readme.split_once("```toml\n").unwrap();
    let (shown, _) = block.split_once("```").unwrap();
    for line in shown.lines() {
        assert!(written.lines().any(|other| other == line), "`{line}` is not in what `cdm init` writes");
    }
    let again = sandbox.people(&["init"]);
    assert_eq!((again.code, fs::read_to_string(sandbox.path("cdm.toml")).unwrap()), (Some(2), written));
}

#[test]
fn the_demonstration_runs_in_a_folder_of_its_own() {
    let sandbox = Sandbox::new();
    let aliases = fs::read_to_string(root().join(".cargo/config.toml")).unwrap();
    let alias = aliases.lines().find_map(|line| line.strip_prefix("demo = ")).unwrap();
    assert!(alias.trim_matches('"').ends_with(" -- demo"), "`cargo demo` is `cdm demo`: {alias}");

    let shown = sandbox.people(&["demo"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, expected) = readme.split_once("$ cargo demo\n```\n\n```text\n").unwrap();
    let (expected, _) = expected.split_once("```\n").unwrap();
    assert!(pattern(expected).is_match(&lasting(&in_any_order(&shown.out))), "`cargo demo` prints\n{}", shown.out);

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
    let asked = rusqlite::Connection::open(sandbox.path("cdm-demo/work.db")).unwrap();
    let mut commands = self::commands(&readme).into_iter();
    let (query, expected) = commands.find(|(command, _)| command.starts_with("sqlite3 ")).unwrap();
    let mut statement = asked.prepare(query.split('"').nth(1).unwrap()).unwrap();
    let line = |row: &rusqlite::Row<'_>| {
        Ok(format!("{}|{}|{}\n", row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    };
    let answer: String = statement.query_map([], line).unwrap().map(Result::unwrap).collect();
    assert_eq!(answer, expected, "{query}");
    for (dataset, rows) in [("item", 5_000), ("user", 24), ("project", 6), ("worklog", 1_250)] {
        let counted: i64 =
            asked.query_row(&format!("select count(*) from cdm_work_{dataset}"), [], |row| row.get(0)).unwrap();
        assert_eq!(counted, rows, "{dataset}");
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
