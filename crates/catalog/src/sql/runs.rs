use endpoint_api::{Counts, Error, ErrorKind, Holder, Ingestion, Mode, Result, RunId};

use super::{Engine, Parameter, Row, cell::damaged};
use crate::{Attempt, RunEndFacts, RunFilter, RunRecord, RunStart, RunStatus};

const BEGIN: &str = "begin a run";
const END: &str = "end a run";

pub(super) async fn begin<E: Engine>(engine: &E, start: &RunStart) -> Result<Attempt> {
    let statement = format!(
        "insert into {schema}run as known (id, name, source, unit, sink, mode, model_id, status, attempt, started_at,
             continued_at, host, process)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9, $10, $11)
         on conflict (id) do update
         set name = excluded.name, model_id = excluded.model_id, status = excluded.status,
             attempt = known.attempt + 1, continued_at = excluded.continued_at,
             host = excluded.host, process = excluded.process, planned = null, ended_at = null, read_count = null,
             inserted = null, updated = null, unchanged = null, stale = null, duplicate = null, rejected = null,
             mentions = null, slices = null, incomplete = null, checkpoint = null, error = null
         where known.source = excluded.source and known.unit = excluded.unit and known.sink = excluded.sink
             and known.mode = excluded.mode
         returning attempt",
        schema = E::SCHEMA,
    );
    let Ingestion { source, unit, sink, mode } = &start.ingestion;
    let parameters = vec![
        Parameter::text(&start.run_id),
        Parameter::text(&start.name),
        Parameter::text(source),
        Parameter::text(unit),
        Parameter::text(sink),
        Parameter::text(mode),
        Parameter::optional_text(start.model.as_ref()),
        Parameter::text(RunStatus::Running),
        Parameter::time(start.at),
        Parameter::optional_text(start.holder.as_ref().map(|holder| &holder.host)),
        Parameter::optional_count(start.holder.as_ref().map(|holder| holder.process.into()))?,
    ];
    match engine.query(BEGIN, statement, parameters).await?.first() {
        Some(row) => Ok(Attempt(row.count("attempt")?)),
        None => {
            let message = "the run is another ingestion's in the catalog";
            let error = Error::new(ErrorKind::Conflict, BEGIN, message);
            Err(error.with("run", &start.run_id).with("ingestion", &start.ingestion))
        }
    }
}

pub(super) async fn end<E: Engine>(engine: &E, run: &RunId, attempt: Attempt, end: &RunEndFacts) -> Result<bool> {
    let known = find(engine, run).await?;
    if known.is_some_and(|known| known.attempt == attempt && known.end.as_ref() == Some(end)) {
        return Ok(true);
    }
    let statement = format!(
        "update {schema}run
         set status = $3, ended_at = $4, read_count = $5, inserted = $6, updated = $7, unchanged = $8, stale = $9,
             duplicate = $10, rejected = $11, slices = $12, incomplete = $13, checkpoint = $14, error = $15,
             mentions = $16, planned = $17
         where id = $1 and attempt = $2",
        schema = E::SCHEMA,
    );
    let parameters = vec![
        Parameter::text(run),
        Parameter::count(attempt.0)?,
        Parameter::text(RunStatus::Ended(end.outcome)),
        Parameter::time(end.at),
        Parameter::count(end.read)?,
        Parameter::count(end.counts.inserted)?,
        Parameter::count(end.counts.updated)?,
        Parameter::count(end.counts.unchanged)?,
        Parameter::count(end.counts.stale)?,
        Parameter::count(end.counts.duplicate)?,
        Parameter::count(end.counts.rejected)?,
        Parameter::count(end.slices)?,
        Parameter::json(&end.incomplete)?,
        Parameter::optional_json(end.checkpoint.as_ref())?,
        Parameter::Text(end.error.clone()),
        Parameter::json(&end.counts.mentions)?,
        Parameter::optional_count(end.planned)?,
    ];
    if engine.execute(END, statement, parameters).await? == 1 {
        return Ok(true);
    }
    match find(engine, run).await? {
        Some(record) if record.attempt > attempt => Ok(false),
        _ => {
            let message = "the catalog has no such attempt at a run; it is there once it has begun";
            Err(Error::new(ErrorKind::Config, END, message).with("run", run).with("attempt", attempt.0))
        }
    }
}

