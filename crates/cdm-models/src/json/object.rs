use std::{borrow::Cow, ops::Range};

use super::{Fit, JsonError, Numbers, canonicalize, text};
use crate::Json;

/// A member of an object that is being written: its key, and the place of its `"key":value`.
pub(super) type Member<'a> = (Cow<'a, str>, Range<usize>);

/// Sorts the members of an object that stands unfinished at the end of `out`, from `start`.
///
/// Objects that are already in order, as nearly all are once they have been stored, are left as they stand.
/// `scratch` is memory that is used again.
pub(super) fn sort_members(
    members: &mut [Member<'_>],
    start: usize,
    numbers: Numbers,
    scratch: &mut String,
    out: &mut String,
) -> Fit {
    let order = |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
    if members.is_sorted_by(|(a, _), (b, _)| order(a, b).is_lt()) {
        return Fit::Exact;
    }
    members.sort_by(|(a, _), (b, _)| order(a, b)); // stable: repeated members keep their order
    scratch.clear();
    scratch.push_str(out.get(start..).unwrap_or_default());
    out.truncate(start);
    let mut fit = Fit::Exact;
    let mut following = members.iter().skip(1);
    for (key, range) in members.iter() {
        let is_repeated = following.next().is_some_and(|(next, _)| next == key);
        if is_repeated && numbers == Numbers::Normalized {
            // Of the members with one key the last counts.
            fit = Fit::Changed;
            continue;
        }
        if out.len() > start {
            out.push(',');
        }
        out.push_str(scratch.get(range.start - start..range.end - start).unwrap_or_default());
    }
    fit
}

/// Builds a canonical JSON object member by member.
///
/// ```
/// use cdm_models::json::JsonObject;
///
/// let mut properties = JsonObject::new();
/// properties.insert("size", r#"{"width": 2, "height": 1}"#).unwrap();
/// properties.insert("colour", r#""red""#).unwrap();
/// let json = properties.finish().unwrap();
/// assert_eq!(json.as_str(), r#"{"size":{"width":2,"height":1},"colour":"red"}"#);
/// ```
#[derive(Debug, Default)]
pub struct JsonObject<'k> {
    text: String,
    members: Vec<Member<'k>>,
}

impl<'k> JsonObject<'k> {
    /// An object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// An object that will have about so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), members: Vec::new() }
    }

    /// Adds a member. `value` is any JSON text; a member that is inserted again replaces the first.
    ///
    /// Says whether the value's canonical form still tells all that `value` does.
    ///
    /// # Errors
    ///
    /// When `value` is not JSON, is nested too deeply or holds a number that is too large. The
    /// object is then as it was before.
    pub fn insert(&mut self, key: impl Into<Cow<'k, str>>, value: &str) -> Result<Fit, JsonError> {
        let key = key.into();
        let before = self.text.len();
        self.text.push(if self.members.is_empty() { '{' } else { ',' });
        let start = self.text.len();
        text::quote(&key, &mut self.text);
        self.text.push(':');
        match canonicalize(value, Numbers::Normalized, &mut self.text) {
            Ok(fit) => {
                self.members.push((key, start..self.text.len()));
                Ok(fit)
            }
            Err(error) => {
                self.text.truncate(before);
                Err(error)
            }
        }
    }

    /// The object, or `None` when nothing was inserted.
    pub fn finish(mut self) -> Option<Json<'static>> {
        if self.members.is_empty() {
            return None;
        }
        let mut scratch = String::with_capacity(self.text.len());
        sort_members(&mut self.members, 1, Numbers::Normalized, &mut scratch, &mut self.text);
        self.text.push('}');
        Some(Json(Cow::Owned(self.text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_the_same_however_it_was_filled() {
        let build = |members: &[(&'static str, &str)]| {
            let mut object = JsonObject::new();
            for (key, value) in members {
                object.insert(*key, value).unwrap();
            }
            object.finish().map(|json| json.as_str().to_owned())
        };
        let expected = Some(r#"{"a":1,"b":[2]}"#.to_owned());
        assert_eq!(build(&[("a", "1"), ("b", "[2]")]), expected);
        assert_eq!(build(&[("b", " [ 2 ] "), ("a", "1")]), expected);
        assert_eq!(build(&[("a", "0"), ("b", "[2]"), ("a", "1")]), expected);
        assert_eq!(build(&[]), None);
    }

    #[test]
    fn a_value_that_does_not_fit_leaves_no_trace() {
        let mut object = JsonObject::new();
        assert_eq!(object.insert("a", "1e9999"), Err(JsonError::NumberTooLarge));
        assert_eq!(object.insert("b", "1e2"), Ok(Fit::Changed));
        assert_eq!(object.insert("c", "{"), Err(JsonError::Invalid { at: 1 }));
        assert_eq!(object.finish().unwrap().as_str(), r#"{"b":100}"#);
    }
}
