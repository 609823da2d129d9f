use std::{error::Error as StdError, fmt, io};

use endpoint_api::{Error, ErrorKind, Retry};
use tokio_postgres::error::DbError;

use crate::{
    ConnectError,
    names::{is_private, name},
    own::{ROW_SECURITY, is_own_message, names_objects},
};

/// What a code of the server (SQLSTATE) means for what happens next.
pub type Meaning = (&'static str, ErrorKind, Retry);

/// What the codes mean to everybody. Codes are listed one by one, because within a class they differ.
const CODES: &[Meaning] = &[
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
];

/// What went wrong between a program and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault<'a> {
    /// The server said so, with this code.
    Server(&'a str, ErrorKind),
    /// Its certificate is not to be trusted.
    Certificate,
    /// The two do not agree on how to log in.
    Credentials,
    /// The connection broke.
    Lost,
    /// The server accepts connections and does not answer.
    Silent,
    /// It could not be made.
    Unreachable,
}

/// How one user of a server understands its errors and speaks of them.
#[derive(Debug, Clone, Copy)]
pub struct Dialogue {
    /// What codes mean here beside what they mean to everybody. Every other code is a fault of the
    /// program.
    pub codes: &'static [Meaning],
    /// What a code means whose class the server does not have: a function of somebody's has raised it.
    pub private: (ErrorKind, Retry),
    /// What failed and what to do, where there is more to say here than everywhere.
    pub advice: fn(Fault<'_>) -> Option<&'static str>,
}

/// What a server said, without what may hold data: never its detail, its hint and its context, and its message only
/// where that is known to be the server's own. It is the source of the error of the contract.
#[derive(Debug)]
pub struct ServerError {
    code: String,
    text: String,
}

impl ServerError {
    /// What the server said, if it was the server that made `error`.
    pub fn of(error: &Error) -> Option<&Self> {
        StdError::source(error).and_then(|below| below.downcast_ref())
    }

    /// SQLSTATE.
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.text, self.code)
    }
}

impl StdError for ServerError {}

impl Dialogue {
    /// What a code means.
    pub fn meaning(&self, code: &str) -> (ErrorKind, Retry) {
        let known = self.codes.iter().chain(CODES).find(|(known, ..)| *known == code);
        match known {
            Some((_, kind, retry)) => (*kind, *retry),
            None if is_private(code) => self.private,
            None => (ErrorKind::Internal, Retry::Never),
        }
    }

    /// Turns the reason why there is no connection into an error of the contract. It carries no data.
    pub fn connect_error(&self, operation: &'static str, error: &ConnectError) -> Error {
        match error {
            ConnectError::Failed(error) => self.told(operation, error, true),
            ConnectError::Silent => Error::new(ErrorKind::Unavailable, operation, self.message(Fault::Silent)),
        }
    }

