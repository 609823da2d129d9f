use std::{fmt, io};

/// Why there is no cluster.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The server programs are not installed, or not where they were looked for.
    NoPrograms,
    /// The operating system refused.
    Io {
        /// What was being done.
        doing: &'static str,
        /// The refusal.
        source: io::Error,
    },
    /// A server program failed.
    Server {
        /// What was being done.
        doing: &'static str,
        /// What the program said.
        output: String,
    },
    /// A statement failed, or the connection did.
    Query(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPrograms => f.write_str(
                "PostgreSQL's server programs (initdb, postgres) were not found. Install them, with \
                 `apt-get install postgresql` on Debian and Ubuntu or `brew install postgresql` on a Mac, \
                 or name their folder in CDM_POSTGRES_BIN",
            ),
            Self::Io { doing, source } => write!(f, "cannot {doing}: {source}"),
            Self::Query(reason) => write!(f, "cannot query: {reason}"),
            Self::Server { doing, output } => write!(f, "cannot {doing}: {}", output.trim()),
        }
    }
}

impl std::error::Error for Error {}

/// Turns an I/O error into one that says what was being done.
pub(crate) fn io(doing: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { doing, source }
}
