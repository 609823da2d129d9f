use std::{borrow::Cow, fmt};

use cdm_models::json::check;
use endpoint_api::Result;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// The text of a record: one JSON object, every character of which was looked at.
///
/// # Errors
///
/// What was expected and what was found. It names no value.
pub(crate) fn object(bytes: &[u8]) -> Result<&str, String> {
    let text = text_of(bytes)?;
    check_object(text).map(|()| text)
}

/// What may be the text of a record: whether it is one is left to [`check_object`].
///
/// # Errors
///
/// As [`object`].
pub(crate) fn text_of(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to() + 1))
}

/// Looks at every character of what must be one JSON object.
///
/// # Errors
///
/// As [`object`].
pub(crate) fn check_object(text: &str) -> Result<(), String> {
    if check(text).is_err() {
        // It is no JSON, or nested more deeply than is looked at there.
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| {
            let message = error.to_string();
            let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
            format!("not JSON: {what} at column {}", error.column())
        })?;
    }
    let found = match text.trim_ascii_start().bytes().next() {
        Some(b'{') => return Ok(()),
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    };
    Err(format!("expected an object, found {found}"))
}

/// The members of an object that have these names, in that order; of one that is repeated the last,
/// and none for null. `None` when `json` is no object.
pub(crate) fn members<'a, const N: usize>(json: &'a str, names: [&str; N]) -> Option<[Option<&'a RawValue>; N]> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let members = deserializer.deserialize_map(Members(names)).ok()?;
    deserializer.end().ok()?;
    Some(members.map(|member| member.filter(|value| value.get() != "null")))
}

struct Members<'n, const N: usize>([&'n str; N]);

impl<'a, const N: usize> Visitor<'a> for Members<'_, N> {
    type Value = [Option<&'a RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = [None; N];
        while let Some(found) = map.next_key_seed(Position(&self.0))? {
            match found.and_then(|position| members.get_mut(position)) {
                Some(member) => *member = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(members)
    }
}

/// Which of the names a member has.
struct Position<'n>(&'n [&'n str]);

impl<'a> DeserializeSeed<'a> for Position<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Position<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == name))
    }
}

/// Shows each element of an array to `look`, with its index, until that fails. What is no array has
/// no elements.
pub(crate) fn each_element<'a>(json: &'a str, look: &mut dyn FnMut(usize, &'a str) -> Result<()>) -> Result<()> {
    let mut outcome = Ok(());
    let elements = Elements { look, outcome: &mut outcome };
    // What fails here is no array, or `look` did, whose error is in `outcome`.
    let _: Result<(), serde_json::Error> = serde_json::Deserializer::from_str(json).deserialize_seq(elements);
    outcome
}

struct Elements<'l, 'a> {
    look: &'l mut dyn FnMut(usize, &'a str) -> Result<()>,
    outcome: &'l mut Result<()>,
}

impl<'a> Visitor<'a> for Elements<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(element) = elements.next_element::<&RawValue>()? {
            *self.outcome = (self.look)(index, element.get());
            if self.outcome.is_err() {
                return Err(A::Error::custom("given up"));
            }
            index += 1;
        }
        Ok(())
    }
}

/// The text that a JSON string stands for, when it is not empty.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let quoted = value.get();
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let text = match inner.contains('\\') {
        true => Cow::Owned(serde_json::from_str(quoted).ok()?),
        false => Cow::Borrowed(inner),
    };
    Some(text).filter(|text| !text.is_empty())
}

/// An id: a text that is not empty, or a whole number, whose digits are the text.
pub(crate) fn id(value: &RawValue) -> Option<Cow<'_, str>> {
    let digits = Some(value.get()).filter(|digits| is_digits(digits));
    text(value).or_else(|| digits.map(Cow::Borrowed))
}

/// Whether `text` is digits and nothing else.
pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use endpoint_api::{Error, ErrorKind};

    use super::*;

    #[test]
    fn what_is_no_object_says_what_it_is_and_shows_no_value() {
        for (record, reason) in [
            (&b"17"[..], "expected an object, found a number"),
            (b" [\"secret\"]", "expected an object, found an array"),
            (b"\"secret\"", "expected an object, found a string"),
            (b"true", "expected an object, found true or false"),
            (b"null", "expected an object, found null"),
            (b"{\"secret\":}", "not JSON: expected value at column 11"),
            (b"{\"secret\":1}}", "not JSON: trailing characters at column 13"),
            (b"{\"secret\":\"a", "not JSON: EOF while parsing a string at column 12"),
            (b"secret", "not JSON: expected value at column 1"),
            (b"{\"a\":\"\xFF\"}", "not UTF-8 at byte 7"),
            (
                b"{\"a\":\"\t\"}",
                "not JSON: control character (\\u0000-\\u001F) found while parsing a string at column 6",
            ),
        ] {
            assert_eq!(object(record).unwrap_err(), reason);
        }
        for fine in ["{}", " {\"a\":\"\u{2028}\\ud800\"}\r", "{\"a\":1e999,\"a\":2}"] {
            assert_eq!(object(fine.as_bytes()), Ok(fine));
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(object(deep.as_bytes()), Ok(deep.as_str()));
    }

    #[test]
    fn members_are_found_by_name_whatever_stands_beside_them() {
        let found = |json| members(json, ["id", "key"]).map(|found| found.map(|value| value.map(RawValue::get)));
        assert_eq!(found(r#"{"x":[{"id":0}],"key": "A-1" ,"id":7}"#), Some([Some("7"), Some("\"A-1\"")]));
        assert_eq!(found(r#"{"id":1,"\u0069d":2}"#), Some([Some("2"), None]));
        assert_eq!(found(r#"{"id":null,"key":{"a": 1}}"#), Some([None, Some(r#"{"a": 1}"#)]));
        assert_eq!(found("{}"), Some([None, None]));
        for no_object in ["[]", "1", "{", "{} {}", "", "{\"id\":}"] {
            assert_eq!(found(no_object), None, "{no_object}");
        }
    }

    #[test]
    fn elements_are_shown_until_one_is_refused() {
        let mut seen = Vec::new();
        each_element(r#"[{"a": 1}, null,"x"]"#, &mut |index, json| {
            seen.push((index, json));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [(0, r#"{"a": 1}"#), (1, "null"), (2, "\"x\"")]);
        let refuse = |index, _: &str| match index {
            0 => Ok(()),
            _ => Err(Error::new(ErrorKind::Interrupted, "read", "enough")),
        };
        assert_eq!(each_element("[1,2,3]", &mut { refuse }).unwrap_err().kind(), ErrorKind::Interrupted);
        each_element(r#"{"a":1}"#, &mut |_, _| panic!("no array")).unwrap();
    }

    #[test]
    fn an_id_is_a_text_or_a_whole_number() {
        let read = |json| id(serde_json::from_str(json).unwrap()).map(Cow::into_owned);
        assert_eq!(read("\"10001\"").unwrap(), "10001");
        assert_eq!(read("10001").unwrap(), "10001");
        assert_eq!(read("12345678901234567890123").unwrap(), "12345678901234567890123");
        assert_eq!(read(r#""a\u00e9""#).unwrap(), "aé");
        for none in ["\"\"", "1.5", "-1", "1e3", "true", "null", "{}", "[1]", r#""\ud800""#] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
