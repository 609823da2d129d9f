//! `cdm demo`: the main job on a sample export, with nothing to install.

mod chart;
mod export;
mod folder;

use std::path::PathBuf;

use local_postgres::{Cluster, Programs};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use self::folder::{Folder, Warehouse};
use super::{
    catalog,
    ingest::{self as ingestion, Asked},
    provision, rejects,
};
use crate::{
    answer::{Answer, Output, write_out},
    app::App,
    failure::{Exit, Failure},
    table::Width,
};

/// What `cdm demo` is asked for.
pub(crate) struct DemoOptions {
    /// The folder to work in.
    pub(crate) dir: PathBuf,
    /// Load into a private PostgreSQL server instead of a file.
    pub(crate) postgres: bool,
    /// Keep that server running until the command is told to stop.
    pub(crate) keep: bool,
    /// With tables, each step is printed when it is done.
    pub(crate) output: Output,
}

/// Provisions, loads, loads again and looks: the commands that a user would type, in this order.
pub(crate) async fn demo(app: &App, options: &DemoOptions) -> Result<Answer, Failure> {
    let dir = options.dir.clone();
    let folder = spawn_blocking(move || Folder::prepare(&dir)).await.map_err(stopped)??;
    let cluster = if options.postgres { Some(start_server().await?) } else { None };
    let url = cluster.as_ref().map(|cluster| cluster.url("postgres"));
    let config = folder.configure(url.as_deref().map_or(Warehouse::File, Warehouse::Server))?;

    let app = App {
        registry: app.registry.clone(),
        config,
        signals: app.signals.clone(),
        output: app.output,
        width: app.width,
        bars: app.bars.clone(),
    };
    let mut show =
        Show { output: options.output, config: app.config.display().to_string(), width: app.width, steps: Vec::new() };
    show.say(&app.width.wrap(&format!(
        "The exports of two Jira sites, with 5,000 issues, and a configuration are in {}.\n",
        folder.shown()
    )))?;
    let provisioned = provision::provision(&app, "warehouse", &[], false, &provision::Purpose::Apply).await?;
    show.step("provision warehouse", provisioned)?;
    show.step("ingest", ingestion::ingest(&app, &[], Asked::default()).await?)?;
    let said = "All of the tables once more from the beginning: nothing has changed, so nothing is written.\n";
    show.say(&app.width.wrap(said))?;
    let again = Asked { full: true, ..Asked::default() };
    let names = folder::ingestions();
    let command = format!("ingest --full {}", names.join(" "));
    show.step(&command, ingestion::ingest(&app, &names, again).await?)?;
    show.say("Lines of the exports that are not issues were kept with their reasons:\n")?;
    let rejected = rejects::list(&app, "warehouse", &rejects::ListArgs::newest(10)).await?;
    let reject = rejected.json().pointer("/rejects/0/id").and_then(Value::as_str).map(rejects::short);
    let reject = reject.unwrap_or_default();
    show.step("rejects list warehouse", rejected)?;
    show.step("catalog list", catalog::list(&app).await?)?;

    let Some(cluster) = cluster else {
        let tables = folder.tables();
        let projects = spawn_blocking(move || chart::ask_file(&tables)).await.map_err(stopped)??;
        show.say(&chart::draw(&projects))?;
        show.say(&farewell(&folder, &show.config, &reject))?;
        return Ok(Answer::new("steps", show.steps, ""));
    };
    let asked = spawn_blocking(move || chart::ask_server(&cluster).map(|projects| (cluster, projects)));
    let (cluster, projects) = asked.await.map_err(stopped)??;
    show.say(&chart::draw(&projects))?;
    if options.keep {
        show.say(&format!("The server runs until Ctrl-C:\n\n  psql \"$(cat {})\"\n", folder.secret().display()))?;
        app.signals.cancel().cancelled().await;
    } else {
        show.say("The server is gone. `cdm demo --postgres --keep` keeps it running.\n")?;
    }
    drop(cluster);
    let exit = app.signals.exit().filter(|_| !options.keep).unwrap_or(Exit::Ok);
    Ok(Answer::new("steps", show.steps, "").exit(exit))
}

async fn start_server() -> Result<Cluster, Failure> {
    let start = || Cluster::start(&Programs::find()?, &local_postgres::Options::default());
    spawn_blocking(start).await.map_err(stopped)?.map_err(|error| Failure::failed(error.to_string()))
}

fn stopped(error: tokio::task::JoinError) -> Failure {
    Failure::internal(error.to_string())
}

/// Where everything is, and how to go on.
fn farewell(folder: &Folder, config: &str, reject: &str) -> String {
    let tables = folder.tables().display().to_string();
    format!(
        "The tables are in {tables}; any SQLite program reads them:\n\n\
         \x20 sqlite3 {tables} \\\n\
         \x20   \"select status_category, count(*) from cdm_work_item group by 1\"\n\n\
         Go on with\n\n\
         \x20 cdm --config {config} catalog show cdm.work.item@warehouse\n\
         \x20 cdm --config {config} rejects show warehouse {reject}\n\
         \x20 cdm --config {config} verify warehouse\n\n\
         For PostgreSQL, replace `driver` and `path` of [endpoints.warehouse] in\n\
         {config} by\n\n\
         \x20 driver = \"cdm.postgres\"\n\
         \x20 connection_url = \"${{env:WAREHOUSE_URL}}\"\n\n\
         and provision and ingest again. `cdm demo --postgres` does so on a private\n\
         server.\n"
    )
}

/// Shows the steps, and keeps them for scripts.
struct Show {
    output: Output,
    config: String,
    width: Width,
    steps: Vec<Value>,
}

impl Show {
    fn say(&self, text: &str) -> Result<(), Failure> {
        if self.output == Output::Table { write_out(&format!("{text}\n")) } else { Ok(()) }
    }

    fn step(&mut self, command: &str, answer: Answer) -> Result<(), Failure> {
        let shown = self.width.continued(&format!("$ cdm --config {} {command}", self.config));
        self.say(&format!("{shown}\n{}", answer.text()))?;
        self.steps.push(json!({ "command": command, "answer": answer.json() }));
        answer.ok()
    }
}
