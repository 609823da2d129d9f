use std::{collections::BTreeMap, sync::Arc};

use clap::Args;
use endpoint_api::{Counts, Ingestion, RejectFilter, StoredReject};
use ingest::Mapping;
use serde_json::{Map, Value, json};

use super::{FilterArgs, by_ids, open_sink, refuse_both, without};
use crate::{
    answer::Answer,
    app::App,
    config::Settings,
    endpoints::{Opened, find, open},
    failure::Failure,
    metadata::now,
    table::{Table, grouped},
};

/// Which rejects are loaded again.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The rejects' ids, or their beginnings; all that are not dismissed when none is given.
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Maps and loads rejects again. Those that are dismissed are left alone.
pub(crate) async fn replay(app: &App, sink: &str, args: &ReplayArgs) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let opened = open_sink(app, &settings, sink).await?;
    let Some(rejects) = opened.replayable_rejects() else { return Err(without(&opened, "load rejects again")) };
    refuse_both(&args.ids, &args.filter)?;
    let mut mappings = Mappings { app, settings: &settings, built: BTreeMap::new() };
    let filter = if args.ids.is_empty() {
        args.filter.filter(&settings)?
    } else {
        let found = by_ids(&opened, &args.ids).await?;
        if let Some(dismissed) = found.iter().find(|listed| listed.dismissal.is_some()) {
            let message = format!(
                "the reject `{id}` is dismissed; `cdm rejects reopen {sink} {id}` opens it again",
                id = dismissed.reject.id
            );
            return Err(Failure::usage(message));
        }
        RejectFilter::by_ids(found.into_iter().map(|listed| listed.reject.id))
    };
    // Those that are no records, and those of which only the beginning is kept.
    let skipped = rejects.count_others(&filter).await?;
    let mut counts = Counts::default();
    let mut pages = ingest::ReplayPages::new(rejects, filter);
    while !app.signals.cancel().is_cancelled() {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        counts += replay_page(&opened, page, &mut mappings).await?;
    }
    opened.endpoint.close().await?;

    let mut table =
        Table::new(&["REPLAYED", "INSERTED", "UPDATED", "UNCHANGED", "STALE", "DUPLICATE", "REJECTED", "SKIPPED"])
            .numbers_from(0)
            .optional(&["STALE", "DUPLICATE"]);
    let Counts { inserted, updated, unchanged, stale, duplicate, rejected, .. } = counts;
    table.row([counts.total(), inserted, updated, unchanged, stale, duplicate, rejected, skipped].map(grouped));
    let mut text = table.render(app.width);
    if skipped > 0 {
        text.push_str("SKIPPED: not a record, or too large to be kept whole; ingest the file again.\n");
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
async fn replay_page(sink: &Opened, page: Vec<StoredReject>, mappings: &mut Mappings<'_>) -> Result<Counts, Failure> {
    let mut runs: BTreeMap<(String, String, u64), Vec<StoredReject>> = BTreeMap::new();
    for reject in page {
        let run = (reject.ingestion.clone(), reject.run_id.clone(), reject.observation);
        runs.entry(run).or_default().push(reject);
    }
    let mut counts = Counts::default();
    let target = sink.sink()?;
    for ((key, ..), rejects) in runs {
        let ingestion: Ingestion = key.parse()?;
        let mapping = mappings.of(&ingestion).await?;
        let attempt = async || ingest::replay(target, &mapping, &ingestion, &rejects, now()).await;
        counts +=
            ingest::retry("replaying rejects", ingest::Options::RETRY_FOR, mappings.app.signals.cancel(), attempt)
                .await?;
    }
    Ok(counts)
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
