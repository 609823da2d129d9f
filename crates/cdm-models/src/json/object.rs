use std::{borrow::Cow, cmp::Ordering};

use super::{Canonicalizer, Fit, JsonError, Numbers, text};
use crate::Json;

/// A member of an object that is being written: where its `"key":value` stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    from: usize,
    /// Behind the closing quote of the key.
    key_end: usize,
    end: usize,
    /// The length and the beginning of the key: of two keys these nearly always tell which is the lesser.
    rank: (usize, u64),
    /// Whether there may be escapes in the key.
    is_escaped: bool,
}

impl Member {
    /// The member that `text` ends with, from `from`; its key, in its quotes, ends at `key_end`.
    pub(super) fn at_end_of(text: &str, from: usize, key_end: usize, is_escaped: bool) -> Self {
        // The closing quote is a part of the beginning of a short key: of keys of one length, of each.
        let key = text.as_bytes().get(from + 1..).unwrap_or_default();
        let mut beginning = [0; 8];
        match key.first_chunk() {
            Some(first) => beginning = *first,
            None => beginning.iter_mut().zip(key).for_each(|(place, byte)| *place = *byte),
        }
        let beginning = u64::from_be_bytes(beginning) >> (64 - 8 * (key_end - from - 1).clamp(1, 8));
        Self { from, key_end, end: text.len(), rank: (key_end - from, beginning), is_escaped }
    }

    /// The key in its quotes.
    fn key<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.from..self.key_end).unwrap_or_default()
    }

    /// The order by what the keys stand for: the shorter first.
    #[inline]
    fn order(&self, other: &Self, text: &str) -> Ordering {
        if self.is_escaped || other.is_escaped {
            let decoded = |member: &Self| serde_json::from_str::<String>(member.key(text)).unwrap_or_default();
            let (key, other_key) = (decoded(self), decoded(other));
            return key.len().cmp(&other_key.len()).then_with(|| key.cmp(&other_key));
        }
        self.rank.cmp(&other.rank).then_with(|| self.key(text).cmp(other.key(text)))
    }
}

/// Sorts the members of an object that stands unfinished at the end of `out`, from `start`.
///
/// Objects that are already in order, as nearly all are once they have been stored, are left as they stand.
/// `scratch` is memory that is used again.
pub(super) fn sort_members(
    members: &mut [Member],
    start: usize,
    numbers: Numbers,
    scratch: &mut String,
    out: &mut String,
) -> Fit {
    if members.is_sorted_by(|a, b| a.order(b, out).is_lt()) {
        return Fit::Exact;
    }
    members.sort_by(|a, b| a.order(b, out)); // stable: repeated members keep their order
    scratch.clear();
    scratch.push_str(out.get(start..).unwrap_or_default());
    out.truncate(start);
    let mut fit = Fit::Exact;
    let mut following = members.iter().skip(1);
    let moved = |member: &Member| Member {
        from: member.from - start,
        key_end: member.key_end - start,
        end: member.end - start,
        ..*member
    };
    for member in members.iter().map(moved) {
        let is_repeated = following
            .next()
            .is_some_and(|next| next.rank == member.rank && moved(next).key(scratch) == member.key(scratch));
        if is_repeated && numbers == Numbers::Normalized {
            // Of the members with one key the last counts.
            fit = Fit::Changed;
            continue;
        }
        if out.len() > start {
            out.push(',');
        }
        out.push_str(scratch.get(member.from..member.end).unwrap_or_default());
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
pub struct JsonObject {
    text: String,
    members: Vec<Member>,
    canonicalizer: Canonicalizer,
}

impl JsonObject {
    /// An object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// An object that will have about so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        // About as many members as such an object has, so that none of this grows piece by piece.
        let members = Vec::with_capacity(bytes / 64);
        let canonicalizer =
            Canonicalizer { members: Vec::with_capacity(16), scratch: String::with_capacity(bytes / 2) };
        Self { text: String::with_capacity(bytes), members, canonicalizer }
    }

    /// Adds a member. `value` is any JSON text; a member that is inserted again replaces the first.
    ///
    /// Says whether the value's canonical form still tells all that `value` does.
    ///
    /// # Errors
    ///
    /// When `value` is not JSON, is nested too deeply or holds a number that is too large. The
    /// object is then as it was before.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<Fit, JsonError> {
        let before = self.text.len();
        self.text.push(if self.members.is_empty() { '{' } else { ',' });
        let from = self.text.len();
        text::quote(key, &mut self.text);
        let key_end = self.text.len();
        let is_escaped = key_end - from != key.len() + 2;
        self.text.push(':');
        match self.canonicalizer.append(value, Numbers::Normalized, &mut self.text) {
            Ok(fit) => {
                self.members.push(Member::at_end_of(&self.text, from, key_end, is_escaped));
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
        let scratch = &mut self.canonicalizer.scratch;
        sort_members(&mut self.members, 1, Numbers::Normalized, scratch, &mut self.text);
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
                object.insert(key, value).unwrap();
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
