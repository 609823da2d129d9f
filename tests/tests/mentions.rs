//! Users that are seen inside issues are counted apart from records, so that they do not look like loss.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use end_to_end::Sandbox;
use serde_json::{Value, json};

/// The sum of the counts by which every record is accounted for.
fn sum(run: &Value) -> u64 {
    let counts = ["inserted", "updated", "unchanged", "stale", "duplicate", "rejected"];
    counts.iter().map(|count| run[count].as_u64().unwrap()).sum()
}

#[test]
fn the_users_of_many_issues_do_not_look_like_loss() {
    let sandbox = Sandbox::provisioned();
    let file = "\n[endpoints.file]\ndriver = \"cdm.sqlite\"\npath = \"work.db\"\n\n[ingest.file_users]\n\
                source = \"acme_jira\"\nunit = \"jira.users\"\nsink = \"file\"\nmode = \"cdm\"\n";
    sandbox.configure(|configuration| configuration + file);
    sandbox.cdm(["provision", "file"]).expect(0);
    let user = |id: u8, name: &str| json!({ "accountId": format!("u{id}"), "displayName": name });
    let issues: Vec<String> = (0..40)
        .map(|number| {
            let fields = json!({ "reporter": user(number % 2, "one name"), "assignee": user(number % 2, "another") });
            json!({ "id": number.to_string(), "key": format!("A-{number}"), "fields": fields }).to_string()
        })
        .collect();
    sandbox.export("issues.jsonl", &issues.iter().map(String::as_str).collect::<Vec<_>>());
    for name in ["users", "file_users"] {
        let first = &sandbox.ingest(&[name])[0];
        assert_eq!((first["read"].as_u64(), sum(first), &first["inserted"]), (Some(80), 80, &json!(2)), "{first}");
        let of = |run: &Value, count: &str| run["mentions"][count].as_u64().unwrap();
        let idle = of(first, "unchanged") + of(first, "stale") + of(first, "duplicate");
        assert_eq!(idle, 78, "{first}");

        let again = &sandbox.ingest(&[name, "--full"])[0];
        assert_eq!((again["read"].as_u64(), sum(again)), (Some(80), 80));
        for count in ["unchanged", "stale", "duplicate"] {
            assert_eq!(again[count], again["mentions"][count], "every record of this run is a mention: {again}");
        }
        let kept = sandbox.cdm(["runs", again["run_id"].as_str().unwrap()]).expect(0);
        assert_eq!(kept["runs"][0]["mentions"], again["mentions"], "the catalog keeps them");

        let table = sandbox.people(&["ingest", name, "--full"]).out;
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let (heads, cells) = (lines.next().unwrap(), lines.next().unwrap());
        let cell = |head: &str| cells[heads.iter().position(|other| *other == head).unwrap()];
        assert_eq!(
            (cell("READ"), cell("STALE"), cell("DUPLICATE"), cell("MENTIONS")),
            ("0", "0", "0", "80"),
            "{table}"
        );
    }
}
