use std::sync::Arc;

use cdm_models::Timestamp;
use endpoint_api::{
    Batch, Commit, Counts, Error, ErrorKind, Ingestion, LoadReceipt, PageLimit, RawBatch, RejectFilter, Replay,
    ReplayableRejects, Result, Sink, StoredReject,
    batch::{NewRecord, Origin, RawBatchBuilder},
};

use crate::Mapping;

/// The size of a page of [`ReplayPages`], which is in memory as a whole.
const PAGE: PageLimit = PageLimit { rejects: 1000, bytes: 8 * 1024 * 1024 };

/// The rejects of a sink that match a filter and can be loaded again, each once, page by page.
pub struct ReplayPages<'s> {
    rejects: &'s dyn ReplayableRejects,
    filter: RejectFilter,
    /// The last id of the page before.
    after: Option<String>,
}

impl<'s> ReplayPages<'s> {
    /// The pages, from the first one on.
    pub fn new(rejects: &'s dyn ReplayableRejects, filter: RejectFilter) -> Self {
        Self { rejects, filter, after: None }
    }

    /// The next page; an empty one is the end. What was on a page does not come again, whatever became of it.
    pub async fn next(&mut self) -> Result<Vec<StoredReject>> {
        let page = self.rejects.page(&self.filter, self.after.as_deref(), PAGE).await?;
        if let Some(last) = page.last() {
            self.after = Some(last.id.clone());
        }
        Ok(page)
    }
}

/// A batch holds about so many bytes.
const BATCH_BYTES: usize = 1024 * 1024;

/// Maps and loads again what one run has rejected: `rejects` are of one run, with one observation.
///
/// What is loaded now is no reject any more; what is refused again stays one. Says what became of each.
pub async fn replay(
    sink: &dyn Sink,
    mapping: &Mapping,
    ingestion: &Ingestion,
    rejects: &[StoredReject],
    now: Timestamp,
) -> Result<Counts> {
    let Some(first) = rejects.first() else { return Ok(Counts::default()) };
    let ids = rejects.iter().map(|reject| reject.id.clone()).collect();
    let run_id = first.run_id.parse()?;
    let replay = Replay::new(ingestion.clone(), mapping.model().clone(), run_id, first.observation, ids);
    let batches = batches(ingestion, rejects, now)?;
    let mut load = sink.replay(&replay).await?;
    let mut rows = mapping.rows();
    for batch in batches {
        let hashes = mapping.hash(&batch);
        let (mapped, refused, _) = mapping.map(Arc::new(batch), &hashes, &mut rows)?;
        if !refused.is_empty() {
            load.reject(refused).await?;
        }
        if let Some(mapped) = mapped {
            load.write(Batch::Cdm(Box::new(mapped))).await?;
        }
    }
    let LoadReceipt { counts, .. } = load.commit(Commit::default()).await?;
    let given = u64::try_from(rejects.len()).unwrap_or(u64::MAX);
    if counts.total() != given {
        let message = format!("{given} rejects were replayed, and {} are accounted for", counts.total());
        return Err(Error::new(ErrorKind::Internal, "account", message).with("ingestion", ingestion));
    }
    Ok(counts)
}

/// The records of rejects, each with the origin that it had.
fn batches(ingestion: &Ingestion, rejects: &[StoredReject], now: Timestamp) -> Result<Vec<RawBatch>> {
    let begin =
        |resource: &str| RawBatch::builder(ingestion.unit.clone(), ingestion.source.clone(), resource.to_owned(), now);
    let mut batches = Vec::new();
    let mut filling: Option<(&str, RawBatchBuilder)> = None;
    for reject in rejects {
        let origin = Origin::parse(&reject.origin);
        filling = match filling.take() {
            Some((resource, batch)) if resource == origin.resource && batch.bytes() < BATCH_BYTES => {
                Some((resource, batch))
            }
            full => {
                batches.extend(full.map(|(_, batch)| batch.finish()));
                Some((origin.resource, begin(origin.resource)))
            }
        };
        let json = std::str::from_utf8(&reject.raw).map_err(|error| {
            Error::new(ErrorKind::Data, "replay", "the reject is no text").with("id", &reject.id).caused_by(error)
        })?;
        if let Some((_, batch)) = &mut filling {
            batch.push(NewRecord {
                json,
                line: origin.line,
                part: origin.part.map(|part| part.to_owned().into()),
                parent_id: reject.envelope.parent_id.as_deref(),
                parent_key: reject.envelope.parent_key.as_deref(),
                key: None,
                aliases: reject.envelope.aliases.as_deref(),
                is_part: reject.envelope.rank.is_part(),
                states_access: reject.envelope.rank == endpoint_api::batch::Rank::WithAccess,
            });
        }
    }
    batches.extend(filling.map(|(_, batch)| batch.finish()));
    Ok(batches)
}