    /// What failed and what to do.
    fn message(&self, fault: Fault<'_>) -> &'static str {
        (self.advice)(fault).unwrap_or_else(|| in_general(fault))
    }

    /// Turns an error of the client library into one of the contract. It carries no data.
    pub fn error(&self, operation: &'static str, error: &tokio_postgres::Error) -> Error {
        self.told(operation, error, false)
    }

    fn told(&self, operation: &'static str, error: &tokio_postgres::Error, connecting: bool) -> Error {
        let told = |fault, kind| Error::new(kind, operation, self.message(fault));
        if let Some(server) = error.as_db_error() {
            let code = server.code().code();
            let is_of_policy = (code, server.routine()) == (ROW_SECURITY.0, Some(ROW_SECURITY.1));
            let (kind, retry) = if is_of_policy { (ErrorKind::Data, Retry::Never) } else { self.meaning(code) };
            let below = ServerError { code: code.to_owned(), text: text(server, connecting) };
            let mut told = told(Fault::Server(code, kind), kind).with_retry(retry).caused_by(below);
            for (name, value) in
                [("table", server.table()), ("column", server.column()), ("constraint", server.constraint())]
            {
                if let Some(value) = value.filter(|_| names_objects(server)) {
                    told = told.with(name, value);
                }
            }
            return told;
        }
        let (fault, kind) = if is_about_certificate(error) {
            (Fault::Certificate, ErrorKind::Denied)
        } else if is_about_credentials(error) {
            (Fault::Credentials, ErrorKind::Denied)
        } else if error.is_closed() {
            (Fault::Lost, ErrorKind::Unavailable)
        } else {
            (Fault::Unreachable, ErrorKind::Unavailable)
        };
        let below = StdError::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        told(fault, kind).caused_by(below)
    }
}

/// What is shown of what the server said.
fn text(server: &DbError, connecting: bool) -> String {
    let code = server.code().code();
    if is_own_message(server, connecting) {
        return server.message().to_owned();
    }
    if ["22", "23", "54"].iter().any(|class| code.starts_with(class)) {
        return "the data does not fit".to_owned();
    }
    let name = name(code).unwrap_or("a code that is not the server's own");
    format!("{name}; the message may hold data and is in the server's log only")
}

fn is_about_certificate(error: &tokio_postgres::Error) -> bool {
    let below = StdError::source(error).and_then(|below| below.downcast_ref::<io::Error>());
    let below = below.and_then(io::Error::get_ref).and_then(|below| below.downcast_ref::<rustls::Error>());
    matches!(below, Some(rustls::Error::InvalidCertificate(_)))
}

/// The library tells these kinds apart by their text only.
fn is_about_credentials(error: &tokio_postgres::Error) -> bool {
    matches!(error.to_string().as_str(), "authentication error" | "invalid configuration")
}

/// What failed, and where a person has to act, how.
fn in_general(fault: Fault<'_>) -> &'static str {
    match fault {
        Fault::Server("28P01", _) => "the server refuses the password",
        Fault::Server("28000", _) => "the server refuses the role; check the user and the server's pg_hba.conf",
        Fault::Server("3D000", _) => "the database does not exist; create it, or name another",
        Fault::Server("42501", _) => "the role lacks a privilege; grant it, or connect as another role",
        Fault::Server("25006", _) => "the server is read-only; connect to the primary",
        Fault::Server("53300", _) => {
            "the server has no connection left; raise max_connections or the limit of the role or the database, \
             or close others"
        }
        Fault::Server("53100", _) => "the server's disk is full",
        Fault::Server("55P03", _) => "a lock could not be had in time; another session holds it",
        Fault::Server("57014", _) => "the server cancelled the statement, as statement_timeout or a person told it to",
        Fault::Server(_, ErrorKind::Unavailable) => "the server ended the connection",
        Fault::Server(_, ErrorKind::Exhausted) => "the server has run out of something",
        Fault::Server(_, ErrorKind::Conflict) => "another session was in the way",
        Fault::Server(_, ErrorKind::Data) => "the server refuses the data",
        Fault::Server(..) => "the server refuses the statement",
        Fault::Certificate => {
            "the server's certificate is not to be trusted; name a file of trusted certificates, or demand less of it"
        }
        Fault::Credentials => "the server and this program do not agree on how to log in; check user and password",
        Fault::Lost => "the connection to the server was lost",
        Fault::Silent => "the server accepts connections and does not answer; it may be overloaded or stopped",
        Fault::Unreachable => "the server cannot be reached",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decide_and_not_their_classes() {
        const OWN: Dialogue = Dialogue {
            codes: &[("22P02", ErrorKind::Data, Retry::Never)],
            private: (ErrorKind::Data, Retry::Never),
            advice: |_| None,
        };
        assert_eq!(OWN.meaning("40P01"), (ErrorKind::Conflict, Retry::Backoff));
        assert_eq!(OWN.meaning("22P02"), (ErrorKind::Data, Retry::Never));
        assert_eq!(OWN.meaning("22P04"), (ErrorKind::Internal, Retry::Never), "bad COPY format is our own fault");
        assert_eq!(OWN.meaning("XX000"), (ErrorKind::Internal, Retry::Never));
        assert_eq!(OWN.meaning("42ZZZ"), (ErrorKind::Internal, Retry::Never), "a newer server may have it");
        assert_eq!(OWN.meaning("U0001"), (ErrorKind::Data, Retry::Never), "no server has that class");
        let mut codes: Vec<&str> = CODES.iter().map(|(code, ..)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len(), "a code stands once");
    }
}
