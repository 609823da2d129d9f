use std::{error::Error as StdError, fmt, io};

use endpoint_api::{Error, ErrorKind, Retry};

/// What the server's codes mean. Every code that is not here is a fault of this program.
const CODES: &[(&str, ErrorKind, Retry)] = &[
    // The connection is gone, or the server is going or coming.
    ("08000", ErrorKind::Unavailable, Retry::Backoff),
    ("08001", ErrorKind::Unavailable, Retry::Backoff),
    ("08003", ErrorKind::Unavailable, Retry::Backoff),
    ("08004", ErrorKind::Unavailable, Retry::Backoff),
    ("08006", ErrorKind::Unavailable, Retry::Backoff),
    ("57014", ErrorKind::Unavailable, Retry::Backoff),
    ("57P01", ErrorKind::Unavailable, Retry::Backoff),
    ("57P02", ErrorKind::Unavailable, Retry::Backoff),
    ("57P03", ErrorKind::Unavailable, Retry::Backoff),
    ("57P05", ErrorKind::Unavailable, Retry::Backoff),
    // Another session was in the way.
    ("40001", ErrorKind::Conflict, Retry::Backoff),
    ("40P01", ErrorKind::Conflict, Retry::Backoff),
    ("55P03", ErrorKind::Conflict, Retry::Backoff),
    // Something has run out.
    ("53000", ErrorKind::Exhausted, Retry::Backoff),
    ("53100", ErrorKind::Exhausted, Retry::Backoff),
    ("53200", ErrorKind::Exhausted, Retry::Backoff),
    ("53300", ErrorKind::Exhausted, Retry::Backoff),
    // The server refuses this role, or to write.
    ("25006", ErrorKind::Denied, Retry::Backoff),
    ("28000", ErrorKind::Denied, Retry::AfterOperator),
    ("28P01", ErrorKind::Denied, Retry::AfterOperator),
    ("3D000", ErrorKind::Denied, Retry::AfterOperator),
    ("42501", ErrorKind::Denied, Retry::AfterOperator),
    // The tables are not those that the catalog made, or not in a database that can hold all text.
    ("22P05", ErrorKind::Data, Retry::AfterOperator),
    ("3F000", ErrorKind::Data, Retry::AfterOperator),
    ("42703", ErrorKind::Data, Retry::AfterOperator),
    ("42P01", ErrorKind::Data, Retry::AfterOperator),
    ("42P07", ErrorKind::Data, Retry::AfterOperator),
];

fn meaning(code: &str) -> (ErrorKind, Retry) {
    let known = CODES.iter().find(|(known, ..)| *known == code);
    known.map_or((ErrorKind::Internal, Retry::Never), |(_, kind, retry)| (*kind, *retry))
}

/// What a server said: never its detail and context, which may hold a value, and not even its message
/// where the code says that a value was at fault.
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

impl StdError for ServerError {}

/// Turns an error of the client library into one of the contract.
pub(super) fn classify(operation: &'static str, error: &tokio_postgres::Error) -> Error {
    if let Some(server) = error.as_db_error() {
        let code = server.code().code();
        let (kind, retry) = meaning(code);
        let speaks_of_values = ["22", "23", "54", "P0"].iter().any(|class| code.starts_with(class));
        let text = if speaks_of_values { "the value does not fit".to_owned() } else { server.message().to_owned() };
        let below = ServerError { code: code.to_owned(), text };
        return Error::new(kind, operation, advice(code, kind)).with_retry(retry).caused_by(below);
    }
    let below = StdError::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let (kind, message) = if is_about_certificate(error) {
        (
            ErrorKind::Denied,
            "the certificate of the catalog's server is not to be trusted; name a file of trusted certificates in the \
             environment variable SSL_CERT_FILE, or use sslmode=prefer, which takes any",
        )
    } else if is_about_credentials(error) {
        (ErrorKind::Denied, "the catalog's server and this program do not agree on credentials; check the metadata URL")
    } else if error.is_closed() {
        (ErrorKind::Unavailable, "the connection to the catalog's server was lost")
    } else {
        (ErrorKind::Unavailable, "the catalog's server cannot be reached")
    };
    Error::new(kind, operation, message).caused_by(below)
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
fn advice(code: &str, kind: ErrorKind) -> &'static str {
    match (code, kind) {
        ("28P01", _) => "the catalog's server refuses the password; check the metadata URL",
        ("28000", _) => "the catalog's server refuses the role; check the metadata URL and the server's pg_hba.conf",
        ("3D000", _) => "the catalog's database does not exist; create it or check the metadata URL",
        ("42501", _) => {
            "the role lacks a privilege on the catalog; grant it USAGE on the schema cdm_metadata and SELECT, INSERT \
             and UPDATE on its tables"
        }
        ("25006", _) => "the catalog's server is read-only; connect to the primary",
        ("53300", _) => "the catalog's server has no connection left; raise max_connections or close others",
        ("53100", _) => "the disk of the catalog's server is full",
        ("55P03", _) => "a lock on the catalog could not be had in time; another session holds it",
        ("57014", _) => "the catalog's server cancelled the statement, as statement_timeout or a person told it to",
        ("22P05", _) => "the catalog's database cannot hold all text; use one with the encoding UTF8",
        ("42P07", _) => {
            "the schema cdm_metadata holds tables that are not the catalog's; use another database, or move them away"
        }
        (_, ErrorKind::Unavailable) => "the catalog's server ended the connection",
        (_, ErrorKind::Exhausted) => "the catalog's server has run out of something",
        (_, ErrorKind::Conflict) => "another session was in the way",
        (_, ErrorKind::Data) => "the catalog's tables are not as they should be",
        _ => "the catalog's server refuses a statement",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decide_and_not_their_classes() {
        assert_eq!(meaning("40P01"), (ErrorKind::Conflict, Retry::Backoff));
        assert_eq!(meaning("42501"), (ErrorKind::Denied, Retry::AfterOperator));
        assert_eq!(meaning("42601"), (ErrorKind::Internal, Retry::Never), "bad SQL is our own fault");
        let mut codes: Vec<&str> = CODES.iter().map(|(code, ..)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len(), "a code stands once");
    }
}
