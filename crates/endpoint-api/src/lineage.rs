//! What a mapper declares about where the fields of its model come from.
//!
//! ```
//! use endpoint_api::lineage::{Lineage, dropped, field, identity, kept_rest, source_system, transformed};
//!
//! const LINEAGE: Lineage = Lineage {
//!     fields: &[
//!         field("cdm_id", &[source_system(), transformed("id")]),
//!         field("name", &[identity("profile.name")]),
//!         field("properties", &[kept_rest()]),
//!     ],
//!     dropped: &[dropped("profile.pictures", "they follow from the id")],
//! };
//! assert_eq!(LINEAGE.fed_by(&["profile", "name"]).collect::<Vec<_>>(), ["name"]);
//! assert_eq!(LINEAGE.fed_by(&["profile", "age"]).collect::<Vec<_>>(), ["properties"]);
//! assert_eq!(LINEAGE.fed_by(&["profile", "pictures", "small"]).count(), 0);
//! ```

use std::fmt;

use cdm_models::ModelDescriptor;
use serde::{Deserialize, Serialize};

/// Which parts of a record feed which field of a mapper's model, and what of a record no field keeps: the
/// only place where a mapper says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lineage {
    /// Every field of the model, each once.
    pub fields: &'static [FieldLineage],
    /// What no field keeps, beside members that are null.
    pub dropped: &'static [Dropped],
}

/// What feeds one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldLineage {
    /// The field's name.
    pub field: &'static str,
    /// All that its value depends on.
    pub inputs: &'static [Input],
}

/// Something that a field's value depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// Where it stands.
    pub place: Place,
    /// What becomes of it.
    pub derivation: Derivation,
    /// When it feeds the field, in words; always where that is `None`. What the condition speaks of decides and is
    /// no input.
    pub when: Option<&'static str>,
}

/// Where an [`Input`] stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The value at a dotted path of the record, `fields.summary`, with all that is in it.
    Record(&'static str),
    /// Every part of the record that nothing with a path and without a condition names.
    Rest,
    /// Told by the record's envelope: `parent.id`.
    Envelope(&'static str),
    /// Told by the configuration of the source's endpoint: `source_system`.
    Configuration(&'static str),
}

/// The kinds of [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// In the record.
    Record,
    /// In its envelope.
    Envelope,
    /// In the configuration of the source's endpoint.
    Configuration,
}

/// What becomes of an [`Input`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Derivation {
    /// The field is the value, in the field's type.
    Identity,
    /// The field holds the value under its own name, in a JSON object.
    Kept,
    /// The field is made of the value: an id, the plain text of a document, a category by its key.
    Transformed,
}

/// A part of a record that no field keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// The value at this dotted path, with all that is in it.
    pub path: &'static str,
    /// Why it is of no use.
    pub why: &'static str,
    /// When it is dropped, in words; always where that is `None`. Else it belongs to the rest.
    pub when: Option<&'static str>,
}

/// A field and what feeds it.
pub const fn field(field: &'static str, inputs: &'static [Input]) -> FieldLineage {
    FieldLineage { field, inputs }
}

/// The value at `path` as it is.
pub const fn identity(path: &'static str) -> Input {
    Input { place: Place::Record(path), derivation: Derivation::Identity, when: None }
}

/// Something that is made of the value at `path`.
pub const fn transformed(path: &'static str) -> Input {
    Input { place: Place::Record(path), derivation: Derivation::Transformed, when: None }
}

/// The value at `path` under its own name, in a JSON object.
pub const fn kept(path: &'static str) -> Input {
    Input { place: Place::Record(path), derivation: Derivation::Kept, when: None }
}

/// Every part of the record that nothing else names, each under its own name, in a JSON object.
pub const fn kept_rest() -> Input {
    Input { place: Place::Rest, derivation: Derivation::Kept, when: None }
}

/// Something that is made of the id of the record's parent.
pub const fn parent_id() -> Input {
    Input { place: Place::Envelope("parent.id"), derivation: Derivation::Transformed, when: None }
}

/// Something that is made of the key of the record's parent.
pub const fn parent_key() -> Input {
    Input { place: Place::Envelope("parent.key"), derivation: Derivation::Transformed, when: None }
}

/// Something that is made of the configured address of the site.
pub const fn site_url() -> Input {
    Input { place: Place::Configuration("site_url"), derivation: Derivation::Transformed, when: None }
}

/// Something that is made of the source system, such as an id.
pub const fn source_system() -> Input {
    Input { place: Place::Configuration("source_system"), derivation: Derivation::Transformed, when: None }
}

/// The value at `path` is dropped.
pub const fn dropped(path: &'static str, why: &'static str) -> Dropped {
    Dropped { path, why, when: None }
}

impl Input {
    /// Feeds the field only when that is so.
    #[must_use]
    pub const fn when(mut self, condition: &'static str) -> Self {
        self.when = Some(condition);
        self
    }

    /// The value is the field's as it is.
    #[must_use]
    pub const fn as_it_is(mut self) -> Self {
        self.derivation = Derivation::Identity;
        self
    }
}

impl Dropped {
    /// Is dropped only when that is so, and else belongs to the rest.
    #[must_use]
    pub const fn when(mut self, condition: &'static str) -> Self {
        self.when = Some(condition);
        self
    }
}

impl Derivation {
    /// The derivation as scripts see it: `identity`, `kept`, `transformed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Kept => "kept",
            Self::Transformed => "transformed",
        }
    }
}

