use endpoint_api::RejectQuery;
use serde_json::Value;

use super::{by_ids, open_sink, to_json};
use crate::{answer::Answer, app::App, failure::Failure, table::Table};

/// Shows one reject with its record.
pub(crate) async fn show(app: &App, sink: &str, id: &str) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let opened = open_sink(app, &settings, sink).await?;
    let Some(listed) = by_ids(&opened, &[id.to_owned()]).await?.pop() else {
        return Err(Failure::internal("a reject was found and lost"));
    };
    // Only here its record is read.
    let with_record = opened.sink()?.rejects(&RejectQuery::by_id(&listed.reject.id)).await?.pop();
    opened.endpoint.close().await?;
    let Some(reject) = &with_record else {
        let message = format!("the reject `{}` has been removed meanwhile: its record was loaded", listed.reject.id);
        return Err(Failure::not_found(message));
    };
    let raw = String::from_utf8_lossy(&reject.raw);
    let kept = reject.raw.len();
    let whole = u64::try_from(kept).is_ok_and(|kept| kept == reject.raw_length);
    let size = if whole { format!("{kept} bytes") } else { format!("the first {kept} of {} bytes", reject.raw_length) };
    let mut facts = Table::of_pairs();
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
        facts.row([name.to_owned(), value.to_owned()]);
    }
    if let Some(dismissal) = &listed.dismissal {
        facts.row(["dismissed".to_owned(), format!("by {} at {}: {}", dismissal.by, dismissal.at, dismissal.reason)]);
    }
    let text = format!("{}\n{raw}\n", facts.render(app.width));
    let mut json = to_json(&listed);
    if let Some(members) = json.as_object_mut() {
        members.insert("raw".to_owned(), Value::from(raw.into_owned()));
    }
    Ok(Answer::new("reject", json, text))
}
