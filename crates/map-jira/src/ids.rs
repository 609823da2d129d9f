use std::{borrow::Cow, fmt};

use cdm_models::{cdm_id, json::members};
use endpoint_api::{Error, ErrorKind, Rejection, Result, SourceIdentity};

use crate::values::{expected, id};

/// The members that identify a user, the best first: Cloud has the first, Server the other two.
pub(crate) const USER_IDS: [&str; 3] = ["accountId", "key", "name"];

/// Builds the CDM ids of one source's records.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    system: String,
}

impl Ids {
    pub(crate) fn new(source: &SourceIdentity) -> Result<Self> {
        if source.system.is_empty() || source.system.contains(':') {
            let message = "the source system stands between colons in ids: it must be a text without colons";
            return Err(Error::new(ErrorKind::Config, "make a mapper", message).with("endpoint", &source.endpoint));
        }
        Ok(Self { system: source.system.clone() })
    }

    pub(crate) fn system(&self) -> &str {
        &self.system
    }

    /// The CDM id of an entity with these ids at the source.
    pub(crate) fn of(&self, entity: &str, source_ids: &[&str]) -> Cow<'static, str> {
        Cow::Owned(cdm_id(entity, &self.system, source_ids))
    }

    /// The key of the row that a record becomes, of which the best of these members tells the id.
    pub(crate) fn key(&self, entity: &str, parent: &[&str], json: &str, names: &[&str]) -> Option<String> {
        let mut best: Option<(usize, Cow<'_, str>)> = None;
        for member in members(json) {
            let (name, value) = member.ok()?;
            let Some(place) = names.iter().position(|known| *known == name) else { continue };
            let Some(source_id) = id(Some(value).filter(|value| *value != "null"), "id").ok()? else { continue };
            if best.as_ref().is_none_or(|(known, _)| place < *known) {
                best = Some((place, source_id));
            }
            if place == 0 {
                break;
            }
        }
        let (_, source_id) = best?;
        Some(cdm_id(entity, &self.system, &[parent, &[&source_id]].concat()))
    }

    /// The CDM id of an embedded object, by the `id` that it shows; `None` when it shows none.
    pub(crate) fn of_object(
        &self,
        entity: &str,
        shown: Option<[Option<&str>; 1]>,
        field: &str,
    ) -> Result<Option<Cow<'static, str>>, Rejection> {
        let Some([object_id]) = shown else { return Ok(None) };
        let object_id = id(object_id, format_args!("{field}.id"))?;
        Ok(object_id.map(|object_id| self.of(entity, &[&object_id])))
    }

    /// The CDM id of the user that `value` shows; `None` when it shows no more than a display name.
    pub(crate) fn of_user(&self, value: Option<&str>, field: &str) -> Result<Option<Cow<'static, str>>, Rejection> {
        self.of_shown_user(shown(value, USER_IDS, field)?, field)
    }

    /// As [`of_user`](Self::of_user), by the [`USER_IDS`] that an object shows.
    pub(crate) fn of_shown_user(
        &self,
        shown: Option<[Option<&str>; USER_IDS.len()]>,
        field: &str,
    ) -> Result<Option<Cow<'static, str>>, Rejection> {
        let Some(user_ids) = shown else { return Ok(None) };
        for (name, user_id) in USER_IDS.into_iter().zip(user_ids) {
            if let Some(user_id) = id(user_id, format_args!("{field}.{name}"))? {
                return Ok(Some(self.of("user", &[&user_id])));
            }
        }
        Ok(None)
    }
}

/// The members of these names that an embedded object shows; of one that is repeated the last, as JSON
/// readers have it, and none for null.
pub(crate) fn shown<'a, const N: usize>(
    value: Option<&'a str>,
    names: [&str; N],
    field: impl fmt::Display + Copy,
) -> Result<Option<[Option<&'a str>; N]>, Rejection> {
    let Some(value) = value else { return Ok(None) };
    let mut found = [None; N];
    for member in members(value) {
        let Ok((name, shown)) = member else { return Err(expected("an object", value, field)) };
        show(&name, shown, &names, &mut found);
    }
    Ok(Some(found))
}

/// Notes the value of a member, if it is one of those that `names` names.
pub(crate) fn show<'a, const N: usize>(
    name: &str,
    value: &'a str,
    names: &[&str; N],
    found: &mut [Option<&'a str>; N],
) {
    let place = names.iter().position(|known| *known == name);
    if let Some(place) = place.and_then(|place| found.get_mut(place)) {
        *place = Some(value).filter(|value| *value != "null");
    }
}
