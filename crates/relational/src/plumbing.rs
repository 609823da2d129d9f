//! The columns that every model table has behind those of its model. They are written only when the
//! row is.

use crate::{Column, ColumnType};

/// The endpoint that the record came from.
pub const SOURCE_ENDPOINT: &str = "_cdm_source_endpoint";
/// How much the record told, as [`endpoint_api::batch::Rank::number`].
pub const RANK: &str = "_cdm_rank";
/// When the record last changed at its source.
pub const VERSION_AT: &str = "_cdm_version_at";
/// The newest observation that wrote the row.
pub const OBSERVATION: &str = "_cdm_observation";
/// The revision of the mapper that made the row.
pub const MAPPER_REVISION: &str = "_cdm_mapper_revision";
/// The hash of the row's content.
pub const CONTENT_HASH: &str = "_cdm_content_hash";
/// The hash of the source record that the row was made of, as `endpoint_api::batch::SourceHasher` makes it.
pub const SOURCE_HASH: &str = "_cdm_source_hash";
/// How many characters were replaced because no text can hold them.
pub const CHANGES: &str = "_cdm_changes";
/// The run that wrote the row.
pub const RUN_ID: &str = "_cdm_run_id";
/// When the row was written, by the sink's clock.
pub const INGESTED_AT: &str = "_cdm_ingested_at";
/// Since when the record is known to be deleted; null while it is live.
pub const DELETED_AT: &str = "_cdm_deleted_at";

/// Those that come with each row, in the order in which they are copied. The others are the same for all rows
/// of a load.
pub(crate) const OF_A_ROW: [(&str, ColumnType); 5] = [
    (RANK, ColumnType::Int16),
    (VERSION_AT, ColumnType::Timestamp),
    (CONTENT_HASH, ColumnType::Bytes),
    (SOURCE_HASH, ColumnType::Bytes),
    (CHANGES, ColumnType::Int32),
];

/// Whether a column of that name is the sink's own and not a model's.
pub fn is_plumbing(column: &str) -> bool {
    column.starts_with("_cdm_")
}

/// The plumbing columns in their order.
pub fn columns() -> Vec<Column> {
    let required = |name, column_type, comment| Column::new(name, column_type, comment).required();
    vec![
        required(SOURCE_ENDPOINT, ColumnType::Text, "The endpoint that the record came from."),
        required(
            RANK,
            ColumnType::Int16,
            "How much the record states: 0 a part of another record, 1 the record itself, 2 also who may read it.",
        ),
        Column::new(VERSION_AT, ColumnType::Timestamp, "When the record last changed at its source."),
        required(OBSERVATION, ColumnType::Int64, "The newest observation that wrote the row."),
        required(MAPPER_REVISION, ColumnType::Int32, "The revision of the mapper that made the row."),
        required(CONTENT_HASH, ColumnType::Bytes, "128 bits of BLAKE3 over the model fields that are not null."),
        Column::new(
            SOURCE_HASH,
            ColumnType::Bytes,
            "128 bits of XXH3 over the source record and the mapper, by which a record is recognised.",
        ),
        required(
            CHANGES,
            ColumnType::Int32,
            "How many characters were replaced by U+FFFD because no text can hold them.",
        ),
        required(RUN_ID, ColumnType::Text, "The run that wrote the row."),
        required(INGESTED_AT, ColumnType::Timestamp, "When the row was written, by the server's clock."),
        Column::new(
            DELETED_AT,
            ColumnType::Timestamp,
            "Since when the record is known to be deleted; null while live.",
        ),
    ]
}
