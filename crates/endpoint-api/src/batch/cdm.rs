use std::{collections::HashMap, sync::Arc};

use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, Int8Array, Int16Array, Int32Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
    builder::{
        BooleanBuilder, Date32Builder, FixedSizeBinaryBuilder, Float64Builder, Int8Builder, Int16Builder, Int32Builder,
        Int64Builder, ListBuilder, StringBuilder, TimestampMicrosecondBuilder,
    },
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use cdm_models::{FieldDescriptor, LogicalType, Model, ModelDescriptor, Timestamp};

use super::{
    ContentHasher, Rank, RawBatch, Reject, SourceHashes, Stage,
    row::{CellValue, RowBuffer, RowError},
};
use crate::{Error, ErrorKind, Mapped, Rejection, Result};

/// The columns of a [`CdmBatch`] behind those of the model.
pub mod plumbing {
    /// What to do with the row: an [`Operation`](super::Operation) as `int8`.
    pub const OPERATION: &str = "_cdm_operation";
    /// How much the source record told: a [`Rank`](super::Rank) as `int16`.
    pub const RANK: &str = "_cdm_rank";
    /// When the record last changed at its source; null when the source has no such time.
    pub const VERSION_AT: &str = "_cdm_version_at";
    /// The hash of the row's content in 16 bytes; see [`ContentHasher`](super::ContentHasher).
    pub const CONTENT_HASH: &str = "_cdm_content_hash";
    /// The hash of the source record in 16 bytes; see [`SourceHasher`](crate::batch::SourceHasher). Null where there
    /// is none.
    pub const SOURCE_HASH: &str = "_cdm_source_hash";
    /// How many characters were replaced because no text can hold them, as `int32`.
    pub const CHANGES: &str = "_cdm_changes";
}

/// What a sink is to do with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Store it.
    Upsert,
    /// Mark the record with its key as deleted; the other fields are null.
    Delete,
}

/// Rows of one model: an Arrow [`RecordBatch`] of the model's fields and the [`plumbing`] columns,
/// together with the source records that the rows were made of.
#[derive(Debug, Clone)]
pub struct CdmBatch {
    model: Arc<ModelDescriptor>,
    mapper_revision: u32,
    rows: RecordBatch,
    source: Arc<RawBatch>,
    records: Vec<usize>,
    keys: StringArray,
    operations: Int8Array,
    ranks: Int16Array,
    versions: TimestampMicrosecondArray,
    hashes: FixedSizeBinaryArray,
    source_hashes: FixedSizeBinaryArray,
    changes: Int32Array,
}

impl CdmBatch {
    /// The model of the rows.
    pub fn model(&self) -> &Arc<ModelDescriptor> {
        &self.model
    }

    /// The revision of the mapper that made the rows.
    pub fn mapper_revision(&self) -> u32 {
        self.mapper_revision
    }

    /// The rows as columns: the model's fields in their order, then the [`plumbing`]. See
    /// [`arrow_schema()`].
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The source records that the rows were made of.
    pub fn source(&self) -> &Arc<RawBatch> {
        &self.source
    }

    /// The key of a row.
    ///
    /// # Panics
    ///
    /// Like the other accessors, when there is no such row.
    pub fn key(&self, row: usize) -> &str {
        self.keys.value(row)
    }

    /// What to do with a row.
    pub fn operation(&self, row: usize) -> Operation {
        if self.operations.value(row) == 0 { Operation::Upsert } else { Operation::Delete }
    }

    /// The rank of a row.
    pub fn rank(&self, row: usize) -> Rank {
        Rank::of_number(self.ranks.value(row).into())
    }

    /// The version time of a row, in microseconds since the epoch.
    pub fn version_at(&self, row: usize) -> Option<i64> {
        self.versions.is_valid(row).then(|| self.versions.value(row))
    }

    /// The content hash of a row.
    pub fn content_hash(&self, row: usize) -> [u8; 16] {
        self.hashes.value(row).try_into().unwrap_or_default()
    }

    /// The hash of the source record of a row, where it is known.
    pub fn source_hash(&self, row: usize) -> Option<[u8; 16]> {
        self.source_hashes.is_valid(row).then(|| self.source_hashes.value(row).try_into().unwrap_or_default())
    }

    /// How many characters of a row were replaced because no text can hold them.
    pub fn changes(&self, row: usize) -> i32 {
        self.changes.value(row)
    }

    /// A reject of the record that a row was made of, because a sink cannot store the row.
    pub fn reject(&self, row: usize, rejection: Rejection) -> Option<Reject> {
        let record = self.source.record(*self.records.get(row)?)?;
        let rejection = Rejection { key: rejection.key.or_else(|| Some(self.key(row).to_owned())), ..rejection };
        let mut reject = Reject::of(&record, Stage::Sink, rejection);
        reject.envelope.row_key = Some(self.key(row).to_owned());
        Some(reject)
    }
}

