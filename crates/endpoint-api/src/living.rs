use std::{fmt, str::FromStr};

use async_trait::async_trait;
use cdm_models::Timestamp;

use crate::{Error, ErrorKind, Ingestion, Result, RunId};

/// Says which runs are alive. An optional role of a [`Sink`](crate::Sink): the sink knows it better than any clock.
#[async_trait]
pub trait RunWatch: Send + Sync {
    /// The runs of this ingestion that are alive, whatever model they load. Changes nothing and waits for no run.
    async fn living(&self, ingestion: &Ingestion) -> Result<Vec<LivingRun>>;
}

/// A run that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LivingRun {
    /// The run's id.
    pub run_id: RunId,
    /// The process that works on it, where the sink knows it.
    pub holder: Option<Holder>,
    /// When that process opened the run, where the sink knows it.
    pub since: Option<Timestamp>,
}

impl LivingRun {
    /// A run that is alive.
    pub fn new(run_id: RunId, holder: Option<Holder>, since: Option<Timestamp>) -> Self {
        Self { run_id, holder, since }
    }

    /// Adds to an error which run is in the way, who works on it, and since when.
    #[must_use]
    pub fn describe(&self, error: Error) -> Error {
        let mut error = error.with("run", &self.run_id);
        if let Some(Holder { host, process }) = &self.holder {
            error = error.with("host", host).with("process", process);
        }
        match self.since {
            Some(since) => error.with("since", since),
            None => error,
        }
    }
}

/// The process that works on a run: `web-3:4711`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The name of its machine.
    pub host: String,
    /// Its process id there.
    pub process: u32,
}

impl Holder {
    /// A process. Of the machine's name only what a host name can have is kept.
    pub fn new(host: &str, process: u32) -> Self {
        let is_kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let host: String = host.chars().filter(is_kept).take(253).collect();
        Self { host: if host.is_empty() { "unknown".to_owned() } else { host }, process }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.process)
    }
}

impl FromStr for Holder {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.rsplit_once(':').and_then(|(host, process)| Some(Self::new(host, process.parse().ok()?)));
        parsed.ok_or_else(|| {
            Error::new(ErrorKind::Data, "read state", format!("`{text}` is not a process: expected HOST:PROCESS"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_as_it_was_written() {
        for (host, text) in [("web-3", "web-3:4711"), ("a b\n'c", "abc:4711"), ("", "unknown:4711")] {
            let holder = Holder::new(host, 4711);
            assert_eq!(holder.to_string(), text);
            assert_eq!(text.parse::<Holder>().unwrap(), holder);
        }
        assert!("web-3".parse::<Holder>().is_err());
        assert!("web-3:x".parse::<Holder>().is_err());
    }

    #[test]
    fn an_error_names_the_run_that_is_in_the_way() {
        let run =
            LivingRun::new("r1".parse().unwrap(), Some(Holder::new("web-3", 7)), Timestamp::from_microsecond(0).ok());
        let error = run.describe(Error::new(ErrorKind::Conflict, "open", "another run is alive"));
        let expected = "another run is alive (run: r1, host: web-3, process: 7, since: 1970-01-01T00:00:00.000000Z)";
        assert_eq!(error.to_string(), expected);
    }
}
