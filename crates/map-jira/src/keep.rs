//! Where the members go that no field holds as they are.

use std::borrow::Cow;

use cdm_models::{
    Json, RawJson,
    json::{Fit, JsonError, JsonObject},
};
use endpoint_api::Rejection;
use serde_json::value::RawValue;

use crate::record::Record;

/// An object in the shape of the source record, of members as they were received.
#[derive(Debug, Default)]
pub(crate) struct RawObject(String);

impl RawObject {
    /// Adds a member, if there is one.
    pub(crate) fn keep(&mut self, name: &str, value: Option<&RawValue>) {
        self.keep_without(name, value, &[]);
    }

    /// As [`keep`](Self::keep), but of an object without the members that `leave_out` names.
    pub(crate) fn keep_without(&mut self, name: &str, value: Option<&RawValue>, leave_out: &[&str]) {
        if let Some(value) = value {
            self.insert(name, &without(value, leave_out));
        }
    }

    /// Adds another object as a member, unless it is empty.
    pub(crate) fn nest(&mut self, name: &str, object: Self) {
        if let Some(object) = object.finish() {
            self.insert(name, object.as_str());
        }
    }

    fn insert(&mut self, name: &str, json: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        // Writing a text as JSON cannot fail.
        self.0.push_str(&serde_json::to_string(name).unwrap_or_default());
        self.0.push(':');
        self.0.push_str(json);
    }

    /// The object; `None` when it has no members.
    pub(crate) fn finish(mut self) -> Option<RawJson<'static>> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push('}');
        Some(RawJson::new(self.0))
    }
}

/// The object `value` without the members that `leave_out` names; any other value as it is.
fn without<'a>(value: &'a RawValue, leave_out: &[&str]) -> Cow<'a, str> {
    let json = value.get();
    if !leave_out.iter().any(|name| json.contains(name)) {
        return Cow::Borrowed(json);
    }
    let Some(mut record) = Record::object(json) else { return Cow::Borrowed(json) };
    for name in leave_out {
        record.discard(name);
    }
    let mut kept = RawObject::default();
    for (name, member) in record.into_rest() {
        kept.insert(&name, member.get());
    }
    kept.finish().map_or(Cow::Borrowed("{}"), |object| Cow::Owned(object.as_str().to_owned()))
}

/// The members that no field holds, for queries.
#[derive(Debug, Default)]
pub(crate) struct Properties<'a> {
    object: JsonObject<'a>,
    problem: Option<Rejection>,
}

impl<'a> Properties<'a> {
    /// Keeps a member, if there is one; of an object without the members that `leave_out` names.
    ///
    /// What the canonical form cannot tell exactly also goes to `raw`, as received.
    pub(crate) fn keep_without(
        &mut self,
        name: &'a str,
        value: Option<&'a RawValue>,
        leave_out: &[&str],
        raw: &mut RawObject,
    ) {
        if let Some(value) = value {
            self.insert(name.into(), &without(value, leave_out), raw);
        }
    }

    /// Keeps all that is left of a record, likewise.
    pub(crate) fn keep_rest(&mut self, record: Record<'a>, raw: &mut RawObject) {
        for (name, value) in record.into_rest() {
            self.insert(name, value.get(), raw);
        }
    }

    fn insert(&mut self, name: Cow<'a, str>, json: &str, raw: &mut RawObject) {
        match self.object.insert(name.clone(), json) {
            Ok(Fit::Exact) => {}
            Ok(Fit::Changed) | Err(JsonError::NumberTooLarge) => raw.insert(&name, json),
            Err(error) => self.problem = Some(Rejection::new(error.to_string()).field(name)),
        }
    }

    /// Adds the properties of another part of the record as one member.
    pub(crate) fn nest(&mut self, name: &'static str, part: Self) -> Result<(), Rejection> {
        if let Some(object) = part.finish()? {
            let inserted = self.object.insert(name, object.as_str());
            inserted.map_err(|error| Rejection::new(error.to_string()).field(name))?;
        }
        Ok(())
    }

    /// The properties; `None` when there are none.
    ///
    /// # Errors
    ///
    /// When a member could not be kept: it is nested too deeply.
    pub(crate) fn finish(self) -> Result<Option<Json<'static>>, Rejection> {
        match self.problem {
            Some(problem) => Err(problem),
            None => Ok(self.object.finish()),
        }
    }
}
