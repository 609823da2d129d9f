use clap::Args;
use endpoint_api::{Dismissals, RejectFilter};
use serde_json::{Map, Value};

use super::{FilterArgs, by_ids, open_sink, refuse_both, without};
use crate::{answer::Answer, app::App, config::Settings, endpoints::Opened, failure::Failure, table::grouped};

/// Which rejects are dismissed, and why.
#[derive(Debug, Args)]
pub(crate) struct DismissArgs {
    /// The rejects' ids, or their beginnings.
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Why nobody needs to look at them again.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who dismisses them.
    #[arg(
        long,
        value_name = "NAME",
        env = "USER",
        hide_env = true,
        default_value = "unknown",
        hide_default_value = true
    )]
    by: String,
}

/// Which rejects are opened again.
#[derive(Debug, Args)]
pub(crate) struct ReopenArgs {
    /// The rejects' ids, or their beginnings.
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Dismisses rejects with a reason.
pub(crate) async fn dismiss(app: &App, sink: &str, args: &DismissArgs) -> Result<Answer, Failure> {
    if args.reason.trim().is_empty() {
        return Err(Failure::usage("--reason is empty; say why nobody needs to look at the rejects again"));
    }
    let (settings, opened) = prepared(app, sink).await?;
    let (dismissals, filter) = wanted(&opened, &settings, &args.ids, &args.filter).await?;
    let count = dismissals.dismiss(&filter, &args.reason, &args.by).await?;
    opened.endpoint.close().await?;
    let hint =
        format!("`cdm rejects list {sink} --dismissed` shows them, `cdm rejects reopen {sink} ID` opens one again");
    Ok(answer(sink, "dismissed", count, &hint))
}

/// Opens dismissed rejects again.
pub(crate) async fn reopen(app: &App, sink: &str, args: &ReopenArgs) -> Result<Answer, Failure> {
    let (settings, opened) = prepared(app, sink).await?;
    let (dismissals, filter) = wanted(&opened, &settings, &args.ids, &args.filter).await?;
    let count = dismissals.reopen(&filter).await?;
    opened.endpoint.close().await?;
    Ok(answer(sink, "reopened", count, &format!("`cdm rejects list {sink}` shows them")))
}

async fn prepared(app: &App, sink: &str) -> Result<(Settings, Opened), Failure> {
    let settings = app.settings()?;
    let opened = open_sink(app, &settings, sink).await?;
    Ok((settings, opened))
}

async fn wanted<'o>(
    opened: &'o Opened,
    settings: &Settings,
    ids: &[String],
    filter: &FilterArgs,
) -> Result<(&'o dyn Dismissals, RejectFilter), Failure> {
    let Some(dismissals) = opened.dismissals() else { return Err(without(opened, "dismiss rejects")) };
    refuse_both(ids, filter)?;
    if ids.is_empty() && filter.is_empty() {
        let message = "name the rejects: by their ids, or by --ingestion, --stage, --field or --rejected-for";
        return Err(Failure::usage(message));
    }
    if ids.is_empty() {
        return Ok((dismissals, filter.filter(settings)?));
    }
    let found = by_ids(opened, ids).await?;
    Ok((dismissals, RejectFilter::by_ids(found.into_iter().map(|listed| listed.reject.id))))
}

fn answer(sink: &str, what: &str, count: u64, hint: &str) -> Answer {
    let text = match count {
        0 => format!("nothing {what}: no such reject is left\n"),
        _ => format!("{} {what}; {hint}\n", grouped(count)),
    };
    let json = [("sink", Value::from(sink)), (what, Value::from(count))];
    Answer::of(json.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<Map<_, _>>(), text)
}
