use std::thread;

use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use crate::Error;

/// A row of an answer, each value as text; `None` is null.
pub type Row = Vec<Option<String>>;

/// Runs statements on a thread of its own, so that it works within and without a runtime. Says the
/// rows of all of them.
pub(crate) fn query(config: &Config, statements: &str) -> Result<Vec<Row>, Error> {
    let (config, statements) = (config.clone(), statements.to_owned());
    let work = thread::spawn(move || {
        let failed = |error: tokio_postgres::Error| match error.as_db_error() {
            Some(server) => Error::Query(server.message().to_owned()),
            None => Error::Query(error.to_string()),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| Error::Query(error.to_string()))?.block_on(async {
            let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
            let connection = tokio::spawn(connection);
            let answer = client.simple_query(&statements).await.map_err(failed);
            drop(client);
            let _ = connection.await; // how the connection ended says nothing about the answer
            let rows = answer?.into_iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
                }
                _ => None,
            });
            Ok(rows.collect())
        })
    });
    work.join().unwrap_or_else(|_| Err(Error::Query("the thread of the statement died".to_owned())))
}
