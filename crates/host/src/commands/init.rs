use std::{
    fs::{self, OpenOptions},
    io::Write as _,
};

use crate::{answer::Answer, app::App, failure::Failure};

/// The sink of the configuration that `cdm init` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warehouse {
    /// One file, with no server.
    Sqlite,
    /// A server, whose URL is in the environment.
    Postgres,
}

impl Warehouse {
    /// The sink's section.
    const fn section(self) -> &'static str {
        match self {
            Self::Sqlite => {
                r#"# One file, and no server. `cdm init --postgres` writes the section for a PostgreSQL server.
[endpoints.warehouse]
driver = "cdm.sqlite"
path = "work.db"
"#
            }
            Self::Postgres => {
                r#"# `cdm drivers cdm.postgres` shows every key. Secrets stay outside of this file: ${env:NAME} or ${file:PATH}.
[endpoints.warehouse]
driver = "cdm.postgres"
connection_url = "${env:WAREHOUSE_URL}"
"#
            }
        }
    }

    /// What the user has to do before the sink can be used.
    const fn to_do(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "Set WAREHOUSE_URL to the server's URL: postgres://user:password@host/database.\n",
        }
    }

    fn starter(self) -> String {
        format!("{BEFORE}{}{AFTER}", self.section())
    }
}

const BEFORE: &str = r#"# The catalog: endpoints, datasets and runs. A PostgreSQL URL (postgres://...) shares it.
[metadata]
url = "sqlite:cdm-metadata.db"

# A folder with projects, users, issues, comments and worklogs as .jsonl or .json, plain, .gz or .zst.
[endpoints.acme_jira]
driver = "jira.export"
path = "./export"

"#;

const AFTER: &str = r#"
# Raw records, byte for byte, beside the tables.
[endpoints.lake]
driver = "raw.files"
path = "./raw"

[ingest.projects]
source = "acme_jira"
unit = "jira.projects"
sink = "warehouse"
mode = "cdm"

[ingest.users]
source = "acme_jira"
unit = "jira.users"
sink = "warehouse"
mode = "cdm"

[ingest.issues]
source = "acme_jira"
unit = "jira.issues"
sink = "warehouse"
mode = "cdm"

[ingest.comments]
source = "acme_jira"
unit = "jira.comments"
sink = "warehouse"
mode = "cdm"

[ingest.worklogs]
source = "acme_jira"
unit = "jira.worklogs"
sink = "warehouse"
mode = "cdm"

# The same issues as the source has them.
[ingest.issues_raw]
source = "acme_jira"
unit = "jira.issues"
sink = "lake"
mode = "raw"
"#;

/// Writes a configuration file to begin with. A file that is there is not touched.
pub(crate) fn init(app: &App, warehouse: Warehouse) -> Result<Answer, Failure> {
    let shown = app.config.display().to_string();
    let file = OpenOptions::new().write(true).create_new(true).open(&app.config);
    // What could be written of it on a full disk would be in the way of the next attempt.
    let written = file.and_then(|mut file| {
        let written = file.write_all(warehouse.starter().as_bytes());
        written.inspect_err(|_| drop(fs::remove_file(&app.config)))
    });
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::config(
            &shown,
            "the file exists and was not changed; move it away, or write another one with `cdm --config FILE init`",
        ),
        _ => Failure::config(&shown, format!("the file cannot be written: {error}")),
    })?;
    let config = if shown == "cdm.toml" { String::new() } else { format!(" --config {shown}") };
    let to_do = warehouse.to_do();
    let text = format!(
        "Wrote {shown}.\n\n{to_do}Put an export of your Jira into ./export, or change `path` in [endpoints.acme_jira]. Then:\n\n\
         \x20 cdm{config} check\n  cdm{config} provision warehouse\n  cdm{config} ingest\n  cdm{config} catalog list\n"
    );
    Ok(Answer::new("config", shown, text))
}

#[cfg(test)]
mod tests {
    use super::Warehouse;

    #[test]
    fn the_starters_are_good_toml() {
        for (warehouse, driver) in [(Warehouse::Sqlite, "cdm.sqlite"), (Warehouse::Postgres, "cdm.postgres")] {
            let table: toml::Table = warehouse.starter().parse().unwrap();
            assert_eq!(table["ingest"].as_table().unwrap().len(), 6);
            assert_eq!(table["endpoints"]["warehouse"]["driver"].as_str(), Some(driver));
        }
    }
}
