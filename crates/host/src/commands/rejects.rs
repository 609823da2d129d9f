use endpoint_api::{Ingestion, RejectQuery, StoredReject};
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    app::App,
    config::Settings,
    endpoints::{find, open},
    failure::Failure,
    table::Table,
};

/// Lists a sink's rejects.
pub(crate) async fn list(app: &App, sink: &str, ingestion: Option<&str>, limit: usize) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let mut query = RejectQuery::newest(limit);
    if let Some(name) = ingestion {
        query = query.of(named(&settings, name)?);
    }
    let rejects = ask(app, &settings, sink, &query).await?;
    let mut table = Table::new(&["ID", "INGESTION", "STAGE", "ORIGIN", "KEY", "FIELD", "REASON"]);
    for reject in &rejects {
        table.row([
            reject.id.clone(),
            reject.ingestion.clone(),
            reject.stage.to_string(),
            reject.origin.clone(),
            reject.key.clone().unwrap_or_default(),
            reject.field.clone().unwrap_or_default(),
            reject.reason.clone(),
        ]);
    }
    let text = if rejects.is_empty() { "no rejects\n".to_owned() } else { table.render() };
    Ok(Answer::new("rejects", rejects.iter().map(to_json).collect::<Vec<_>>(), text))
}

/// Shows one reject with its record.
pub(crate) async fn show(app: &App, sink: &str, id: &str) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let rejects = ask(app, &settings, sink, &RejectQuery::by_id(id)).await?;
    let Some(reject) = rejects.first() else {
        return Err(Failure::not_found(format!(
            "`{sink}` holds no reject `{id}`; `cdm rejects list {sink}` lists them"
        )));
    };
    let raw = String::from_utf8_lossy(&reject.raw);
    let kept = reject.raw.len();
    let whole = u64::try_from(kept).is_ok_and(|kept| kept == reject.raw_length);
    let size = if whole { format!("{kept} bytes") } else { format!("the first {kept} of {} bytes", reject.raw_length) };
    let mut text = String::new();
    for (name, value) in [
        ("id", reject.id.as_str()),
        ("ingestion", &reject.ingestion),
        ("run", &reject.run_id),
        ("stage", &reject.stage.to_string()),
        ("origin", &reject.origin),
        ("key", reject.key.as_deref().unwrap_or("-")),
        ("field", reject.field.as_deref().unwrap_or("-")),
        ("reason", &reject.reason),
        ("rejected at", &reject.rejected_at),
        ("record", &size),
    ] {
        text.push_str(&format!("{name:<12} {value}\n"));
    }
    text.push_str(&format!("\n{raw}\n"));
    let mut json = to_json(reject);
    if let Some(members) = json.as_object_mut() {
        members.insert("raw".to_owned(), Value::from(raw.into_owned()));
    }
    Ok(Answer::new("reject", json, text))
}

fn to_json(reject: &StoredReject) -> Value {
    serde_json::to_value(reject).unwrap_or_else(|_| json!({}))
}

fn named(settings: &Settings, name: &str) -> Result<Ingestion, Failure> {
    let found = settings.ingestions.iter().find(|ingestion| ingestion.name == name);
    let ingestion =
        found.ok_or_else(|| Failure::usage(format!("there is no ingestion `{name}` in the configuration")))?;
    Ok(ingestion.ingestion())
}

async fn ask(app: &App, settings: &Settings, sink: &str, query: &RejectQuery) -> Result<Vec<StoredReject>, Failure> {
    let opened = open(app, settings, find(settings, sink)?).await?;
    let rejects = opened.sink()?.rejects(query).await?;
    opened.endpoint.close().await?;
    Ok(rejects)
}
