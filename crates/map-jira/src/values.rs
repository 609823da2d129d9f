//! Reading values without a copy. A value that is absent, null or, where it is no text, an empty string is `None`. So
//! is one that cannot be read, which is added to [`Odd`].

use std::borrow::Cow;

use cdm_models::{Date, Timestamp};
use endpoint_api::{Note, Rejection};
use serde_json::value::RawValue;

use crate::odd::Odd;

/// The longest id that is taken, in bytes: longer ones would not fit into the index of a database,
/// and no Jira has them.
const LONGEST_ID: usize = 512;

/// The digits of a time in milliseconds since the epoch, from 1973 to 2286. Fewer may be seconds or a year.
const EPOCH_DIGITS: std::ops::RangeInclusive<usize> = 12..=13;

/// The decoded text of a JSON string; `None` when `value` is not a string.
pub(crate) fn string(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_some() {
        serde_json::from_str(value).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// A text.
pub(crate) fn text<'a>(value: Option<&'a str>, field: &'static str, odd: &mut Odd<'a, '_>) -> Option<Cow<'a, str>> {
    read(value, field, odd, string)
}

/// An id: a text that is not empty, or a whole number, whose digits are the text; a fraction of zeros does not count.
pub(crate) fn id<'a>(value: Option<&'a str>, field: &'static str, odd: &mut Odd<'a, '_>) -> Option<Cow<'a, str>> {
    read(value, field, odd, |value| {
        let id = id_of(value)?;
        (id.len() <= LONGEST_ID).then_some(id)
    })
    .filter(|id| !id.is_empty())
}

/// The id that a value is, which may be empty; `None` when it is none.
pub(crate) fn id_of(value: &str) -> Option<Cow<'_, str>> {
    string(value).or_else(|| digits_of(value).map(Cow::Borrowed))
}

/// The digits of a number that is whole and not negative, without a fraction of zeros.
fn digits_of(number: &str) -> Option<&str> {
    let (digits, zeros) = number.split_once('.').unwrap_or((number, "0"));
    let is_whole = !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0');
    (is_whole && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// The id without which a record has no row.
pub(crate) fn required_id<'a>(value: Option<&'a str>, field: &'static str) -> Result<Cow<'a, str>, Rejection> {
    let problem = |message: String| Rejection::new(message).field(field);
    let Some(value) = value else { return Err(problem("expected an id, found none".to_owned())) };
    match id_of(value) {
        Some(id) if id.is_empty() => Err(problem("expected an id, found none".to_owned())),
        Some(id) if id.len() > LONGEST_ID => {
            Err(problem(format!("expected an id of at most {LONGEST_ID} bytes, found {}", id.len())))
        }
        Some(id) => Ok(id),
        None => Err(problem(format!("expected an id, found {}", kind(value)))),
    }
}

/// True or false.
pub(crate) fn bool<'a>(value: Option<&'a str>, field: &'static str, odd: &mut Odd<'a, '_>) -> Option<bool> {
    read(value, field, odd, |value| value.parse().ok().or_else(|| string(value)?.trim().parse().ok()))
}

/// A whole number of 64 bits with sign, also as text or with a fraction of zeros.
pub(crate) fn whole_number<'a>(value: Option<&'a str>, field: &'static str, odd: &mut Odd<'a, '_>) -> Option<i64> {
    let value = value.filter(|value| !is_blank(value));
    read(value, field, odd, |value| value.parse().ok().or_else(|| whole(value)))
}

fn whole(value: &str) -> Option<i64> {
    let text = string(value).unwrap_or(Cow::Borrowed(value));
    let text = text.trim();
    let (digits, zeros) = text.split_once('.').unwrap_or((text, "0"));
    let is_whole = !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0');
    is_whole.then(|| digits.parse().ok()).flatten()
}

/// A point in time, also in milliseconds since the epoch.
pub(crate) fn time<'a>(value: Option<&'a str>, field: &'static str, odd: &mut Odd<'a, '_>) -> Option<Timestamp> {
    let value = value.filter(|value| !is_blank(value));
    read(value, field, odd, |value| {
        let text = string(value);
        text.as_deref().and_then(|text| Timestamp::parse(text).ok()).or_else(|| epoch_milliseconds(value))
    })
}

/// The time of the last change. Where it cannot be read, what becomes of the record is noted as well.
pub(crate) fn updated<'a>(value: Option<&'a str>, field: &'static str, odd: &mut Odd<'a, '_>) -> Option<Timestamp> {
    let value = value.filter(|value| !is_blank(value));
    let found = time(value, field, odd);
    if found.is_none() && value.is_some() {
        odd.note(Note::Undated(field));
    }
    found
}

fn epoch_milliseconds(value: &str) -> Option<Timestamp> {
    let milliseconds = whole(value)?;
    let digits = usize::try_from(milliseconds.checked_ilog10()?).ok()? + 1;
    if !EPOCH_DIGITS.contains(&digits) {
        return None;
    }
    Timestamp::from_microsecond(milliseconds.checked_mul(1000)?).ok()
}

/// A day, also as a time at midnight.
pub(crate) fn date<'a>(value: Option<&'a str>, field: &'static str, odd: &mut Odd<'a, '_>) -> Option<Date> {
    let value = value.filter(|value| !is_blank(value));
    read(value, field, odd, |value| match string(value) {
        Some(text) => Date::parse(&text).ok().or_else(|| day_at_midnight(text.trim())),
        None => day_at_midnight(&epoch_milliseconds(value)?.to_string()),
    })
}

