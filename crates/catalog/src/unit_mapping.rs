use cdm_models::major;
use endpoint_api::{
    MapperEntry,
    lineage::{Derivation, PlaceKind},
};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::text::storable;

/// How the records of a unit become rows of its model, as the mapper that is linked declares it. It is kept in the
/// catalog, so that whoever reads there needs no mapper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UnitMapping {
    /// The major version of the model.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub model_major: u64,
    /// The mapper's revision.
    pub revision: u32,
    /// What feeds each field of the model, in the model's order.
    pub fields: Vec<FieldMapping>,
    /// What of a record no field keeps.
    pub dropped: Vec<DroppedPart>,
}

/// What feeds one field of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldMapping {
    /// The field.
    pub field: String,
    /// All that its value depends on.
    pub inputs: Vec<FieldInput>,
}

/// Something that a field's value depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldInput {
    /// Where it stands.
    pub place: PlaceKind,
    /// Its dotted path there; `**` is every part of the record that nothing else names.
    pub path: String,
    /// What becomes of it.
    pub derivation: Derivation,
    /// When it feeds the field; always where that is `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// A part of a record that no field keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedPart {
    /// The dotted path of a value, with all that is in it.
    pub path: String,
    /// Why it is of no use.
    pub why: String,
    /// When it is dropped; always where that is `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

fn first() -> u64 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_first(major: &u64) -> bool {
    *major == first()
}

impl UnitMapping {
    /// Whether this tells what the other one told before: of an older version of the model, or by an older mapper.
    pub(crate) fn is_behind(&self, other: &Self) -> bool {
        (self.model_major, self.revision) < (other.model_major, other.revision)
    }

    /// What a mapper declares.
    pub fn of(mapper: &MapperEntry) -> Self {
        let lineage = mapper.lineage();
        let fields = lineage.fields.iter().map(|field| FieldMapping {
            field: storable(field.field),
            inputs: field
                .inputs
                .iter()
                .map(|input| FieldInput {
                    place: input.place.kind(),
                    path: storable(input.place.path()),
                    derivation: input.derivation,
                    when: input.when.map(storable),
                })
                .collect(),
        });
        let dropped = lineage.dropped.iter().map(|part| DroppedPart {
            path: storable(part.path),
            why: storable(part.why),
            when: part.when.map(storable),
        });
        let model_major = Version::parse(mapper.model_version()).map_or_else(|_| first(), |version| major(&version));
        Self { model_major, revision: mapper.revision(), fields: fields.collect(), dropped: dropped.collect() }
    }
}
