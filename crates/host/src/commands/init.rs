use std::{fs::OpenOptions, io::Write as _};

use crate::{answer::Answer, app::App, failure::Failure};

const STARTER: &str = r#"# Where `cdm` keeps what it knows: endpoints, datasets and runs.
[metadata]
url = "sqlite:cdm-metadata.db"                 # or postgres://...

# A folder with projects, users, issues, comments and worklogs as .jsonl or .json, plain, .gz or .zst.
[endpoints.acme_jira]
driver = "jira.export"
path = "./export"

# `cdm drivers cdm.postgres` shows every key. Secrets stay outside: ${env:NAME} or ${file:PATH}.
# With no server at hand, a file does as well: driver = "cdm.sqlite", path = "./work.db".
[endpoints.warehouse]
driver = "cdm.postgres"
connection_url = "${env:WAREHOUSE_URL}"

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

# The same issues as they came, to the byte.
[ingest.issues_raw]
source = "acme_jira"
unit = "jira.issues"
sink = "lake"
mode = "raw"
"#;

/// Writes a configuration file to begin with. One that is there is not touched.
pub(crate) fn init(app: &App) -> Result<Answer, Failure> {
    let shown = app.config.display().to_string();
    let file = OpenOptions::new().write(true).create_new(true).open(&app.config);
    let written = file.and_then(|mut file| file.write_all(STARTER.as_bytes()));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::config(&shown, "the file is there already, and stays as it is"),
        _ => Failure::config(&shown, format!("the file cannot be written: {error}")),
    })?;
    let text = format!(
        "Wrote {shown}. Point it at your export and your server, and then:\n\n\
         \x20 cdm check\n  cdm provision warehouse\n  cdm ingest\n  cdm catalog list\n"
    );
    Ok(Answer::new("config", shown, text))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_starter_is_good_toml() {
        let table: toml::Table = super::STARTER.parse().unwrap();
        assert_eq!(table["ingest"].as_table().unwrap().len(), 6);
    }
}
