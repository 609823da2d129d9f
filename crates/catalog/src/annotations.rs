use std::collections::{BTreeMap, BTreeSet};

use crate::{Expectations, Interval, RowBand, text::storable};

/// What people wrote about a dataset. Nothing that the system registers touches it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Annotations {
    /// What it is and how to use it, in people's own words.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to find it by.
    pub tags: BTreeSet<String>,
    /// What people have to say about single fields, by the field's name.
    pub notes: BTreeMap<String, String>,
    /// What people expect of it.
    pub expectations: Expectations,
}

/// What somebody wants to change about [`Annotations`]. What it does not speak of stays as it is, so that two
/// people who write at the same moment lose no word of each other.
///
/// ```
/// use catalog::AnnotationEdit;
///
/// let edit = AnnotationEdit::default().owner("The data platform team").tag("finance").without_tag("draft");
/// assert!(!edit.is_empty());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnnotationEdit {
    description: Option<Option<String>>,
    owner: Option<Option<String>>,
    tags: BTreeMap<String, bool>,
    notes: BTreeMap<String, Option<String>>,
    every: Option<Option<Interval>>,
    rows: Option<Option<RowBand>>,
}

impl AnnotationEdit {
    /// Writes the description; an empty one takes it away.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(written(text));
        self
    }

    /// Writes the owner; an empty one takes it away.
    #[must_use]
    pub fn owner(mut self, text: impl Into<String>) -> Self {
        self.owner = Some(written(text));
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.insert(storable(tag), true);
        self
    }

    /// Takes a tag away.
    #[must_use]
    pub fn without_tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.insert(storable(tag), false);
        self
    }

    /// Writes a note about a field; an empty one takes it away.
    #[must_use]
    pub fn note(mut self, field: impl Into<String>, text: impl Into<String>) -> Self {
        self.notes.insert(storable(field), written(text));
        self
    }

    /// Expects a load at least that often; `None` expects nothing any more.
    #[must_use]
    pub fn expect_every(mut self, interval: Option<Interval>) -> Self {
        self.every = Some(interval);
        self
    }

    /// Expects so many rows; `None` expects nothing any more.
    #[must_use]
    pub fn expect_rows(mut self, rows: Option<RowBand>) -> Self {
        self.rows = Some(rows);
        self
    }

    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The fields about which there is to be a note.
    pub(crate) fn noted_fields(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().filter(|(_, note)| note.is_some()).map(|(field, _)| field.as_str())
    }

    /// What is written when `known` was and the edit has been made.
    pub(crate) fn over(&self, known: &Annotations) -> Annotations {
        let mut edited = known.clone();
        if let Some(description) = &self.description {
            edited.description.clone_from(description);
        }
        if let Some(owner) = &self.owner {
            edited.owner.clone_from(owner);
        }
        for (tag, is_there) in &self.tags {
            if *is_there {
                edited.tags.insert(tag.clone());
            } else {
                edited.tags.remove(tag);
            }
        }
        for (field, note) in &self.notes {
            match note {
                Some(note) => edited.notes.insert(field.clone(), note.clone()),
                None => edited.notes.remove(field),
            };
        }
        edited.expectations.every = self.every.unwrap_or(edited.expectations.every);
        edited.expectations.rows = self.rows.unwrap_or(edited.expectations.rows);
        edited
    }
}

fn written(text: impl Into<String>) -> Option<String> {
    Some(storable(text)).filter(|text| !text.is_empty())
}
