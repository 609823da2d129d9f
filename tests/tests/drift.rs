//! What differs between a table and its model is told apart in the same way on each sink that has tables.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use end_to_end::Sandbox;
use serde_json::Value;

/// A sink of a sandbox, and how somebody else changes what is in it.
#[derive(Clone, Copy, PartialEq)]
enum Sink {
    Postgres,
    Sqlite,
}

impl Sink {
    const ALL: [Self; 2] = [Self::Postgres, Self::Sqlite];

    fn id(self) -> &'static str {
        match self {
            Self::Postgres => "warehouse",
            Self::Sqlite => "file",
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::Postgres => "cdm_work.cdm_work_project",
            Self::Sqlite => "cdm_work_project",
        }
    }

    /// A sandbox in which nothing is provisioned.
    fn sandbox(self) -> Sandbox {
        let sandbox = Sandbox::new();
        let file = "\n[endpoints.file]\ndriver = \"cdm.sqlite\"\npath = \"work.db\"\n";
        sandbox.configure(|configuration| configuration + file);
        sandbox
    }

    fn provision<'a>(self, sandbox: &Sandbox, more: impl IntoIterator<Item = &'a str>) -> end_to_end::Ran {
        let arguments = ["provision", self.id(), "--model", "cdm.work.project"];
        sandbox.cdm(arguments.into_iter().chain(more))
    }

    /// Runs statements on the table `{t}`, whose index names stand in `{s}`.
    fn execute(self, sandbox: &Sandbox, statements: &str) {
        let schema = if self == Self::Postgres { "cdm_work." } else { "" };
        // The view of the live rows depends on every column of the model; provisioning makes it again.
        let is_held = ["drop column", "drop table"].iter().any(|held| statements.contains(held));
        let view = if is_held { "drop view if exists {s}cdm_work_project_live; " } else { "" };
        let statements = format!("{view}{statements}").replace("{t}", self.table()).replace("{s}", schema);
        match self {
            Self::Postgres => drop(sandbox.ask(&statements)),
            Self::Sqlite => {
                rusqlite::Connection::open(sandbox.path("work.db")).unwrap().execute_batch(&statements).unwrap();
            }
        }
    }
}

/// The findings as `class object difference`, the table without its schema, and without those about descriptions,
/// which not every sink has.
fn findings(answer: &Value) -> Vec<String> {
    let line = |finding: &Value| {
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        assert!(!text("way_out").is_empty(), "{finding}");
        format!("{} {} {}", text("class"), text("object").replace("cdm_work.", ""), text("difference"))
    };
    let lines = answer["findings"].as_array().unwrap().iter().map(line);
    lines.filter(|line| !line.ends_with("has another description")).collect()
}

/// What was done, what `--check` tells of it, and whether `provision` mends it.
#[track_caller]
fn told(change: &str, expected: &[&str], mended: bool) {
    for sink in Sink::ALL {
        let sandbox = sink.sandbox();
        sink.provision(&sandbox, []).expect(0);
        sink.execute(&sandbox, change);
        let is_harmless = expected.iter().all(|finding| finding.starts_with("harmless "));
        let check = sink.provision(&sandbox, ["--check"]).expect(if is_harmless { 0 } else { 3 });
        assert_eq!(findings(&check), expected, "{}: {change}", sink.id());
        let ran = sink.provision(&sandbox, []);
        if mended {
            assert_eq!(ran.expect(0)["changed"], !is_harmless, "{}: {change}", sink.id());
            let harmless: Vec<&&str> = expected.iter().filter(|finding| finding.starts_with("harmless ")).collect();
            let second = sink.provision(&sandbox, ["--check"]).expect(0);
            assert_eq!(findings(&second).iter().collect::<Vec<_>>(), harmless, "{}: {change}", sink.id());
            assert!(second["models"][0]["changes"].as_array().unwrap().is_empty(), "{second}");
        } else {
            let message = ran.error(1);
            assert!(message.contains("another table prefix"), "the way out is told: {message}");
            assert_eq!(findings(&ran.json()), expected);
            assert_eq!(findings(&sink.provision(&sandbox, ["--check"]).expect(3)), expected, "nothing was done");
        }
    }
}

#[test]
fn what_is_missing_and_can_be_added_is_additive() {
    told("alter table {t} drop column url", &["additive cdm_work_project.url is missing"], true);
    told(
        "drop index {s}cdm_work_project_lead_cdm_id_idx",
        &["additive cdm_work_project_lead_cdm_id_idx is missing"],
        true,
    );
}

#[test]
fn what_is_somebody_elses_and_in_nobodys_way_is_harmless() {
    told(
        "alter table {t} add column theirs text",
        &["harmless cdm_work_project.theirs is a column of somebody else's"],
        true,
    );
    told(
        "alter table {t} add column theirs text not null default 'none'",
        &["harmless cdm_work_project.theirs is a column of somebody else's"],
        true,
    );
    told("create index theirs on {t} (name, url)", &["harmless theirs is an index of somebody else's"], true);
    told(
        "create unique index theirs on {t} (source_project_key)",
        &["harmless theirs is a unique index of somebody else's"],
        true,
    );
    told(
        "alter table {t} add column theirs text; alter table {t} drop column url",
        &[
            "additive cdm_work_project.url is missing",
            "harmless cdm_work_project.theirs is a column of somebody else's",
        ],
        true,
    );
}