pub(super) async fn find<E: Engine>(engine: &E, id: &RunId) -> Result<Option<RunRecord>> {
    let statement = format!("select * from {}run where id = $1", E::SCHEMA);
    let rows = engine.query("look a run up", statement, vec![Parameter::text(id)]).await?;
    rows.first().map(read).transpose()
}

pub(super) async fn list<E: Engine>(engine: &E, filter: &RunFilter) -> Result<Vec<RunRecord>> {
    let statement = format!(
        "select * from {schema}run
         where ($1 is null or name = $1) and ($2 is null or $2 like '%,' || status || ',%')
             and ($3 is null or continued_at >= $3) and ($4 is null or id like '%' || $4 escape '!')
         order by started_at desc, id desc
         limit $5",
        schema = E::SCHEMA,
    );
    let statuses: Vec<&str> = filter.statuses.iter().map(|status| status.as_str()).collect();
    let parameters = vec![
        Parameter::optional_text(filter.name.as_ref()),
        Parameter::optional_text((!filter.statuses.is_empty()).then(|| format!(",{},", statuses.join(",")))),
        Parameter::Time(filter.since),
        Parameter::optional_text(filter.id_ending.as_ref().map(|ending| literally(ending))),
        Parameter::Integer(Some(i64::try_from(filter.limit).unwrap_or(i64::MAX))),
    ];
    engine.query("list runs", statement, parameters).await?.iter().map(read).collect()
}

/// The text as a pattern of `like … escape '!'` that matches nothing else.
fn literally(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

fn holder(row: &Row) -> Result<Option<Holder>> {
    let (Some(host), Some(process)) = (row.optional_text("host")?, row.optional_count("process")?) else {
        return Ok(None);
    };
    Ok(Some(Holder::new(host, u32::try_from(process).map_err(|_| damaged("process"))?)))
}

fn read(row: &Row) -> Result<RunRecord> {
    let columns = || {
        Ok(RunRecord {
            run_id: row.parsed("id")?,
            name: row.text("name")?.to_owned(),
            ingestion: Ingestion {
                source: row.parsed("source")?,
                unit: row.parsed("unit")?,
                sink: row.parsed("sink")?,
                mode: match row.text("mode")? {
                    "raw" => Mode::Raw,
                    "cdm" => Mode::Cdm,
                    _ => return Err(damaged("mode")),
                },
            },
            model: row.optional_parsed("model_id")?,
            attempt: Attempt(row.count("attempt")?),
            holder: holder(row)?,
            started_at: row.time("started_at")?,
            continued_at: row.time("continued_at")?,
            end: match row.parsed("status")? {
                RunStatus::Running => None,
                RunStatus::Ended(outcome) => Some(RunEndFacts {
                    outcome,
                    read: row.count("read_count")?,
                    counts: Counts {
                        inserted: row.count("inserted")?,
                        updated: row.count("updated")?,
                        unchanged: row.count("unchanged")?,
                        stale: row.count("stale")?,
                        duplicate: row.count("duplicate")?,
                        rejected: row.count("rejected")?,
                        mentions: row.optional_json("mentions")?.unwrap_or_default(),
                    },
                    slices: row.count("slices")?,
                    planned: row.optional_count("planned")?,
                    incomplete: row.json("incomplete")?,
                    checkpoint: row.optional_json("checkpoint")?,
                    error: row.optional_text("error")?.map(str::to_owned),
                    at: row.time("ended_at")?,
                }),
            },
        })
    };
    columns().map_err(|error: Error| match row.text("id") {
        Ok(id) => error.with("run", id),
        Err(_) => error,
    })
}
