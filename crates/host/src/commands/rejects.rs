use std::{collections::BTreeMap, sync::Arc};

use endpoint_api::{Counts, Ingestion, RejectQuery, StoredReject};
use ingest::Mapping;
use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    app::App,
    config::Settings,
    endpoints::{Opened, find, open},
    failure::Failure,
    metadata::now,
    table::{Table, grouped},
};

/// Lists a sink's rejects.
pub(crate) async fn list(app: &App, sink: &str, ingestion: Option<&str>, limit: usize) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let mut query = RejectQuery::newest(limit);
    if let Some(name) = ingestion {
        query = query.of(named(&settings, name)?);
    }
    let rejects = ask(app, &settings, sink, &query).await?;
    let mut table = Table::new(&["ID", "INGESTION", "STAGE", "ORIGIN", "KEY", "FIELD", "REASON"])
        .wrapped(&["ORIGIN", "REASON"])
        .optional(&["INGESTION", "KEY", "FIELD"]);
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
    let text = if rejects.is_empty() { "no rejects\n".to_owned() } else { table.render(app.width) };
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
    let text = format!("{}\n{raw}\n", facts.render(app.width));
    let mut json = to_json(reject);
    if let Some(members) = json.as_object_mut() {
        members.insert("raw".to_owned(), Value::from(raw.into_owned()));
    }
    Ok(Answer::new("reject", json, text))
}

/// So many rejects are held in memory.
const PAGE: usize = 64;

/// What became of rejects that were tried again.
#[derive(Default)]
struct Replayed {
    counts: Counts,
    /// What the sink keeps no whole record of, or what was no record in the first place.
    skipped: u64,
}

/// Maps and loads rejects again.
pub(crate) async fn replay(app: &App, sink: &str, ids: &[String], ingestion: Option<&str>) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let opened = open(app, &settings, find(&settings, sink)?).await?;
    if !opened.driver.capabilities().sink.is_some_and(|sink| sink.replay) {
        let message = format!("`{sink}` ({}) does not load rejects again; see `cdm drivers`", opened.driver.id());
        return Err(Failure::usage(message));
    }
    let mut mappings = Mappings { app, settings: &settings, built: BTreeMap::new() };
    let mut replayed = Replayed::default();
    for id in ids {
        let found = opened.sink()?.rejects(&RejectQuery::by_id(id)).await?;
        if found.is_empty() {
            return Err(Failure::not_found(format!(
                "`{sink}` holds no reject `{id}`; `cdm rejects list {sink}` lists them"
            )));
        }
        replay_page(&opened, found, &mut mappings, &mut replayed).await?;
    }
    if ids.is_empty() {
        let mut query = RejectQuery::newest(PAGE);
        if let Some(name) = ingestion {
            query = query.of(named(&settings, name)?);
        }
        loop {
            // Those that stay rejects stay in the list.
            let stay = replayed.counts.rejected + replayed.skipped;
            let page = query.clone().skip(usize::try_from(stay).unwrap_or(usize::MAX));
            let found = opened.sink()?.rejects(&page).await?;
            if found.is_empty() || app.signals.cancel().is_cancelled() {
                break;
            }
            replay_page(&opened, found, &mut mappings, &mut replayed).await?;
        }
    }
    opened.endpoint.close().await?;

    let Replayed { counts, skipped } = replayed;
    let mut table =
        Table::new(&["REPLAYED", "INSERTED", "UPDATED", "UNCHANGED", "STALE", "DUPLICATE", "REJECTED", "SKIPPED"])
            .numbers_from(0)
            .optional(&["STALE", "DUPLICATE"]);
    let Counts { inserted, updated, unchanged, stale, duplicate, rejected, .. } = counts;
    table.row([counts.total(), inserted, updated, unchanged, stale, duplicate, rejected, skipped].map(grouped));
    let mut text = table.render(app.width);
    if skipped > 0 {
        text.push_str("skipped: what is no record, or of which only the beginning is kept; ingest its file again\n");
    }
    let mut json =
        Map::from_iter([("sink".to_owned(), Value::from(sink)), ("replayed".to_owned(), counts.total().into())]);
    json.extend([("skipped".to_owned(), Value::from(skipped))]);
    if let Value::Object(counts) = json!(counts) {
        json.extend(counts);
    }
    Ok(Answer::of(json, text))
}

/// Replays rejects, those of one run together.
async fn replay_page(
    sink: &Opened,
    found: Vec<StoredReject>,
    mappings: &mut Mappings<'_>,
    replayed: &mut Replayed,
) -> Result<(), Failure> {
    let mut runs: BTreeMap<(String, String, u64), Vec<StoredReject>> = BTreeMap::new();
    for reject in found {
        if reject.replayable() {
            let run = (reject.ingestion.clone(), reject.run_id.clone(), reject.observation);
            runs.entry(run).or_default().push(reject);
        } else {
            replayed.skipped += 1;
        }
    }
    let target = sink.sink()?;
    for ((key, ..), rejects) in runs {
        let ingestion: Ingestion = key.parse()?;
        let mapping = mappings.of(&ingestion).await?;
        let attempt = async || ingest::replay(target, &mapping, &ingestion, &rejects, now()).await;
        replayed.counts +=
            ingest::retry("replaying rejects", ingest::Options::RETRY_FOR, mappings.app.signals.cancel(), attempt)
                .await?;
    }
    Ok(())
}

/// The mapping of each ingestion that rejects are of.
struct Mappings<'a> {
    app: &'a App,
    settings: &'a Settings,
    built: BTreeMap<Ingestion, Arc<Mapping>>,
}

impl Mappings<'_> {
    async fn of(&mut self, ingestion: &Ingestion) -> Result<Arc<Mapping>, Failure> {
        if let Some(mapping) = self.built.get(ingestion) {
            return Ok(Arc::clone(mapping));
        }
        let source = open(self.app, self.settings, find(self.settings, ingestion.source.as_str())?).await?;
        let mapper = self.app.registry.mapper(&ingestion.unit);
        let model = mapper.and_then(|mapper| self.app.registry.model(mapper.model()));
        let Some((mapper, model)) = mapper.zip(model) else {
            return Err(Failure::usage(format!("no mapper is linked for the unit `{}`", ingestion.unit)));
        };
        let mapping = Arc::new(Mapping::new(mapper, model.clone(), source.source()?.identity())?);
        source.endpoint.close().await?;
        self.built.insert(ingestion.clone(), Arc::clone(&mapping));
        Ok(mapping)
    }
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
