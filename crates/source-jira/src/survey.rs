use std::io::Read as _;

use endpoint_api::Result;

use crate::{
    decode,
    elements::Elements,
    error::stopped,
    field_names::FieldNames,
    files::{ExportFile, Form},
    pages::Pages,
    stop::Stop,
    units::Unit,
};

/// So much of the text of one file is read for the names of fields, and of all files together.
const NAMES_BYTES: u64 = 32 * 1024 * 1024;
const ALL_NAMES_BYTES: u64 = 128 * 1024 * 1024;

/// What the pages of a file say about themselves. `None` when it cannot be read to its end: whoever reads its
/// records says why.
pub(crate) fn pages_of(file: &ExportFile, stop: &Stop) -> Result<Option<Pages>> {
    let Ok(text) = decode::open(file, None, stop) else { return Ok(None) };
    let (mut pages, fields, outcome) = Elements::survey(text, file.unit.name());
    pages.epic_link = fields.epic_link().map(str::to_owned);
    if stop.is_set() {
        return Err(stopped());
    }
    Ok(outcome.ok().map(|()| pages))
}

/// What the pages of issues say of the fields of their issues, as far as the beginning of each file goes.
pub(crate) fn field_names(files: &[ExportFile], stop: &Stop) -> FieldNames {
    let mut names = FieldNames::default();
    let mut left = ALL_NAMES_BYTES;
    for file in files.iter().filter(|file| file.unit == Unit::Issues && file.form == Form::Values) {
        if left == 0 || stop.is_set() {
            break;
        }
        let Ok(text) = decode::open(file, None, stop) else { continue };
        let mut text = text.take(NAMES_BYTES.min(left));
        let allowed = text.limit();
        let (_, found, _) = Elements::survey(&mut text, file.unit.name());
        left -= allowed - text.limit();
        names.add(&found);
    }
    names
}
