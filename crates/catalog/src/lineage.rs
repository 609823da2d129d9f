use std::collections::{BTreeMap, BTreeSet};

use crate::{Dataset, DatasetId, DatasetSpec, FieldInput};

/// What a dataset is made from and what is made from it, over any number of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatasetLineage {
    /// The dataset that was asked for.
    pub dataset: DatasetId,
    /// What it is made from, sorted, without itself.
    pub upstream: BTreeSet<DatasetId>,
    /// What is made from it, likewise.
    pub downstream: BTreeSet<DatasetId>,
    /// The steps between all of these, sorted.
    pub steps: Vec<LineageStep>,
}

/// One dataset that another one is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineageStep {
    /// What is read.
    pub from: DatasetId,
    /// What is made.
    pub to: DatasetId,
    /// What feeds which field, in the order of the fields; empty where nobody has declared it.
    pub columns: Vec<ColumnStep>,
}

/// One value that a field is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnStep {
    /// The field that is made.
    pub field: String,
    /// What it is made from.
    pub input: FieldInput,
}

/// Follows the lineage of `dataset` through all that a catalog has: both ways, from dataset to dataset and from
/// column to column.
pub fn trace(dataset: &DatasetId, catalog: &[Dataset]) -> DatasetLineage {
    let known: BTreeMap<DatasetId, &DatasetSpec> =
        catalog.iter().map(|dataset| (dataset.spec.id(), &dataset.spec)).collect();
    let steps: Vec<(&DatasetId, &DatasetId)> =
        known.iter().flat_map(|(to, spec)| spec.upstream().iter().map(move |from| (from, to))).collect();
    let upstream = reach(dataset, &steps, |(from, to)| (to, from));
    let downstream = reach(dataset, &steps, |step| step);

    // A step is of the lineage when it leads towards the dataset, or away from it.
    let leads = |side: &BTreeSet<DatasetId>, id: &DatasetId| id == dataset || side.contains(id);
    let is_part = |(from, to): &(&DatasetId, &DatasetId)| {
        leads(&upstream, from) && leads(&upstream, to) || leads(&downstream, from) && leads(&downstream, to)
    };
    let steps = steps.iter().filter(|step| is_part(step)).map(|(from, to)| LineageStep {
        from: (*from).clone(),
        to: (*to).clone(),
        columns: columns(known.get(*from).copied(), known.get(*to).copied()),
    });
    let mut steps: Vec<LineageStep> = steps.collect();
    steps.sort_by(|one, other| (&one.from, &one.to).cmp(&(&other.from, &other.to)));
    DatasetLineage { dataset: dataset.clone(), upstream, downstream, steps }
}

/// All that can be reached from a dataset when steps are taken in one direction, without itself.
fn reach<'a>(
    start: &DatasetId,
    steps: &[(&'a DatasetId, &'a DatasetId)],
    direction: impl Fn((&'a DatasetId, &'a DatasetId)) -> (&'a DatasetId, &'a DatasetId),
) -> BTreeSet<DatasetId> {
    let mut reached = BTreeSet::new();
    let mut to_visit = vec![start.clone()];
    while let Some(at) = to_visit.pop() {
        for (here, there) in steps.iter().map(|step| direction(*step)) {
            if *here == at && there != start && reached.insert(there.clone()) {
                to_visit.push(there.clone());
            }
        }
    }
    reached
}

/// What of a unit feeds which column of a table of its model: of the version that the unit was last mapped to.
fn columns(from: Option<&DatasetSpec>, to: Option<&DatasetSpec>) -> Vec<ColumnStep> {
    let (Some(from), Some(to)) = (from, to) else { return Vec::new() };
    let mapping = from.mapping().filter(|mapping| from.cdm_model() == to.cdm_model() && to.is_fed_by(mapping));
    let fields = mapping.into_iter().flat_map(|mapping| &mapping.fields);
    let steps = fields.flat_map(|field| {
        field.inputs.iter().map(|input| ColumnStep { field: field.field.clone(), input: input.clone() })
    });
    steps.collect()
}