/// The day of a time of which no hour, minute and second is told but zero.
fn day_at_midnight(text: &str) -> Option<Date> {
    let (day, time) = text.split_once(['T', ' '])?;
    let clock = time.split(['+', '-', 'Z']).next().unwrap_or(time);
    // What follows the day is a time, so that no other text passes. The last days of the calendar are none in UTC.
    let is_time = ["", "Z"].iter().any(|zone| Timestamp::parse(&format!("2000-01-01T{time}{zone}")).is_ok());
    let is_midnight = clock.bytes().all(|byte| matches!(byte, b'0' | b':' | b'.'));
    (is_time && is_midnight).then(|| Date::parse(day).ok()).flatten()
}

/// Texts in their order. Elements that are none are left out, and the whole list is kept.
pub(crate) fn texts<'a>(
    value: Option<&'a str>,
    field: &'static str,
    odd: &mut Odd<'a, '_>,
) -> Option<Vec<Cow<'a, str>>> {
    let value = value?;
    let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(value) else {
        odd.add(field, value);
        return None;
    };
    let length = list.len();
    let texts: Vec<_> = list.into_iter().filter_map(|element| string(element.get())).collect();
    if texts.len() < length {
        odd.add(field, value);
    }
    Some(texts)
}

/// Whether a value is a text of nothing but white space.
fn is_blank(value: &str) -> bool {
    value.starts_with('"') && string(value).is_some_and(|text| text.trim().is_empty())
}

/// What kind of value stands there; it shows nothing of it.
fn kind(value: &str) -> &'static str {
    match value.bytes().next() {
        Some(b'"') => "other text",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn read<'a, T>(
    value: Option<&'a str>,
    field: &'static str,
    odd: &mut Odd<'a, '_>,
    parse: impl FnOnce(&'a str) -> Option<T>,
) -> Option<T> {
    let value = value.filter(|value| *value != "null")?;
    let read = parse(value);
    if read.is_none() {
        odd.add(field, value);
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `read` makes of a value, and whether it is odd.
    fn reading<'a, T>(
        value: &'a str,
        read: impl Fn(Option<&'a str>, &'static str, &mut Odd<'a, '_>) -> Option<T>,
    ) -> (Option<T>, bool) {
        let mut notes = Vec::new();
        let found = read(Some(value), "field", &mut Odd::new(&mut notes));
        (found, !notes.is_empty())
    }

    #[test]
    fn an_id_is_a_text_or_a_whole_number_and_no_list() {
        let read = |value| id_of(value).map(Cow::into_owned);
        for value in [r#""10001""#, "10001", "10001.0", "10001.00"] {
            assert_eq!(read(value).as_deref(), Some("10001"), "{value}");
        }
        for value in ["[5,7]", "[5]", "{}", "10001.5", "10001.", ".0", "-1", "1e3", "true", ""] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn a_day_may_be_empty_or_a_time_at_midnight() {
        let read = |value| {
            let (day, is_odd) = reading(value, date);
            (day.map(|day| day.to_string()), is_odd)
        };
        let day = Some("2021-03-04".to_owned());
        for value in [
            r#""2021-03-04""#,
            r#""2021-03-04T00:00:00.000+0000""#,
            r#""2021-03-04T00:00:00.000-0700""#,
            r#""2021-03-04 00:00:00""#,
            "1614816000000",
        ] {
            assert_eq!(read(value), (day.clone(), false), "{value}");
        }
        for value in [r#""""#, r#""  ""#] {
            assert_eq!(read(value), (None, false), "{value}");
        }
        for value in [r#""9999-12-31""#, r#""9999-12-31T00:00:00.000+0000""#, r#""9999-12-31 00:00:00""#] {
            assert_eq!(read(value), (Some("9999-12-31".to_owned()), false), "{value}");
        }
        for value in [r#""2021-03-04T07:00:00.000+0000""#, r#""2021-02-30""#, r#""soon""#, "5", "[]", "1614834367000"] {
            assert_eq!(read(value), (None, true), "{value}");
        }
    }

    #[test]
    fn a_time_may_be_in_milliseconds_since_the_epoch() {
        let read = |value| {
            let (time, is_odd) = reading(value, time);
            (time.map(|time| time.to_string()), is_odd)
        };
        let at = Some("2021-03-04T05:06:07Z".to_owned());
        for value in [r#""2021-03-04T05:06:07.000+0000""#, "1614834367000", r#""1614834367000""#, "1614834367000.0"] {
            assert_eq!(read(value), (at.clone(), false), "{value}");
        }
        assert_eq!(read(r#""""#), (None, false));
        for value in ["1614834367", r#""2021""#, "true", "{}", r#""yesterday""#, "-1614834367000"] {
            assert_eq!(read(value), (None, true), "{value}");
        }
    }

    #[test]
    fn a_whole_number_may_be_text_or_have_a_fraction_of_zeros() {
        for value in ["60", "60.0", "60.00", r#""60""#, r#"" 60.0 ""#] {
            assert_eq!(reading(value, whole_number), (Some(60), false), "{value}");
        }
        assert_eq!(reading("-9223372036854775808", whole_number), (Some(i64::MIN), false));
        assert_eq!(reading(r#""""#, whole_number), (None, false));
        for value in ["60.5", "6e1", "9223372036854775808", r#""1h""#, "null0", "[60]"] {
            assert_eq!(reading(value, whole_number), (None, true), "{value}");
        }
    }

    #[test]
    fn what_is_no_text_in_a_list_is_left_out_and_noted() {
        let (found, is_odd) = reading(r#"["a",null,"b",5,{"c":1}]"#, texts);
        assert_eq!((found.unwrap(), is_odd), (vec![Cow::Borrowed("a"), Cow::Borrowed("b")], true));
        assert_eq!(reading("\"a\"", texts), (None, true));
        assert_eq!(reading("[]", texts), (Some(vec![]), false));
    }
}
