//! Canonical JSON: one text for every way to write the same value.
//!
//! Sinks compare records by a hash, and a database may write a JSON value in its own way
//! (PostgreSQL's `jsonb` sorts members, drops repeated ones and rewrites numbers). Both sides are
//! brought into the canonical form before they are hashed or compared:
//!
//! - no white space between tokens;
//! - strings with the fewest escapes;
//! - members sorted by their decoded keys as `jsonb` sorts them: the shorter first, then by their bytes;
//! - numbers and repeated members as [`Numbers`] says.

mod members;
mod number;
mod object;
mod text;

use std::fmt;

pub use members::{Members, members, nested_members};
pub use object::JsonObject;
use object::Member;
use text::Cursor;
pub use text::quote;

/// How deeply arrays and objects may be nested. Deeper input is refused, not a stack overflow.
pub const MAX_DEPTH: usize = 128;

/// How canonical JSON writes numbers and repeated members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// As PostgreSQL's `jsonb` does: no exponent, no leading plus or minus zero, trailing zeros of
    /// the fraction kept (`1.50e1` is `15.0`); of a repeated member the last one.
    Normalized,
    /// To the character as received; repeated members are all kept, in their order.
    AsReceived,
}

/// The text is no JSON value that can be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON; the offset in bytes of the first character that does not fit.
    Invalid {
        /// Offset in bytes.
        at: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// A number whose decimal digits would fill more than 1,000 characters.
    NumberTooLarge,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { at } => write!(f, "not JSON at byte {at}"),
            Self::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} levels"),
            Self::NumberTooLarge => f.write_str("a number of more than 1,000 digits"),
        }
    }
}

impl std::error::Error for JsonError {}

/// What canonical form did to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Every number and member is still there as it was received.
    Exact,
    /// A number's text changed or a repeated member was dropped.
    Changed,
}

impl Fit {
    fn and(self, other: Self) -> Self {
        if self == Self::Exact { other } else { self }
    }
}

/// Appends the canonical form of `text`, which must be one JSON value, to `out`.
///
/// On an error `out` holds an unfinished value.
pub fn canonicalize(text: &str, numbers: Numbers, out: &mut String) -> Result<Fit, JsonError> {
    Canonicalizer::default().append(text, numbers, out)
}

/// Brings many values into canonical form, with memory that is used again.
#[derive(Debug, Clone, Default)]
pub struct Canonicalizer {
    /// Members of the objects that are open, innermost last.
    members: Vec<Member>,
    scratch: String,
}

impl Canonicalizer {
    /// See [`canonicalize`].
    pub fn append(&mut self, text: &str, numbers: Numbers, out: &mut String) -> Result<Fit, JsonError> {
        self.members.clear();
        let mut writer = Writer { cursor: Cursor::new(text), numbers, out, memory: self, fit: Fit::Exact };
        writer.value(0)?;
        writer.cursor.end()?;
        Ok(writer.fit)
    }
}

/// Makes sure that `text` is one JSON value, every character of it, without reading what its strings stand
/// for: half of a surrogate pair passes.
///
/// # Errors
///
/// As [`canonicalize`], of which the sizes of numbers are none.
pub fn check(text: &str) -> Result<(), JsonError> {
    let mut cursor = Cursor::new(text);
    cursor.check(0)?;
    cursor.end()
}

struct Writer<'a, 'o> {
    cursor: Cursor<'a>,
    numbers: Numbers,
    out: &'o mut String,
    memory: &'o mut Canonicalizer,
    fit: Fit,
}

