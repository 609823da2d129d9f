use std::collections::BTreeMap;

use endpoint_api::{Resource, Slice};
use serde::{Deserialize, Serialize};

/// Since which observation each resource of an ingestion has been as it is.
///
/// The observation of a slice is that of its run, unless an earlier run saw its resources in the same states, all of
/// them for the first time: then it is still that run's. Without it, two records of one key in an
/// unchanged export, neither newer than the other, would replace each other at every full load.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Observations(BTreeMap<String, Seen>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    fingerprint: String,
    observation: u64,
}

/// A slice of a plan with its observation, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedSlice {
    /// The slice.
    #[serde(flatten)]
    pub slice: Slice,
    /// When its contents were seen first.
    pub observation: u64,
}

impl Observations {
    /// The slices of a run's plan with their observations.
    pub fn observe(&self, plan: &[Slice], run_observation: u64) -> Vec<ObservedSlice> {
        let seen = |resource: &Resource| {
            let seen = self.0.get(&resource.name)?;
            (seen.fingerprint == resource.fingerprint).then_some(seen.observation)
        };
        let earlier = |slice: &Slice| {
            let (first, rest) = slice.resources.split_first()?;
            let observation = seen(first)?;
            rest.iter().all(|resource| seen(resource) == Some(observation)).then_some(observation)
        };
        plan.iter()
            .map(|slice| ObservedSlice { slice: slice.clone(), observation: earlier(slice).unwrap_or(run_observation) })
            .collect()
    }

    /// What is known once every slice of `plan` is committed.
    pub fn remember(&mut self, plan: &[ObservedSlice]) {
        for ObservedSlice { slice, observation } in plan {
            for resource in &slice.resources {
                let seen = Seen { fingerprint: resource.fingerprint.clone(), observation: *observation };
                self.0.insert(resource.name.clone(), seen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(known: &Observations, run: u64, fingerprints: &[(&str, &str)]) -> (Vec<u64>, Observations) {
        let plan: Vec<Slice> = (0..)
            .zip(fingerprints)
            .map(|(index, (name, fingerprint))| {
                let resource = Resource { name: (*name).to_owned(), fingerprint: (*fingerprint).to_owned() };
                Slice::new(index, serde_json::Value::Null).of(resource)
            })
            .collect();
        let plan = known.observe(&plan, run);
        let mut after = known.clone();
        after.remember(&plan);
        (plan.iter().map(|slice| slice.observation).collect(), after)
    }

    #[test]
    fn an_unchanged_resource_keeps_its_observation() {
        let (first, known) = observed(&Observations::default(), 1, &[("a", "a1"), ("b", "b1")]);
        assert_eq!(first, [1, 1]);
        let (second, known) = observed(&known, 2, &[("a", "a1"), ("b", "b2")]);
        assert_eq!(second, [1, 2]);
        let (incremental, known) = observed(&known, 3, &[("b", "b3")]);
        assert_eq!(incremental, [3]);
        let (back_again, _) = observed(&known, 4, &[("a", "a1"), ("b", "b1")]);
        assert_eq!(back_again, [1, 4], "a state that returns after another was there is seen anew");
    }

    #[test]
    fn a_slice_of_several_resources_is_as_old_as_they_are_when_all_are_of_one_age() {
        let (_, known) = observed(&Observations::default(), 1, &[("a", "1"), ("b", "1")]);
        let (_, known) = observed(&known, 2, &[("c", "1")]);
        let together = |names: &[(&str, &str)]| {
            let slice = Slice::new(0, serde_json::Value::Null);
            let slice = names.iter().fold(slice, |slice, (name, fingerprint)| {
                slice.of(Resource { name: (*name).to_owned(), fingerprint: (*fingerprint).to_owned() })
            });
            known.observe(&[slice], 7)[0].observation
        };
        assert_eq!(together(&[("a", "1"), ("b", "1")]), 1);
        assert_eq!(together(&[("a", "1"), ("b", "2")]), 7, "one has changed");
        assert_eq!(together(&[("a", "1"), ("c", "1")]), 7, "they are of different ages");
        assert_eq!(together(&[("a", "1"), ("new", "1")]), 7);
    }

    #[test]
    fn a_slice_of_no_resource_has_the_observation_of_its_run() {
        let plan = Observations::default().observe(&[Slice::new(0, serde_json::Value::Null)], 7);
        assert_eq!(plan[0].observation, 7);
    }
}
