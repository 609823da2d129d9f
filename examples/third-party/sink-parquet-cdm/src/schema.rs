use std::sync::Arc;

use cdm_models::{FieldDescriptor, ModelDescriptor, ModelId};
use endpoint_api::{
    Error, ErrorKind, Result,
    arrow::schema::{DataType, Field, Schema, SchemaRef, TimeUnit},
    batch::arrow_schema,
};
use relational::plumbing;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{error::damaged, layout, store::Store};

/// What a row of a file is: the row of a record (0), or a mark (1) that has the key of a row and nothing of
/// its content, because only its presence has changed.
pub(crate) const OPERATION: &str = "_acme_operation";
/// The manifest that named the row first: of two rows of one key the later one counts.
pub(crate) const COMMIT: &str = "_acme_commit";
/// Whether the record is known to be deleted.
pub(crate) const DELETED: &str = "_acme_deleted";

/// What the files of a model are made of: `schema.json` in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelSchema {
    pub(crate) model: ModelId,
    pub(crate) version: Version,
    pub(crate) description: String,
    pub(crate) key: String,
    pub(crate) fields: Vec<FieldDescriptor>,
}

impl ModelSchema {
    /// That of a model.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when the model's id is too long for a folder, or one of its fields has a name
    /// that is the sink's own.
    pub(crate) fn of(model: &ModelDescriptor) -> Result<Self> {
        const PLAN: &str = "plan";
        if model.id.as_str().len() > 200 {
            let message = "the model's id is too long for the name of a folder: at most 200 bytes";
            return Err(Error::new(ErrorKind::Config, PLAN, message).with("model", &model.id));
        }
        let reserved = |field: &&FieldDescriptor| field.name.starts_with("_cdm_") || field.name.starts_with("_acme_");
        if let Some(field) = model.fields.iter().find(reserved) {
            let message = "names that begin with `_cdm_` or `_acme_` are the sink's own; rename the field";
            return Err(Error::new(ErrorKind::Config, PLAN, message)
                .with("model", &model.id)
                .with("field", &field.name));
        }
        Ok(Self {
            model: model.id.clone(),
            version: model.version.clone(),
            description: model.description.clone(),
            key: model.key().name.clone(),
            fields: model.fields.clone(),
        })
    }

    /// Reads that of a model's folder; `None` when there is none yet.
    pub(crate) async fn read(store: &Store, model: &ModelId, operation: &'static str) -> Result<Option<Self>> {
        let path = layout::schema(model);
        let Some(bytes) = store.read(&path, operation).await? else { return Ok(None) };
        let schema: Self = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(operation, &path, "it is no schema of a model").caused_by(error))?;
        if schema.model != *model {
            return Err(damaged(operation, &path, "it is the schema of another model"));
        }
        Ok(Some(schema))
    }

    /// This schema with all that `wanted` has beyond it; `None` when that is nothing.
    ///
    /// # Errors
    ///
    /// The difference, when rows of `wanted` do not fit beside those of this one.
    pub(crate) fn extended(&self, wanted: &Self) -> std::result::Result<Option<Self>, String> {
        if self.key != wanted.key {
            return Err(format!("has the key `{}`, and the model `{}`", self.key, wanted.key));
        }
        let mut extended = self.clone();
        for field in &wanted.fields {
            match self.fields.iter().find(|known| known.name == field.name) {
                Some(known) if known.logical_type == field.logical_type => {}
                Some(known) => {
                    let (is, wanted) = (known.logical_type, field.logical_type);
                    return Err(format!("has `{}` as {is}, and the model as {wanted}", field.name));
                }
                None if field.nullable => extended.fields.push(field.clone()),
                None => return Err(format!("lacks `{}`, which cannot be null in the model", field.name)),
            }
        }
        if wanted.version > self.version {
            extended.version = wanted.version.clone();
        }
        Ok((extended != *self).then_some(extended))
    }
}

/// The columns of a file: the model's fields, as they come in a batch, and what the sink keeps of each row.
/// What says the same as a column of a SQL sink is called the same.
pub(crate) fn file_schema(model: &ModelDescriptor) -> SchemaRef {
    let batch = arrow_schema(model);
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields: Vec<Arc<Field>> = batch.fields().iter().take(model.fields.len()).cloned().collect();
    let own = [
        Field::new(plumbing::SOURCE_ENDPOINT, DataType::Utf8, false),
        Field::new(plumbing::RANK, DataType::Int16, false),
        Field::new(plumbing::VERSION_AT, time(), true),
        Field::new(plumbing::OBSERVATION, DataType::Int64, false),
        Field::new(plumbing::MAPPER_REVISION, DataType::Int64, false),
        Field::new(plumbing::CONTENT_HASH, DataType::FixedSizeBinary(16), false),
        Field::new(plumbing::SOURCE_HASH, DataType::FixedSizeBinary(16), true),
        Field::new(plumbing::CHANGES, DataType::Int32, false),
        Field::new(plumbing::RUN_ID, DataType::Utf8, false),
        Field::new(plumbing::INGESTED_AT, time(), false),
        Field::new(OPERATION, DataType::Int8, false),
        Field::new(COMMIT, DataType::Int64, false),
        Field::new(DELETED, DataType::Boolean, false),
    ];
    fields.extend(own.map(Arc::new));
    Arc::new(Schema::new_with_metadata(fields, batch.metadata().clone()))
}
