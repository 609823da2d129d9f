//! Two sites never overwrite each other: a run of another site than that of the rows that are there is refused.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use end_to_end::{Ran, Sandbox};

const ACME: &str = "acme.atlassian.net";
const LAB: &str = "lab.example/jira";

/// A sandbox with a second export, `lab`, whose issues go into both sinks under the same `source_system`, as
/// `issues` and `lab_issues` into the warehouse, and as `issues_file` and `lab_issues_file` into a file.
fn sandbox(acme: &str, lab: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.configure(|configuration| {
        let mut more = "\n[endpoints.lab]\ndriver = \"jira.export\"\npath = \"lab\"\n\n\
                        [endpoints.file]\ndriver = \"cdm.sqlite\"\npath = \"work.db\"\n"
            .to_owned();
        for (name, source, sink) in [
            ("lab_issues", "lab", "warehouse"),
            ("issues_file", "acme_jira", "file"),
            ("lab_issues_file", "lab", "file"),
        ] {
            more.push_str(&format!(
                "\n[ingest.{name}]\nsource = \"{source}\"\nunit = \"jira.issues\"\nsink = \"{sink}\"\nmode = \"cdm\"\n"
            ));
        }
        configuration + &more
    });
    fs::create_dir(sandbox.path("lab")).unwrap();
    for sink in ["warehouse", "file"] {
        sandbox.cdm(["provision", sink]).expect(0);
    }
    sandbox.export("issues.jsonl", &[&issue(acme, "ACME-1")]);
    sandbox.write("lab/issues.jsonl", issue(lab, "LAB-1"));
    sandbox
}

