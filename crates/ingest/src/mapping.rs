use std::sync::Arc;

use cdm_models::ModelDescriptor;
use endpoint_api::{
    CdmBatch, MapperEntry, RawBatch, RecordMapper, Reject, Result, SourceIdentity,
    batch::{CdmBatchBuilder, SourceHasher, SourceHashes, Stage},
};

/// How the records of a unit become rows of a model.
pub struct Mapping {
    model: Arc<ModelDescriptor>,
    mapper: Box<dyn RecordMapper>,
    revision: u32,
    hasher: SourceHasher,
}

impl Mapping {
    /// The mapping of `mapper`, whose rows are of `model`, for the records of one source.
    pub fn new(mapper: &MapperEntry, model: Arc<ModelDescriptor>, source: &SourceIdentity) -> Result<Self> {
        let revision = mapper.revision();
        let hasher = SourceHasher::new(mapper.unit(), revision, &model, source);
        Ok(Self { model, mapper: mapper.build(source)?, revision, hasher })
    }

    /// The model of the rows.
    pub fn model(&self) -> &Arc<ModelDescriptor> {
        &self.model
    }

    /// A builder for the rows of one slice.
    pub(crate) fn rows(&self) -> CdmBatchBuilder {
        CdmBatchBuilder::new(Arc::clone(&self.model), self.revision)
    }

    /// Hashes the records of a batch.
    pub(crate) fn hash(&self, batch: &RawBatch) -> SourceHashes {
        batch.records().map(|record| (self.hasher.hash(&record), self.mapper.key(&record))).collect()
    }

    /// Maps the records of a batch: each becomes one row or one reject.
    pub(crate) fn map(
        &self,
        batch: Arc<RawBatch>,
        hashes: &SourceHashes,
        rows: &mut CdmBatchBuilder,
    ) -> Result<(Option<CdmBatch>, Vec<Reject>)> {
        let mut rejects = Vec::new();
        for (index, record) in batch.records().enumerate() {
            if let Err(reject) = batch.check(&record) {
                rejects.push(*reject);
                continue;
            }
            if let Err(rejection) = self.mapper.map_into(&record, index, rows) {
                rejects.push(Reject::of(&record, Stage::Map, rejection));
            }
        }
        let mapped = if rows.is_empty() { None } else { Some(rows.finish_hashed(batch, hashes)?) };
        Ok((mapped, rejects))
    }
}
