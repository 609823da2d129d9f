use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::Serialize;

use crate::{ModelDescriptor, ModelError};

/// A CDM entity, defined once, by its struct.
///
/// The doc comments of the struct and of its fields are the descriptions that people read in the
/// catalog and in the tables. Attributes say the rest:
///
/// - `#[schemars(extend("x-cdm-key" = true))]` marks the key: exactly one text field, never null;
/// - `#[schemars(extend("x-cdm-references" = "cdm.work.user"))]` marks a reference to the key of
///   another model (sinks index it);
/// - `#[schemars(extend("x-cdm-index" = true))]` asks sinks to index the field.
///
/// `Option<T>` is a nullable field. A field's type is one of text (`String`, `&str`, `Cow<str>`,
/// or an enum of unit variants), `bool`, an integer, a float, [`Date`](crate::Date),
/// [`Timestamp`](crate::Timestamp), a list of texts, [`Json`](crate::Json) or
/// [`RawJson`](crate::RawJson). Serde attributes that leave a field out or rename the struct's
/// fields at run time are refused when the descriptor is built.
pub trait Model: Serialize + JsonSchema {
    /// Dotted lower-case id: `cdm.work.item`.
    const ID: &'static str;
    /// Semantic version. Within a major version a model changes only by what is added to it.
    const VERSION: &'static str;
}

/// A registered model. Made by [`register_model!`](crate::register_model).
pub struct ModelEntry {
    id: &'static str,
    descriptor: fn() -> Result<ModelDescriptor, ModelError>,
    schema: fn() -> Schema,
}

impl ModelEntry {
    /// The entry of model `M`.
    pub const fn of<M: Model>() -> Self {
        Self { id: M::ID, descriptor: ModelDescriptor::of::<M>, schema: schema_of::<M> }
    }

    /// The model's id.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// Derives the model's descriptor.
    pub fn descriptor(&self) -> Result<ModelDescriptor, ModelError> {
        (self.descriptor)()
    }

    /// The model's JSON Schema (draft 2020-12), members in the order of the struct's fields.
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }
}

pub(crate) fn schema_of<M: Model>() -> Schema {
    SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<M>()
}

inventory::collect!(ModelEntry);

/// Registers a model, so that every sink can provision and load it and the host can show it.
///
/// ```
/// # #[derive(serde::Serialize, schemars::JsonSchema)]
/// # struct Team { #[schemars(extend("x-cdm-key" = true))] cdm_id: String }
/// # impl cdm_models::Model for Team {
/// #     const ID: &'static str = "acme.team";
/// #     const VERSION: &'static str = "1.0.0";
/// # }
/// cdm_models::register_model!(Team);
/// ```
///
/// An id that is not dotted lower case does not compile:
///
/// ```compile_fail
/// # #[derive(serde::Serialize, schemars::JsonSchema)]
/// # struct Team { #[schemars(extend("x-cdm-key" = true))] cdm_id: String }
/// # impl cdm_models::Model for Team {
/// #     const VERSION: &'static str = "1.0.0";
///     const ID: &'static str = "Team";
/// # }
/// cdm_models::register_model!(Team);
/// ```
#[macro_export]
macro_rules! register_model {
    ($model:ty) => {
        const _: () = assert!(
            $crate::is_dotted_id(<$model as $crate::Model>::ID),
            "a model id is dotted lower case, such as `cdm.work.item`"
        );
        $crate::inventory::submit! { $crate::ModelEntry::of::<$model>() }
    };
}

/// Every model that is linked into this program, sorted by id.
///
/// # Errors
///
/// When two models have the same id, or a model's struct has no valid descriptor.
pub fn registered_models() -> Result<Vec<ModelDescriptor>, ModelError> {
    let mut models =
        inventory::iter::<ModelEntry>.into_iter().map(ModelEntry::descriptor).collect::<Result<Vec<_>, _>>()?;
    models.sort_by(|a, b| a.id.cmp(&b.id));
    for (a, b) in models.iter().zip(models.iter().skip(1)) {
        if a.id == b.id {
            return Err(ModelError::new(a.id.as_str(), "is registered twice"));
        }
    }
    Ok(models)
}
