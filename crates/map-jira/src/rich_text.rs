use std::borrow::Cow;

use endpoint_api::Note;

use crate::{
    adf::{self, Document},
    keep::RawObject,
    odd::Odd,
    record::Record,
    values::string,
};

/// A text that people wrote: as they typed it (Server), or out of a document (Cloud).
pub(crate) struct RichText;

impl RichText {
    /// Takes the member `name` of `record`, at the dotted path `field`, and reads its text. What tells more than that,
    /// which is a document or a value that cannot be read, is kept in `raw`.
    pub(crate) fn take<'a>(
        record: &mut Record<'a>,
        name: &str,
        field: &'static str,
        raw: &mut RawObject<'_>,
        odd: &mut Odd<'a, '_>,
    ) -> Option<Cow<'a, str>> {
        let value = record.take(name)?;
        let document = match value.bytes().next() {
            Some(b'{') => adf::document(value),
            Some(b'"') => {
                let typed = string(value);
                match typed.as_deref().filter(|text| looks_like_a_document(text)).and_then(adf::document) {
                    None if typed.is_some() => return typed,
                    document => document,
                }
            }
            _ => None,
        };
        let Some(Document { text, is_whole }) = document else {
            odd.add(field, value);
            return None;
        };
        if is_whole {
            raw.keep(name, Some(value));
        } else {
            raw.keep_odd(name, Some(value));
            odd.note(Note::PartlyRead(field));
        }
        Some(Cow::Owned(text))
    }
}

/// Whether a text may be the JSON text of a document; some exports hold those as strings.
fn looks_like_a_document(text: &str) -> bool {
    text.trim_start().starts_with('{') && text.contains("\"doc\"")
}
