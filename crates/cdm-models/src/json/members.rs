use std::borrow::Cow;

use super::{JsonError, text::Cursor};

/// The members of a JSON object in their order, each with its decoded name and the exact text of its
/// value. Nothing is copied where a name has no escape.
///
/// ```
/// use cdm_models::json::members;
///
/// let found: Result<Vec<_>, _> = members(r#"{"id": "7", "fields": {"x": [1, 2]}}"#).collect();
/// let found = found.unwrap();
/// assert_eq!((found[0].0.as_ref(), found[0].1), ("id", "\"7\""));
/// assert_eq!((found[1].0.as_ref(), found[1].1), ("fields", r#"{"x": [1, 2]}"#));
/// ```
///
/// A value is looked at only as far as its end has to be found: what is no JSON between balanced brackets
/// shows when the value is read. What is no object, or does not end, is an error, the last that comes.
pub fn members(json: &str) -> Members<'_> {
    Members { cursor: Cursor::new(json), place: Place::Before }
}

/// As [`members`], in one pass also those of the member `nest`, where that is an object: they come in its
/// place, with `true`. Where `nest` is repeated, a later one is a member like any other.
pub fn nested_members<'a>(
    json: &'a str,
    nest: &str,
) -> impl Iterator<Item = Result<(Cow<'a, str>, &'a str, bool), JsonError>> {
    let mut members = members(json);
    let (mut is_nested, mut was_nested) = (false, false);
    std::iter::from_fn(move || {
        loop {
            let name = match members.name() {
                Ok(Some(name)) => name,
                Ok(None) if is_nested => {
                    (is_nested, members.place) = (false, Place::Between);
                    continue;
                }
                Ok(None) => return members.finish().err().map(Err),
                Err(error) => return Some(Err(error)),
            };
            match members.cursor.peek() {
                Ok(b'{') if !was_nested && name == nest => {
                    (is_nested, was_nested, members.place) = (true, true, Place::Before);
                }
                _ => return Some(members.value().map(|value| (name, value, is_nested))),
            }
        }
    })
}

/// See [`members`].
pub struct Members<'a> {
    cursor: Cursor<'a>,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Between,
    After,
}

impl<'a> Members<'a> {
    /// The name of the next member, up to its value; `None` behind the end of the object.
    #[inline]
    fn name(&mut self) -> Result<Option<Cow<'a, str>>, JsonError> {
        let cursor = &mut self.cursor;
        let has_next = match self.place {
            Place::Before => {
                cursor.expect(b'{')?;
                cursor.peek()? != b'}'
            }
            Place::Between => cursor.comma()?,
            Place::After => return Ok(None),
        };
        self.place = Place::After;
        if !has_next {
            cursor.expect(b'}')?;
            return Ok(None);
        }
        if cursor.peek()? != b'"' {
            return Err(cursor.invalid());
        }
        let name = cursor.string()?.into_text();
        cursor.expect(b':')?;
        Ok(Some(name))
    }

    #[inline]
    fn value(&mut self) -> Result<&'a str, JsonError> {
        let value = self.cursor.skip()?;
        self.place = Place::Between;
        Ok(value)
    }

    /// Nothing may follow the object.
    fn finish(&mut self) -> Result<(), JsonError> {
        self.cursor.end()
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<(Cow<'a, str>, &'a str), JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.place == Place::After {
            return None;
        }
        match self.name() {
            Ok(Some(name)) => Some(self.value().map(|value| (name, value))),
            Ok(None) => self.finish().err().map(Err),
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Result<Vec<(String, &str)>, JsonError> {
        members(json).map(|member| member.map(|(name, value)| (name.into_owned(), value))).collect()
    }

    #[test]
    fn members_come_in_their_order_with_their_exact_text() {
        let json = r#" { "a" : 1.50e1 ,"b\u0061":"x\"}{" , "c":[{"}":"]"}],"a":null,"":{} } "#;
        let expected = [("a", "1.50e1"), ("ba", r#""x\"}{""#), ("c", r#"[{"}":"]"}]"#), ("a", "null"), ("", "{}")];
        assert_eq!(found(json).unwrap(), expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(found("{}").unwrap(), []);
    }

    #[test]
    fn the_members_of_a_member_come_in_its_place() {
        let found = |json| -> Result<Vec<(String, &str, bool)>, JsonError> {
            nested_members(json, "f")
                .map(|found| found.map(|(name, value, is)| (name.into_owned(), value, is)))
                .collect()
        };
        let member = |name: &str, value: &'static str, is_nested| (name.to_owned(), value, is_nested);
        assert_eq!(
            found(r#"{"a":1,"f":{"f":{"x":1},"b":2},"c":3,"f":null,"f":{"d":4}}"#).unwrap(),
            [
                member("a", "1", false),
                member("f", r#"{"x":1}"#, true),
                member("b", "2", true),
                member("c", "3", false),
                member("f", "null", false),
                member("f", "{\"d\":4}", false)
            ]
        );
        assert_eq!(found("{}").unwrap(), []);
        for json in
            ["", "[]", "{\"f\":{\"a\":1}", "{\"f\":{", "{\"f\":{\"a\":1,}}", "{\"f\":{}} x", "{\"f\":{} \"a\":1}"]
        {
            assert!(found(json).is_err(), "{json}");
        }
    }

    #[test]
    fn what_is_no_object_or_has_no_end_is_an_error() {
        for json in [
            "",
            "[]",
            "1",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":[1}",
            "{} x",
            "{\"a\":\"",
            "{\"a\":\"\\",
            "{\"a\" 1}",
            "{\"a\":{\"b\":1}",
        ] {
            assert!(found(json).is_err(), "{json}");
        }
    }

    #[test]
    fn strings_of_any_length_and_place_end_where_they_end() {
        for length in 0..40 {
            for stop in ["\\n", "\\\"", ""] {
                let text = format!("{}{stop}é", "x".repeat(length));
                let json = format!("{{\"k\":\"{text}\",\"l\":2}}");
                assert_eq!(found(&json).unwrap()[0].1, format!("\"{text}\""));
            }
        }
    }
}