impl Writer<'_, '_> {
    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        match self.cursor.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => {
                self.cursor.string()?.write(self.out);
                Ok(())
            }
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                self.out.push_str(self.cursor.literal()?);
                Ok(())
            }
        }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let text = self.cursor.number()?;
        match self.numbers {
            Numbers::AsReceived => self.out.push_str(text),
            Numbers::Normalized => self.fit = self.fit.and(number::normalize(text, self.out)?),
        }
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.cursor.expect(b'[')?;
        self.out.push('[');
        if self.cursor.peek()? != b']' {
            loop {
                self.value(depth + 1)?;
                if !self.cursor.comma()? {
                    break;
                }
                self.out.push(',');
            }
        }
        self.cursor.expect(b']')?;
        self.out.push(']');
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        self.cursor.expect(b'{')?;
        self.out.push('{');
        let first_member = self.memory.members.len();
        let start = self.out.len();
        if self.cursor.peek()? != b'}' {
            loop {
                if self.cursor.peek()? != b'"' {
                    return Err(self.cursor.invalid());
                }
                let key = self.cursor.string()?;
                self.cursor.expect(b':')?;
                let from = self.out.len();
                key.write(self.out);
                self.out.push(':');
                let (key_end, is_escaped) = (self.out.len() - 1, key.is_escaped());
                self.value(depth + 1)?;
                self.memory.members.push(Member::at_end_of(self.out, from, key_end, is_escaped));
                if !self.cursor.comma()? {
                    break;
                }
                self.out.push(',');
            }
        }
        self.cursor.expect(b'}')?;
        let Canonicalizer { members, scratch } = &mut *self.memory;
        let kept = object::sort_members(
            members.get_mut(first_member..).unwrap_or_default(),
            start,
            self.numbers,
            scratch,
            self.out,
        );
        members.truncate(first_member);
        self.fit = self.fit.and(kept);
        self.out.push('}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str, numbers: Numbers) -> Result<(String, Fit), JsonError> {
        let mut out = String::new();
        let fit = canonicalize(text, numbers, &mut out)?;
        Ok((out, fit))
    }

    #[test]
    fn members_are_sorted_and_white_space_goes() {
        let text = "{ \"b\" : [ 1 , {\"z\":1,\"y\":[]} ],\n\"a\":\"x\" , \"\\u0061a\": null }";
        let (out, fit) = canonical(text, Numbers::Normalized).unwrap();
        assert_eq!(out, r#"{"a":"x","b":[1,{"y":[],"z":1}],"aa":null}"#);
        assert_eq!(fit, Fit::Exact);
    }

    #[test]
    fn of_a_repeated_member_jsonb_keeps_the_last() {
        let text = r#"{"a":1,"b":2,"a":3}"#;
        assert_eq!(canonical(text, Numbers::Normalized).unwrap(), (r#"{"a":3,"b":2}"#.into(), Fit::Changed));
        assert_eq!(canonical(text, Numbers::AsReceived).unwrap(), (r#"{"a":1,"a":3,"b":2}"#.into(), Fit::Exact));
    }

    #[test]
    fn strings_have_the_fewest_escapes() {
        let text = r#"["\u00e9\/\n\u0001\u2028\ud83d\ude00\"\\"]"#;
        let (out, _) = canonical(text, Numbers::Normalized).unwrap();
        assert_eq!(out, "[\"é/\\n\\u0001\u{2028}😀\\\"\\\\\"]");
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for (text, at) in [
            ("", 0),
            ("{", 1),
            ("[1,]", 3),
            ("{\"a\":1,}", 7),
            ("{\"a\" 1}", 5),
            ("{1:2}", 1),
            ("tru", 0),
            ("01", 1),
            ("1.", 2),
            ("-", 1),
            ("\"a", 2),
            ("\"\t\"", 1),
            ("[1] x", 4),
            ("nulll", 4),
            ("[1 2]", 3),
        ] {
            assert_eq!(canonical(text, Numbers::Normalized), Err(JsonError::Invalid { at }), "{text}");
        }
        assert!(canonical(r#""\ud800""#, Numbers::Normalized).is_err(), "a lone surrogate is no text");
    }

    #[test]
    fn what_is_checked_is_what_can_be_read() {
        let values =
            ["1", "-0.5e+3", "\"a\\u00e9\\n\"", "true", "null", "[]", "{}", "[1,{\"a\":[]}]", "{\"a\":1,\"b\":{}}"];
        for value in values {
            assert_eq!(check(value), Ok(()), "{value}");
            // Cut anywhere, it is JSON only where a number is.
            for end in 0..value.len() {
                let cut = value.get(..end).unwrap_or_default();
                assert_eq!(check(cut).is_ok(), serde_json::from_str::<serde::de::IgnoredAny>(cut).is_ok(), "{cut}");
            }
        }
        let bad =
            ["\"\\x\"", "\"\\u00g0\"", "\"\\u00", "\"\t\"", "[1,]", "{\"a\":1,}", "{a:1}", "01", "nul", "1 2", "[1}"];
        for value in bad {
            assert!(check(value).is_err(), "{value}");
        }
        assert_eq!(check(&"[".repeat(1_000_000)), Err(JsonError::TooDeep));
    }

    #[test]
    fn hostile_nesting_is_an_error_and_not_a_stack_overflow() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(canonical(&deep, Numbers::Normalized), Err(JsonError::TooDeep));
        let allowed = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(canonical(&allowed, Numbers::Normalized).is_ok());
    }
}
