//! Rejects that are loaded again are read page by page.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use endpoint_api::{
    PageLimit, Reject, RejectFilter, ReplayableRejects, Result, StoredReject, async_trait, batch::Stage,
};
use ingest::ReplayPages;

/// Rejects in memory, which counts what is asked of it.
#[derive(Default)]
struct Rejects {
    kept: Mutex<Vec<StoredReject>>,
    pages: AtomicU64,
    given: AtomicU64,
}

impl Rejects {
    fn new(records: impl IntoIterator<Item = Vec<u8>>, stage: Stage) -> Self {
        let stored = |record: Vec<u8>| {
            let mut reject = Reject::at_source("things.jsonl:1", "no thing", &record);
            reject.stage = stage;
            let ingestion = "acme/test.things/warehouse/cdm".parse().unwrap();
            StoredReject::new(reject, &ingestion, "run".to_owned(), 1, "2024-01-01T00:00:00Z".to_owned())
        };
        let mut kept: Vec<StoredReject> = records.into_iter().map(stored).collect();
        kept.sort_by(|one, other| one.id.cmp(&other.id));
        Self { kept: Mutex::new(kept), ..Self::default() }
    }
}

#[async_trait]
impl ReplayableRejects for Rejects {
    async fn page(&self, _: &RejectFilter, after: Option<&str>, limit: PageLimit) -> Result<Vec<StoredReject>> {
        let mut page = self.kept.lock().unwrap().clone();
        page.retain(|reject| reject.replayable() && after.is_none_or(|after| reject.id.as_str() > after));
        page.truncate(limit.take(page.iter().map(|reject| reject.raw_length)));
        self.pages.fetch_add(1, Relaxed);
        self.given.fetch_add(page.len() as u64, Relaxed);
        Ok(page)
    }

    async fn count_others(&self, _: &RejectFilter) -> Result<u64> {
        Ok(0)
    }
}

fn records(count: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|number| number.to_string().into_bytes())
}

#[tokio::test]
async fn what_cannot_be_loaded_again_costs_one_page_whatever_its_number() {
    for count in [10, 5_000] {
        let rejects = Rejects::new(records(count), Stage::Source);
        let page = ReplayPages::new(&rejects, RejectFilter::open()).next().await.unwrap();
        assert!(page.is_empty());
        assert_eq!((rejects.pages.into_inner(), rejects.given.into_inner()), (1, 0), "{count}");
    }
}

#[tokio::test]
async fn every_reject_comes_once_whether_it_stays_or_goes() {
    let rejects = Rejects::new(records(5_000), Stage::Map);
    let mut pages = ReplayPages::new(&rejects, RejectFilter::open());
    let mut met = Vec::new();
    loop {
        let page = pages.next().await.unwrap();
        if page.is_empty() {
            break;
        }
        // Every other one is loaded now.
        let loaded = |reject: &StoredReject| page.iter().step_by(2).any(|loaded| loaded.id == reject.id);
        rejects.kept.lock().unwrap().retain(|reject| !loaded(reject));
        met.extend(page.into_iter().map(|reject| reject.raw));
    }
    met.sort_unstable();
    met.dedup();
    assert_eq!((met.len(), rejects.given.load(Relaxed)), (5_000, 5_000));
    assert_eq!(rejects.pages.load(Relaxed), 6);
}

#[tokio::test]
async fn large_records_come_a_few_at_a_time() {
    let large = (0..20_u8).map(|number| vec![number; 3 * 1024 * 1024]);
    let rejects = Rejects::new(large, Stage::Map);
    let page = ReplayPages::new(&rejects, RejectFilter::open()).next().await.unwrap();
    assert_eq!(page.len(), 2);
}