#[test]
fn what_adding_cannot_mend_is_incompatible() {
    for sink in Sink::ALL {
        let sandbox = sink.sandbox();
        sink.provision(&sandbox, []).expect(0);
        sink.execute(&sandbox, "alter table {t} drop column url; alter table {t} add column url integer");
        let check = sink.provision(&sandbox, ["--check"]).expect(3);
        assert_eq!(findings(&check), ["incompatible cdm_work_project.url is integer, not text"]);
    }
    told(
        "alter table {t} drop column _cdm_run_id",
        &["incompatible cdm_work_project._cdm_run_id (text, not null) is missing"],
        false,
    );
    told(
        "alter table {t} drop column source_system; alter table {t} add column source_system text",
        &["incompatible cdm_work_project.source_system allows null"],
        false,
    );
    told(
        "alter table {t} drop column name; alter table {t} add column name text not null default ''",
        &["incompatible cdm_work_project.name refuses null"],
        false,
    );
    told(
        "drop index {s}cdm_work_project_lead_cdm_id_idx; \
         create index cdm_work_project_lead_cdm_id_idx on {t} (lead_cdm_id, name)",
        &["incompatible cdm_work_project_lead_cdm_id_idx is no index on `lead_cdm_id` alone"],
        false,
    );
    told(
        "drop table {t}; create view {t} as select 1 as cdm_id",
        &["incompatible cdm_work_project is a view or a foreign table and not a table"],
        false,
    );
}

#[test]
fn a_view_that_depends_on_a_column_is_in_no_ones_way() {
    for sink in Sink::ALL {
        let sandbox = sink.sandbox();
        sink.provision(&sandbox, []).expect(0);
        sink.execute(&sandbox, "alter table {t} drop column url; create view {s}named as select name from {t}");
        assert_eq!(sink.provision(&sandbox, []).expect(0)["changed"], true);
        sink.provision(&sandbox, ["--check"]).expect(0);
        sink.execute(&sandbox, "select count(*) from {s}named where name is null");
    }
}

#[test]
fn a_table_that_is_not_on_record_is_taken_over_only_when_a_person_says_so() {
    for sink in Sink::ALL {
        let sandbox = sink.sandbox();
        let plan = sink.provision(&sandbox, ["--plan"]).expect(3);
        let create = plan["models"][0]["changes"][0]["sql"].as_str().unwrap();
        let schema = if sink == Sink::Postgres { "create schema cdm_work; " } else { "" };
        sink.execute(&sandbox, &format!("{schema}{create}"));
        let refused = sink.provision(&sandbox, []);
        let hint = format!("`cdm provision {} --adopt` takes it over", sink.id());
        assert!(refused.error(1).contains(&hint), "{refused:?}");
        let done = sink.provision(&sandbox, ["--adopt"]).expect(0);
        assert_eq!(done["models"][0]["changes"][0]["action"], "adopt");
        sink.provision(&sandbox, ["--check"]).expect(0);

        // The record was lost, as with a backup of some of the tables: it is somebody's table again.
        sink.execute(&sandbox, "delete from {s}_cdm_model");
        assert!(sink.provision(&sandbox, []).error(1).contains(&hint));
        sink.provision(&sandbox, ["--adopt"]).expect(0);
    }
}

#[test]
fn of_many_who_apply_one_plan_of_a_file_one_does_it() {
    for sink in Sink::ALL {
        let sandbox = sink.sandbox();
        let plan = sink.provision(&sandbox, ["--plan", "--out", "plan.json"]).expect(3);
        let applying: Vec<_> =
            (0..8).map(|_| sandbox.start(["provision", sink.id(), "--apply", "plan.json"])).collect();
        let answers: Vec<Value> = applying.into_iter().map(|apply| apply.wait().expect(0)).collect();
        assert_eq!(answers.iter().filter(|answer| answer["changed"] == true).count(), 1, "{}", sink.id());
        let receipt = &answers[0]["models"][0]["provisioned"];
        assert_eq!(receipt["plan_hash"], plan["plan_hash"]);
        assert!(answers.iter().all(|answer| answer["models"][0]["provisioned"] == *receipt));

        sink.execute(&sandbox, "alter table {t} drop column url");
        sink.provision(&sandbox, ["--plan", "--out", "plan.json"]).expect(3);
        sink.execute(&sandbox, "alter table {t} drop column description");
        let refused = sandbox.cdm(["provision", sink.id(), "--apply", "plan.json"]);
        assert!(refused.error(1).contains(&format!("{} has changed; plan again", sink.table())), "{refused:?}");
    }
}

