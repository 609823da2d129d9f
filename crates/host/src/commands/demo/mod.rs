//! `cdm demo`: the main job on a small export, with a private PostgreSQL server.

mod export;
mod folder;

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use ingest::Options;
use local_postgres::{Cluster, Programs};
use serde_json::{Value, json};

use super::{catalog, ingest as ingestion, provision, rejects};
use crate::{
    answer::{Answer, Output},
    app::App,
    failure::{Exit, Failure},
};

/// What `cdm demo` is asked for.
pub(crate) struct DemoOptions {
    /// The folder to work in.
    pub(crate) dir: PathBuf,
    /// Keep the server running until the command is told to stop.
    pub(crate) keep: bool,
    /// With tables, each step is printed when it is done.
    pub(crate) output: Output,
}

/// Provisions, loads, loads again and looks: the commands that a user would type, in this order.
pub(crate) async fn demo(app: &App, options: &DemoOptions) -> Result<Answer, Failure> {
    let failed = |error: local_postgres::Error| Failure::failed(error.to_string());
    let folder = folder::Folder::prepare(&options.dir)?;
    let start = || Cluster::start(&Programs::find()?, &local_postgres::Options::default());
    let cluster = tokio::task::spawn_blocking(start).await.map_err(|error| Failure::internal(error.to_string()))?;
    let cluster = cluster.map_err(failed)?;
    folder.configure(&cluster.url("postgres"))?;

    let app = App { registry: app.registry.clone(), config: folder.config(), signals: app.signals.clone() };
    let mut show = Show { output: options.output, config: app.config.display().to_string(), steps: Vec::new() };
    show.say(&format!(
        "A small Jira export and a configuration are in {}; a private PostgreSQL server runs for them.\n",
        folder.shown()
    ));

    let provisioned = provision::provision(&app, "warehouse", &[], provision::Purpose::Apply).await?;
    show.step("provision warehouse", provisioned)?;
    show.step("ingest", ingestion::ingest(&app, &[], everything()).await?)?;
    show.say("Nothing has changed since, and nothing is read again:\n");
    show.step("ingest", ingestion::ingest(&app, &[], everything()).await?)?;
    show.say("Two lines of the export are no issues; they were kept with their reasons:\n");
    show.step("rejects list warehouse", rejects::list(&app, "warehouse", None, 10).await?)?;
    show.step("catalog list", catalog::list(&app).await?)?;

    let rows = tokio::task::spawn_blocking(move || cluster.query("postgres", QUERY).map(|rows| (cluster, rows)));
    let (cluster, rows) = rows.await.map_err(|error| Failure::internal(error.to_string()))?.map_err(failed)?;
    show.say(&chart(&rows));
    if options.keep {
        show.say(&format!("The server runs until Ctrl-C:\n\n  psql \"$(cat {})\"\n", folder.secret().display()));
        app.signals.cancel().cancelled().await;
    } else {
        show.say(&format!(
            "The server is gone; the rest is in {}. `cdm demo --keep` keeps it running.\n",
            folder.shown()
        ));
    }
    drop(cluster);
    let exit = app.signals.exit().filter(|_| !options.keep).unwrap_or(Exit::Ok);
    Ok(Answer::new("steps", show.steps, "").exit(exit))
}

fn everything() -> Options {
    Options::default()
}

/// Shows the steps, and keeps them for scripts.
struct Show {
    output: Output,
    config: String,
    steps: Vec<Value>,
}

impl Show {
    fn say(&self, text: &str) {
        if self.output == Output::Table {
            // A reader that went away, as `head` does, is no failure.
            let _ = writeln!(io::stdout(), "{text}");
        }
    }

    fn step(&mut self, command: &str, answer: Answer) -> Result<(), Failure> {
        self.say(&format!("$ cdm --config {} {command}\n{}", self.config, answer.text()));
        self.steps.push(json!({ "command": command, "answer": answer.json() }));
        answer.ok()
    }
}

/// How far the items of each project are.
const QUERY: &str = "select p.name, count(*) filter (where i.status_category = 'done'), \
     count(*) filter (where i.status_category = 'in_progress'), count(*) filter (where i.status_category = 'todo') \
     from cdm_work.cdm_work_item i join cdm_work.cdm_work_project p on p.cdm_id = i.project_cdm_id \
     group by p.name order by p.name";

/// Draws a bar a project: done, in progress, still to do.
fn chart(rows: &[local_postgres::Row]) -> String {
    let mut chart = "Items by project, asked of cdm_work.cdm_work_item (█ done ▒ in progress ░ to do):\n\n".to_owned();
    for row in rows {
        let mut cells = row.iter().map(|cell| cell.as_deref().unwrap_or_default());
        let name = cells.next().unwrap_or_default();
        let counts: Vec<usize> = cells.map(|cell| cell.parse().unwrap_or(0)).collect();
        let bars: String =
            ["█", "▒", "░"].iter().zip(&counts).map(|(bar, count)| bar.repeat(count.div_ceil(3))).collect();
        chart.push_str(&format!("  {name:<20} {bars} {}\n", counts.iter().sum::<usize>()));
    }
    chart
}
