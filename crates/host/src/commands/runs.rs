use catalog::{RunFilter, RunRecord};
use endpoint_api::RunId;
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    app::App,
    failure::Failure,
    metadata::open_catalog,
    table::{Table, Width, grouped},
};

/// Lists the newest runs, or shows one.
pub(crate) async fn runs(app: &App, id: Option<&str>, limit: usize) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let catalog = open_catalog(&settings).await?;
    let runs = match id {
        None => catalog.runs(&RunFilter::newest(limit)).await?,
        Some(id) => {
            let run_id: RunId = id.parse().map_err(|error: endpoint_api::Error| Failure::usage(error.to_string()))?;
            let run = catalog.run(&run_id).await?;
            vec![run.ok_or_else(|| Failure::not_found(format!("there is no run `{id}`; `cdm runs` lists them")))?]
        }
    };
    catalog.close().await?;
    let json: Vec<Value> = runs.iter().map(to_json).collect();
    Ok(Answer::new("runs", json, to_text(&runs, app.width)))
}

/// A run as scripts see it. What is not known before its end is null until then.
pub(crate) fn to_json(run: &RunRecord) -> Value {
    let end = run.end.as_ref();
    let count = |of: fn(&endpoint_api::Counts) -> u64| end.map(|end| of(&end.counts));
    json!({
        "name": run.name,
        "run_id": run.run_id,
        "source": run.ingestion.source,
        "unit": run.ingestion.unit,
        "sink": run.ingestion.sink,
        "mode": run.ingestion.mode,
        "model": run.model,
        "status": run.status().as_str(),
        "read": end.map(|end| end.read),
        "inserted": count(|counts| counts.inserted),
        "updated": count(|counts| counts.updated),
        "unchanged": count(|counts| counts.unchanged),
        "stale": count(|counts| counts.stale),
        "duplicate": count(|counts| counts.duplicate),
        "rejected": count(|counts| counts.rejected),
        "mentions": end.map(|end| end.counts.mentions),
        "incomplete": end.map(|end| &end.incomplete),
        "slices": end.map(|end| end.slices),
        "seconds": run.elapsed().map(|elapsed| elapsed.as_secs_f64()),
        "checkpoint": end.and_then(|end| end.checkpoint.as_ref()),
        "error": end.and_then(|end| end.error.as_ref()),
        "attempt": run.attempt.number(),
        "started_at": run.started_at.to_string(),
        "ended_at": end.map(|end| end.at.to_string()),
    })
}

/// Runs for people: a table, and below it what went wrong or is missing.
pub(crate) fn to_text(runs: &[RunRecord], width: Width) -> String {
    if runs.is_empty() {
        return "no runs\n".to_owned();
    }
    let heads = [
        "NAME",
        "MODE",
        "RUN",
        "STATUS",
        "READ",
        "INSERTED",
        "UPDATED",
        "UNCHANGED",
        "STALE",
        "DUPLICATE",
        "REJECTED",
        "MENTIONS",
        "SECONDS",
    ];
    let mut table =
        Table::new(&heads).numbers_from(4).optional(&["RUN", "DUPLICATE", "STALE", "MODE", "SECONDS", "UNCHANGED"]);
    for run in runs {
        let mut cells =
            vec![run.name.clone(), run.ingestion.mode.to_string(), run.run_id.to_string(), run.status().to_string()];
        if let Some(end) = &run.end {
            let (counts, mentions) = (end.counts.without_mentions(), end.counts.mentions.total());
            let counts = [
                end.read.saturating_sub(mentions),
                counts.inserted,
                counts.updated,
                counts.unchanged,
                counts.stale,
                counts.duplicate,
                counts.rejected,
                mentions,
            ];
            cells.extend(counts.map(grouped));
        }
        cells.resize(heads.len() - 1, String::new());
        cells.push(run.elapsed().map(|elapsed| format!("{:.1}", elapsed.as_secs_f64())).unwrap_or_default());
        table.row(cells);
    }
    let mut text = table.render(width);
    for run in runs {
        for note in run.end.iter().flat_map(|end| &end.incomplete) {
            let times =
                if note.count == 1 { "once".to_owned() } else { format!("{} times, first", grouped(note.count)) };
            text.push_str(&format!("{}: {}: {} ({times} at {})\n", run.name, note.resource, note.what, note.first_at));
        }
        if let Some(error) = run.end.as_ref().and_then(|end| end.error.as_ref()) {
            text.push_str(&format!("{}: {error}\n", run.name));
        }
    }
    text
}