/// An issue with the id 1; of no site when that is empty.
fn issue(site: &str, key: &str) -> String {
    match site {
        "" => format!(r#"{{"id":"1","key":"{key}"}}"#),
        site => format!(r#"{{"id":"1","key":"{key}","self":"https://{site}/rest/api/2/issue/1"}}"#),
    }
}

/// The keys of the issues in a sink.
fn keys(sandbox: &Sandbox, sink: &str) -> Vec<String> {
    match sink {
        "file" => {
            let connection = rusqlite::Connection::open(sandbox.path("work.db")).unwrap();
            let mut statement = connection.prepare("select source_issue_key from cdm_work_item order by 1").unwrap();
            let keys = statement.query_map([], |row| row.get(0)).unwrap();
            keys.map(Result::unwrap).collect()
        }
        _ => sandbox.ask("select source_issue_key from cdm_work.cdm_work_item order by 1").concat(),
    }
}

/// Runs statements in a sink, whose tables stand after `{s}`.
fn execute(sandbox: &Sandbox, sink: &str, statement: &str) {
    match sink {
        "file" => {
            let connection = rusqlite::Connection::open(sandbox.path("work.db")).unwrap();
            connection.execute_batch(&statement.replace("{s}", "")).unwrap();
        }
        _ => drop(sandbox.ask(&statement.replace("{s}", "cdm_work."))),
    }
}

/// The ingestions of the two exports into each sink.
const SINKS: [(&str, &str, &str); 2] =
    [("warehouse", "issues", "lab_issues"), ("file", "issues_file", "lab_issues_file")];

fn set(sandbox: &Sandbox, endpoint_path: &str, line: &str) {
    let path = format!("path = \"{endpoint_path}\"\n");
    sandbox.configure(|configuration| configuration.replace(&path, &format!("{path}{line}\n")));
}

#[track_caller]
fn refused(ran: &Ran, parts: &[&str]) {
    let run = ran.expect(2)["runs"][0].clone();
    let error = run["error"].as_str().unwrap();
    for part in parts.iter().chain(&["nothing was replaced", "source_system", "same_site_as"]) {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
}

#[test]
fn a_second_site_under_one_name_is_refused_before_anything_is_replaced() {
    let sandbox = sandbox(ACME, LAB);
    for (sink, acme, lab) in SINKS {
        sandbox.ingest(&[acme]);
        for _ in 0..2 {
            refused(&sandbox.cdm(["ingest", lab]), &[ACME, LAB, "endpoints.lab.source_system", sink]);
            assert_eq!(keys(&sandbox, sink), ["ACME-1"]);
        }
        assert_eq!(sandbox.ingest(&[acme, "--full"])[0]["unchanged"], 1, "the first site goes on");
    }
    set(&sandbox, "lab", "source_system = \"lab\"");
    for (sink, _, lab) in SINKS {
        assert_eq!(sandbox.ingest(&[lab])[0]["inserted"], 1);
        assert_eq!(keys(&sandbox, sink), ["ACME-1", "LAB-1"]);
    }
}

#[test]
fn two_endpoints_of_one_site_share_its_rows() {
    let sandbox = sandbox(ACME, ACME);
    for (sink, acme, lab) in SINKS {
        sandbox.ingest(&[acme]);
        assert_eq!(sandbox.ingest(&[lab])[0]["updated"], 1, "{sink}");
    }
}

#[test]
fn of_an_unknown_site_another_endpoint_is_refused_unless_the_operator_says_that_it_is_the_same() {
    let sandbox = sandbox("", "");
    for (_, acme, lab) in SINKS {
        sandbox.ingest(&[acme]);
        refused(&sandbox.cdm(["ingest", lab]), &["an unknown site", "acme_jira"]);
        assert_eq!(sandbox.ingest(&[acme, "--full"])[0]["unchanged"], 1);
    }
    set(&sandbox, "lab", "same_site_as = \"acme_jira\"");
    for (sink, acme, lab) in SINKS {
        assert_eq!(sandbox.ingest(&[lab])[0]["updated"], 1, "{sink}");
        sandbox.ingest(&[acme, "--full"]);
    }
}

#[test]
fn the_configured_address_is_the_site_whatever_the_records_say() {
    let gateway = "api.atlassian.com/ex/jira/0f6c";
    let sandbox = sandbox(ACME, gateway);
    for (_, acme, lab) in SINKS {
        sandbox.ingest(&[acme]);
        refused(&sandbox.cdm(["ingest", lab]), &[ACME, gateway]);
    }
    set(&sandbox, "lab", "site_url = \"https://ACME.atlassian.net/\"");
    for (_, _, lab) in SINKS {
        assert_eq!(sandbox.ingest(&[lab])[0]["updated"], 1);
    }
}

/// Where records of an export that was made through the API gateway stand.
const GATEWAY: &str = "api.atlassian.com/ex/jira/0f6c";

#[test]
fn the_endpoint_of_the_rows_may_name_their_site_later_and_another_one_may_not() {
    let sandbox = sandbox(GATEWAY, GATEWAY);
    for (_, acme, _) in SINKS {
        sandbox.ingest(&[acme]);
    }
    for path in ["export", "lab"] {
        set(&sandbox, path, &format!("site_url = \"https://{ACME}\""));
    }
    for (_, _, lab) in SINKS {
        refused(&sandbox.cdm(["ingest", lab]), &[ACME, GATEWAY]);
    }
    let (ok, detail) = site_check(&sandbox.cdm(["check", "acme_jira"]), 0);
    assert!(ok, "{detail}");
    for (sink, acme, lab) in SINKS {
        sandbox.ingest(&[acme]);
        assert_eq!(recorded(&sandbox, sink), [format!("acme_jira {ACME}")]);
        // Now that the site is on record, the other endpoint that names it is of it.
        assert_eq!(sandbox.ingest(&[lab])[0]["updated"], 1, "{sink}");
    }
    // Records of another site are refused, also of this endpoint and whatever it calls the site.
    sandbox.configure(|configuration| configuration.replace(ACME, LAB));
    sandbox.export("issues.jsonl", &[&issue("api.atlassian.com/ex/jira/77", "LAB-1")]);
    for (sink, acme, _) in SINKS {
        refused(&sandbox.cdm(["ingest", acme]), &[ACME, LAB]);
        assert_eq!(keys(&sandbox, sink), ["LAB-1"], "the key that the second endpoint has loaded");
    }
}

#[test]
fn a_site_that_is_no_longer_named_is_refused_with_the_setting_and_one_that_no_record_tells_stays() {
    let sandbox = sandbox(GATEWAY, LAB);
    let named = format!("site_url = \"https://{ACME}\"");
    set(&sandbox, "export", &named);
    for (_, acme, _) in SINKS {
        sandbox.ingest(&[acme]);
    }
    sandbox.configure(|configuration| configuration.replace(&format!("{named}\n"), ""));
    for (_, acme, _) in SINKS {
        refused(&sandbox.cdm(["ingest", acme]), &[ACME, GATEWAY, "endpoints.acme_jira.site_url"]);
    }
    sandbox.export("issues.jsonl", &[&issue("", "ACME-2")]);
    for (sink, acme, _) in SINKS {
        assert_eq!(sandbox.ingest(&[acme])[0]["updated"], 1);
        assert_eq!(recorded(&sandbox, sink), [format!("acme_jira {ACME}")]);
    }
}

#[test]
fn an_endpoint_of_the_same_site_as_another_may_load_first() {
    let sandbox = sandbox(GATEWAY, ACME);
    set(&sandbox, "lab", "same_site_as = \"acme_jira\"");
    for (sink, acme, lab) in SINKS {
        assert_eq!(sandbox.ingest(&[lab])[0]["inserted"], 1, "{sink}");
        assert_eq!(recorded(&sandbox, sink), ["acme_jira "]);
        assert_eq!(sandbox.ingest(&[acme])[0]["updated"], 1, "{sink}");
        assert_eq!(recorded(&sandbox, sink), [format!("acme_jira {GATEWAY}")]);
        for again in [lab, acme] {
            sandbox.ingest(&[again, "--full"]);
        }
    }
}

#[test]
fn an_endpoint_with_a_new_name_goes_on_with_the_rows_of_the_old_one() {
    let sandbox = sandbox("", ACME);
    for (_, acme, _) in SINKS {
        sandbox.ingest(&[acme]);
    }
    set(&sandbox, "lab", "same_site_as = \"acme_jira\"");
    for (sink, acme, lab) in SINKS {
        assert_eq!(sandbox.ingest(&[lab])[0]["updated"], 1);
        assert_eq!(recorded(&sandbox, sink), ["acme_jira "]);
        // The old one may be there still, and tell its site by another address.
        sandbox.export("issues.jsonl", &[&issue(GATEWAY, "ACME-1")]);
        sandbox.ingest(&[acme]);
        sandbox.ingest(&[lab, "--full"]);
    }
}

/// What a sink has on record of the sites: the endpoint and the site of each.
fn recorded(sandbox: &Sandbox, sink: &str) -> Vec<String> {
    let select = "select endpoint || ' ' || coalesce(site, '') from {s}_cdm_site order by 1";
    match sink {
        "file" => {
            let connection = rusqlite::Connection::open(sandbox.path("work.db")).unwrap();
            let mut statement = connection.prepare(&select.replace("{s}", "")).unwrap();
            let lines = statement.query_map([], |row| row.get(0)).unwrap();
            lines.map(Result::unwrap).collect()
        }
        _ => sandbox.ask(&select.replace("{s}", "cdm_work.")).concat(),
    }
}

#[test]
fn an_endpoint_whose_path_leads_to_another_site_is_refused() {
    let sandbox = sandbox(ACME, LAB);
    for (_, acme, _) in SINKS {
        sandbox.ingest(&[acme]);
    }
    sandbox.export("issues.jsonl", &[&issue(LAB, "LAB-1")]);
    for (sink, acme, _) in SINKS {
        refused(&sandbox.cdm(["ingest", acme]), &[ACME, LAB, "changed its address"]);
        assert_eq!(keys(&sandbox, sink), ["ACME-1"]);
    }
}

#[test]
fn a_sink_that_was_loaded_by_an_earlier_version_is_adopted_by_the_endpoint_of_its_rows() {
    let sandbox = sandbox("", LAB);
    for (sink, acme, lab) in SINKS {
        sandbox.ingest(&[acme]);
        execute(&sandbox, sink, "delete from {s}_cdm_site");
        refused(&sandbox.cdm(["ingest", lab]), &["an unknown site", "acme_jira", LAB]);
        assert_eq!(keys(&sandbox, sink), ["ACME-1"]);
    }
    // The records now tell the site, which is put on record.
    sandbox.export("issues.jsonl", &[&issue(ACME, "ACME-2")]);
    for (_, acme, lab) in SINKS {
        assert_eq!(sandbox.ingest(&[acme])[0]["updated"], 1);
        refused(&sandbox.cdm(["ingest", lab]), &[ACME, LAB]);
    }
}

#[test]
fn of_two_sites_that_load_for_the_first_time_at_once_one_wins() {
    for (sink, acme, lab) in SINKS {
        let sandbox = sandbox(ACME, LAB);
        let running = [acme, lab, acme, lab].map(|name| sandbox.start(["ingest", name, "--on-overlap", "wait"]));
        let codes: Vec<Option<i32>> = running.into_iter().map(|run| run.wait().code).collect();
        let won = [codes[0] == Some(0), codes[1] == Some(0)];
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{codes:?}");
        assert_eq!((codes[0], codes[1]), (codes[2], codes[3]));
        assert!(codes.iter().all(|code| matches!(code, Some(0 | 2))), "{codes:?}");
        assert_eq!(keys(&sandbox, sink), [if won[0] { "ACME-1" } else { "LAB-1" }]);
    }
}

#[test]
fn a_name_that_holds_no_rows_is_free_for_another_site() {
    let sandbox = sandbox(ACME, LAB);
    for (sink, acme, lab) in SINKS {
        sandbox.ingest(&[acme]);
        execute(&sandbox, sink, "delete from {s}cdm_work_item");
        assert_eq!(sandbox.ingest(&[lab])[0]["inserted"], 1);
        assert_eq!(keys(&sandbox, sink), ["LAB-1"]);
    }
}

#[test]
fn an_export_with_records_of_several_sites_says_so_and_replaces_no_rows_of_a_known_one() {
    let sandbox = sandbox(ACME, LAB);
    sandbox.ingest(&["issues"]);
    sandbox.export("issues-2.jsonl", &[&issue(LAB, "LAB-1")]);
    refused(&sandbox.cdm(["ingest", "issues"]), &["several sites", ACME, LAB]);
    assert_eq!(keys(&sandbox, "warehouse"), ["ACME-1"]);
    let check = sandbox.cdm(["check", "acme_jira"]);
    assert!(site_check(&check, 1).1.contains("several sites"), "{check:?}");
    assert_eq!(sandbox.ingest(&["issues_raw"])[0]["inserted"], 2, "raw records are kept by endpoint");

    // Where nothing is loaded yet, it is said.
    let first = sandbox.cdm(["ingest", "issues_file"]);
    first.expect(0);
    assert!(first.err.contains("several sites") && first.err.contains("issues-2.jsonl"), "{first:?}");
}

/// Whether the check of the site has succeeded, and what it says.
fn site_check(ran: &Ran, code: i32) -> (bool, String) {
    let report = &ran.expect(code)["endpoints"][0];
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "site").unwrap_or_else(|| panic!("{report}"));
    (check["ok"].as_bool().unwrap(), check["detail"].as_str().unwrap().to_owned())
}

#[test]
fn check_sees_a_collision_within_the_configuration_and_with_what_is_loaded() {
    let sandbox = sandbox(ACME, LAB);
    let (ok, detail) = site_check(&sandbox.cdm(["check", "lab"]), 1);
    assert!(!ok && detail.contains(ACME) && detail.contains(LAB), "{detail}");
    assert!(detail.contains("set `source_system` of one of them") && !detail.contains("loaded by"), "{detail}");
    // The ingestions of the first one are gone, and its rows are there.
    sandbox.ingest(&["issues", "issues_file"]);
    sandbox.configure(|configuration| {
        let sections: Vec<&str> = configuration.split("\n[").collect();
        let kept: Vec<&str> =
            sections.into_iter().filter(|section| !section.contains("source = \"acme_jira\"")).collect();
        kept.join("\n[")
    });
    let (ok, detail) = site_check(&sandbox.cdm(["check", "lab"]), 1);
    assert!(!ok && detail.contains("loaded by the endpoint `acme_jira`"), "{detail}");
    set(&sandbox, "lab", "source_system = \"lab\"");
    let (ok, detail) = site_check(&sandbox.cdm(["check", "lab"]), 0);
    assert!(ok && detail.contains(LAB), "{detail}");
}
