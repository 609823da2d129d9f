//! The outbox: what is told of a run goes in with what it tells of, and waits there until it is delivered.

use endpoint_api::{Message, Outbox, Result, Waiting, async_trait};
use relational::{
    state::{signed, unsigned},
    support::OUTBOX,
};
use rusqlite::{Connection, OptionalExtension as _, params};
use sqlite_client::Access;

use crate::{
    cells,
    database::{During as _, OWNER},
    endpoint::SqliteCdm,
};

const PUT: &str = "put a message into the outbox";

/// Puts messages in the write transaction that is open.
///
/// The line of a message that was delivered, and that is about another run, is used again: the table does not grow
/// with what was delivered.
pub(crate) fn put(connection: &Connection, messages: &[Message], now: &str) -> Result<()> {
    for Message { queue, about, id, payload, .. } in messages {
        let statement = format!("select exists (select 1 from {OUTBOX} where queue = ?1 and id = ?2)");
        if connection.query_row(&statement, params![queue, id], |row| row.get::<_, bool>(0)).during(PUT)? {
            continue;
        }
        let statement = format!("select coalesce(max(number), 0) + 1 from {OUTBOX} where queue = ?1");
        let next: i64 = connection.query_row(&statement, [queue], |row| row.get(0)).during(PUT)?;
        let statement = format!(
            "select number from {OUTBOX} where queue = ?1 and about <> ?2 and delivered_at is not null \
             order by number limit 1"
        );
        let free = connection.query_row(&statement, params![queue, about], |row| row.get::<_, i64>(0));
        let statement = match free.optional().during(PUT)? {
            Some(free) => format!(
                "update {OUTBOX} set number = ?2, id = ?3, about = ?4, payload = ?5, created_at = ?6, \
                 delivered_at = null where queue = ?1 and number = {free}"
            ),
            None => format!(
                "insert into {OUTBOX} (queue, number, id, about, payload, created_at) values (?1, ?2, ?3, ?4, ?5, ?6)"
            ),
        };
        connection.execute(&statement, params![queue, next, id, about, payload, now]).during(PUT)?;
    }
    Ok(())
}

#[async_trait]
impl Outbox for SqliteCdm {
    async fn put(&self, messages: &[Message]) -> Result<()> {
        let (database, messages) = (self.database().clone(), messages.to_vec());
        let work = move || {
            let connection = database.open()?;
            connection.execute_batch("begin immediate").during(PUT)?;
            put(&connection, &messages, &cells::now()?)?;
            connection.execute_batch("commit").during(PUT)
        };
        OWNER.blocking(work).await
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<Waiting>> {
        const OPERATION: &str = "look into the outbox";
        let database = self.database().clone();
        let work = move || {
            let Some(connection) = database.open_if_there(Access::Read)? else { return Ok(Vec::new()) };
            let is_there = "select exists (select 1 from sqlite_schema where type = 'table' and name = ?1)";
            if !connection.query_row(is_there, [OUTBOX], |row| row.get::<_, bool>(0)).during(OPERATION)? {
                return Ok(Vec::new());
            }
            let statement = format!(
                "select queue, number, id, payload from {OUTBOX} where delivered_at is null order by queue, number limit ?1"
            );
            let mut statement = connection.prepare(&statement).during(OPERATION)?;
            let lines = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                let texts: [String; 3] = [row.get(0)?, row.get(2)?, row.get(3)?];
                Ok((texts, row.get(1)?))
            });
            let waiting = lines.during(OPERATION)?.map(|line| {
                let ([queue, id, payload], number) = line.during(OPERATION)?;
                Ok(Waiting::new(queue, unsigned(number), id, payload))
            });
            waiting.collect()
        };
        OWNER.blocking(work).await
    }

    async fn delivered(&self, messages: &[Waiting]) -> Result<()> {
        const OPERATION: &str = "mark messages as delivered";
        let (database, messages) = (self.database().clone(), messages.to_vec());
        let work = move || {
            let connection = database.open()?;
            connection.execute_batch("begin immediate").during(OPERATION)?;
            let statement = format!(
                "update {OUTBOX} set delivered_at = ?4, payload = null \
                 where queue = ?1 and number = ?2 and id = ?3 and delivered_at is null"
            );
            let now = cells::now()?;
            for message in &messages {
                let place = params![message.queue, signed(message.number), message.id, now];
                connection.execute(&statement, place).during(OPERATION)?;
            }
            connection.execute_batch("commit").during(OPERATION)
        };
        OWNER.blocking(work).await
    }
}
