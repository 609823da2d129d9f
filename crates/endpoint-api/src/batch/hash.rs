use cdm_models::{
    ModelDescriptor,
    json::{Canonicalizer, JsonError, Numbers},
};

/// Hashes the content of a row: 128 bits of BLAKE3 over the model fields that are not null.
///
/// Fields are taken in the order of their names, so that neither the order of a struct's fields nor
/// a new field that is null changes the hash of a row. Plumbing is not part of it. For each field,
/// lengths in little endian:
///
/// ```text
/// u32 length of the name, the name, u64 length of the value, the value
/// ```
///
/// where the value is: text in UTF-8; a bool as one byte 0 or 1; an integer or a time (microseconds
/// since the epoch) in 8 bytes, a float by its bits in 8 bytes, a date (days since the epoch) in 4,
/// all in little endian; a list as each text behind its u64 length; JSON in canonical form, with the
/// numbers of `json` as `jsonb` writes them and those of `raw json` as received.
#[derive(Debug, Clone)]
pub struct ContentHasher {
    /// The fields in the order of their names: place in the model, and name with its length.
    fields: Vec<(usize, Vec<u8>)>,
    canonicalizer: Canonicalizer,
    /// JSON in canonical form.
    canonical: String,
    /// What is hashed of a row: in one piece it is hashed faster than piece by piece.
    input: Vec<u8>,
}

/// A value of more bytes is hashed as it is, and not copied to be hashed together with others.
const LARGE_BYTES: usize = 64 * 1024;

/// The value of a field, as it is hashed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum HashValue<'a> {
    /// No value.
    Null,
    /// Text.
    Text(&'a str),
    /// True or false.
    Bool(bool),
    /// A whole number, or a time in microseconds since the epoch.
    Int64(i64),
    /// A floating-point number.
    Float64(f64),
    /// A day, in days since the epoch.
    Date(i32),
    /// Texts in their order.
    TextList(&'a [&'a str]),
    /// JSON in any form; it is brought into canonical form.
    Json(&'a str),
    /// JSON in canonical form already, as [`Json`](cdm_models::Json) is.
    CanonicalJson(&'a str),
    /// JSON as received.
    RawJson(&'a str),
}

impl ContentHasher {
    /// A hasher for the rows of `model`.
    pub fn new(model: &ModelDescriptor) -> Self {
        let mut names: Vec<(usize, &str)> =
            model.fields.iter().enumerate().map(|(index, field)| (index, field.name.as_str())).collect();
        names.sort_by_key(|(_, name)| *name);
        let fields = names
            .into_iter()
            .map(|(index, name)| {
                let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
                (index, [&length.to_le_bytes(), name.as_bytes()].concat())
            })
            .collect();
        Self { fields, canonicalizer: Canonicalizer::default(), canonical: String::new(), input: Vec::new() }
    }

    /// The hash of the row whose field at each place of the model has the value that `value` gives.
    pub fn hash<'a>(&mut self, value: impl Fn(usize) -> HashValue<'a>) -> Result<[u8; 16], JsonError> {
        let Self { fields, canonicalizer, canonical, input } = self;
        input.clear();
        let mut input = Input { hasher: blake3::Hasher::new(), open: input };
        let mut push_json = |text: &str, numbers: Numbers, input: &mut Input<'_>| -> Result<(), JsonError> {
            // What an error left behind.
            canonical.clear();
            canonicalizer.append(text, numbers, canonical)?;
            input.push(canonical.as_bytes());
            canonical.clear();
            canonical.shrink_to(LARGE_BYTES);
            Ok(())
        };
        for (index, name) in fields {
            let value = value(*index);
            if matches!(value, HashValue::Null) {
                continue;
            }
            input.open.extend_from_slice(name);
            match value {
                HashValue::Null => {}
                HashValue::Text(text) | HashValue::CanonicalJson(text) => input.push(text.as_bytes()),
                HashValue::Bool(value) => input.push(&[u8::from(value)]),
                HashValue::Int64(value) => input.push(&value.to_le_bytes()),
                HashValue::Float64(value) => input.push(&value.to_bits().to_le_bytes()),
                HashValue::Date(days) => input.push(&days.to_le_bytes()),
                HashValue::TextList(texts) => {
                    let length: usize = texts.iter().map(|text| text.len() + 8).sum();
                    input.open.extend_from_slice(&size(length));
                    texts.iter().for_each(|text| input.push(text.as_bytes()));
                }
                HashValue::Json(text) => push_json(text, Numbers::Normalized, &mut input)?,
                HashValue::RawJson(text) => push_json(text, Numbers::AsReceived, &mut input)?,
            }
        }
        Ok(input.finish())
    }
}

/// What is hashed of a row.
struct Input<'i> {
    hasher: blake3::Hasher,
    /// What is not hashed yet.
    open: &'i mut Vec<u8>,
}

impl Input<'_> {
    /// Adds a value behind its length.
    fn push(&mut self, value: &[u8]) {
        self.open.extend_from_slice(&size(value.len()));
        if value.len() <= LARGE_BYTES {
            self.open.extend_from_slice(value);
        } else {
            self.hasher.update(self.open).update(value);
            self.open.clear();
        }
    }

    fn finish(mut self) -> [u8; 16] {
        let mut hash = [0; 16];
        self.hasher.update(self.open).finalize_xof().fill(&mut hash);
        hash
    }
}

fn size(length: usize) -> [u8; 8] {
    u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_value_leaves_no_memory_behind() {
        let large = format!("[\"{}\"]", "x".repeat(40 * LARGE_BYTES));
        let mut hasher = ContentHasher {
            fields: vec![(0, b"text".to_vec()), (1, b"json".to_vec())],
            canonicalizer: Canonicalizer::default(),
            canonical: String::new(),
            input: Vec::new(),
        };
        for value in [HashValue::Text(&large), HashValue::RawJson(&large), HashValue::Json(&large)] {
            hasher.hash(|_| value).unwrap();
            let kept = hasher.canonical.capacity() + hasher.input.capacity();
            assert!(kept <= 2 * LARGE_BYTES, "{kept} bytes are kept");
        }
    }
}
