use endpoint_api::{Error, ErrorKind, Retry};
use postgres_client::{Dialogue, Fault, Meaning};

/// What the server's codes mean to a catalog, beside what they mean to everybody: its tables are not those
/// that it made, or not in a database that can hold all text.
const CODES: &[Meaning] = &[
    ("22P05", ErrorKind::Data, Retry::AfterOperator),
    ("3F000", ErrorKind::Data, Retry::AfterOperator),
    ("42703", ErrorKind::Data, Retry::AfterOperator),
    ("42P01", ErrorKind::Data, Retry::AfterOperator),
    ("42P07", ErrorKind::Data, Retry::AfterOperator),
];

pub(super) const DIALOGUE: Dialogue = Dialogue { codes: CODES, private: (ErrorKind::Internal, Retry::Never), advice };

/// Turns an error of the client library into one of the contract.
pub(super) fn classify(operation: &'static str, error: &tokio_postgres::Error) -> Error {
    DIALOGUE.error(operation, error)
}

fn advice(fault: Fault<'_>) -> Option<&'static str> {
    Some(match fault {
        Fault::Server("28P01", _) => "the catalog's server refuses the password; check the metadata URL",
        Fault::Server("28000", _) => {
            "the catalog's server refuses the role; check the metadata URL and the server's pg_hba.conf"
        }
        Fault::Server("3D000", _) => "the catalog's database does not exist; create it or check the metadata URL",
        Fault::Server("42501", _) => {
            "the role lacks a privilege on the catalog; grant it USAGE on the schema cdm_metadata and SELECT, INSERT \
             and UPDATE on its tables"
        }
        Fault::Server("22P05", _) => "the catalog's database cannot hold all text; use one with the encoding UTF8",
        Fault::Server("42P07", _) => {
            "the schema cdm_metadata holds tables that are not the catalog's; use another database, or move them away"
        }
        Fault::Server(_, ErrorKind::Data) => "the catalog's tables are not as they should be",
        Fault::Certificate => {
            "the certificate of the catalog's server is not to be trusted; name a file of trusted certificates in the \
             environment variable SSL_CERT_FILE, or demand less of it with `sslmode` in the metadata URL"
        }
        Fault::Credentials => {
            "the catalog's server and this program do not agree on how to log in; check the metadata URL"
        }
        Fault::Unreachable => "the catalog's server cannot be reached",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_are_not_the_catalogs_are_told_from_faults_of_the_program() {
        assert_eq!(DIALOGUE.meaning("42P01"), (ErrorKind::Data, Retry::AfterOperator));
        assert_eq!(DIALOGUE.meaning("42501"), (ErrorKind::Denied, Retry::AfterOperator));
        assert_eq!(DIALOGUE.meaning("42601"), (ErrorKind::Internal, Retry::Never), "bad SQL is our own fault");
    }
}
