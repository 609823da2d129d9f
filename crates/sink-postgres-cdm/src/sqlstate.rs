use endpoint_api::{Error, ErrorKind, Retry};
use postgres_client::{Dialogue, Fault, Meaning};

/// What the server's codes mean to a sink, beside what they mean to everybody.
const CODES: &[Meaning] = &[
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

pub(crate) const DIALOGUE: Dialogue = Dialogue { codes: CODES, advice };

/// Turns an error of the client library into one of the contract.
pub(crate) fn classify(operation: &'static str, error: &tokio_postgres::Error) -> Error {
    DIALOGUE.error(operation, error)
}

fn advice(fault: Fault<'_>) -> Option<&'static str> {
    Some(match fault {
        Fault::Server("28P01", _) => "the server refuses the password; check `user` and `password` or `connection_url`",
        Fault::Server("28000", _) => {
            "the server refuses the role; check `user`, the server's pg_hba.conf and `ssl_mode`"
        }
        Fault::Server("3D000", _) => "the database does not exist; create it or check `database` or `connection_url`",
        Fault::Server(_, ErrorKind::NotProvisioned) => "the sink's tables are not as they should be",
        Fault::Certificate => {
            "the server's certificate is not to be trusted; name a file of trusted certificates in `ssl_root_cert`, or \
             demand less of it with `ssl_mode`"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_does_not_fit_is_told_from_faults_of_the_driver() {
        assert_eq!(DIALOGUE.meaning("22P02"), (ErrorKind::Data, Retry::Never));
        assert_eq!(DIALOGUE.meaning("22P04"), (ErrorKind::Internal, Retry::Never), "bad COPY format is our own fault");
        assert_eq!(DIALOGUE.meaning("42P01"), (ErrorKind::NotProvisioned, Retry::AfterOperator));
        assert_eq!(DIALOGUE.meaning("40001"), (ErrorKind::Conflict, Retry::Backoff));
    }
}
