use std::sync::Arc;

use cdm_models::ModelDescriptor;
use endpoint_api::{
    CdmBatch, Incomplete, MapperEntry, Note, RawBatch, RecordMapper, Reject, Result, SourceIdentity,
    batch::{CdmBatchBuilder, RawRecord, SourceHasher, SourceHashes, Stage},
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

    /// Maps the records of a batch: each becomes one row or one reject. What is to be reported of rows is returned
    /// beside them, with counts.
    pub(crate) fn map(
        &self,
        batch: Arc<RawBatch>,
        hashes: &SourceHashes,
        rows: &mut CdmBatchBuilder,
    ) -> Result<(Option<CdmBatch>, Vec<Reject>, Vec<Incomplete>)> {
        let mut rejects = Vec::new();
        let mut notes = Notes::default();
        for (index, record) in batch.records().enumerate() {
            if let Err(reject) = batch.check(&record) {
                rejects.push(*reject);
                continue;
            }
            match self.mapper.map_into(&record, index, rows) {
                Ok(noted) => noted.into_iter().for_each(|note| notes.add(note, &record)),
                Err(rejection) => {
                    let mut reject = Reject::of(&record, Stage::Map, rejection);
                    reject.envelope.row_key = self.mapper.key(&record);
                    rejects.push(reject);
                }
            }
        }
        let mapped = if rows.is_empty() { None } else { Some(rows.finish_hashed(batch, hashes)?) };
        Ok((mapped, rejects, notes.finish()))
    }
}

/// The maximum number of different notes that are counted separately in a batch.
const MOST_NOTES: usize = 64;

/// What follows the name of the first resource where several have records with the same note.
const AND_OTHERS: &str = " and others";

/// The notes of a batch, each with how many records it is of and the first of them.
#[derive(Default)]
struct Notes {
    known: Vec<(Note, Incomplete)>,
    further: Option<Incomplete>,
}

impl Notes {
    fn add(&mut self, note: Note, record: &RawRecord<'_>) {
        let incomplete = |what| Incomplete::new(record.origin.resource, what, record.origin);
        if let Some((_, known)) = self.known.iter_mut().find(|(known, _)| *known == note) {
            known.count += 1;
            if known.resource != record.origin.resource && !known.resource.ends_with(AND_OTHERS) {
                known.resource.push_str(AND_OTHERS);
            }
        } else if self.known.len() < MOST_NOTES {
            let what = incomplete(note.what()).at_member(note.member());
            self.known.push((note, what));
        } else if let Some(further) = &mut self.further {
            further.count += 1;
        } else {
            self.further = Some(incomplete("there are further notes, which are not listed one by one"));
        }
    }

    fn finish(self) -> Vec<Incomplete> {
        self.known.into_iter().map(|(_, note)| note).chain(self.further).collect()
    }
}
