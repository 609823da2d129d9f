use async_trait::async_trait;
use endpoint_api::{Message, Outbox, Result, Waiting};

use super::{ATTEMPTS, Engine, Parameter, SqlCatalog, overtaken};

const PUT: &str = "put a message into the outbox";

/// For sinks that have none: what is told of them stands here, not in the transaction of what it tells of.
#[async_trait]
impl<E: Engine> Outbox for SqlCatalog<E> {
    async fn put(&self, messages: &[Message]) -> Result<()> {
        for message in messages {
            put(&self.0, message).await?;
        }
        Ok(())
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<Waiting>> {
        let statement = format!(
            "select queue, number, id, payload from {}outbox where payload is not null order by queue, number limit $1",
            E::SCHEMA
        );
        let limit = Parameter::Integer(Some(i64::try_from(limit).unwrap_or(i64::MAX)));
        let rows = self.0.query("look into the outbox", statement, vec![limit]).await?;
        let waiting = rows.iter().map(|row| {
            Ok(Waiting::new(row.text("queue")?, row.count("number")?, row.text("id")?, row.text("payload")?))
        });
        waiting.collect()
    }

    async fn delivered(&self, messages: &[Waiting]) -> Result<()> {
        let statement =
            format!("update {}outbox set payload = null where queue = $1 and number = $2 and id = $3", E::SCHEMA);
        for message in messages {
            let Waiting { queue, number, id, .. } = message;
            let place = vec![Parameter::text(queue), Parameter::count(*number)?, Parameter::text(id)];
            self.0.execute("mark a message as delivered", statement.clone(), place).await?;
        }
        Ok(())
    }
}

/// Puts a message at the end of its queue, unless it is there; what the queue has delivered about something else goes.
async fn put<E: Engine>(engine: &E, message: &Message) -> Result<()> {
    let Message { queue, about, id, payload, .. } = message;
    let schema = E::SCHEMA;
    let clear = format!("delete from {schema}outbox where queue = $1 and about <> $2 and payload is null");
    let find = format!("select id from {schema}outbox where queue = $1 and id = $2");
    // Of two who put at the same moment one meets the number of the other, and looks again.
    let insert = format!(
        "insert into {schema}outbox (queue, number, id, about, payload)
         select $1, coalesce(max(number), 0) + 1, $2, $3, $4 from {schema}outbox where queue = $1
         having not exists (select 1 from {schema}outbox where queue = $1 and id = $2)
         on conflict do nothing",
    );
    for _ in 0..ATTEMPTS {
        let this = vec![Parameter::text(queue), Parameter::text(id)];
        if !engine.query(PUT, find.clone(), this).await?.is_empty() {
            return Ok(());
        }
        engine.execute(PUT, clear.clone(), vec![Parameter::text(queue), Parameter::text(about)]).await?;
        let [queue, id, about, payload] = [queue, id, about, payload].map(Parameter::text);
        if engine.execute(PUT, insert.clone(), vec![queue, id, about, payload]).await? == 1 {
            return Ok(());
        }
    }
    Err(overtaken(PUT).with("queue", queue))
}
