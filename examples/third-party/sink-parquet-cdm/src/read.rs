use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow_select::{concat::concat_batches, interleave::interleave_record_batch};
use cdm_models::ModelId;
use endpoint_api::{
    Error, ErrorKind, Result,
    arrow::{
        array::{ArrayRef, BooleanArray, Int8Array, RecordBatch, StringArray, new_null_array},
        schema::{Field, Schema, SchemaRef},
    },
};

use crate::{
    error::{blocking, damaged, internal},
    part::{self, Columns},
    schema::{DELETED, ModelSchema, OPERATION},
    store::Store,
};

const READ: &str = "read rows";

/// Where the newest content of a key is, and whether the record is deleted.
struct Current {
    content: (usize, usize),
    deleted: bool,
}

/// The current rows of a model in the sink's folder, in the order of their keys: for each key its greatest
/// record, with the columns of the model and those of the sink. Records that are known to be deleted are among
/// them, with `_acme_deleted`.
///
/// A row is written only when it is greater than the one that was committed before it, so that of all rows of
/// one key the one that was committed last is the greatest. A query engine says the same as
///
/// ```sql
/// select * from read_parquet('lake/cdm.work.item/**/*.parquet', union_by_name = true)
/// where _acme_operation = 0
/// qualify row_number() over (partition by cdm_id order by _acme_commit desc) = 1
/// ```
///
/// where no record is ever deleted and no loading program was killed: this function also follows the
/// manifest, which a file of a program that was killed does not stand in.
///
/// It holds all rows of the model in memory, the replaced ones too.
///
/// # Errors
///
/// [`ErrorKind::NotProvisioned`] when the folder has no place for the model, [`ErrorKind::Data`] when a file
/// is missing or damaged.
pub async fn read_model(folder: &Path, model: &ModelId) -> Result<RecordBatch> {
    let store = Store::at(folder.to_owned());
    let schema = ModelSchema::read(&store, model, READ).await?.ok_or_else(|| {
        let message = format!("there is no place for {model}; run `cdm provision`");
        Error::new(ErrorKind::NotProvisioned, READ, message).with("path", folder.display())
    })?;
    let manifest = store.manifest(READ).await?;
    let mut files = Vec::new();
    for part in manifest.parts.into_iter().filter(|part| part.model == *model) {
        let bytes = store.read_named(&part.path, READ).await?;
        files.push((part.path, bytes));
    }
    blocking(READ, move || {
        let mut batches = Vec::with_capacity(files.len());
        for (path, bytes) in files {
            for batch in part::open(&path, bytes, None)? {
                let batch = batch.map_err(|error| damaged(READ, &path, "it ends too soon").caused_by(error))?;
                batches.push((path.clone(), batch));
            }
        }
        current(&schema, &batches)
    })
    .await
}

fn current(schema: &ModelSchema, batches: &[(String, RecordBatch)]) -> Result<RecordBatch> {
    let broken = |error| internal(READ, "rows cannot be put together").caused_by(error);
    let mut rows: BTreeMap<&str, Current> = BTreeMap::new();
    for (place, (path, batch)) in batches.iter().enumerate() {
        let columns = Columns { path, batch };
        let keys: &StringArray = columns.get(&schema.key)?;
        let operations: &Int8Array = columns.get(OPERATION)?;
        let deleted: &BooleanArray = columns.get(DELETED)?;
        for row in 0..batch.num_rows() {
            let deleted = deleted.value(row);
            match (operations.value(row), rows.get_mut(keys.value(row))) {
                (0, _) => drop(rows.insert(keys.value(row), Current { content: (place, row), deleted })),
                (_, Some(known)) => known.deleted = deleted,
                (_, None) => return Err(damaged(READ, path, "it marks a row that is not there")),
            }
        }
    }
    let columns = union(schema, batches);
    let Some(columns) = columns else { return Ok(RecordBatch::new_empty(Arc::new(Schema::empty()))) };
    let widened: Vec<RecordBatch> =
        batches.iter().map(|(_, batch)| widen(batch, &columns)).collect::<Result<_, _>>().map_err(broken)?;
    let places: Vec<(usize, usize)> = rows.values().map(|current| current.content).collect();
    // In pieces, so that no column of one grows beyond what Arrow can address.
    let widened: Vec<&RecordBatch> = widened.iter().collect();
    let pieces: Vec<RecordBatch> = places
        .chunks(1024)
        .map(|places| interleave_record_batch(&widened, places))
        .collect::<Result<_, _>>()
        .map_err(broken)?;
    let found = concat_batches(&columns, &pieces).map_err(broken)?;
    let deleted: ArrayRef = Arc::new(BooleanArray::from_iter(rows.values().map(|current| Some(current.deleted))));
    let with_presence = columns.fields().iter().zip(found.columns());
    let with_presence = with_presence
        .map(|(field, column)| if field.name() == DELETED { Arc::clone(&deleted) } else { Arc::clone(column) });
    RecordBatch::try_new(Arc::clone(&columns), with_presence.collect()).map_err(broken)
}

/// The columns of all files: the fields of the model, as many as it now has, and the sink's own behind them.
fn union(schema: &ModelSchema, batches: &[(String, RecordBatch)]) -> Option<SchemaRef> {
    let known = |name: &str| {
        batches.iter().find_map(|(_, batch)| batch.schema().column_with_name(name).map(|(_, field)| field.clone()))
    };
    let (_, any) = batches.first()?;
    let fields = schema.fields.iter().filter_map(|field| known(&field.name));
    let own = any.schema();
    let own = own.fields().iter().filter(|field| field.name().starts_with('_')).map(|field| Field::clone(field));
    Some(Arc::new(Schema::new(fields.chain(own).collect::<Vec<_>>())))
}

/// The batch with null in the columns that came later than it.
fn widen(batch: &RecordBatch, columns: &SchemaRef) -> Result<RecordBatch, endpoint_api::arrow::schema::ArrowError> {
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) => Arc::clone(column),
        None => new_null_array(field.data_type(), batch.num_rows()),
    };
    RecordBatch::try_new(Arc::clone(columns), columns.fields().iter().map(column).collect())
}
