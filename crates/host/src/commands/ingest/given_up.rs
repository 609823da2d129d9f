use std::collections::BTreeMap;

use endpoint_api::{EndpointId, Error};

/// The sinks that an ingestion of this command has given up on: the others do not try them for as long again.
#[derive(Debug, Default)]
pub(super) struct GivenUp(BTreeMap<EndpointId, First>);

/// The ingestion that has given up first, and why.
#[derive(Debug)]
struct First {
    name: String,
    message: String,
}

impl GivenUp {
    /// Whether an ingestion has given up on the sink.
    pub(super) fn contains(&self, sink: &EndpointId) -> bool {
        self.0.contains_key(sink)
    }

    /// Takes note that the sink is there, or of the error for which the ingestion of that name has given up on it.
    pub(super) fn note(&mut self, sink: &EndpointId, name: &str, error: Option<&Error>) {
        match error {
            Some(error) if ingest::passes(error) => {
                let first = || First { name: name.to_owned(), message: error.message().to_owned() };
                self.0.entry(sink.clone()).or_insert_with(first);
            }
            _ => {
                self.0.remove(sink);
            }
        }
    }

    /// Adds to the error of an ingestion why it was not tried again.
    pub(super) fn explain(&self, sink: &EndpointId, error: Error) -> Error {
        match self.0.get(sink) {
            Some(First { name, .. }) if ingest::passes(&error) => {
                error.with("tried once", format!("ingest.{name} has just given up on the same sink"))
            }
            _ => error,
        }
    }

    /// The ingestion other than this one that has given up on the sink for the same error, so that people need not read
    /// it again.
    pub(super) fn has_told(&self, sink: &EndpointId, name: &str, error: &Error) -> Option<&str> {
        let first = self.0.get(sink)?;
        (first.name != name && first.message == error.message()).then_some(first.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use endpoint_api::ErrorKind;

    use super::*;

    #[test]
    fn a_sink_is_given_up_for_what_passes_until_it_is_there_again() {
        let (sink, mut given_up) = (EndpointId::from_static("warehouse"), GivenUp::default());
        given_up.note(&sink, "issues", Some(&Error::new(ErrorKind::Denied, "open", "no")));
        assert!(!given_up.contains(&sink));
        let gone = || Error::new(ErrorKind::Unavailable, "open", "nobody is there");
        assert_eq!(given_up.explain(&sink, gone()).to_string(), "nobody is there");
        given_up.note(&sink, "issues", Some(&gone()));
        given_up.note(&sink, "users", Some(&gone()));
        assert_eq!(
            given_up.explain(&sink, gone()).to_string(),
            "nobody is there (tried once: ingest.issues has just given up on the same sink)"
        );
        assert_eq!(given_up.has_told(&sink, "users", &gone()), Some("issues"));
        assert_eq!(given_up.has_told(&sink, "issues", &gone()), None);
        let other = Error::new(ErrorKind::Unavailable, "open", "the server is starting");
        assert_eq!(given_up.has_told(&sink, "users", &other), None);
        given_up.note(&sink, "worklogs", None);
        assert!(!given_up.contains(&sink));
    }
}
