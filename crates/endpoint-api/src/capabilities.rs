use std::collections::BTreeSet;

use cdm_models::ModelId;

/// What a driver can do. Built as a constant, by chaining from [`NONE`](Self::NONE):
///
/// ```
/// use endpoint_api::{Capabilities, SinkCapabilities};
///
/// const CAPABILITIES: Capabilities =
///     Capabilities::NONE.sink(SinkCapabilities::NONE.cdm(&["**"]).autoprovision().transactional());
/// ```
///
/// A role or an ability that is not declared here is never asked for; one that is declared is
/// exercised by the conformance tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// What the driver can do as a source; `None` when it is none.
    pub source: Option<SourceCapabilities>,
    /// What the driver can do as a sink; `None` when it is none.
    pub sink: Option<SinkCapabilities>,
}

/// What a source can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceCapabilities {
    /// Given a checkpoint, it reads only what came after it.
    pub incremental: bool,
}

/// What a sink can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkCapabilities {
    /// It takes source-shaped records.
    pub raw: bool,
    /// It takes rows of the models whose ids match one of these patterns; see [`ModelPattern`].
    pub cdm_models: &'static [&'static str],
    /// It creates the tables of a model.
    pub autoprovision: bool,
    /// A load's rows, rejects, receipt and checkpoint become visible together or not at all.
    pub transactional: bool,
    /// It loads again what was rejected before.
    pub replay: bool,
    /// It finds rows that are not as they were loaded.
    pub verify: bool,
    /// It says which rights its roles need at the least.
    pub grants: bool,
    /// It keeps messages in an outbox, in the transactions of what they tell of.
    pub outbox: bool,
    /// It lists rejects by what they have in common and counts them.
    pub reject_listing: bool,
    /// It keeps rejects as dismissed.
    pub dismissals: bool,
}

impl Capabilities {
    /// Neither a source nor a sink.
    pub const NONE: Self = Self { source: None, sink: None };

    /// The driver is a source.
    #[must_use]
    pub const fn source(mut self, source: SourceCapabilities) -> Self {
        self.source = Some(source);
        self
    }

    /// The driver is a sink.
    #[must_use]
    pub const fn sink(mut self, sink: SinkCapabilities) -> Self {
        self.sink = Some(sink);
        self
    }

    /// The roles: `source`, `sink`.
    pub fn roles(&self) -> Vec<&'static str> {
        let mut roles = Vec::new();
        roles.extend(self.source.map(|_| "source"));
        roles.extend(self.sink.map(|_| "sink"));
        roles
    }

    /// The capabilities as people and scripts see them: `sink.cdm`, `sink.cdm.work`, ….
    ///
    /// `models` are the models that the host knows; each domain of theirs that the sink takes has a
    /// key of its own.
    pub fn keys<'m>(&self, models: impl IntoIterator<Item = &'m ModelId>) -> Vec<String> {
        let mut keys = BTreeSet::new();
        let mut add = |declared: bool, key: &str| {
            if declared {
                keys.insert(key.to_owned());
            }
        };
        if let Some(source) = self.source {
            add(true, "source");
            add(source.incremental, "source.incremental");
        }
        if let Some(sink) = self.sink {
            add(sink.raw, "sink.raw");
            add(!sink.cdm_models.is_empty(), "sink.cdm");
            add(sink.autoprovision, "sink.autoprovision");
            add(sink.transactional, "sink.transactional");
            add(sink.replay, "sink.replay");
            add(sink.verify, "sink.verify");
            add(sink.grants, "sink.grants");
            add(sink.outbox, "sink.outbox");
            add(sink.reject_listing, "sink.reject_listing");
            add(sink.dismissals, "sink.dismissals");
            for model in models.into_iter().filter(|model| sink.supports(model)) {
                add(true, &format!("sink.{}", model.domain()));
            }
        }
        keys.into_iter().collect()
    }
}

impl SourceCapabilities {
    /// Reads everything, every time.
    pub const NONE: Self = Self { incremental: false };

    /// Given a checkpoint, reads only what came after it.
    #[must_use]
    pub const fn incremental(mut self) -> Self {
        self.incremental = true;
        self
    }
}

impl SinkCapabilities {
    /// A sink that takes nothing.
    pub const NONE: Self = Self {
        raw: false,
        cdm_models: &[],
        autoprovision: false,
        transactional: false,
        replay: false,
        verify: false,
        grants: false,
        outbox: false,
        reject_listing: false,
        dismissals: false,
    };

    /// Takes source-shaped records.
    #[must_use]
    pub const fn raw(mut self) -> Self {
        self.raw = true;
        self
    }

    /// Takes rows of the models that match one of `patterns`; see [`ModelPattern`].
    #[must_use]
    pub const fn cdm(mut self, patterns: &'static [&'static str]) -> Self {
        self.cdm_models = patterns;
        self
    }

    /// Creates the tables of a model.
    #[must_use]
    pub const fn autoprovision(mut self) -> Self {
        self.autoprovision = true;
        self
    }

    /// Makes a load's rows, rejects, receipt and checkpoint visible together or not at all.
    #[must_use]
    pub const fn transactional(mut self) -> Self {
        self.transactional = true;
        self
    }

    /// Loads again what was rejected before: [`Sink::replay`](crate::Sink::replay).
    #[must_use]
    pub const fn replay(mut self) -> Self {
        self.replay = true;
        self
    }

    /// Finds rows that are not as they were loaded: [`Sink::verify`](crate::Sink::verify).
    #[must_use]
    pub const fn verify(mut self) -> Self {
        self.verify = true;
        self
    }

    /// Says which rights its roles need at the least: [`Provisioner::grants`](crate::Provisioner::grants).
    #[must_use]
    pub const fn grants(mut self) -> Self {
        self.grants = true;
        self
    }

    /// Keeps messages in an outbox, in the transactions of what they tell of: [`Outbox`](crate::Outbox).
    #[must_use]
    pub const fn outbox(mut self) -> Self {
        self.outbox = true;
        self
    }

    /// Lists rejects by what they have in common and counts them: [`RejectListing`](crate::RejectListing).
    #[must_use]
    pub const fn reject_listing(mut self) -> Self {
        self.reject_listing = true;
        self
    }

    /// Keeps rejects as dismissed: [`Dismissals`](crate::Dismissals). It needs a listing, too.
    #[must_use]
    pub const fn dismissals(mut self) -> Self {
        self.dismissals = true;
        self
    }

    /// Whether rows of `model` can be loaded.
    pub fn supports(&self, model: &ModelId) -> bool {
        self.cdm_models.iter().any(|pattern| pattern_matches(pattern, model.as_str()))
    }
}

