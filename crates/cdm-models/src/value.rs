use std::{
    borrow::Cow,
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::civil;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

use crate::json::{self, JsonError, Numbers};

/// A point in time: microseconds since 1970-01-01T00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// When the year is not within -9999 to 9999.
    pub fn from_microsecond(microsecond: i64) -> Result<Self, InvalidTime> {
        jiff::Timestamp::from_microsecond(microsecond).map(|_| Self(microsecond)).map_err(|_| InvalidTime)
    }

    /// Parses ISO 8601 with an offset: `2021-03-04T05:06:07.000+0000`, `2021-03-04T05:06:07Z`.
    /// Digits below the microsecond are cut off.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        let time: jiff::Timestamp = text.parse().map_err(|_| InvalidTime)?;
        Self::from_microsecond(time.as_microsecond())
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_microsecond(self) -> i64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    /// Digits below the microsecond are cut off; a time outside the years -9999 to 9999 becomes the
    /// nearest one within.
    fn from(time: SystemTime) -> Self {
        let nearest = if time < UNIX_EPOCH { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let within = jiff::Timestamp::try_from(time).map(|time| time.as_microsecond());
        let within = within.ok().and_then(|microsecond| Self::from_microsecond(microsecond).ok());
        within.unwrap_or(Self(nearest.as_second() * 1_000_000))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC: `2021-03-04T05:06:07.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_microsecond(self.0).map_err(|_| fmt::Error)?;
        time.fmt(f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_i64(self.0) }
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A calendar day without a time zone: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

const EPOCH: civil::Date = civil::date(1970, 1, 1);

impl Date {
    /// Parses `2021-03-04`.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        // jiff would also take a date-time and cut its time off; a day is a day.
        if text.len() != "2021-03-04".len() {
            return Err(InvalidTime);
        }
        let date: civil::Date = text.parse().map_err(|_| InvalidTime)?;
        let days = date.since(EPOCH).map_err(|_| InvalidTime)?.get_days();
        Ok(Self(days))
    }

    /// From days since 1970-01-01.
    ///
    /// # Errors
    ///
    /// When the year is not within -9999 to 9999.
    pub fn from_days(days: i32) -> Result<Self, InvalidTime> {
        let span = jiff::Span::new().try_days(days).map_err(|_| InvalidTime)?;
        EPOCH.checked_add(span).map(|_| Self(days)).map_err(|_| InvalidTime)
    }

    /// Days since 1970-01-01.
    pub const fn days(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = jiff::Span::new().try_days(self.0).map_err(|_| fmt::Error)?;
        EPOCH.checked_add(days).map_err(|_| fmt::Error)?.fmt(f)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_i32(self.0) }
    }
}

impl JsonSchema for Date {
    fn schema_name() -> Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date" })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// The text is not a date or a time of the expected form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTime;

impl fmt::Display for InvalidTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a date or time")
    }
}

impl std::error::Error for InvalidTime {}

/// Any JSON value in canonical form: members sorted by key, of a repeated member the last, numbers
/// as PostgreSQL's `jsonb` writes them, no white space. For values that people query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<'a>(pub(crate) Cow<'a, str>);

impl Json<'static> {
    /// Brings any JSON text into canonical form.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let mut canonical = String::with_capacity(text.len());
        json::canonicalize(text, Numbers::Normalized, &mut canonical)?;
        Ok(Self(Cow::Owned(canonical)))
    }
}

impl Json<'_> {
    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Any JSON value as it was received, to the byte. For values that must give the source back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawJson<'a>(Cow<'a, str>);

impl<'a> RawJson<'a> {
    /// Takes text that is one JSON value. It is not checked here: encoding a row reads every
    /// character of it, and refuses a row whose text is not JSON.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self(text.into())
    }

    /// The text as received.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn serialize_json<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        let raw: &RawValue = serde_json::from_str(text).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    } else {
        serializer.serialize_str(text)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_json(&self.0, serializer)
    }
}

impl Serialize for RawJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_json(&self.0, serializer)
    }
}

impl JsonSchema for Json<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["object", "array", "string", "number", "boolean"], "x-cdm-type": "json" })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl JsonSchema for RawJson<'_> {
    fn schema_name() -> Cow<'static, str> {
        "RawJson".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["object", "array", "string", "number", "boolean"], "x-cdm-type": "raw_json" })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn jira_times_are_read_with_any_offset() {
        let at = |text| Timestamp::parse(text).map(|time| time.to_string());
        assert_eq!(at("2021-03-04T05:06:07.000+0000").unwrap(), "2021-03-04T05:06:07Z");
        assert_eq!(at("2021-03-04T05:06:07.123-0730").unwrap(), "2021-03-04T12:36:07.123Z");
        assert_eq!(at("2021-03-04T05:06:07+13:00").unwrap(), "2021-03-03T16:06:07Z");
        let too_late = "9999-12-30T22:00:00.5Z";
        for bad in ["", "2021-03-04", "2021-03-04T05:06:07", "2021-02-30T05:06:07Z", "yesterday", too_late] {
            assert_eq!(at(bad), Err(InvalidTime), "{bad}");
        }
    }

    #[test]
    fn the_times_of_a_clock_are_taken_whatever_it_shows() {
        let second = Duration::from_secs(1);
        assert_eq!(Timestamp::from(UNIX_EPOCH + second + Duration::from_nanos(1999)).as_microsecond(), 1_000_001);
        assert_eq!(Timestamp::from(UNIX_EPOCH - second).as_microsecond(), -1_000_000);
        let never = UNIX_EPOCH + Duration::from_secs(1 << 60);
        assert_eq!(Timestamp::from(never).to_string(), "9999-12-30T22:00:00Z");
    }

    #[test]
    fn a_date_is_a_day_and_nothing_else() {
        assert_eq!(Date::parse("1970-01-02").unwrap().days(), 1);
        assert_eq!(Date::parse("1969-12-31").unwrap().days(), -1);
        assert_eq!(Date::parse("2021-03-04").unwrap().to_string(), "2021-03-04");
        for bad in ["2021-02-30", "2021-03-04T00:00:00Z", "04/03/2021", ""] {
            assert_eq!(Date::parse(bad), Err(InvalidTime), "{bad}");
        }
    }

    #[test]
    fn values_serialize_as_text_for_people() {
        let time = Timestamp::from_microsecond(1_500_000).unwrap();
        assert_eq!(serde_json::to_string(&time).unwrap(), r#""1970-01-01T00:00:01.5Z""#);
        let json = Json::parse(r#"{"b":1.0e1,"a":null}"#).unwrap();
        assert_eq!(serde_json::to_string(&json).unwrap(), r#"{"a":null,"b":10}"#);
        let raw = RawJson::new(r#"{"b":1.0e1,"a":null}"#);
        assert_eq!(serde_json::to_string(&raw).unwrap(), r#"{"b":1.0e1,"a":null}"#);
    }
}