/// The Arrow schema of a batch of `model`'s rows: its fields, then the [`plumbing`] columns.
///
/// Fields are nullable whatever the model says, because a row that deletes has only its key. JSON is
/// text with the extension type `arrow.json`.
pub fn arrow_schema(model: &ModelDescriptor) -> Schema {
    let mut fields: Vec<Field> = model.fields.iter().map(arrow_field).collect();
    fields.extend([
        Field::new(plumbing::OPERATION, DataType::Int8, false),
        Field::new(plumbing::RANK, DataType::Int16, false),
        Field::new(plumbing::VERSION_AT, timestamp(), true),
        Field::new(plumbing::CONTENT_HASH, DataType::FixedSizeBinary(16), false),
        Field::new(plumbing::SOURCE_HASH, DataType::FixedSizeBinary(16), true),
        Field::new(plumbing::CHANGES, DataType::Int32, false),
    ]);
    let metadata = [("cdm.model", model.id.to_string()), ("cdm.version", model.version.to_string())];
    let metadata: HashMap<String, String> =
        metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Schema::new_with_metadata(fields, metadata)
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn arrow_field(field: &FieldDescriptor) -> Field {
    let data_type = match field.logical_type {
        LogicalType::Bool => DataType::Boolean,
        LogicalType::Int64 => DataType::Int64,
        LogicalType::Float64 => DataType::Float64,
        LogicalType::Date => DataType::Date32,
        LogicalType::Timestamp => timestamp(),
        LogicalType::TextList => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        _ => DataType::Utf8,
    };
    let arrow = Field::new(&field.name, data_type, true);
    match field.logical_type {
        LogicalType::Json | LogicalType::RawJson => {
            let extension = ("ARROW:extension:name".to_owned(), "arrow.json".to_owned());
            arrow.with_metadata(HashMap::from([extension]))
        }
        _ => arrow,
    }
}

/// Makes batches of rows. One builder serves a whole run, so that its memory is used again.
#[derive(Debug)]
pub struct CdmBatchBuilder {
    model: Arc<ModelDescriptor>,
    mapper_revision: u32,
    schema: SchemaRef,
    hasher: ContentHasher,
    row: RowBuffer,
    columns: Vec<Column>,
    operations: Int8Builder,
    ranks: Int16Builder,
    versions: TimestampMicrosecondBuilder,
    hashes: FixedSizeBinaryBuilder,
    changes: Int32Builder,
    records: Vec<usize>,
}

#[derive(Debug)]
enum Column {
    Text(StringBuilder),
    Bool(BooleanBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TextList(ListBuilder<StringBuilder>),
}

impl CdmBatchBuilder {
    /// A builder for rows of `model`, made by a mapper of that revision.
    pub fn new(model: Arc<ModelDescriptor>, mapper_revision: u32) -> Self {
        Self {
            schema: Arc::new(arrow_schema(&model)),
            hasher: ContentHasher::new(&model),
            row: RowBuffer::default(),
            columns: model.fields.iter().map(|field| Column::of(field.logical_type)).collect(),
            operations: Int8Builder::new(),
            ranks: Int16Builder::new(),
            versions: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            hashes: FixedSizeBinaryBuilder::new(16),
            changes: Int32Builder::new(),
            records: Vec::new(),
            model,
            mapper_revision,
        }
    }

    /// The model of the rows.
    pub fn model(&self) -> &Arc<ModelDescriptor> {
        &self.model
    }

    /// Adds a row that was made of the source record at `record` of the batch that
    /// [`finish`](Self::finish) will be given.
    ///
    /// A row that cannot be encoded is rejected and leaves no trace.
    pub fn push<M: Model>(
        &mut self,
        mapped: &Mapped<M>,
        rank: Rank,
        changes: u32,
        record: usize,
    ) -> Result<(), Rejection> {
        let failed = |error: RowError| Rejection { field: error.field, ..Rejection::new(error.problem) };
        self.row.fill(&self.model, &mapped.row).map_err(failed)?;
        let items = self.row.list_items();
        let fields = &self.model.fields;
        let value = |index: usize| {
            let logical_type = fields.get(index).map_or(LogicalType::Text, |field| field.logical_type);
            self.row.value(index, &items).hashed(logical_type)
        };
        let hash = self.hasher.hash(value).map_err(|error| Rejection::new(error.to_string()))?;
        for (index, column) in self.columns.iter_mut().enumerate() {
            column.append(self.row.value(index, &items));
        }
        let changes = changes.saturating_add(self.row.changes());
        self.row.release();
        self.finish_row(Operation::Upsert, rank, mapped.version_at, hash, changes, record);
        Ok(())
    }

    /// Adds a row that marks the record with this key as deleted.
    pub fn push_delete(&mut self, key: &str, version_at: Option<Timestamp>, record: usize) {
        let key_index = self.model.key_index();
        for (index, column) in self.columns.iter_mut().enumerate() {
            column.append(if index == key_index { CellValue::Text(key) } else { CellValue::Null });
        }
        self.finish_row(Operation::Delete, Rank::Whole, version_at, [0; 16], 0, record);
    }

    fn finish_row(
        &mut self,
        operation: Operation,
        rank: Rank,
        version_at: Option<Timestamp>,
        hash: [u8; 16],
        changes: u32,
        record: usize,
    ) {
        self.operations.append_value(i8::from(operation == Operation::Delete));
        self.ranks.append_value(rank.number());
        self.versions.append_option(version_at.map(Timestamp::as_microsecond));
        if self.hashes.append_value(hash).is_err() {
            self.hashes.append_null(); // not reached: the hash has the column's width
        }
        self.changes.append_value(i32::try_from(changes).unwrap_or(i32::MAX));
        self.records.push(record);
    }

    /// Whether no row was added since the last batch.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The rows as a batch; the builder is then empty and can be used again.
    pub fn finish(&mut self, source: Arc<RawBatch>) -> Result<CdmBatch> {
        self.finish_hashed(source, &SourceHashes::default())
    }

    /// As [`finish`](Self::finish), with the hashes of the source's records.
    pub fn finish_hashed(&mut self, source: Arc<RawBatch>, hashed: &SourceHashes) -> Result<CdmBatch> {
        let operations = self.operations.finish();
        let ranks = self.ranks.finish();
        let versions = self.versions.finish();
        let hashes = self.hashes.finish();
        let changes = self.changes.finish();
        let mut columns: Vec<ArrayRef> = self.columns.iter_mut().map(Column::finish).collect();
        let broken = |what: &str| Error::new(ErrorKind::Internal, "build a batch", what);
        let mut source_hashes = FixedSizeBinaryBuilder::with_capacity(self.records.len(), 16);
        for record in &self.records {
            match hashed.hash(*record) {
                Some(hash) => source_hashes.append_value(hash).map_err(|error| broken("a hash").caused_by(error))?,
                None => source_hashes.append_null(),
            }
        }
        let source_hashes = source_hashes.finish();
        let keys = columns
            .get(self.model.key_index())
            .and_then(|column| column.as_any().downcast_ref::<StringArray>())
            .ok_or_else(|| broken("the key is no text"))?
            .clone();
        columns.push(Arc::new(operations.clone()));
        columns.push(Arc::new(ranks.clone()));
        columns.push(Arc::new(versions.clone()));
        columns.push(Arc::new(hashes.clone()));
        columns.push(Arc::new(source_hashes.clone()));
        columns.push(Arc::new(changes.clone()));
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| broken("the columns do not fit the schema").caused_by(error))?;
        Ok(CdmBatch {
            model: Arc::clone(&self.model),
            mapper_revision: self.mapper_revision,
            rows,
            source,
            records: std::mem::take(&mut self.records),
            keys,
            operations,
            ranks,
            versions,
            hashes,
            source_hashes,
            changes,
        })
    }
}

/// The maximum number of bytes for which a column has room before it has values.
const MOST_ROOM_BYTES: usize = 2 * 1024 * 1024;

impl Column {
    fn of(logical_type: LogicalType) -> Self {
        match logical_type {
            LogicalType::Bool => Self::Bool(BooleanBuilder::new()),
            LogicalType::Int64 => Self::Int64(Int64Builder::new()),
            LogicalType::Float64 => Self::Float64(Float64Builder::new()),
            LogicalType::Date => Self::Date(Date32Builder::new()),
            LogicalType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            LogicalType::TextList => Self::TextList(ListBuilder::new(StringBuilder::new())),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    /// Appends a cell; one that is not of the column's type cannot come, and would be null.
    fn append(&mut self, value: CellValue<'_>) {
        match (self, value) {
            (Self::Text(column), CellValue::Text(text)) => column.append_value(text),
            (Self::Text(column), _) => column.append_null(),
            (Self::Bool(column), CellValue::Bool(value)) => column.append_value(value),
            (Self::Bool(column), _) => column.append_null(),
            (Self::Int64(column), CellValue::Int(value)) => column.append_value(value),
            (Self::Int64(column), _) => column.append_null(),
            (Self::Float64(column), CellValue::Float(value)) => column.append_value(value),
            (Self::Float64(column), _) => column.append_null(),
            (Self::Date(column), CellValue::Int(days)) => column.append_option(i32::try_from(days).ok()),
            (Self::Date(column), _) => column.append_null(),
            (Self::Timestamp(column), CellValue::Int(time)) => column.append_value(time),
            (Self::Timestamp(column), _) => column.append_null(),
            (Self::TextList(column), CellValue::List(texts)) => {
                texts.iter().for_each(|text| column.values().append_value(text));
                column.append(true);
            }
            (Self::TextList(column), _) => column.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            // The next batch will be about as large: room for it at once is cheaper than growing into it.
            Self::Text(column) => {
                let (rows, bytes) = (column.offsets_slice().len(), column.values_slice().len().min(MOST_ROOM_BYTES));
                let finished = Arc::new(column.finish());
                *column = StringBuilder::with_capacity(rows + rows / 16, bytes + bytes / 16);
                finished
            }
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Int64(column) => Arc::new(column.finish()),
            Self::Float64(column) => Arc::new(column.finish()),
            Self::Date(column) => Arc::new(column.finish()),
            Self::Timestamp(column) => Arc::new(column.finish()),
            Self::TextList(column) => Arc::new(column.finish()),
        }
    }
}