/// A pattern over model ids: `*` stands for one segment, a final `**` for one or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPattern(String);

impl ModelPattern {
    /// Whether the pattern matches the id of a model.
    pub fn matches(&self, model: &ModelId) -> bool {
        pattern_matches(&self.0, model.as_str())
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for ModelPattern {
    type Err = crate::Error;

    fn from_str(pattern: &str) -> crate::Result<Self> {
        if is_model_pattern(pattern) {
            return Ok(Self(pattern.to_owned()));
        }
        Err(crate::Error::new(
            crate::ErrorKind::Config,
            "parse a model pattern",
            format!(
                "`{pattern}` is no model pattern: expected dotted segments, `*` for one and a final `**` for the rest, such as `cdm.work.*`"
            ),
        ))
    }
}

/// Whether `pattern` is well-formed. It is `const`, so that a malformed pattern does not compile.
pub(crate) const fn is_model_pattern(pattern: &str) -> bool {
    let mut rest = pattern.as_bytes();
    loop {
        match rest {
            [b'*', b'*'] | [b'*'] => return true,
            [b'*', b'.', tail @ ..] => rest = tail,
            [b'a'..=b'z', tail @ ..] => {
                rest = tail;
                while let [b'a'..=b'z' | b'0'..=b'9' | b'_', tail @ ..] = rest {
                    rest = tail;
                }
                match rest {
                    [] => return true,
                    [b'.', tail @ ..] => rest = tail,
                    _ => return false,
                }
            }
            _ => return false,
        }
    }
}

fn pattern_matches(pattern: &str, id: &str) -> bool {
    let mut segments = id.split('.');
    for wanted in pattern.split('.') {
        let Some(segment) = segments.next() else { return false };
        match wanted {
            "**" => return true,
            "*" => {}
            _ if wanted == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_is_one_segment_and_two_are_the_rest() {
        let matches = |pattern: &str, id: &str| pattern.parse::<ModelPattern>().unwrap().matches(&id.parse().unwrap());
        assert!(matches("cdm.work.item", "cdm.work.item"));
        assert!(matches("cdm.work.*", "cdm.work.item"));
        assert!(matches("cdm.*.item", "cdm.work.item"));
        assert!(matches("**", "cdm.work.item"));
        assert!(matches("cdm.**", "cdm.work.item"));
        assert!(matches("*.*", "acme.team"));
        assert!(!matches("cdm.work.*", "cdm.work.item.part"));
        assert!(!matches("cdm.work.*", "cdm.work"));
        assert!(!matches("cdm.work.**", "cdm.work"));
        assert!(!matches("cdm.work.item", "cdm.work.items"));
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for bad in ["", ".", "cdm.", ".cdm", "cdm..item", "**.item", "c*", "*item", "***", "Cdm.*", "cdm.it em"] {
            assert!(!is_model_pattern(bad), "{bad}");
        }
    }

    #[test]
    fn capabilities_are_shown_as_dotted_keys() {
        let sink = Capabilities::NONE.sink(SinkCapabilities::NONE.cdm(&["cdm.**"]).autoprovision().transactional());
        let models = ["cdm.work.item", "cdm.work.user", "acme.team"].map(|id| id.parse().unwrap());
        assert_eq!(sink.keys(&models), ["sink.autoprovision", "sink.cdm", "sink.cdm.work", "sink.transactional"]);
        assert_eq!(sink.roles(), ["sink"]);
        let source = Capabilities::NONE.source(SourceCapabilities::NONE.incremental());
        assert_eq!(source.keys(&models), ["source", "source.incremental"]);
    }

    fn segments() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[a-c][a-c0-1_]?", 2..6)
    }

    proptest! {
        /// The oracle: a pattern and an id are compared segment by segment, recursively.
        #[test]
        fn matching_agrees_with_a_plain_reading(id in segments(), stars in prop::collection::vec(0..4u8, 1..6)) {
            let mut pattern: Vec<String> = Vec::new();
            for (index, star) in stars.iter().enumerate() {
                let last = index + 1 == stars.len();
                pattern.push(match star {
                    0 => "*".into(),
                    1 if last => "**".into(),
                    2 => "other".into(),
                    _ => id.get(index).cloned().unwrap_or_else(|| "a".into()),
                });
            }
            fn oracle(pattern: &[String], id: &[String]) -> bool {
                match (pattern, id) {
                    ([], []) => true,
                    ([rest], [_, ..]) if rest == "**" => true,
                    ([p, ps @ ..], [i, is @ ..]) => (p == "*" || p == i) && oracle(ps, is),
                    _ => false,
                }
            }
            let parsed: ModelPattern = pattern.join(".").parse().unwrap();
            prop_assert_eq!(parsed.matches(&id.join(".").parse().unwrap()), oracle(&pattern, &id));
        }
    }
}
