//! Reading values without a copy, with rejections that name the member and never show its value.
//! A value that is absent is `None`, and so is null.

use std::{borrow::Cow, fmt};

use cdm_models::{Date, Timestamp};
use endpoint_api::Rejection;
use serde_json::value::RawValue;

/// The longest id that is taken, in bytes: longer ones would not fit into the index of a database,
/// and no Jira has them.
const LONGEST_ID: usize = 512;

/// A rejection that says what was due at `field` and what kind of value stands there.
pub(crate) fn expected(what: &str, value: &str, field: impl fmt::Display + Copy) -> Rejection {
    let found = match value.bytes().next() {
        Some(b'"') => "other text",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    };
    Rejection::new(format!("expected {what}, found {found}")).field(field.to_string())
}

/// The text that a JSON string stands for; `None` when `value` is no string.
fn string(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_some() {
        serde_json::from_str(value).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

fn is_null(value: &str) -> bool {
    value == "null"
}

/// A text.
pub(crate) fn text<'a>(
    value: Option<&'a str>,
    field: impl fmt::Display + Copy,
) -> Result<Option<Cow<'a, str>>, Rejection> {
    read(value, field, "text", string)
}

/// An id: a text that is not empty, or a whole number, whose digits are the text.
pub(crate) fn id<'a>(
    value: Option<&'a str>,
    field: impl fmt::Display + Copy,
) -> Result<Option<Cow<'a, str>>, Rejection> {
    let id = read(value, field, "an id", |value| {
        let is_whole = value.bytes().all(|byte| byte.is_ascii_digit());
        string(value).or_else(|| is_whole.then_some(Cow::Borrowed(value)))
    })?;
    match id {
        Some(id) if id.len() > LONGEST_ID => {
            Err(Rejection::new(format!("expected an id of at most {LONGEST_ID} bytes, found {}", id.len()))
                .field(field.to_string()))
        }
        id => Ok(id.filter(|id| !id.is_empty())),
    }
}

/// The id without which a record is none.
pub(crate) fn required_id<'a>(
    value: Option<&'a str>,
    field: impl fmt::Display + Copy,
) -> Result<Cow<'a, str>, Rejection> {
    id(value, field)?.ok_or_else(|| Rejection::new("expected an id, found none").field(field.to_string()))
}

/// True or false.
pub(crate) fn bool(value: Option<&str>, field: impl fmt::Display + Copy) -> Result<Option<bool>, Rejection> {
    read(value, field, "true or false", |value| value.parse().ok())
}

/// A whole number of 64 bits with sign.
pub(crate) fn whole_number(value: Option<&str>, field: impl fmt::Display + Copy) -> Result<Option<i64>, Rejection> {
    read(value, field, "a whole number of 64 bits", |value| value.parse().ok())
}

/// A point in time.
pub(crate) fn time(value: Option<&str>, field: impl fmt::Display + Copy) -> Result<Option<Timestamp>, Rejection> {
    let parse = |value| Timestamp::parse(&string(value)?).ok();
    read(value, field, "a time such as 2021-03-04T05:06:07.000+0000", parse)
}

/// A day.
pub(crate) fn date(value: Option<&str>, field: impl fmt::Display + Copy) -> Result<Option<Date>, Rejection> {
    read(value, field, "a day such as 2021-03-04", |value| Date::parse(&string(value)?).ok())
}

/// Texts in their order.
pub(crate) fn texts<'a>(
    value: Option<&'a str>,
    field: impl fmt::Display + Copy,
) -> Result<Option<Vec<Cow<'a, str>>>, Rejection> {
    let list = read(value, field, "a list of texts", |value| serde_json::from_str::<Vec<&RawValue>>(value).ok())?;
    let Some(list) = list else { return Ok(None) };
    let texts = list.into_iter().enumerate().map(|(index, element)| {
        string(element.get()).ok_or_else(|| expected("text", element.get(), format_args!("{field}.{index}")))
    });
    texts.collect::<Result<_, _>>().map(Some)
}

fn read<'a, T>(
    value: Option<&'a str>,
    field: impl fmt::Display + Copy,
    what: &str,
    parse: impl FnOnce(&'a str) -> Option<T>,
) -> Result<Option<T>, Rejection> {
    let Some(value) = value.filter(|value| !is_null(value)) else { return Ok(None) };
    parse(value).map(Some).ok_or_else(|| expected(what, value, field))
}
