//! The store for many machines: the schema `cdm_metadata` of a PostgreSQL database.

mod layout;
mod session;
mod sqlstate;
mod target;

use std::{fmt, sync::Arc};

use endpoint_api::{Error, ErrorKind, Result};
use postgres_client::Connector;
use tokio::sync::Mutex;
use tokio_postgres::Client;

use crate::sql::{Engine, Parameter, Row};
pub(crate) use target::connector;

/// A catalog in PostgreSQL. Statements go over one connection, without waiting for each other's
/// answers; a connection that is lost is made anew for the next call.
pub(crate) struct Postgres {
    connector: Connector,
    session: Mutex<Session>,
}

enum Session {
    Open(Arc<Client>),
    Lost,
    Closed,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("server", &self.connector.server()).finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects, and makes the catalog's tables when they are not there.
    pub(crate) async fn open(connector: Connector) -> Result<Self> {
        let opened = async {
            let client = session::connect(&connector).await?;
            layout::make(&client).await?;
            Ok(client)
        };
        let client = opened.await.map_err(|error: Error| error.with("server", connector.server()))?;
        Ok(Self { session: Mutex::new(Session::Open(Arc::new(client))), connector })
    }

    async fn client(&self, operation: &'static str) -> Result<Arc<Client>> {
        let mut session = self.session.lock().await;
        match &*session {
            Session::Open(client) if !client.is_closed() => Ok(Arc::clone(client)),
            Session::Closed => Err(Error::new(ErrorKind::Internal, operation, "the catalog is closed")),
            Session::Open(_) | Session::Lost => {
                let client = Arc::new(session::connect(&self.connector).await?);
                *session = Session::Open(Arc::clone(&client));
                Ok(client)
            }
        }
    }

    /// Runs `work` on the connection, and gives that up when it broke.
    async fn on_connection<T>(
        &self,
        operation: &'static str,
        work: impl AsyncFnOnce(&Client) -> Result<T>,
    ) -> Result<T> {
        let done = async {
            let client = self.client(operation).await?;
            let done = work(&client).await;
            if done.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
                let mut session = self.session.lock().await;
                if matches!(&*session, Session::Open(current) if Arc::ptr_eq(current, &client)) {
                    *session = Session::Lost;
                }
            }
            done
        };
        done.await.map_err(|error: Error| error.with("server", self.connector.server()))
    }
}

impl Engine for Postgres {
    const SCHEMA: &'static str = "cdm_metadata.";

    async fn query(&self, operation: &'static str, statement: String, parameters: Vec<Parameter>) -> Result<Vec<Row>> {
        self.on_connection(operation, async |client| session::query(client, operation, &statement, &parameters).await)
            .await
    }

    async fn execute(&self, operation: &'static str, statement: String, parameters: Vec<Parameter>) -> Result<u64> {
        self.on_connection(operation, async |client| session::execute(client, operation, &statement, &parameters).await)
            .await
    }

    async fn close(&self) -> Result<()> {
        *self.session.lock().await = Session::Closed;
        Ok(())
    }
}
