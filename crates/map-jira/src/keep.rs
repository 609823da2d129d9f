//! Where the members go that no field holds as they are.

use std::borrow::Cow;

use cdm_models::{
    Json, RawJson,
    json::{Fit, JsonError, JsonObject, MAX_DEPTH, members, quote},
};
use endpoint_api::{Note, Rejection};

use crate::{
    ids::{show, shown},
    record::Record,
};

/// How deeply a value may be nested to stand in `raw_source` as it is; a deeper one stands there as text, which
/// every database and every reader of JSON takes.
const RAW_DEPTH: usize = MAX_DEPTH - 8;

/// An object in the shape of the source record, of members as they were received.
#[derive(Debug, Default)]
pub(crate) struct RawObject<'a> {
    text: String,
    /// The members that the record repeats: all their values are there already.
    repeated: Vec<Cow<'a, str>>,
}

impl<'a> RawObject<'a> {
    /// An object that will have about `bytes`, and in which all values of the members stand that `record` repeats.
    pub(crate) fn of(record: &Record<'a>, bytes: usize) -> Self {
        let mut raw = Self { text: String::with_capacity(bytes), repeated: Vec::new() };
        for (name, value) in record.superseded() {
            raw.insert(name, value);
        }
        for (name, _) in record.superseded() {
            if !raw.repeated.contains(name) {
                raw.insert(name, record.get(name).unwrap_or("null"));
                raw.repeated.push(name.clone());
            }
        }
        raw
    }

    /// Adds a member, if there is one.
    pub(crate) fn keep(&mut self, name: &str, value: Option<&str>) {
        self.keep_without(name, value, &[]);
    }

    /// As [`keep`](Self::keep), but of an object without the members that `leave_out` names.
    pub(crate) fn keep_without(&mut self, name: &str, value: Option<&str>, leave_out: &[&str]) {
        if let Some(value) = value
            && !self.has(name)
        {
            self.name(name);
            push_without(value, leave_out, &mut self.text);
        }
    }

    /// As [`keep`](Self::keep), of a value that may be nested more deeply than JSON is read everywhere: such a one is
    /// kept as text.
    pub(crate) fn keep_odd(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value
            && !self.has(name)
        {
            self.insert(name, value);
        }
    }

    /// As [`keep_without`](Self::keep_without), and in the same pass those members of the object that `names` names,
    /// as [`shown`](crate::ids::shown) tells them; `None` where `value` is not an object.
    pub(crate) fn keep_shown<'v, const N: usize>(
        &mut self,
        name: &str,
        value: Option<&'v str>,
        leave_out: &[&str],
        names: [&str; N],
    ) -> Option<[Option<&'v str>; N]> {
        let value = value?;
        if self.has(name) {
            return shown(value, names);
        }
        self.name(name);
        let out = &mut self.text;
        let (start, mut found, mut is_shorter) = (out.len(), [None; N], false);
        for member in members(value) {
            let Ok((member, shown)) = member else {
                out.truncate(start);
                push_any_depth(value, out);
                return None;
            };
            show(&member, shown, &names, &mut found);
            if leave_out.contains(&member.as_ref()) {
                is_shorter = true;
            } else if !leave_out.is_empty() && shown != "null" {
                push_member(&member, shown, start, out);
            }
        }
        if is_shorter {
            out.push_str(if out.len() == start { "{}" } else { "}" });
        } else {
            out.truncate(start);
            push_without(value, leave_out, out);
        }
        Some(found)
    }

    /// Adds another object as a member, unless it is empty.
    pub(crate) fn nest(&mut self, name: &str, object: RawObject<'_>) {
        if let Some(object) = object.finish() {
            self.name(name);
            self.text.push_str(object.as_str());
        }
    }

    /// Whether the member stands here already, with all its values.
    fn has(&self, name: &str) -> bool {
        !self.repeated.is_empty() && self.repeated.iter().any(|known| known == name)
    }

    fn insert(&mut self, name: &str, json: &str) {
        self.name(name);
        push_any_depth(json, &mut self.text);
    }

    fn name(&mut self, name: &str) {
        self.text.push(if self.text.is_empty() { '{' } else { ',' });
        quote(name, &mut self.text);
        self.text.push(':');
    }

    /// The object; `None` when it has no members.
    pub(crate) fn finish(mut self) -> Option<RawJson<'static>> {
        if self.text.is_empty() {
            return None;
        }
        self.text.push('}');
        Some(RawJson::new(self.text))
    }
}

/// Appends a value; one that is nested too deeply as text.
fn push_any_depth(json: &str, out: &mut String) {
    if depth(json) > RAW_DEPTH { quote(json, out) } else { out.push_str(json) }
}

/// How deeply arrays and objects are nested in a JSON text.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
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
    is_too_deep: bool,
    problem: Option<Rejection>,
}

impl Properties {
    /// Those of a record that has about `bytes` of them.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { object: JsonObject::with_capacity(bytes), ..Self::default() }
    }

    /// Keeps a member, if there is one; of an object without the members that `leave_out` names.
    ///
    /// What the canonical form cannot tell exactly also goes to `raw`, as received.
    pub(crate) fn keep_without(
        &mut self,
        name: &str,
        value: Option<&str>,
        leave_out: &[&str],
        raw: &mut RawObject<'_>,
    ) {
        if let Some(value) = value {
            let mut kept = String::new();
            push_without(value, leave_out, &mut kept);
            self.insert(name, &kept, raw);
        }
    }

    /// Keeps all that is left of a record, likewise.
    pub(crate) fn keep_rest(&mut self, record: Record<'_>, raw: &mut RawObject<'_>) {
        for (name, value) in record.into_rest() {
            self.insert(&name, value, raw);
        }
    }

    fn insert(&mut self, name: &str, json: &str, raw: &mut RawObject<'_>) {
        match self.object.insert(name, json) {
            Ok(Fit::Exact) => {}
            Ok(Fit::Changed) | Err(JsonError::NumberTooLarge) => raw.keep_odd(name, Some(json)),
            Err(JsonError::TooDeep) => {
                self.is_too_deep = true;
                raw.keep_odd(name, Some(json));
            }
            Err(error) => self.problem = Some(Rejection::new(error.to_string()).field(name)),
        }
    }

    /// Adds the properties of another part of the record as one member.
    pub(crate) fn nest(&mut self, name: &str, part: Self, notes: &mut Vec<Note>) -> Result<(), Rejection> {
        if let Some(object) = part.finish(notes)? {
            let inserted = self.object.insert(name, object.as_str());
            inserted.map_err(|error| Rejection::new(error.to_string()).field(name))?;
        }
        Ok(())
    }

    /// The properties; `None` when there are none. Adds to `notes` that a member is nested too deeply for them.
    ///
    /// # Errors
    ///
    /// When the value of a member is not JSON.
    pub(crate) fn finish(self, notes: &mut Vec<Note>) -> Result<Option<Json<'static>>, Rejection> {
        if self.is_too_deep && !notes.contains(&Note::TooDeep) {
            notes.push(Note::TooDeep);
        }
        match self.problem {
            Some(problem) => Err(problem),
            None => Ok(self.object.finish()),
        }
    }
}
