//! Values as the file keeps them: times and days as ISO 8601 in UTC, lists as JSON.

use cdm_models::{Date, Timestamp};
use endpoint_api::{
    Error, ErrorKind, Result,
    arrow::array::{Array as _, StringArray},
};
use relational::BatchColumn;
use rusqlite::types::{Null, ToSqlOutput};

/// A time with all six digits below the second, so that times sort as their texts do.
pub(crate) fn time_text(microseconds: i64) -> Result<String> {
    const SECOND: i64 = 1_000_000;
    let whole = microseconds.div_euclid(SECOND) * SECOND;
    let text = Timestamp::from_microsecond(whole).map(|time| time.to_string());
    let text = text.map_err(|_| unstorable("a time beyond the years -9999 to 9999"))?;
    Ok(format!("{}.{:06}Z", text.trim_end_matches('Z'), microseconds.rem_euclid(SECOND)))
}

/// Now, by this machine's clock.
pub(crate) fn now() -> Result<String> {
    time_text(Timestamp::from(std::time::SystemTime::now()).as_microsecond())
}

/// Reads a time; none of what somebody else wrote.
pub(crate) fn time(text: &str) -> Option<i64> {
    Timestamp::parse(text).ok().map(Timestamp::as_microsecond)
}

fn unstorable(what: &str) -> Error {
    Error::new(ErrorKind::Data, "store a row", format!("{what} cannot be stored"))
}

/// The value of a column in a row of a batch.
pub(crate) fn value<'b>(column: &BatchColumn<'b>, row: usize) -> Result<ToSqlOutput<'b>> {
    Ok(match column {
        BatchColumn::Text(column) | BatchColumn::Json(column) | BatchColumn::RawJson(column)
            if column.is_valid(row) =>
        {
            column.value(row).into()
        }
        BatchColumn::Bytes(column) if column.is_valid(row) => column.value(row).into(),
        BatchColumn::Bool(column) if column.is_valid(row) => column.value(row).into(),
        BatchColumn::Int16(column) if column.is_valid(row) => column.value(row).into(),
        BatchColumn::Int32(column) if column.is_valid(row) => column.value(row).into(),
        BatchColumn::Int64(column) if column.is_valid(row) => column.value(row).into(),
        BatchColumn::Float64(column) if column.is_valid(row) => match column.value(row) {
            // SQLite would store it as null.
            number if number.is_nan() => return Err(unstorable("a number that is not one (NaN)")),
            number => number.into(),
        },
        BatchColumn::Date(column) if column.is_valid(row) => {
            let day =
                Date::from_days(column.value(row)).map_err(|_| unstorable("a day beyond the years -9999 to 9999"));
            day?.to_string().into()
        }
        BatchColumn::Timestamp(column) if column.is_valid(row) => time_text(column.value(row))?.into(),
        BatchColumn::TextList(column) if column.is_valid(row) => {
            let texts = column.value(row);
            let texts = texts.as_any().downcast_ref::<StringArray>();
            let texts: Vec<Option<&str>> = texts.into_iter().flatten().collect();
            relational::state::to_json(&texts)?.into()
        }
        _ => Null.into(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_sort_as_their_texts_and_read_back() {
        let times = [-62_135_596_800_000_000, -1, 0, 1, 500_000, 1_000_000, 253_402_207_200_000_000];
        let texts: Vec<String> = times.iter().map(|time| time_text(*time).unwrap()).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts.get(1).unwrap(), "1969-12-31T23:59:59.999999Z");
        let read: Vec<i64> = texts.iter().map(|text| time(text).unwrap()).collect();
        assert_eq!(read, times);
        assert_eq!(time("yesterday"), None);
        assert!(time_text(i64::MAX).is_err());
    }
}
