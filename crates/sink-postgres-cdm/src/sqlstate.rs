use std::fmt;

use endpoint_api::{Error, ErrorKind, Retry};

/// What the server's codes mean for what happens next. Every code that is not here stops the run.
///
/// Codes are listed one by one, because within a class they differ: of class 22 most are data that
/// does not fit, but a malformed binary COPY is a fault of this driver.
const CODES: &[(&str, ErrorKind, Retry)] = &[
    // The connection is gone, or the server is going or coming.
    ("08000", ErrorKind::Unavailable, Retry::Backoff),
    ("08001", ErrorKind::Unavailable, Retry::Backoff),
    ("08003", ErrorKind::Unavailable, Retry::Backoff),
    ("08004", ErrorKind::Unavailable, Retry::Backoff),
    ("08006", ErrorKind::Unavailable, Retry::Backoff),
    ("25P03", ErrorKind::Unavailable, Retry::Backoff),
    ("57P01", ErrorKind::Unavailable, Retry::Backoff),
    ("57P02", ErrorKind::Unavailable, Retry::Backoff),
    ("57P03", ErrorKind::Unavailable, Retry::Backoff),
    ("57P05", ErrorKind::Unavailable, Retry::Backoff),
    ("57014", ErrorKind::Unavailable, Retry::Backoff),
    // A standby, or a server that was made read-only: after a promotion the next connection may differ.
    ("25006", ErrorKind::Denied, Retry::Backoff),
    // Somebody else was there at the same moment.
    ("40001", ErrorKind::Conflict, Retry::Backoff),
    ("40P01", ErrorKind::Conflict, Retry::Backoff),
    ("55P03", ErrorKind::Conflict, Retry::Backoff),
    // Something has run out.
    ("53000", ErrorKind::Exhausted, Retry::Backoff),
    ("53100", ErrorKind::Exhausted, Retry::Backoff),
    ("53200", ErrorKind::Exhausted, Retry::Backoff),
    ("53300", ErrorKind::Exhausted, Retry::Backoff),
    // The server refuses this role.
    ("28000", ErrorKind::Denied, Retry::AfterOperator),
    ("28P01", ErrorKind::Denied, Retry::AfterOperator),
    ("42501", ErrorKind::Denied, Retry::AfterOperator),
    ("3D000", ErrorKind::Denied, Retry::AfterOperator),
    // Tables that are not there.
    ("3F000", ErrorKind::NotProvisioned, Retry::AfterOperator),
    ("42P01", ErrorKind::NotProvisioned, Retry::AfterOperator),
    ("42703", ErrorKind::NotProvisioned, Retry::AfterOperator),
    // The data does not fit.
    ("22001", ErrorKind::Data, Retry::Never),
    ("22003", ErrorKind::Data, Retry::Never),
    ("22007", ErrorKind::Data, Retry::Never),
    ("22008", ErrorKind::Data, Retry::Never),
    ("22021", ErrorKind::Data, Retry::Never),
    ("22030", ErrorKind::Data, Retry::Never),
    ("22032", ErrorKind::Data, Retry::Never),
    ("22P02", ErrorKind::Data, Retry::Never),
    ("22P05", ErrorKind::Data, Retry::Never),
    ("23502", ErrorKind::Data, Retry::Never),
    ("23503", ErrorKind::Data, Retry::Never),
    ("23505", ErrorKind::Data, Retry::Never),
    ("23514", ErrorKind::Data, Retry::Never),
    ("23P01", ErrorKind::Data, Retry::Never),
    ("54000", ErrorKind::Data, Retry::Never),
    ("54001", ErrorKind::Data, Retry::Never),
];

/// What a code means.
fn meaning(code: &str) -> (ErrorKind, Retry) {
    let known = CODES.iter().find(|(known, ..)| *known == code);
    known.map_or((ErrorKind::Internal, Retry::Never), |(_, kind, retry)| (*kind, *retry))
}

/// What a server said, without what may hold the value of a cell: the detail and the context always,
/// and the message itself where the code says that data was at fault.
#[derive(Debug)]
struct ServerError {
    code: String,
    text: String,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.text, self.code)
    }
}

impl std::error::Error for ServerError {}

/// Turns an error of the client library into one of the contract.
pub(crate) fn classify(operation: &'static str, error: &tokio_postgres::Error) -> Error {
    if let Some(server) = error.as_db_error() {
        let code = server.code().code();
        let (kind, retry) = meaning(code);
        let speaks_of_data = ["22", "23", "54", "P0"].iter().any(|class| code.starts_with(class));
        let text = if speaks_of_data { "the data does not fit".to_owned() } else { server.message().to_owned() };
        let below = ServerError { code: code.to_owned(), text };
        let mut classified = Error::new(kind, operation, advice(code, kind)).with_retry(retry).caused_by(below);
        for (name, value) in
            [("table", server.table()), ("column", server.column()), ("constraint", server.constraint())]
        {
            if let Some(value) = value {
                classified = classified.with(name, value);
            }
        }
        return classified;
    }
    // Everything else is the connection's: it could not be made, or it broke.
    let below = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let message =
        if error.is_closed() { "the connection to the server was lost" } else { "the server cannot be reached" };
    Error::new(ErrorKind::Unavailable, operation, message).caused_by(below)
}

/// What failed, and where a person has to act, how.
fn advice(code: &str, kind: ErrorKind) -> &'static str {
    match (code, kind) {
        ("28P01", _) => "the server refuses the password; check `user` and `password` or `connection_url`",
        ("28000", _) => "the server refuses the role; check `user`, the server's pg_hba.conf and `ssl_mode`",
        ("3D000", _) => "the database does not exist; create it or check `database` or `connection_url`",
        ("42501", _) => "the role lacks a privilege; grant it, or connect as another role",
        ("25006", _) => "the server is read-only; connect to the primary",
        ("53300", _) => {
            "the server has no connection left; raise max_connections or the limit of the role or the database, \
             or close others"
        }
        ("53100", _) => "the server's disk is full",
        ("55P03", _) => "a lock could not be had in time; another session holds it",
        ("57014", _) => "the server cancelled the statement, as statement_timeout or a person told it to",
        (_, ErrorKind::Unavailable) => "the server ended the connection",
        (_, ErrorKind::Exhausted) => "the server has run out of something",
        (_, ErrorKind::Conflict) => "another session was in the way",
        (_, ErrorKind::NotProvisioned) => "the sink's tables are not as they should be",
        (_, ErrorKind::Data) => "the server refuses the data",
        _ => "the server refuses the statement",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decide_and_not_their_classes() {
        assert_eq!(meaning("40P01"), (ErrorKind::Conflict, Retry::Backoff));
        assert_eq!(meaning("22P02"), (ErrorKind::Data, Retry::Never));
        assert_eq!(meaning("22P04"), (ErrorKind::Internal, Retry::Never), "bad COPY format is our own fault");
        assert_eq!(meaning("XX000"), (ErrorKind::Internal, Retry::Never));
        let mut codes: Vec<&str> = CODES.iter().map(|(code, ..)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len(), "a code stands once");
    }
}
