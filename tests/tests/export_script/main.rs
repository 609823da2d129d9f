//! `examples/export/jira_export.py` against a small Jira: everything arrives, and `cdm` loads it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod jira;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use end_to_end::Sandbox;
use jira::{COMMENTS, HISTORIES, ISSUES, Jira, WORKLOGS};
use serde_json::Value;

/// `me@example.com:secret-token`, encoded.
const CLOUD: &str = "Basic bWVAZXhhbXBsZS5jb206c2VjcmV0LXRva2Vu";
const DATA_CENTER: &str = "Bearer secret-token";

/// What the script says when it is run with these arguments and fails, without a traceback.
fn refusal(folder: &Path, arguments: &[&str], email: Option<&str>) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/export/jira_export.py");
    let mut command = Command::new("python3");
    command.arg(script).args(arguments).current_dir(folder).env("JIRA_TOKEN", "secret-token").env_remove("JIRA_EMAIL");
    command.envs(email.map(|email| ("JIRA_EMAIL", email))).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && !said.contains("Traceback"), "{said}");
    said
}

/// Runs the script in a folder. With an address it logs in as to Jira Cloud.
fn export(folder: &Path, url: &str, email: Option<&str>, token: Option<&str>) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/export/jira_export.py");
    let mut command = Command::new("python3");
    command.arg(script).args(["--url", url, "--out", "export"]).current_dir(folder);
    command.env_remove("JIRA_EMAIL").env_remove("JIRA_TOKEN").env("PYTHONDONTWRITEBYTECODE", "1");
    command.envs(email.map(|email| ("JIRA_EMAIL", email))).envs(token.map(|token| ("JIRA_TOKEN", token)));
    let output = command.output().expect(
        "python3 was not found. Install it, with `apt-get install python3` on Debian and Ubuntu or \
         `brew install python3` on a Mac",
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("secret-token") && !said.contains("Traceback"), "{said}");
    output
}

fn page(sandbox: &Sandbox, name: &str) -> Value {
    serde_json::from_slice(&fs::read(sandbox.path("export").join(name)).unwrap()).unwrap()
}

/// Exports a site and loads the export: every entity is there, and nothing is reported as missing.
fn everything_arrives(is_cloud: bool, authorization: &'static str, email: Option<&str>) -> (Sandbox, Jira) {
    let sandbox = Sandbox::provisioned();
    let jira = Jira::start(is_cloud, ISSUES, authorization);
    let output = export(sandbox.folder(), &jira.url(), email, Some("secret-token"));
    assert!(output.status.success(), "{output:?}");

    let runs = sandbox.ingest(&["projects", "users", "issues", "comments", "worklogs"]);
    for run in &runs {
        assert_eq!(
            (&run["rejected"], run["incomplete"].as_array().is_some_and(|notes| !notes.is_empty())),
            (&0.into(), false),
            "{run}"
        );
    }
    for (table, expected) in
        [("project", 3), ("item", ISSUES), ("comment", COMMENTS), ("worklog", WORKLOGS), ("user", 3)]
    {
        let count = sandbox.value(&format!("select count(*) from cdm_work.cdm_work_{table}"));
        assert_eq!(count, expected.to_string(), "{table}");
    }
    let first = &page(&sandbox, "issues-0001.json");
    assert_eq!(first["names"]["customfield_10016"], "Story points");
    assert_eq!(first["issues"][0]["changelog"]["histories"].as_array().unwrap().len() as u64, HISTORIES);
    (sandbox, jira)
}

#[test]
fn a_cloud_site_is_exported_whole_and_loads() {
    let (sandbox, jira) = everything_arrives(true, CLOUD, Some("me@example.com"));
    let searches = jira.asked("/search/jql");
    assert_eq!(searches.len(), 4, "three pages, and one of them twice after a 429");
    assert!(searches[3] - searches[2] >= Duration::from_secs(1), "Retry-After was not respected");
    let followed = page(&sandbox, "issues-0001.json");
    assert!(followed.get("nextPageToken").is_none(), "announces a page that was read");
    assert_eq!(page(&sandbox, "issues-0003.json")["isLast"], true);
}

#[test]
fn a_data_center_site_is_exported_whole_and_loads() {
    let (_sandbox, jira) = everything_arrives(false, DATA_CENTER, None);
    assert!(jira.asked("/changelog").is_empty(), "Data Center has no such resource");
}

#[test]
fn an_export_replaces_the_one_before_and_a_failed_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = || {
        let names = fs::read_dir(folder.path().join("export")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    let larger = Jira::start(false, ISSUES, DATA_CENTER);
    assert!(export(folder.path(), &larger.url(), None, Some("secret-token")).status.success());
    fs::write(folder.path().join("export/mine.txt"), "not the script's").unwrap();
    let before = files();
    assert!(before.contains(&"issues-0003.json".to_owned()), "{before:?}");

    let refused = export(folder.path(), &larger.url(), None, Some("secret-token-of-yesterday"));
    assert_eq!((refused.status.code(), files()), (Some(1), before));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("/myself: HTTP 401") && said.contains("JIRA_TOKEN"), "{said}");

    let smaller = Jira::start(false, 1, DATA_CENTER);
    assert!(export(folder.path(), &smaller.url(), None, Some("secret-token")).status.success());
    assert_eq!(files(), ["issues-0001.json", "mine.txt", "projects-0001.json", "users-0001.json", "users-0002.json"]);
}

#[test]
fn the_token_comes_from_the_environment_and_is_sent_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    for (url, token, expected) in [
        ("https://acme.example", None, "JIRA_TOKEN is not set"),
        ("http://acme.example", Some("secret-token"), "--url does not begin with https://"),
    ] {
        let refused = export(folder.path(), url, None, token);
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains(expected), "{refused:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_work_is_said_before_the_first_request_and_without_a_traceback() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let at = |arguments: &[&str]| refusal(folder.path(), arguments, Some("me@example.com"));
    let said = refusal(folder.path(), &["--url", "https://acme.atlassian.net"], None);
    assert!(said.contains("JIRA_EMAIL is not set"), "{said}");
    let unused = ["--url", "http://localhost:1"];
    for size in ["0", "-1", "many"] {
        assert!(at(&[&unused[..], &["--page-size", size]].concat()).contains("--page-size"), "{size}");
    }
    for out in ["file", "/", "file/export"] {
        let said = at(&[&unused[..], &["--out", out]].concat());
        assert!(said.contains("error: ") && !said.contains("trying again"), "{said}");
    }
    let said = at(&["--url", "https://host.invalid"]);
    assert!(said.contains("the host host.invalid is not known") && said.lines().count() <= 3, "{said}");
}

#[test]
fn the_folder_in_which_the_script_runs_can_be_the_export() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("site");
    fs::create_dir(&export).unwrap();
    let jira = Jira::start(true, 3, CLOUD);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/export/jira_export.py");
    let mut command = Command::new("python3");
    command.arg(script).args(["--url", &jira.url(), "--out", "."]).current_dir(&export);
    command.env("JIRA_EMAIL", "me@example.com").env("JIRA_TOKEN", "secret-token");
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(export.join("issues-0001.json").exists());
}
