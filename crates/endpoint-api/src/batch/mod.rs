//! What flows from a source to a sink.

mod cdm;
mod clean;
mod hash;
mod raw;
mod reject;
mod row;
mod source_hash;

pub use cdm::{CdmBatch, CdmBatchBuilder, Operation, arrow_schema, plumbing};
pub(crate) use clean::clean;
pub use hash::{ContentHasher, HashValue};
pub use raw::{Aliases, NewRecord, Origin, Parent, Rank, RawBatch, RawBatchBuilder, RawRecord};
pub use reject::{Incomplete, Reject, RejectEnvelope, Stage, StoredReject};
pub use source_hash::{SourceHasher, SourceHashes};

/// What a load takes. The two kinds are different types all the way: a sink that declares no CDM
/// models is never handed a CDM batch, and nothing turns one into the other behind a mapper's back.
#[derive(Debug)]
pub enum Batch {
    /// Records as the source has them.
    Raw(Box<RawBatch>),
    /// Rows of a model.
    Cdm(Box<CdmBatch>),
}
