use endpoint_api::Note;

use crate::keep::RawObject;

/// The values of a record that cannot be read: each is null in the row, kept in `raw_source`, and noted.
pub(crate) struct Odd<'a, 'n> {
    notes: &'n mut Vec<Note>,
    values: Vec<(&'static str, &'a str)>,
}

impl<'a, 'n> Odd<'a, 'n> {
    /// Notes them in `notes`.
    pub(crate) fn new(notes: &'n mut Vec<Note>) -> Self {
        Self { notes, values: Vec::new() }
    }

    /// A value that cannot be read and stands at the dotted path `field`; it is kept.
    pub(crate) fn add(&mut self, field: &'static str, value: &'a str) {
        self.values.push((field, value));
        self.note(Note::Unreadable(field.into()));
    }

    /// Keeps a value that is not a part of the row in another way.
    pub(crate) fn keep_value(&mut self, field: &'static str, value: &'a str) {
        self.values.push((field, value));
    }

    /// As [`add`](Self::add), of a value that is kept anyway.
    pub(crate) fn add_kept(&mut self, field: &'static str) {
        self.note(Note::Unreadable(field.into()));
    }

    /// Notes something else of the record.
    pub(crate) fn note(&mut self, note: Note) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The notes of the record.
    pub(crate) fn notes(&mut self) -> &mut Vec<Note> {
        self.notes
    }

    /// Keeps the values: members of the record in `raw`, members of its `fields` in `raw_fields`. What stands deeper
    /// is a part of an object that is kept.
    pub(crate) fn keep(&mut self, raw: &mut RawObject<'_>, raw_fields: Option<&mut RawObject<'_>>) {
        let values = std::mem::take(&mut self.values);
        let (of_fields, of_record): (Vec<_>, Vec<_>) =
            values.into_iter().partition(|(field, _)| field.starts_with("fields."));
        for (field, value) in of_record.into_iter().filter(|(field, _)| !field.contains('.')) {
            raw.keep_odd(field, Some(value));
        }
        let Some(raw_fields) = raw_fields else { return };
        for (field, value) in of_fields {
            if let Some(name) = field.strip_prefix("fields.").filter(|name| !name.contains('.')) {
                raw_fields.keep_odd(name, Some(value));
            }
        }
    }
}
