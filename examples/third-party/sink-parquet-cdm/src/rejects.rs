//! The files of rejects, which query engines read as they read the rows.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use endpoint_api::{
    Reject, RejectQuery, Result, StoredReject,
    arrow::{
        array::{Array, ArrayRef, BinaryArray, Int16Array, Int64Array, RecordBatch, StringArray},
        schema::{ArrowError, DataType, Field, Schema, SchemaRef},
    },
    batch::{Parent, Rank, RejectEnvelope, Stage},
};

use crate::{
    error::{blocking, damaged, internal},
    manifest::RejectFile,
    part::{self, Columns},
    store::Store,
};

const READ: &str = "read rejects";

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let optional = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("id"),
        text("stage"),
        text("reason"),
        optional("field"),
        text("origin"),
        optional("key"),
        optional("parent_id"),
        optional("parent_key"),
        Field::new("rank", DataType::Int16, false),
        Field::new("raw", DataType::Binary, false),
        Field::new("raw_length", DataType::Int64, false),
        text("raw_hash"),
    ]))
});

/// The file of the rejects of a load, each with its id.
pub(crate) fn encode(rejects: &[(String, Reject)]) -> Result<Vec<u8>> {
    let rows =
        columns(rejects).map_err(|error| internal("commit", "rejects cannot be put together").caused_by(error))?;
    let write = || {
        let mut writer = part::writer(&SCHEMA)?;
        writer.write(&rows)?;
        writer.into_inner()
    };
    write().map_err(|error| internal("commit", "a file of rejects cannot be written").caused_by(error))
}

fn columns(rejects: &[(String, Reject)]) -> Result<RecordBatch, ArrowError> {
    let text = |of: &dyn Fn(&Reject) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rejects.iter().map(|(_, reject)| of(reject))))
    };
    let optional = |of: &dyn Fn(&Reject) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(rejects.iter().map(|(_, reject)| of(reject))))
    };
    let lengths = rejects.iter().map(|(_, reject)| i64::try_from(reject.raw_length).unwrap_or(i64::MAX));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rejects.iter().map(|(id, _)| id))),
        text(&|reject| reject.stage.to_string()),
        text(&|reject| reject.reason.clone()),
        optional(&|reject| reject.field.clone()),
        text(&|reject| reject.origin.clone()),
        optional(&|reject| reject.key.clone()),
        optional(&|reject| reject.envelope.parent_id.clone()),
        optional(&|reject| reject.envelope.parent_key.clone()),
        Arc::new(Int16Array::from_iter_values(rejects.iter().map(|(_, reject)| reject.envelope.rank.number()))),
        Arc::new(BinaryArray::from_iter_values(rejects.iter().map(|(_, reject)| &reject.raw))),
        Arc::new(Int64Array::from_iter_values(lengths)),
        text(&|reject| reject.raw_hash.clone()),
    ];
    RecordBatch::try_new(Arc::clone(&SCHEMA), columns)
}

/// The newest rejects first, by when they were rejected first; among those of one moment, those that were
/// rejected last. Reads the files of all that the query may concern.
pub(crate) async fn newest(store: &Store, query: &RejectQuery) -> Result<Vec<StoredReject>> {
    let manifest = store.manifest(READ).await?;
    let mut found: Vec<StoredReject> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for file in manifest.rejects {
        if query.ingestion.as_ref().is_some_and(|wanted| *wanted != file.ingestion) {
            continue;
        }
        let bytes = store.read_named(&file.path, READ).await?;
        for reject in blocking(READ, move || decode(&file, bytes)).await? {
            if query.id.as_ref().is_some_and(|wanted| *wanted != reject.id) {
                continue;
            }
            // The same reject again: it was first rejected then, and last by this run.
            match places.get(&reject.id).and_then(|place| found.get_mut(*place)) {
                Some(known) => *known = StoredReject { rejected_at: known.rejected_at.clone(), ..reject },
                None => {
                    places.insert(reject.id.clone(), found.len());
                    found.push(reject);
                }
            }
        }
    }
    found.reverse();
    found.sort_by(|a, b| b.rejected_at.cmp(&a.rejected_at));
    Ok(found.into_iter().skip(query.offset).take(query.limit).collect())
}

fn decode(file: &RejectFile, bytes: Bytes) -> Result<Vec<StoredReject>> {
    let path = file.path.as_str();
    let mut rejects = Vec::new();
    for batch in part::open(path, bytes, None)? {
        let batch = batch.map_err(|error| damaged(READ, path, "it ends too soon").caused_by(error))?;
        let columns = Columns { path, batch: &batch };
        let raw: &BinaryArray = columns.get("raw")?;
        let lengths: &Int64Array = columns.get("raw_length")?;
        let ranks: &Int16Array = columns.get("rank")?;
        for row in 0..batch.num_rows() {
            let optional = |name: &str| -> Result<Option<String>> {
                let column: &StringArray = columns.get(name)?;
                Ok(column.is_valid(row).then(|| column.value(row).to_owned()))
            };
            let text = |name: &str| -> Result<String> { optional(name).map(Option::unwrap_or_default) };
            let stage = match text("stage")?.as_str() {
                "source" => Stage::Source,
                "map" => Stage::Map,
                "sink" => Stage::Sink,
                _ => return Err(damaged(READ, path, "it knows a stage that is none")),
            };
            let (parent_id, parent_key) = (optional("parent_id")?, optional("parent_key")?);
            let parent = Parent { id: parent_id.as_deref(), key: parent_key.as_deref() };
            let rank = Rank::of_number(ranks.value(row).into());
            rejects.push(StoredReject {
                id: text("id")?,
                ingestion: file.ingestion.to_string(),
                run_id: file.run_id.to_string(),
                stage,
                reason: text("reason")?,
                field: optional("field")?,
                origin: text("origin")?,
                key: optional("key")?,
                rejected_at: file.rejected_at.clone(),
                observation: file.observation,
                envelope: RejectEnvelope::new(Some(parent), rank),
                raw: raw.value(row).to_vec(),
                raw_length: u64::try_from(lengths.value(row)).unwrap_or(0),
                raw_hash: text("raw_hash")?,
            });
        }
    }
    Ok(rejects)
}
