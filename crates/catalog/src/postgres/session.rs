use std::error::Error as StdError;

use bytes::BytesMut;
use endpoint_api::{Error, ErrorKind, Result};
use postgres_client::Connector;
use tokio_postgres::{
    Client,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};

use super::sqlstate::{DIALOGUE, classify};
use crate::sql::{Cell, Parameter, Row};

/// Between the server's beginning of time, 2000-01-01, and 1970-01-01.
const EPOCHS_APART: i64 = 946_684_800_000_000;

/// Connects to the catalog's server.
pub(super) async fn connect(connector: &Connector) -> Result<Client> {
    connector.connect().await.map_err(|error| DIALOGUE.connect_error("connect to the catalog", &error))
}

/// Runs a statement without a name, with the types of its parameters, so that it also works through
/// a pooler in transaction mode and takes one round trip.
pub(super) async fn query(
    client: &Client,
    operation: &'static str,
    statement: &str,
    parameters: &[Parameter],
) -> Result<Vec<Row>> {
    let rows = client.query_typed(statement, &typed(parameters)).await.map_err(|error| classify(operation, &error))?;
    rows.iter()
        .map(|row| {
            let cells = row.columns().iter().enumerate().map(|(index, column)| {
                let cell = row.try_get::<_, Cell>(index).map_err(|error| {
                    let message = "the catalog's tables are not as they should be";
                    Error::new(ErrorKind::Data, operation, message).with("column", column.name()).caused_by(error)
                })?;
                Ok((column.name().to_owned(), cell))
            });
            Ok(Row::new(cells.collect::<Result<Vec<_>>>()?))
        })
        .collect()
}

/// As [`query`]; says how many rows the statement wrote.
pub(super) async fn execute(
    client: &Client,
    operation: &'static str,
    statement: &str,
    parameters: &[Parameter],
) -> Result<u64> {
    client.execute_typed(statement, &typed(parameters)).await.map_err(|error| classify(operation, &error))
}

fn typed(parameters: &[Parameter]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    let with_type = |parameter: &Parameter| match parameter {
        Parameter::Text(_) => Type::TEXT,
        Parameter::Integer(_) => Type::INT8,
        Parameter::Time(_) => Type::TIMESTAMPTZ,
        Parameter::Json(_) => Type::JSON,
    };
    parameters.iter().map(|parameter| (parameter as _, with_type(parameter))).collect()
}

impl std::fmt::Debug for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parameter(…)")
    }
}

impl ToSql for Parameter {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let integer = match self {
            Self::Text(Some(text)) | Self::Json(Some(text)) => {
                out.extend_from_slice(text.as_bytes());
                return Ok(IsNull::No);
            }
            Self::Integer(Some(integer)) => *integer,
            Self::Time(Some(time)) => time.as_microsecond().saturating_sub(EPOCHS_APART),
            Self::Text(None) | Self::Json(None) | Self::Integer(None) | Self::Time(None) => return Ok(IsNull::Yes),
        };
        out.extend_from_slice(&integer.to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(column_type: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(match *column_type {
            Type::INT8 => Self::Integer(i64::from_be_bytes(raw.try_into()?)),
            Type::INT4 => Self::Integer(i32::from_be_bytes(raw.try_into()?).into()),
            Type::TIMESTAMPTZ => Self::Integer(i64::from_be_bytes(raw.try_into()?).saturating_add(EPOCHS_APART)),
            _ => Self::Text(std::str::from_utf8(raw)?.to_owned()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(column_type: &Type) -> bool {
        matches!(*column_type, Type::INT8 | Type::INT4 | Type::TIMESTAMPTZ | Type::TEXT | Type::VARCHAR | Type::JSON)
    }
}
