use std::borrow::Cow;

use endpoint_api::Rejection;

use crate::{
    adf,
    values::{expected, text},
};

/// A text that people wrote: as they typed it (Server), or out of a document (Cloud).
#[derive(Debug)]
pub(crate) enum RichText<'a> {
    Absent,
    Typed(Cow<'a, str>),
    FromDocument(String),
}

impl<'a> RichText<'a> {
    pub(crate) fn read(value: Option<&'a str>, field: &str) -> Result<Self, Rejection> {
        match value {
            None => Ok(Self::Absent),
            Some(document) if document.starts_with('{') => match adf::plain_text(document) {
                Some(text) => Ok(Self::FromDocument(text)),
                None => Err(expected("text or an ADF document", document, field)),
            },
            Some(_) => Ok(text(value, field)?.map_or(Self::Absent, Self::Typed)),
        }
    }

    /// Whether the text tells less than the value did.
    pub(crate) fn is_shortened(&self) -> bool {
        matches!(self, Self::FromDocument(_))
    }

    pub(crate) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Absent => None,
            Self::Typed(text) => Some(text),
            Self::FromDocument(text) => Some(text.into()),
        }
    }
}
