use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What was there when a plan was made: each object with a fingerprint of what it is like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanState(BTreeMap<String, Option<String>>);

impl PlanState {
    /// Nothing is told of any object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object; without a fingerprint it is not there. The fingerprint must be another one whenever the
    /// object differs in anything that the plan could depend on, and it must not show data.
    #[must_use]
    pub fn with(mut self, object: impl Into<String>, fingerprint: Option<String>) -> Self {
        self.0.insert(object.into(), fingerprint);
        self
    }

    /// The objects with their fingerprints, in the order of their names.
    pub fn objects(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(object, fingerprint)| (object.as_str(), fingerprint.as_deref()))
    }

    /// 128 bits over all of it, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        Self::fingerprint_of(self.objects().flat_map(|(object, fingerprint)| {
            [object, if fingerprint.is_some() { "is" } else { "is not" }, fingerprint.unwrap_or_default()]
        }))
    }

    /// 128 bits over texts in their order, in hexadecimal: a fingerprint of what they describe.
    pub fn fingerprint_of<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
        let mut hasher = blake3::Hasher::new();
        for text in texts {
            hasher.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().to_hex().chars().take(32).collect()
    }

    /// In which objects a later state differs, in words: `cdm_work.cdm_work_item has changed`.
    pub fn differences(&self, later: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(later.0.keys()).collect();
        let tell = |name: &String| {
            let [before, after] = [self, later].map(|state| state.0.get(name).cloned().flatten());
            match (before, after) {
                (before, after) if before == after => None,
                (None, _) => Some(format!("{name} is there now")),
                (_, None) => Some(format!("{name} is gone")),
                _ => Some(format!("{name} has changed")),
            }
        };
        names.into_iter().filter_map(tell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(objects: &[(&str, Option<&str>)]) -> PlanState {
        objects
            .iter()
            .fold(PlanState::new(), |state, (object, fingerprint)| state.with(*object, fingerprint.map(str::to_owned)))
    }

    #[test]
    fn what_has_changed_is_named() {
        let before = state(&[("a", Some("1")), ("b", Some("1")), ("c", None), ("d", None), ("e", Some("1"))]);
        let after = state(&[("a", Some("2")), ("b", None), ("c", Some("")), ("d", None), ("e", Some("1"))]);
        assert_eq!(before.differences(&after), ["a has changed", "b is gone", "c is there now"]);
        assert_ne!(before.fingerprint(), after.fingerprint());
        assert!(before.differences(&before.clone()).is_empty());
    }

    #[test]
    fn an_object_that_is_not_there_is_not_one_without_a_fingerprint() {
        assert_ne!(state(&[("a", None)]).fingerprint(), state(&[("a", Some(""))]).fingerprint());
    }
}
