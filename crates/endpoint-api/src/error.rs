use std::{borrow::Cow, error::Error as StdError, fmt};

/// The result of every operation of the contract.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in terms that decide what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration or a request is wrong: an unknown unit, a value that does not fit.
    Config,
    /// The endpoint does not have the role or the ability that was asked of it.
    Unsupported,
    /// The sink has no place yet for what is to be loaded.
    NotProvisioned,
    /// Somebody else is at it: another run is alive, the state changed in between.
    Conflict,
    /// A newer run of the ingestion has taken over; this one may commit nothing more.
    Fenced,
    /// A plan no longer matches the source it was made for.
    Outdated,
    /// What was read is not what it claims to be: a truncated file, a damaged manifest.
    Data,
    /// The other side cannot be reached, went away or did not answer in time.
    Unavailable,
    /// The other side refused: credentials, privileges, a read-only server.
    Denied,
    /// Something ran out: disk, connections, memory.
    Exhausted,
    /// The work was told to stop.
    Interrupted,
    /// A fault of the driver or the host, not of its environment.
    Internal,
}

impl ErrorKind {
    /// The kind as a script sees it: `not_provisioned`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Unsupported => "unsupported",
            Self::NotProvisioned => "not_provisioned",
            Self::Conflict => "conflict",
            Self::Fenced => "fenced",
            Self::Outdated => "outdated",
            Self::Data => "data",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Exhausted => "exhausted",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal",
        }
    }

    const fn usual_retry(self) -> Retry {
        match self {
            Self::Unavailable => Retry::Backoff,
            Self::NotProvisioned | Self::Denied | Self::Exhausted => Retry::AfterOperator,
            _ => Retry::Never,
        }
    }
}

/// Whether the same operation may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// It would fail again.
    Never,
    /// It may succeed after a pause: deadlocks, restarts, lost connections.
    Backoff,
    /// It is done in another way when the same slice is begun again at once: a sink has found a row that is refused, and
    /// stores the slice row by row next time. No time that there is for trying again is spent on it.
    AtOnce,
    /// It will fail until a person has done something.
    AfterOperator,
    /// Nobody knows whether it took effect: the answer to a commit was lost. Beginning the same
    /// slice again settles it.
    OutcomeUnknown,
}

/// An error of the contract.
///
/// The message says in one line what failed and what to do, the context names the file, line,
/// field or key, and the source is the error below. None of them carries a secret or the value of
/// a cell.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    operation: Cow<'static, str>,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` in `operation` (`read`, `commit`), with the usual [`Retry`] of its kind.
    pub fn new(kind: ErrorKind, operation: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            retry: kind.usual_retry(),
            operation: operation.into(),
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// The endpoint cannot do `what`, because its driver does not declare it.
    pub fn unsupported(operation: impl Into<Cow<'static, str>>, what: &str) -> Self {
        Self::new(ErrorKind::Unsupported, operation, format!("{what} is not supported"))
    }

    /// Sets whether the operation may be tried again.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Adds where it happened: `("file", "issues.jsonl")`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Sets the error below. Its text is shown to people: it must carry no secret and no cell value.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the operation may be tried again.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// What failed and what to do, without the context and the errors below.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What was being done.
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// Where it happened, as pairs of name and value.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

impl fmt::Display for Error {
    /// The message, its context and the errors below, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (index, (name, value)) in self.0.context.iter().enumerate() {
            write!(f, "{}{name}: {value}", if index == 0 { " (" } else { ", " })?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        let mut below = self.source();
        while let Some(source) = below {
            write!(f, ": {source}")?;
            below = source.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}, retry {:?}: {self}", self.0.kind, self.0.operation, self.0.retry)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_why_in_one_line() {
        let below = std::io::Error::other("disk is on fire");
        let error = Error::new(ErrorKind::Data, "read", "the file ends in the middle of a record")
            .with("file", "issues.jsonl")
            .with("line", 17)
            .caused_by(below);
        assert_eq!(
            error.to_string(),
            "the file ends in the middle of a record (file: issues.jsonl, line: 17): disk is on fire"
        );
        assert_eq!((error.kind(), error.retry(), error.operation()), (ErrorKind::Data, Retry::Never, "read"));
    }
}
