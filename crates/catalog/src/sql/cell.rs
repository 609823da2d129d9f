use std::str::FromStr;

use cdm_models::Timestamp;
use endpoint_api::{Error, ErrorKind, Result};
use serde::{Serialize, de::DeserializeOwned};

/// A value that a statement is given.
pub(crate) enum Parameter {
    Text(Option<String>),
    Integer(Option<i64>),
    Time(Option<Timestamp>),
    /// JSON text.
    Json(Option<String>),
}

impl Parameter {
    pub(crate) fn text(text: impl ToString) -> Self {
        Self::Text(Some(text.to_string()))
    }

    pub(crate) fn optional_text(text: Option<impl ToString>) -> Self {
        Self::Text(text.map(|text| text.to_string()))
    }

    /// # Errors
    ///
    /// When the count is above 2⁶³ − 1, which no store can hold.
    pub(crate) fn count(count: u64) -> Result<Self> {
        Self::optional_count(Some(count))
    }

    pub(crate) fn optional_count(count: Option<u64>) -> Result<Self> {
        let integer = count.map(i64::try_from).transpose().map_err(|error| {
            Error::new(ErrorKind::Data, "write to the catalog", "a count is too large to be stored").caused_by(error)
        })?;
        Ok(Self::Integer(integer))
    }

    pub(crate) fn time(time: Timestamp) -> Self {
        Self::Time(Some(time))
    }

    pub(crate) fn json(value: &impl Serialize) -> Result<Self> {
        Self::optional_json(Some(value))
    }

    pub(crate) fn optional_json(value: Option<&impl Serialize>) -> Result<Self> {
        let text = value.map(serde_json::to_string).transpose().map_err(|error| {
            Error::new(ErrorKind::Internal, "write to the catalog", "an entry cannot be written as JSON")
                .caused_by(error)
        })?;
        Ok(Self::Json(text))
    }
}

/// A value that a statement answers with. A time is microseconds since 1970, JSON is text.
#[derive(Clone)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Text(String),
}

/// A row that a statement answers with.
pub(crate) struct Row(Vec<(String, Cell)>);

impl Row {
    pub(crate) fn new(cells: impl IntoIterator<Item = (String, Cell)>) -> Self {
        Self(cells.into_iter().collect())
    }

    pub(crate) fn optional_text(&self, column: &'static str) -> Result<Option<&str>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text)),
            Cell::Integer(_) => Err(damaged(column)),
        }
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<&str> {
        self.optional_text(column)?.ok_or_else(|| damaged(column))
    }

    pub(crate) fn optional_count(&self, column: &'static str) -> Result<Option<u64>> {
        self.integer(column)?.map(|integer| u64::try_from(integer).map_err(|_| damaged(column))).transpose()
    }

    pub(crate) fn count(&self, column: &'static str) -> Result<u64> {
        self.optional_count(column)?.ok_or_else(|| damaged(column))
    }

    pub(crate) fn optional_time(&self, column: &'static str) -> Result<Option<Timestamp>> {
        self.integer(column)?.map(|time| Timestamp::from_microsecond(time).map_err(|_| damaged(column))).transpose()
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<Timestamp> {
        self.optional_time(column)?.ok_or_else(|| damaged(column))
    }

    pub(crate) fn optional_json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>> {
        self.optional_text(column)?.map(|text| serde_json::from_str(text).map_err(|_| damaged(column))).transpose()
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        self.optional_json(column)?.ok_or_else(|| damaged(column))
    }

    pub(crate) fn optional_parsed<T: FromStr>(&self, column: &'static str) -> Result<Option<T>> {
        self.optional_text(column)?.map(|text| text.parse().map_err(|_| damaged(column))).transpose()
    }

    pub(crate) fn parsed<T: FromStr>(&self, column: &'static str) -> Result<T> {
        self.optional_parsed(column)?.ok_or_else(|| damaged(column))
    }

    fn integer(&self, column: &'static str) -> Result<Option<i64>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Integer(integer) => Ok(Some(*integer)),
            Cell::Text(_) => Err(damaged(column)),
        }
    }

    fn cell(&self, column: &'static str) -> Result<&Cell> {
        self.0.iter().find(|(name, _)| name == column).map(|(_, cell)| cell).ok_or_else(|| damaged(column))
    }
}

/// An entry that nobody but another hand can have written.
pub(crate) fn damaged(column: &'static str) -> Error {
    let message = "an entry of the catalog is damaged: a column does not hold what it should";
    Error::new(ErrorKind::Data, "read the catalog", message).with("column", column)
}
