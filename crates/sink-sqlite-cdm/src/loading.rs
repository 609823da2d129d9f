use std::sync::Arc;

use endpoint_api::{Ingestion, RunId};
use relational::{Seen, Turns};

use crate::{database::Database, merge::Merging, stage::Staging, stored::Lookup, target::Target};

/// What the loads of one run, or of one replay, have in common.
pub(crate) struct Loading {
    pub(crate) database: Database,
    pub(crate) target: Target,
    pub(crate) lookup: Lookup,
    pub(crate) staging: Staging,
    pub(crate) merging: Merging,
    pub(crate) ingestion: Ingestion,
    /// The ingestion as the tables name it.
    pub(crate) key: String,
    pub(crate) run_id: RunId,
    pub(crate) fence: u64,
    pub(crate) seen: Arc<Seen>,
    pub(crate) turns: Turns,
}

impl Loading {
    pub(crate) fn new(
        database: Database,
        target: Target,
        ingestion: Ingestion,
        key: String,
        run_id: RunId,
        fence: u64,
    ) -> Self {
        Self {
            key,
            lookup: Lookup::of(&target),
            staging: Staging::of(&target),
            merging: Merging::of(&target),
            database,
            target,
            ingestion,
            seen: Arc::new(Seen::new(run_id.as_str())),
            run_id,
            fence,
            turns: Turns::default(),
        }
    }
}
