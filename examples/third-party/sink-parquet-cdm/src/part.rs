//! The files of rows.

use std::sync::Arc;

use arrow_select::interleave::interleave_record_batch;
use bytes::Bytes;
use cdm_models::{ModelDescriptor, Timestamp};
use endpoint_api::{
    CdmBatch, Result,
    arrow::{
        array::{
            Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, Int8Array, Int16Array, Int32Array, Int64Array,
            RecordBatch, StringArray, TimestampMicrosecondArray,
            builder::{FixedSizeBinaryBuilder, TimestampMicrosecondBuilder},
            new_null_array,
        },
        schema::{ArrowError, SchemaRef},
    },
    batch::Rank,
};
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    basic::Compression,
    errors::ParquetError,
    file::properties::WriterProperties,
};
use relational::{Effect, Stored, Version, plumbing};

use crate::{
    error::{damaged, internal},
    schema::{DELETED, file_schema},
};

/// So many rows are put together at once, so that no column of them grows beyond what Arrow can address.
const ROWS_AT_ONCE: usize = 1024;

/// What is the same for all rows of a file.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) source: String,
    pub(crate) run_id: String,
    pub(crate) commit: u64,
    pub(crate) at: Timestamp,
}

/// The file of what a load does.
pub(crate) fn encode(
    model: &ModelDescriptor,
    batches: &[CdmBatch],
    effects: &[Effect],
    origin: &Origin,
) -> Result<Vec<u8>> {
    let broken = |error: ParquetError| internal("commit", "a file of rows cannot be written").caused_by(error);
    let schema = file_schema(model);
    let mut writer = writer(&schema).map_err(broken)?;
    for effects in effects.chunks(ROWS_AT_ONCE) {
        writer.write(&rows(model, &schema, batches, effects, origin)?).map_err(broken)?;
    }
    writer.into_inner().map_err(broken)
}

/// A writer of a file in memory.
pub(crate) fn writer(schema: &SchemaRef) -> Result<ArrowWriter<Vec<u8>>, ParquetError> {
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(Default::default())).build();
    ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties))
}

fn rows(
    model: &ModelDescriptor,
    schema: &SchemaRef,
    batches: &[CdmBatch],
    effects: &[Effect],
    origin: &Origin,
) -> Result<RecordBatch> {
    let broken = |error| internal("commit", "rows cannot be put together").caused_by(error);
    let fields: Vec<usize> = (0..model.fields.len()).collect();
    let content_schema = Arc::new(schema.project(&fields).map_err(broken)?);
    let mut contents = Vec::with_capacity(batches.len() + 1);
    for batch in batches {
        // In a batch the model's fields come first and in their order.
        let columns = batch.rows().columns().iter().take(fields.len()).cloned().collect();
        contents.push(RecordBatch::try_new(Arc::clone(&content_schema), columns).map_err(broken)?);
    }
    let nothing = content_schema.fields().iter().map(|field| new_null_array(field.data_type(), 1)).collect();
    contents.push(RecordBatch::try_new(content_schema, nothing).map_err(broken)?);
    let places: Vec<(usize, usize)> =
        effects.iter().map(|effect| effect.content.unwrap_or((batches.len(), 0))).collect();
    let content = interleave_record_batch(&contents.iter().collect::<Vec<_>>(), &places).map_err(broken)?;

    let mut columns: Vec<ArrayRef> = content.columns().to_vec();
    if let Some(key) = columns.get_mut(model.key_index()) {
        *key = Arc::new(StringArray::from_iter_values(effects.iter().map(|effect| effect.key.as_str())));
    }
    columns.extend(plumbing_columns(batches, effects, origin).map_err(broken)?);
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(broken)
}

