use std::hash::{BuildHasher as _, RandomState};

use endpoint_api::{Error, ErrorKind, Result};
use futures::{Stream, TryStreamExt as _};
use postgres_client::{ConnectError, Connector};
use tokio_postgres::{
    Client, Row,
    types::{FromSql, ToSql, Type},
};

use crate::sqlstate::{DIALOGUE, classify};

/// A session with the server. Statements are unnamed and settings are local to their transaction, so
/// that it also works through a pooler in transaction mode.
pub(crate) struct Session {
    client: Client,
}

/// How a transaction of a few short statements is set up. A program that is frozen in the midst of one would hold
/// where its ingestion stands for as long as it is frozen, and nobody could take over from it.
pub(crate) const SHORT_TRANSACTION: &str = "\
set local lock_timeout = '10s'; set local idle_in_transaction_session_timeout = '10s'; set local search_path = ''";

/// A parameter of a statement with its type, so that the server need not be asked for it.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

impl Session {
    pub(crate) async fn open(connector: &Connector) -> Result<Self> {
        match connector.connect().await {
            Ok(client) => Ok(Self { client }),
            Err(error) => Err(not_connected(&error, connector)),
        }
    }

    /// Opens a session with settings of its own, as far as there is no pooler in between that refuses them: settings
    /// that outlive a transaction would stay with the pooler's session, where others find them.
    pub(crate) async fn open_with(connector: &Connector, settings: &[(&str, String)]) -> Result<Self> {
        match connector.connect_with_settings(settings).await {
            Ok(client) => Ok(Self { client }),
            Err(error) if is_refused_by_pooler(&error) => Self::open(connector).await,
            Err(error) => Err(not_connected(&error, connector)),
        }
    }

    /// Opens a session, and says whether it is with the server itself and not with a pooler, behind which its
    /// statements reach now one and now another session of the server's.
    pub(crate) async fn open_telling(connector: &Connector) -> Result<(Self, bool)> {
        const SETTING: &str = "cdm.session";
        // Another one's setting must not be taken for this one's.
        let mark = format!("{:016x}", RandomState::new().hash_one(SETTING));
        match connector.connect_with_settings(&[(SETTING, mark.clone())]).await {
            Ok(client) => {
                let session = Self { client };
                let statement = "select coalesce(current_setting($1, true), '') = $2";
                let row =
                    session.query_one("connect", statement, &[(&SETTING, Type::TEXT), (&mark, Type::TEXT)]).await?;
                let is_direct = column(&row, 0)?;
                Ok((session, is_direct))
            }
            Err(error) if is_refused_by_pooler(&error) => Ok((Self::open(connector).await?, false)),
            Err(error) => Err(not_connected(&error, connector)),
        }
    }

    pub(crate) async fn query(
        &self,
        operation: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>> {
        self.client.query_typed(statement, parameters).await.map_err(|error| classify(operation, &error))
    }

    /// As [`query`](Self::query), with the rows as they come.
    pub(crate) async fn query_rows(
        &self,
        operation: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<impl Stream<Item = Result<Row>> + use<>> {
        let failed = move |error| classify(operation, &error);
        let parameters = parameters.iter().map(|(value, kind)| (*value, kind.clone()));
        Ok(self.client.query_typed_raw(statement, parameters).await.map_err(failed)?.map_err(failed))
    }

    pub(crate) async fn query_opt(
        &self,
        operation: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>> {
        Ok(self.query(operation, statement, parameters).await?.into_iter().next())
    }

    pub(crate) async fn query_one(
        &self,
        operation: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Row> {
        let row = self.query_opt(operation, statement, parameters).await?;
        row.ok_or_else(|| Error::new(ErrorKind::Internal, operation, "the server answered with no row"))
    }

    /// Runs a statement; says how many rows it touched.
    pub(crate) async fn execute(
        &self,
        operation: &'static str,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64> {
        self.client.execute_typed(statement, parameters).await.map_err(|error| classify(operation, &error))
    }

    /// Runs statements without parameters, in one round trip.
    pub(crate) async fn batch(&self, operation: &'static str, statements: &str) -> Result<()> {
        self.client.batch_execute(statements).await.map_err(|error| classify(operation, &error))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

fn not_connected(error: &ConnectError, connector: &Connector) -> Error {
    DIALOGUE.connect_error("connect", error).with("server", connector.server())
}

/// Whether a pooler did not take the settings of a session: it knows few, and calls others a violation of the
/// protocol.
fn is_refused_by_pooler(error: &ConnectError) -> bool {
    error.failure().and_then(|error| error.as_db_error()).is_some_and(|error| error.code().code() == "08P01")
}

/// The value of a column.
pub(crate) fn column<'r, T: FromSql<'r>>(row: &'r Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|error| {
        Error::new(ErrorKind::Internal, "read an answer", "the server answered with another type").caused_by(error)
    })
}

/// A point in time as the server keeps it, in microseconds since 1970: read without a detour through
/// a calendar.
pub(crate) struct Microseconds(pub(crate) i64);

impl<'a> FromSql<'a> for Microseconds {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        const SINCE_2000: i64 = 946_684_800_000_000;
        Ok(Self(i64::from_be_bytes(raw.try_into()?).saturating_add(SINCE_2000)))
    }

    fn accepts(column_type: &Type) -> bool {
        *column_type == Type::TIMESTAMPTZ
    }
}
