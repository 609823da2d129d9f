//! Whether a lineage tells the truth about what was observed.

use std::collections::BTreeSet;

use cdm_models::Timestamp;
use endpoint_api::lineage::{Derivation, FieldLineage, Input, Lineage, Place};
use serde_json::Value;

use super::observed::Observed;

/// What was seen of a lineage: fields that changed with an input, that were it, and that were made of it and not it.
#[derive(Default)]
pub(crate) struct Seen {
    feeds: BTreeSet<(&'static str, Place)>,
    same: BTreeSet<(&'static str, Place)>,
    others: BTreeSet<(&'static str, Place)>,
}

impl Seen {
    /// Something that is declared and was not seen, in all that was observed.
    pub(crate) fn never_seen(&self, lineage: &Lineage) -> Option<String> {
        let inputs = lineage.fields.iter().flat_map(|field| field.inputs.iter().map(|input| (field.field, input)));
        let mut problems = inputs.filter_map(|(field, Input { place, derivation, .. })| {
            let (seen, is_value) = ((field, *place), matches!(place, Place::Record(_)));
            if !self.feeds.contains(&seen) {
                Some(format!("{place:?} never feeds `{field}`"))
            } else if is_value && *derivation == Derivation::Transformed && !self.others.contains(&seen) {
                Some(format!("{place:?} always is `{field}`"))
            } else if is_value && *derivation == Derivation::Identity && !self.same.contains(&seen) {
                Some(format!("{place:?} never is `{field}`"))
            } else {
                None
            }
        });
        problems.next()
    }
}

/// Says what of a lineage is not so.
pub(crate) fn judge(lineage: &Lineage, observed: &Observed, seen: &mut Seen) -> Result<(), String> {
    judge_values(lineage, observed, seen)?;
    for (path, changed) in &observed.leaves {
        judge_leaf(lineage, path, changed, seen)?;
    }
    for (place, changed) in [
        (Place::Configuration("source_system"), &observed.with_another_system),
        (Place::Configuration("site_url"), &observed.with_another_site),
        (Place::Envelope("parent.id"), &observed.with_another_parent),
        (Place::Envelope("parent.key"), &observed.with_another_parent_key),
    ] {
        let fed_by = |is: fn(&Input) -> bool| -> BTreeSet<&'static str> {
            let is_input = |input: &Input| input.place == place && is(input);
            let fields = lineage.fields.iter().filter(|field| field.inputs.iter().any(is_input));
            fields.map(|field| field.field).collect()
        };
        let may = fed_by(|_| true);
        let mut must = fed_by(|input| input.when.is_none());
        must.retain(|field| observed.row.get(field).is_some());
        let is_declared = changed.iter().all(|field| may.contains(field.as_str()));
        if !is_declared || must.iter().any(|field| !changed.contains(*field)) {
            return Err(format!("{place:?} feeds {changed:?}, and is declared to feed {must:?}"));
        }
        seen.feeds.extend(may.into_iter().filter(|field| changed.contains(*field)).map(|field| (field, place)));
    }
    Ok(())
}

/// Fields that are said to be a value of the record are that, and those that are said to keep one have its name.
fn judge_values(lineage: &Lineage, observed: &Observed, seen: &mut Seen) -> Result<(), String> {
    for FieldLineage { field, inputs } in lineage.fields {
        let Some(value) = observed.row.get(field) else { continue };
        let mut originals = Vec::new();
        for input in *inputs {
            let Place::Record(path) = input.place else { continue };
            let Some(original) = at(&observed.record, path) else { continue };
            originals.push(original);
            let name = Value::from(path.rsplit('.').next());
            match input.derivation {
                Derivation::Kept if input.when.is_none() && !value.to_string().contains(&format!("{name}:")) => {
                    return Err(format!("`{field}` does not keep `{path}`"));
                }
                _ if is_same(value, original) => seen.same.insert((field, input.place)),
                _ => seen.others.insert((field, input.place)),
            };
        }
        let is_identity =
            |input: &Input| input.derivation == Derivation::Identity && matches!(input.place, Place::Record(_));
        let is_one = originals.iter().any(|original| is_same(value, original));
        if !inputs.is_empty() && inputs.iter().all(is_identity) && !is_one {
            return Err(format!("`{field}` is none of the values that it is said to be"));
        }
    }
    Ok(())
}

fn judge_leaf(lineage: &Lineage, path: &[String], changed: &BTreeSet<String>, seen: &mut Seen) -> Result<(), String> {
    let declared: BTreeSet<&str> = lineage.fed_by(path).collect();
    if let Some(field) = changed.iter().find(|field| !declared.contains(field.as_str())) {
        return Err(format!("{path:?} feeds `{field}`, and that is not declared"));
    }
    if changed.is_empty() && !lineage.drops(path) && !is_conditional(lineage, path) {
        return Err(format!("{path:?} is dropped, and that is not declared"));
    }
    for FieldLineage { field, inputs } in lineage.fields {
        let is_changed = changed.contains(*field);
        if !is_changed && inputs.iter().any(|input| is_faithful(lineage, input, path)) {
            return Err(format!("{path:?} does not feed `{field}`"));
        }
        let inputs = inputs.iter().filter(|input| is_changed && lineage.feeds(input.place, path));
        seen.feeds.extend(inputs.map(|input| (*field, input.place)));
    }
    Ok(())
}

/// Whether a field changes whenever this input does.
fn is_faithful(lineage: &Lineage, input: &Input, path: &[String]) -> bool {
    input.when.is_none()
        && input.derivation != Derivation::Transformed
        && lineage.feeds(input.place, path)
        && !(input.place == Place::Rest && is_conditional(lineage, path))
}

/// Whether what becomes of a part of the record depends on conditions.
fn is_conditional(lineage: &Lineage, path: &[String]) -> bool {
    let is_within = |declared: &str| declared.split('.').eq(path.iter().take(declared.split('.').count()));
    let inputs = lineage.fields.iter().flat_map(|field| field.inputs).filter(|input| input.when.is_some());
    let inputs = inputs.filter_map(|input| match input.place {
        Place::Record(declared) => Some(declared),
        _ => None,
    });
    let dropped = lineage.dropped.iter().filter(|dropped| dropped.when.is_some()).map(|dropped| dropped.path);
    inputs.chain(dropped).any(is_within)
}

fn at<'a>(record: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(record, |value, name| value.get(name)).filter(|value| !value.is_null())
}

/// Whether a field's value is the one of the record, in the field's type.
fn is_same(field: &Value, value: &Value) -> bool {
    let time = |value: &Value| value.as_str().and_then(|text| Timestamp::parse(text).ok());
    field == value
        || value.is_number() && field.as_str() == Some(&value.to_string())
        || time(field).is_some() && time(field) == time(value)
}