impl fmt::Display for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Place {
    /// What kind of place it is.
    pub const fn kind(self) -> PlaceKind {
        match self {
            Self::Record(_) | Self::Rest => PlaceKind::Record,
            Self::Envelope(_) => PlaceKind::Envelope,
            Self::Configuration(_) => PlaceKind::Configuration,
        }
    }

    /// The dotted path of the place; `**` is the rest of the record.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Record(path) | Self::Envelope(path) | Self::Configuration(path) => path,
            Self::Rest => "**",
        }
    }
}

impl Lineage {
    /// The inputs of a field; none of one that is not declared.
    pub fn inputs(&self, field: &str) -> &'static [Input] {
        self.fields.iter().find(|known| known.field == field).map(|known| known.inputs).unwrap_or_default()
    }

    /// The fields that the part of a record at `path` feeds, or may feed where there are conditions.
    pub fn fed_by<'a>(&'a self, path: &'a [impl AsRef<str>]) -> impl Iterator<Item = &'static str> + 'a {
        let fed = self.fields.iter().filter(|field| field.inputs.iter().any(|input| self.feeds(input.place, path)));
        fed.map(|field| field.field)
    }

    /// Whether the part of a record at `path` belongs to `place`. What is dropped of a value is no part of it.
    pub fn feeds(&self, place: Place, path: &[impl AsRef<str>]) -> bool {
        if self.drops(path) {
            return false;
        }
        match place {
            Place::Record(declared) => is_within(path, declared),
            Place::Rest => !self.names(path),
            Place::Envelope(_) | Place::Configuration(_) => false,
        }
    }

    /// Whether the part of a record at `path` is dropped whatever the record.
    pub fn drops(&self, path: &[impl AsRef<str>]) -> bool {
        self.dropped.iter().any(|dropped| dropped.when.is_none() && is_within(path, dropped.path))
    }

    /// Whether some input names the part of a record at `path` without a condition, so that it is not of the rest.
    fn names(&self, path: &[impl AsRef<str>]) -> bool {
        self.fields.iter().flat_map(|field| field.inputs).any(
            |input| matches!(input.place, Place::Record(declared) if input.when.is_none() && is_within(path, declared)),
        )
    }

    /// What is wrong with the declaration for rows of `model`, as whoever writes the mapper is told.
    pub(crate) fn problem(&self, model: &ModelDescriptor) -> Option<String> {
        for field in &model.fields {
            match self.fields.iter().filter(|declared| declared.field == field.name).count() {
                0 => return Some(format!("it does not say what feeds the field `{}`", field.name)),
                1 => {}
                _ => return Some(format!("it says twice what feeds the field `{}`", field.name)),
            }
        }
        let unknown = self.fields.iter().find(|declared| model.fields.iter().all(|field| field.name != declared.field));
        unknown.map(|declared| format!("it names the field `{}`, which `{}` does not have", declared.field, model.id))
    }
}

/// Whether `path` is the declared one or leads on from there.
fn is_within(path: &[impl AsRef<str>], declared: &str) -> bool {
    let mut names = path.iter().map(AsRef::as_ref);
    declared.split('.').all(|name| names.next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINEAGE: Lineage = Lineage {
        fields: &[
            field("id", &[identity("id")]),
            field("author", &[transformed("author.id")]),
            field("level", &[identity("level").when("there is no rank")]),
            field("raw", &[kept("author"), kept_rest().when("it is a number")]),
            field("properties", &[kept_rest()]),
        ],
        dropped: &[dropped("author.picture", "follows"), dropped("replies", "rows").when("it is a list")],
    };

    fn fed_by(path: &str) -> Vec<&'static str> {
        LINEAGE.fed_by(&path.split('.').collect::<Vec<_>>()).collect()
    }

    #[test]
    fn a_path_names_a_value_with_all_that_is_in_it() {
        assert_eq!(fed_by("author.id"), ["author", "raw"]);
        assert_eq!(fed_by("author.name"), ["raw"]);
        assert_eq!(fed_by("authority"), ["raw", "properties"]);
    }

    #[test]
    fn what_is_dropped_of_a_value_is_no_part_of_it() {
        assert!(fed_by("author.picture.small").is_empty());
        assert_eq!(fed_by("replies.0"), ["raw", "properties"], "it need not be a list");
    }

    #[test]
    fn what_is_named_with_a_condition_may_belong_to_the_rest() {
        assert_eq!(fed_by("level"), ["level", "raw", "properties"]);
    }

    #[test]
    fn a_member_whose_name_has_a_dot_is_no_path() {
        assert_eq!(LINEAGE.fed_by(&["author.id"]).collect::<Vec<_>>(), ["raw", "properties"]);
    }

    #[test]
    fn a_declaration_that_is_not_one_of_all_fields_is_told() {
        let user = ModelDescriptor::of::<cdm_models::work::User<'_>>().unwrap();
        let all: Vec<FieldLineage> =
            user.fields.iter().map(|known| field(String::leak(known.name.clone()), &[])).collect();
        let problem = |fields: Vec<FieldLineage>| Lineage { fields: fields.leak(), dropped: &[] }.problem(&user);
        assert_eq!(problem(all.clone()), None);
        assert_eq!(problem(all[1..].to_vec()).unwrap(), "it does not say what feeds the field `cdm_id`");
        assert_eq!(
            problem([all.clone(), vec![field("email", &[])]].concat()).unwrap(),
            "it says twice what feeds the field `email`"
        );
        assert_eq!(
            problem([all, vec![field("emial", &[])]].concat()).unwrap(),
            "it names the field `emial`, which `cdm.work.user` does not have"
        );
    }
}
