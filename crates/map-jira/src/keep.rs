//! Where the members go that no field holds as they are.

use cdm_models::{
    Json, RawJson,
    json::{Fit, JsonError, JsonObject, members, quote},
};
use endpoint_api::Rejection;

use crate::{ids::show, record::Record, values::expected};

/// An object in the shape of the source record, of members as they were received.
#[derive(Debug, Default)]
pub(crate) struct RawObject(String);

impl RawObject {
    /// An object that will have about `bytes`.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Adds a member, if there is one.
    pub(crate) fn keep(&mut self, name: &str, value: Option<&str>) {
        self.keep_without(name, value, &[]);
    }

    /// As [`keep`](Self::keep), but of an object without the members that `leave_out` names.
    pub(crate) fn keep_without(&mut self, name: &str, value: Option<&str>, leave_out: &[&str]) {
        if let Some(value) = value {
            self.name(name);
            push_without(value, leave_out, &mut self.0);
        }
    }

    /// As [`keep_without`](Self::keep_without), of a value that must be an object, and in the same pass those of its
    /// members that `names` names, as [`shown`](crate::ids::shown) tells them.
    pub(crate) fn keep_shown<'a, const N: usize>(
        &mut self,
        name: &str,
        value: Option<&'a str>,
        leave_out: &[&str],
        names: [&str; N],
    ) -> Result<Option<[Option<&'a str>; N]>, Rejection> {
        let Some(value) = value else { return Ok(None) };
        self.name(name);
        let (start, mut found, mut is_shorter) = (self.0.len(), [None; N], false);
        for member in members(value) {
            let Ok((member, shown)) = member else {
                return Err(expected("an object", value, format_args!("fields.{name}")));
            };
            show(&member, shown, &names, &mut found);
            if leave_out.contains(&member.as_ref()) {
                is_shorter = true;
            } else if !leave_out.is_empty() && shown != "null" {
                push_member(&member, shown, start, &mut self.0);
            }
        }
        if is_shorter {
            self.0.push_str(if self.0.len() == start { "{}" } else { "}" });
        } else {
            self.0.truncate(start);
            push_without(value, leave_out, &mut self.0);
        }
        Ok(Some(found))
    }

    /// Adds another object as a member, unless it is empty.
    pub(crate) fn nest(&mut self, name: &str, object: Self) {
        if let Some(object) = object.finish() {
            self.insert(name, object.as_str());
        }
    }

    fn insert(&mut self, name: &str, json: &str) {
        self.name(name);
        self.0.push_str(json);
    }

    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        quote(name, &mut self.0);
        self.0.push(':');
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

/// Appends the object `json` without the members that `leave_out` names; any other value as it is.
fn push_without(json: &str, leave_out: &[&str], out: &mut String) {
    let start = out.len();
    if leave_out.iter().any(|name| json.contains(name)) {
        let kept = push_members(json, leave_out, out);
        if kept.is_ok() {
            return;
        }
        // No object.
        out.truncate(start);
    }
    out.push_str(json);
}

fn push_members(json: &str, leave_out: &[&str], out: &mut String) -> Result<(), JsonError> {
    let start = out.len();
    for member in members(json) {
        let (name, value) = member?;
        if value == "null" || leave_out.contains(&name.as_ref()) {
            continue;
        }
        push_member(&name, value, start, out);
    }
    out.push_str(if out.len() == start { "{}" } else { "}" });
    Ok(())
}

/// Appends a member to an object that stands in `out` from `start`.
fn push_member(name: &str, value: &str, start: usize, out: &mut String) {
    out.push(if out.len() == start { '{' } else { ',' });
    quote(name, out);
    out.push(':');
    out.push_str(value);
}

/// The members that no field holds, for queries.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    object: JsonObject,
    problem: Option<Rejection>,
}

impl Properties {
    /// Those of a record that has about so many bytes of them.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { object: JsonObject::with_capacity(bytes), problem: None }
    }

    /// Keeps a member, if there is one; of an object without the members that `leave_out` names.
    ///
    /// What the canonical form cannot tell exactly also goes to `raw`, as received.
    pub(crate) fn keep_without(&mut self, name: &str, value: Option<&str>, leave_out: &[&str], raw: &mut RawObject) {
        if let Some(value) = value {
            let mut kept = String::new();
            push_without(value, leave_out, &mut kept);
            self.insert(name, &kept, raw);
        }
    }

    /// Keeps all that is left of a record, likewise.
    pub(crate) fn keep_rest(&mut self, record: Record<'_>, raw: &mut RawObject) {
        for (name, value) in record.into_rest() {
            self.insert(&name, value, raw);
        }
    }

    fn insert(&mut self, name: &str, json: &str, raw: &mut RawObject) {
        match self.object.insert(name, json) {
            Ok(Fit::Exact) => {}
            Ok(Fit::Changed) | Err(JsonError::NumberTooLarge) => raw.insert(name, json),
            Err(error) => self.problem = Some(Rejection::new(error.to_string()).field(name)),
        }
    }

    /// Adds the properties of another part of the record as one member.
    pub(crate) fn nest(&mut self, name: &str, part: Self) -> Result<(), Rejection> {
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
