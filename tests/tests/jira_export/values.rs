//! Values, read once more and in another way than the product reads them.

use serde_json::{Value, json};

/// No id is longer than that.
const LONGEST_ID: usize = 512;

/// An id: a text that is neither empty nor very long, or a whole number.
pub(crate) fn id(value: &Value) -> Option<String> {
    let id = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        _ => return None,
    };
    (1..=LONGEST_ID).contains(&id.len()).then_some(id)
}

/// Whether a text can be an issue's id in a URL.
pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Text as a database can hold it.
pub(crate) fn text(value: &Value) -> Option<Value> {
    value.as_str().map(storable).map(Value::from)
}

/// A text as a database can hold it.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// True or false, also as text.
pub(crate) fn truth(value: &Value) -> Option<Value> {
    match value.as_str().map(str::trim) {
        Some("true") => Some(json!(true)),
        Some("false") => Some(json!(false)),
        _ => value.is_boolean().then(|| value.clone()),
    }
}

/// A whole number, also as text or with a fraction of zeros.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let digits = match text.split_once('.') {
        Some((digits, zeros)) if !zeros.is_empty() && zeros.trim_matches('0').is_empty() => digits,
        Some(_) => return None,
        None => &text,
    };
    digits.parse().ok()
}

/// A point in time in microseconds since 1970; a number of 12 or 13 digits is of milliseconds.
pub(crate) fn time(value: &Value) -> Option<i64> {
    let written = value.as_str().and_then(microseconds);
    let counted = || whole(value).filter(|number| (100_000_000_000..10_000_000_000_000).contains(number));
    written.or_else(|| Some(counted()? * 1000))
}

/// A day, also as a time at midnight.
pub(crate) fn day(value: &Value) -> Option<Value> {
    let midnight = |text: &str| {
        let (day, clock) = text.split_once(['T', ' '])?;
        let clock = clock.split(['+', '-', 'Z']).next()?;
        clock.bytes().all(|byte| matches!(byte, b'0' | b':' | b'.')).then(|| day.to_owned())
    };
    let day = match value {
        Value::String(text) => midnight(text).unwrap_or_else(|| text.clone()),
        Value::Number(_) => {
            let days = time(value).filter(|time| time.rem_euclid(86_400_000_000) == 0)?.div_euclid(86_400_000_000);
            return Some(json!(date_of(days)));
        }
        _ => return None,
    };
    microseconds(&format!("{day}T00:00:00Z")).filter(|_| day.len() == 10).map(|_| json!(day))
}

/// The day that is so many days after the first of 1970, found by trying.
fn date_of(days: i64) -> String {
    let months = (0..12 * 400).map(|month| (1970 + month / 12, month % 12 + 1));
    let first = |(year, month): (i64, i64)| microseconds(&format!("{year}-{month:02}-01T00:00:00Z")).unwrap();
    let month = months.take_while(|month| first(*month) <= days * 86_400_000_000).last().unwrap();
    format!("{}-{:02}-{:02}", month.0, month.1, days - first(month) / 86_400_000_000 + 1)
}

/// The texts in a list, without what is none.
pub(crate) fn texts(value: &Value) -> Option<Vec<Value>> {
    Some(value.as_array()?.iter().filter_map(text).collect())
}

/// Whether there is nothing in a value: null, or a text without a letter.
pub(crate) fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// `2021-03-04T05:06:07.123+0100` and `2021-03-04 04:06:07.123456+00:00` in microseconds since 1970; `None` for
/// what is no time.
pub(crate) fn microseconds(text: &str) -> Option<i64> {
    let number = |text: &str| text.parse::<i64>().ok();
    let (day, time) = text.split_at_checked(10)?;
    let (year, month, day) = (number(day.get(..4)?)?, number(day.get(5..7)?)?, number(day.get(8..)?)?);
    let zone = time.rfind(['+', '-', 'Z'])?;
    let (time, zone) = time.get(1..)?.split_at_checked(zone.checked_sub(1)?)?;
    let fraction: String = time.get(9..).unwrap_or_default().chars().chain("000000".chars()).take(6).collect();
    let (hour, minute, second) = (number(time.get(..2)?)?, number(time.get(3..5)?)?, number(time.get(6..8)?)?);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let zone: String = zone.chars().filter(char::is_ascii_digit).chain("0000".chars()).take(4).collect();
    let offset = sign * (number(&zone[..2])? * 60 + number(&zone[2..])?);

    // Days since 1970, counted in years that begin in March.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (month * 153 + 2) / 5 + day
            - 1
            - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute - offset) * 60 + second;
    Some(seconds * 1_000_000 + number(&fraction)?)
}

#[test]
fn this_reading_knows_its_times() {
    assert_eq!(microseconds("1970-01-01T00:00:00.000+0000"), Some(0));
    assert_eq!(microseconds("2021-03-04T05:06:07.123+0100"), Some(1_614_830_767_123_000));
    assert_eq!(microseconds("2021-03-04 04:06:07.123456+00:00"), Some(1_614_830_767_123_456));
    assert_eq!(microseconds("2000-02-29T12:00:00Z"), Some(951_825_600_000_000));
    assert_eq!(microseconds("1969-12-31T23:30:00-0700"), Some(23_400_000_000));
    assert_eq!(microseconds("yesterday, or so"), None);
    assert_eq!(time(&json!(1_614_834_367_000_i64)), Some(1_614_834_367_000_000));
    assert_eq!(time(&json!("1614834367000")), Some(1_614_834_367_000_000));
    assert_eq!(time(&json!(1_614_834_367)), None);
    assert_eq!(day(&json!("2021-03-04T00:00:00.000-0700")), Some(json!("2021-03-04")));
    assert_eq!(day(&json!("2021-03-04T07:00:00.000-0700")), None);
    assert_eq!(day(&json!(1_614_816_000_000_i64)), Some(json!("2021-03-04")));
    assert_eq!(whole(&json!("60.0")), Some(60));
    assert_eq!(whole(&json!(60.5)), None);
}
