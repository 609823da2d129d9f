use endpoint_api::{Error, ErrorKind, Retry};
use postgres_client::{Dialogue, Fault, Meaning};

/// What the server's codes mean to a sink, beside what they mean to everybody.
const CODES: &[Meaning] = &[
    // Tables that are not there.
    ("3F000", ErrorKind::NotProvisioned, Retry::AfterOperator),
    ("42P01", ErrorKind::NotProvisioned, Retry::AfterOperator),
    ("42703", ErrorKind::NotProvisioned, Retry::AfterOperator),
    // A row at fault: its values do not fit, or a function that is called for it refuses it. What is not listed is of the
    // server or of this program, and rejects no row. Of the class 22 that are the codes of a wrong COPY (22P03, 22P04); of
    // the class 54 those of statements (54011, 54023).
    ("20000", ErrorKind::Data, Retry::Never),
    ("21000", ErrorKind::Data, Retry::Never),
    ("22000", ErrorKind::Data, Retry::Never),
    ("22001", ErrorKind::Data, Retry::Never),
    ("22002", ErrorKind::Data, Retry::Never),
    ("22003", ErrorKind::Data, Retry::Never),
    ("22004", ErrorKind::Data, Retry::Never),
    ("22005", ErrorKind::Data, Retry::Never),
    ("22007", ErrorKind::Data, Retry::Never),
    ("22008", ErrorKind::Data, Retry::Never),
    ("22009", ErrorKind::Data, Retry::Never),
    ("2200B", ErrorKind::Data, Retry::Never),
    ("2200C", ErrorKind::Data, Retry::Never),
    ("2200D", ErrorKind::Data, Retry::Never),
    ("2200F", ErrorKind::Data, Retry::Never),
    ("2200G", ErrorKind::Data, Retry::Never),
    ("2200H", ErrorKind::Data, Retry::Never),
    ("2200L", ErrorKind::Data, Retry::Never),
    ("2200M", ErrorKind::Data, Retry::Never),
    ("2200N", ErrorKind::Data, Retry::Never),
    ("2200S", ErrorKind::Data, Retry::Never),
    ("2200T", ErrorKind::Data, Retry::Never),
    ("22010", ErrorKind::Data, Retry::Never),
    ("22011", ErrorKind::Data, Retry::Never),
    ("22012", ErrorKind::Data, Retry::Never),
    ("22013", ErrorKind::Data, Retry::Never),
    ("22014", ErrorKind::Data, Retry::Never),
    ("22015", ErrorKind::Data, Retry::Never),
    ("22016", ErrorKind::Data, Retry::Never),
    ("22018", ErrorKind::Data, Retry::Never),
    ("22019", ErrorKind::Data, Retry::Never),
    ("2201B", ErrorKind::Data, Retry::Never),
    ("2201E", ErrorKind::Data, Retry::Never),
    ("2201F", ErrorKind::Data, Retry::Never),
    ("2201G", ErrorKind::Data, Retry::Never),
    ("2201W", ErrorKind::Data, Retry::Never),
    ("2201X", ErrorKind::Data, Retry::Never),
    ("22021", ErrorKind::Data, Retry::Never),
    ("22022", ErrorKind::Data, Retry::Never),
    ("22023", ErrorKind::Data, Retry::Never),
    ("22024", ErrorKind::Data, Retry::Never),
    ("22025", ErrorKind::Data, Retry::Never),
    ("22026", ErrorKind::Data, Retry::Never),
    ("22027", ErrorKind::Data, Retry::Never),
    ("2202E", ErrorKind::Data, Retry::Never),
    ("2202G", ErrorKind::Data, Retry::Never),
    ("2202H", ErrorKind::Data, Retry::Never),
    ("22030", ErrorKind::Data, Retry::Never),
    ("22031", ErrorKind::Data, Retry::Never),
    ("22032", ErrorKind::Data, Retry::Never),
    ("22033", ErrorKind::Data, Retry::Never),
    ("22034", ErrorKind::Data, Retry::Never),
    ("22035", ErrorKind::Data, Retry::Never),
    ("22036", ErrorKind::Data, Retry::Never),
    ("22037", ErrorKind::Data, Retry::Never),
    ("22038", ErrorKind::Data, Retry::Never),
    ("22039", ErrorKind::Data, Retry::Never),
    ("2203A", ErrorKind::Data, Retry::Never),
    ("2203B", ErrorKind::Data, Retry::Never),
    ("2203C", ErrorKind::Data, Retry::Never),
    ("2203D", ErrorKind::Data, Retry::Never),
    ("2203E", ErrorKind::Data, Retry::Never),
    ("2203F", ErrorKind::Data, Retry::Never),
    ("2203G", ErrorKind::Data, Retry::Never),
    ("22P01", ErrorKind::Data, Retry::Never),
    ("22P02", ErrorKind::Data, Retry::Never),
    ("22P05", ErrorKind::Data, Retry::Never),
    ("22P06", ErrorKind::Data, Retry::Never),
    ("22P07", ErrorKind::Data, Retry::Never),
    ("23000", ErrorKind::Data, Retry::Never),
    ("23001", ErrorKind::Data, Retry::Never),
    ("23502", ErrorKind::Data, Retry::Never),
    ("23503", ErrorKind::Data, Retry::Never),
    ("23505", ErrorKind::Data, Retry::Never),
    ("23514", ErrorKind::Data, Retry::Never),
    ("23P01", ErrorKind::Data, Retry::Never),
    ("2F000", ErrorKind::Data, Retry::Never),
    ("2F002", ErrorKind::Data, Retry::Never),
    ("2F003", ErrorKind::Data, Retry::Never),
    ("2F004", ErrorKind::Data, Retry::Never),
    ("2F005", ErrorKind::Data, Retry::Never),
    ("38000", ErrorKind::Data, Retry::Never),
    ("38001", ErrorKind::Data, Retry::Never),
    ("38002", ErrorKind::Data, Retry::Never),
    ("38003", ErrorKind::Data, Retry::Never),
    ("38004", ErrorKind::Data, Retry::Never),
    ("39000", ErrorKind::Data, Retry::Never),
    ("39001", ErrorKind::Data, Retry::Never),
    ("39004", ErrorKind::Data, Retry::Never),
    ("39P01", ErrorKind::Data, Retry::Never),
    ("39P02", ErrorKind::Data, Retry::Never),
    ("39P03", ErrorKind::Data, Retry::Never),
    ("44000", ErrorKind::Data, Retry::Never),
    ("54000", ErrorKind::Data, Retry::Never),
    ("54001", ErrorKind::Data, Retry::Never),
    ("P0000", ErrorKind::Data, Retry::Never),
    ("P0001", ErrorKind::Data, Retry::Never),
    ("P0002", ErrorKind::Data, Retry::Never),
    ("P0003", ErrorKind::Data, Retry::Never),
    ("P0004", ErrorKind::Data, Retry::Never),
];

/// A code of a class that the server does not have comes from a trigger or a function, about the row.
pub(crate) const DIALOGUE: Dialogue = Dialogue { codes: CODES, private: (ErrorKind::Data, Retry::Never), advice };

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
        for code in ["P0001", "P0002", "38000", "2F005", "20000", "22012", "23001", "U0001", "45000"] {
            assert_eq!(DIALOGUE.meaning(code), (ErrorKind::Data, Retry::Never), "{code} is of the row");
        }
        for code in ["42501", "0A000", "55000", "53100", "57014", "58030", "XX001", "HV000", "F0000", "54011"] {
            assert_ne!(DIALOGUE.meaning(code).0, ErrorKind::Data, "{code} is of the server");
        }
        assert_eq!(DIALOGUE.meaning("42P01"), (ErrorKind::NotProvisioned, Retry::AfterOperator));
        assert_eq!(DIALOGUE.meaning("40001"), (ErrorKind::Conflict, Retry::Backoff));
    }
}