/// In the order of [`file_schema`].
fn plumbing_columns(batches: &[CdmBatch], effects: &[Effect], origin: &Origin) -> Result<Vec<ArrayRef>, ArrowError> {
    let versions = || effects.iter().map(|effect| &effect.stored.version);
    let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; effects.len()])) };
    let mut version_at = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let mut content_hash = FixedSizeBinaryBuilder::with_capacity(effects.len(), 16);
    let mut source_hash = FixedSizeBinaryBuilder::with_capacity(effects.len(), 16);
    for Effect { stored, .. } in effects {
        version_at.append_option(stored.version.version_at);
        content_hash.append_value(stored.version.content_hash)?;
        match stored.source_hash {
            Some(hash) => source_hash.append_value(hash)?,
            None => source_hash.append_null(),
        }
    }
    let changes = effects.iter().map(|effect| {
        let (batch, row) = effect.content?;
        Some(batches.get(batch)?.changes(row))
    });
    let at = vec![origin.at.as_microsecond(); effects.len()];
    Ok(vec![
        same(&origin.source),
        Arc::new(Int16Array::from_iter_values(versions().map(|version| version.rank.number()))),
        Arc::new(version_at.finish()),
        Arc::new(Int64Array::from_iter_values(versions().map(|version| signed(version.observation)))),
        Arc::new(Int64Array::from_iter_values(versions().map(|version| i64::from(version.mapper_revision)))),
        Arc::new(content_hash.finish()),
        Arc::new(source_hash.finish()),
        Arc::new(Int32Array::from_iter_values(changes.map(Option::unwrap_or_default))),
        same(&origin.run_id),
        Arc::new(TimestampMicrosecondArray::from(at).with_timezone("UTC")),
        Arc::new(Int8Array::from_iter_values(effects.iter().map(|effect| i8::from(effect.content.is_none())))),
        Arc::new(Int64Array::from(vec![signed(origin.commit); effects.len()])),
        Arc::new(BooleanArray::from_iter(effects.iter().map(|effect| Some(effect.stored.deleted)))),
    ])
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads a file, of which only some columns when their names are given.
pub(crate) fn open(path: &str, bytes: Bytes, columns: Option<&[&str]>) -> Result<ParquetRecordBatchReader> {
    let broken = |error| damaged("read rows", path, "it is no Parquet file of the sink's").caused_by(error);
    let file = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(broken)?;
    let file = match columns {
        Some(columns) => {
            let mask = ProjectionMask::columns(file.parquet_schema(), columns.iter().copied());
            file.with_projection(mask)
        }
        None => file,
    };
    file.with_batch_size(ROWS_AT_ONCE).build().map_err(broken)
}

/// What a file says of each of its keys, without the content.
pub(crate) fn decode(path: &str, bytes: Bytes, key: &str) -> Result<Vec<(String, Stored)>> {
    let columns = [
        key,
        plumbing::RANK,
        plumbing::VERSION_AT,
        plumbing::OBSERVATION,
        plumbing::MAPPER_REVISION,
        plumbing::CONTENT_HASH,
        plumbing::SOURCE_HASH,
        DELETED,
    ];
    let mut rows = Vec::new();
    for batch in open(path, bytes, Some(&columns))? {
        let batch = batch.map_err(|error| damaged("read rows", path, "it ends too soon").caused_by(error))?;
        let columns = Columns { path, batch: &batch };
        let keys: &StringArray = columns.get(key)?;
        let ranks: &Int16Array = columns.get(plumbing::RANK)?;
        let versions: &TimestampMicrosecondArray = columns.get(plumbing::VERSION_AT)?;
        let observations: &Int64Array = columns.get(plumbing::OBSERVATION)?;
        let revisions: &Int64Array = columns.get(plumbing::MAPPER_REVISION)?;
        let hashes: &FixedSizeBinaryArray = columns.get(plumbing::CONTENT_HASH)?;
        let source_hashes: &FixedSizeBinaryArray = columns.get(plumbing::SOURCE_HASH)?;
        let deleted: &BooleanArray = columns.get(DELETED)?;
        rows.extend((0..batch.num_rows()).map(|row| {
            let version = Version {
                rank: Rank::of_number(ranks.value(row).into()),
                version_at: versions.is_valid(row).then(|| versions.value(row)),
                observation: u64::try_from(observations.value(row)).unwrap_or(0),
                mapper_revision: u32::try_from(revisions.value(row)).unwrap_or(0),
                content_hash: hashes.value(row).try_into().unwrap_or_default(),
            };
            let source_hash = source_hashes.is_valid(row).then(|| source_hashes.value(row).try_into().ok()).flatten();
            (keys.value(row).to_owned(), Stored { version, deleted: deleted.value(row), source_hash })
        }));
    }
    Ok(rows)
}

/// The columns of a batch that was read, by name and type.
pub(crate) struct Columns<'b> {
    pub(crate) path: &'b str,
    pub(crate) batch: &'b RecordBatch,
}

impl<'b> Columns<'b> {
    pub(crate) fn get<A: Array + 'static>(&self, name: &str) -> Result<&'b A> {
        let column = self.batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref::<A>());
        let lost = || damaged("read a file", self.path, "a column is missing or of another type");
        column.ok_or_else(|| lost().with("column", name))
    }
}
