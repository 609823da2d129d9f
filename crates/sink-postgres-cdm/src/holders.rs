//! Who is in the way: the sessions that hold what another one waits for.

use std::{fmt::Write as _, time::Duration};

use endpoint_api::{Error, Result};
use futures::future::{Either, select};
use postgres_client::{Connector, ServerError};
use tokio::time::timeout;
use tokio_postgres::{Row, types::Type};

use crate::session::{Session, column};

const OPERATION: &str = "look who holds a lock";

/// Whoever waits for longer is asked about as often as this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whether somebody else's lock was in the way of a statement.
pub(crate) fn is_about_locks(error: &Error) -> bool {
    is_one_of(error, &["55P03", "40P01"])
}

fn is_one_of(error: &Error, codes: &[&str]) -> bool {
    ServerError::of(error).is_some_and(|error| codes.contains(&error.code()))
}

/// The process of the server's that carries out what the session sends.
pub(crate) async fn process_of(session: &Session) -> Result<i32> {
    column(&session.query_one(OPERATION, "select pg_backend_pid()", &[]).await?, 0)
}

/// What a session is about to do.
pub(crate) struct Waiter<'a> {
    /// The session's process.
    pub(crate) process: i32,
    /// The statement, where a pooler may give it to another process than that.
    pub(crate) statement: Option<&'a str>,
    /// For how long it waits for a lock; zero is without an end.
    pub(crate) patience: Duration,
}

/// Does it. When it fails because it has waited in vain, the error says for whom.
///
/// That is asked from another session while it waits, because later the server does not know it any more. What cannot
/// be found out is left out: it is not why the statement fails.
pub(crate) async fn naming_holders<T>(
    connector: &Connector,
    waiter: &Waiter<'_>,
    work: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    let pause = match waiter.patience {
        Duration::ZERO => LONGEST_PAUSE,
        patience => (patience / 4).clamp(Duration::from_millis(10), LONGEST_PAUSE),
    };
    let (mut work, mut other, mut held) = (Box::pin(work), None, None);
    let done = loop {
        if let Ok(done) = timeout(pause, &mut work).await {
            break done;
        }
        match select(&mut work, Box::pin(look(connector, &mut other, waiter))).await {
            Either::Left((done, _)) => break done,
            Either::Right((found, _)) => held = found.ok().flatten(),
        }
    };
    done.map_err(|error| match held {
        Some(held) if is_about_locks(&error) || is_one_of(&error, &["57014"]) => error.with("held by", held),
        _ => error,
    })
}

/// Who holds what the waiter waits for; `None` when it waits for nobody.
///
/// Everybody may see the process, the role and the name of a session, but not of every role's what it does and since
/// when. Its statement is nobody's to tell: it can hold data.
async fn look(connector: &Connector, other: &mut Option<Session>, waiter: &Waiter<'_>) -> Result<Option<String>> {
    let session = match other {
        Some(session) => session,
        None => other.insert(Session::open(connector).await?),
    };
    let statement = "select h.pid, a.usename::text, a.application_name, a.state, \
                     extract(epoch from clock_timestamp() - a.xact_start)::bigint, count(*) over () \
                     from (select distinct unnest(pg_blocking_pids($1)) as pid) as h \
                     left join pg_stat_activity a on a.pid = h.pid \
                     where $2 is null or exists (select from pg_stat_activity w where w.pid = $1 and w.query = $2) \
                     order by a.xact_start, h.pid limit 3";
    let parameters = [(&waiter.process as _, Type::INT4), (&waiter.statement as _, Type::TEXT)];
    let rows = session.query(OPERATION, statement, &parameters).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let all: i64 = column(first, 5)?;
    let mut told = rows.iter().map(tell).collect::<Result<Vec<_>>>()?;
    let untold = all.saturating_sub_unsigned(told.len() as u64);
    if untold > 0 {
        told.push(format!("{untold} more"));
    }
    Ok(Some(told.join("; ")))
}

/// A session that holds something, in words.
fn tell(row: &Row) -> Result<String> {
    let process: i32 = column(row, 0)?;
    if process == 0 {
        return Ok("a prepared transaction, see pg_prepared_xacts".to_owned());
    }
    let mut text = format!("process {process}");
    // Writing to a String cannot fail.
    if let Some(role) = column::<Option<&str>>(row, 1)? {
        let _ = write!(text, " of {role}");
    }
    if let Some(name) = column::<Option<&str>>(row, 2)?.filter(|name| !name.is_empty()) {
        let _ = write!(text, " ({name})");
    }
    if let Some(state) = column::<Option<&str>>(row, 3)? {
        let _ = write!(text, ", {state}");
    }
    if let Some(seconds) = column::<Option<i64>>(row, 4)? {
        let _ = write!(text, ", begun {seconds} s ago");
    }
    Ok(text)
}
