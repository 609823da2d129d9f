use std::collections::BTreeSet;

use crate::text::storable;

/// What people write about a dataset. Nothing that the system registers touches it.
///
/// As a part of a [`Dataset`](crate::Dataset) it is what is written, `None` where nobody wrote. Given to
/// [`Catalog::annotate`](crate::Catalog::annotate) it is what to write: `None` leaves what is there, and
/// an empty text or set takes it away.
///
/// ```
/// use catalog::Annotations;
///
/// let owner = Annotations::default().owner("The data platform team").tags(["finance", "trusted"]);
/// assert!(owner.description.is_none());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Annotations {
    /// What it is and how to use it, in people's own words.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to find it by.
    pub tags: Option<BTreeSet<String>>,
}

impl Annotations {
    /// Writes the description.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Writes the owner.
    #[must_use]
    pub fn owner(mut self, text: impl Into<String>) -> Self {
        self.owner = Some(text.into());
        self
    }

    /// Writes the tags, all of them.
    #[must_use]
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// What is written when `known` was and `self` is to be.
    pub(crate) fn over(&self, known: &Self) -> Self {
        let text = |new: &Option<String>, known: &Option<String>| match new {
            None => known.clone(),
            Some(text) => (!text.is_empty()).then(|| storable(&**text)),
        };
        Self {
            description: text(&self.description, &known.description),
            owner: text(&self.owner, &known.owner),
            tags: match &self.tags {
                None => known.tags.clone(),
                Some(tags) => (!tags.is_empty()).then(|| tags.iter().map(|tag| storable(&**tag)).collect()),
            },
        }
    }
}
