//! The outbox: what is told of a run goes in with what it tells of, and waits there until it is delivered.
//!
//! Whoever puts a message holds the lock of its queue until the commit: so those of one queue are numbered in the order
//! in which they are committed, whichever tables and ingestions they are about.

use endpoint_api::{Error, ErrorKind, Message, Outbox, Result, Waiting, async_trait};
use relational::state::{signed, unsigned};
use tokio_postgres::types::Type;

use crate::{
    endpoint::PgCdm,
    session::{SHORT_TRANSACTION, Session, column},
    state::SupportTables,
};

const PUT: &str = "put a message into the outbox";

/// Puts messages in the transaction that is open, which ends soon after: others who put into the same queues wait for
/// that.
///
/// The locks of the queues come after all others of the transaction, that of the ingestion's line among them, and in
/// the order of their keys: so no two transactions wait for each other.
///
/// The line of a message that was delivered, and that is about another run, is used again: the table does not grow
/// with what was delivered, and nobody needs the right to delete from it.
pub(crate) async fn put(session: &Session, tables: &SupportTables, messages: &[Message]) -> Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    lock(session, tables, messages).await?;
    let statement = format!(
        "with \
         next as (select coalesce(max(number), 0) + 1 as number from {outbox} where queue = $1), \
         news as (select 1 where not exists (select from {outbox} where queue = $1 and id = $2)), \
         free as (select number from {outbox} where queue = $1 and about <> $3 and delivered_at is not null \
         order by number limit 1), \
         used as (update {outbox} o set number = next.number, id = $2, about = $3, payload = $4, \
         created_at = now(), delivered_at = null from next, news, free \
         where o.queue = $1 and o.number = free.number returning 1) \
         insert into {outbox} (queue, number, id, about, payload, created_at) \
         select $1, next.number, $2, $3, $4, now() from next, news where not exists (select from used)",
        outbox = tables.outbox
    );
    for Message { queue, about, id, payload, .. } in messages {
        let parameters =
            [(queue as _, Type::TEXT), (id as _, Type::TEXT), (about as _, Type::TEXT), (payload as _, Type::TEXT)];
        session.execute(PUT, &statement, &parameters).await?;
    }
    Ok(())
}

/// Locks the queues of messages for the rest of the transaction: a statement of its own, because the next one must see
/// what whoever held a lock before has committed.
async fn lock(session: &Session, tables: &SupportTables, messages: &[Message]) -> Result<()> {
    let statement = "select pg_advisory_xact_lock(key) from (select distinct hashtextextended($1 || queue, 0) as key \
                     from unnest($2) as queue order by key) as keys";
    let outbox = format!("cdm queue of {} ", tables.outbox);
    let queues: Vec<&str> = messages.iter().map(|message| message.queue.as_str()).collect();
    session.query(PUT, statement, &[(&outbox, Type::TEXT), (&queues, Type::TEXT_ARRAY)]).await.map(drop)
}

#[async_trait]
impl Outbox for PgCdm {
    async fn put(&self, messages: &[Message]) -> Result<()> {
        let session = Session::open(self.connector()).await?;
        let tables = SupportTables::of(self.schema());
        session.batch(PUT, &format!("begin; {SHORT_TRANSACTION}")).await?;
        put(&session, &tables, messages).await?;
        session.batch(PUT, "commit").await
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<Waiting>> {
        const OPERATION: &str = "look into the outbox";
        let session = Session::open(self.connector()).await?;
        let tables = SupportTables::of(self.schema());
        let statement = "select to_regclass($1) is not null";
        let is_there = session.query_one(OPERATION, statement, &[(&tables.outbox, Type::TEXT)]).await?;
        if !column::<bool>(&is_there, 0)? {
            return Ok(Vec::new());
        }
        let statement = format!(
            "select queue, number, id, payload from {} where delivered_at is null order by queue collate \"C\", number \
             limit $1",
            tables.outbox
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = session.query(OPERATION, &statement, &[(&limit, Type::INT8)]).await?;
        let waiting = rows.iter().map(|row| {
            let (queue, id): (&str, &str) = (column(row, 0)?, column(row, 2)?);
            let payload: Option<&str> = column(row, 3)?;
            let lost = || Error::new(ErrorKind::Data, OPERATION, "a message in the outbox has lost what it tells");
            Ok(Waiting::new(queue, unsigned(column(row, 1)?), id, payload.ok_or_else(lost)?))
        });
        waiting.collect()
    }

    async fn delivered(&self, messages: &[Waiting]) -> Result<()> {
        let session = Session::open(self.connector()).await?;
        let tables = SupportTables::of(self.schema());
        let queues: Vec<&str> = messages.iter().map(|message| message.queue.as_str()).collect();
        let numbers: Vec<i64> = messages.iter().map(|message| signed(message.number)).collect();
        let statement = format!(
            "update {} o set delivered_at = now(), payload = null from unnest($1, $2, $3) as d (queue, number, id) \
             where o.queue = d.queue and o.number = d.number and o.id = d.id and o.delivered_at is null",
            tables.outbox
        );
        let ids: Vec<&str> = messages.iter().map(|message| message.id.as_str()).collect();
        let parameters =
            [(&queues as _, Type::TEXT_ARRAY), (&numbers as _, Type::INT8_ARRAY), (&ids as _, Type::TEXT_ARRAY)];
        session.execute("mark messages as delivered", &statement, &parameters).await.map(drop)
    }
}