#[test]
fn a_table_of_another_name_gets_all_rows_and_the_old_one_goes_on_where_it_was() {
    for sink in Sink::ALL {
        let sandbox = sink.sandbox();
        sandbox.export("projects.jsonl", &[r#"{"id":"1","key":"A"}"#, r#"{"id":"2","key":"B"}"#]);
        let name = match sink {
            Sink::Postgres => "projects",
            Sink::Sqlite => {
                let ingestion = "[ingest.here]\nsource = \"acme_jira\"\nunit = \"jira.projects\"\n\
                                 sink = \"file\"\nmode = \"cdm\"\n";
                sandbox.configure(|configuration| configuration + ingestion);
                "here"
            }
        };
        let ingest = || {
            sink.provision(&sandbox, []).expect(0);
            let run = &sandbox.ingest(&[name])[0];
            (run["read"].as_u64().unwrap(), run["inserted"].as_u64().unwrap())
        };
        assert_eq!((ingest(), ingest()), ((2, 2), (0, 0)));
        let renamed = "table_prefix = \"other_\"\n";
        let driver = match sink {
            Sink::Postgres => "driver = \"cdm.postgres\"\n",
            Sink::Sqlite => "driver = \"cdm.sqlite\"\n",
        };
        sandbox.configure(|configuration| configuration.replace(driver, &format!("{driver}{renamed}")));
        assert_eq!((ingest(), ingest()), ((2, 2), (0, 0)), "{}: nothing was read for that table before", sink.id());
        sandbox.configure(|configuration| configuration.replace(renamed, ""));
        sandbox.export("projects-2.jsonl", &[r#"{"id":"3","key":"C"}"#]);
        assert_eq!(ingest(), (1, 1), "{}", sink.id());
    }
}

#[test]
fn a_column_that_was_dropped_comes_back_with_its_values_after_a_full_load() {
    for sink in Sink::ALL {
        let sandbox = sink.sandbox();
        let ingestion =
            "\n[ingest.there]\nsource = \"acme_jira\"\nunit = \"jira.projects\"\nsink = \"file\"\nmode = \"cdm\"\n";
        sandbox.configure(|configuration| configuration + ingestion);
        let name = if sink == Sink::Postgres { "projects" } else { "there" };
        sandbox.export("projects.jsonl", &[r#"{"id":"1","key":"A","name":"one"}"#, r#"{"id":"2","key":"B"}"#]);
        sink.provision(&sandbox, []).expect(0);
        assert_eq!(sandbox.ingest(&[name])[0]["inserted"], 2);
        sink.execute(&sandbox, "alter table {t} drop column name");
        let done = sink.provision(&sandbox, []).expect(0);
        assert!(done.to_string().contains("mark rows"), "{done}");
        sink.provision(&sandbox, ["--check"]).expect(0);

        let verified = sandbox.cdm(["verify", sink.id(), "--model", "cdm.work.project"]);
        assert!(verified.error(1).contains("is not as it was loaded"), "{verified:?}");
        let run = &sandbox.ingest(&[name, "--full"])[0];
        assert_eq!((&run["updated"], &run["inserted"]), (&2.into(), &0.into()), "{}: {run}", sink.id());
        sandbox.cdm(["verify", sink.id(), "--model", "cdm.work.project"]).expect(0);
        sink.execute(&sandbox, "update {t} set name = name || '!' where name = 'one'");
        let verified = sandbox.cdm(["verify", sink.id(), "--model", "cdm.work.project"]);
        assert!(verified.json().to_string().contains("\"changed\":1"), "the name was there: {verified:?}");
    }
}

#[test]
fn an_unlogged_table_is_refused_and_a_partitioned_one_is_named() {
    let sandbox = Sink::Postgres.sandbox();
    Sink::Postgres.provision(&sandbox, []).expect(0);
    for table in ["cdm_work_project", "_cdm_load"] {
        sandbox.ask(&format!("alter table cdm_work.{table} set unlogged"));
        let check = Sink::Postgres.provision(&sandbox, ["--check"]).expect(3);
        let found = check["findings"].to_string();
        assert!(found.contains(&format!("cdm_work.{table}")) && found.contains("is an unlogged table"), "{found}");
        sandbox.export("projects.jsonl", &[r#"{"id":"1","key":"A"}"#]);
        let refused = sandbox.cdm(["ingest", "projects"]).error(1);
        assert!(refused.contains("is an unlogged table") && refused.contains("set logged"), "{refused}");
        sandbox.ask(&format!("alter table cdm_work.{table} set logged"));
    }
    let plan = Sink::Postgres.sandbox();
    let create = Sink::Postgres.provision(&plan, ["--plan"]).expect(3)["models"][0]["changes"][0]["sql"].clone();
    plan.ask(&format!("create schema cdm_work; {} partition by hash (cdm_id)", create.as_str().unwrap()));
    let found = Sink::Postgres.provision(&plan, ["--check"]).expect(3)["findings"].to_string();
    assert!(found.contains("is a partitioned table"), "{found}");
}
