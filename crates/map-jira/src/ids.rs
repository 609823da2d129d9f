use std::borrow::Cow;

use cdm_models::{cdm_id, json::members};
use endpoint_api::{Error, ErrorKind, Note, Result, SourceIdentity, batch::Aliases};

use crate::{
    odd::Odd,
    values::{id, id_of},
};

/// The members that identify a user, the best first: Cloud has the first, Server the other two.
pub(crate) const USER_IDS: [&str; 3] = ["accountId", "key", "name"];

/// What an object shows of the members that identify a user.
pub(crate) type ShownUser<'a> = Option<[Option<&'a str>; USER_IDS.len()]>;

/// Builds the CDM ids of one source's records, and the addresses of their pages.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    system: String,
    site_url: Option<String>,
}

impl Ids {
    pub(crate) fn new(source: &SourceIdentity) -> Result<Self> {
        if source.system.is_empty() || source.system.contains(':') {
            let message = "the source system is a part of ids between colons: it must be a text without colons";
            return Err(Error::new(ErrorKind::Config, "make a mapper", message).with("endpoint", &source.endpoint));
        }
        Ok(Self { system: source.system.clone(), site_url: source.site_url.clone() })
    }

    pub(crate) fn system(&self) -> &str {
        &self.system
    }

    /// The configured address of the site.
    pub(crate) fn site_url(&self) -> Option<&str> {
        self.site_url.as_deref()
    }

    /// The CDM id of an entity with these ids at the source.
    pub(crate) fn of(&self, entity: &str, source_ids: &[&str]) -> Cow<'static, str> {
        Cow::Owned(cdm_id(entity, &self.system, source_ids))
    }

    /// The key of the row that a record becomes, of which the best of these members tells the id.
    pub(crate) fn key(&self, entity: &str, parent: &[&str], json: &str, names: &[&str]) -> Option<String> {
        let (_, source_id) = best_id(json, names)?;
        Some(cdm_id(entity, &self.system, &[parent, &[&source_id]].concat()))
    }

    /// The CDM id of an embedded object, by the `id` that it shows; `None` when it shows none.
    pub(crate) fn of_object<'a>(
        &self,
        entity: &str,
        shown: Option<[Option<&'a str>; 1]>,
        field: &'static str,
        odd: &mut Odd<'a, '_>,
    ) -> Option<Cow<'static, str>> {
        let [object_id] = shown?;
        id(object_id, field, odd).map(|object_id| self.of(entity, &[&object_id]))
    }

    /// The CDM id of the user that an object shows; `None` when it shows no more than a display name. `fields` are the
    /// dotted paths of its [`USER_IDS`].
    pub(crate) fn of_user<'a>(
        &self,
        shown: ShownUser<'a>,
        fields: [&'static str; USER_IDS.len()],
        aliases: Aliases<'a>,
        odd: &mut Odd<'a, '_>,
    ) -> Option<Cow<'static, str>> {
        let shown = shown?;
        for ((member, field), user_id) in USER_IDS.into_iter().zip(fields).zip(shown) {
            if let Some(user_id) = id(user_id, field, odd) {
                return Some(self.of("user", &[aliases.get(member, &user_id).unwrap_or(&user_id)]));
            }
        }
        let [field, ..] = fields;
        odd.note(Note::Unidentified(object_of(field)));
        None
    }

    /// As [`of_user`](Self::of_user), of a member whose value is kept elsewhere.
    pub(crate) fn of_user_in<'a>(
        &self,
        value: Option<&'a str>,
        fields: [&'static str; USER_IDS.len()],
        aliases: Aliases<'a>,
        odd: &mut Odd<'a, '_>,
    ) -> Option<Cow<'static, str>> {
        let user = shown(value?, USER_IDS);
        if user.is_none() {
            let [field, ..] = fields;
            odd.add_kept(object_of(field));
        }
        self.of_user(user, fields, aliases, odd)
    }
}

/// The path of the object in which the member at a dotted path stands.
fn object_of(field: &'static str) -> &'static str {
    field.rsplit_once('.').map_or(field, |(object, _)| object)
}

/// The id that the best of these members of an object tells, behind the place of the member in `names`; of a member
/// that is repeated the last.
pub(crate) fn best_id<'a>(json: &'a str, names: &[&str]) -> Option<(usize, Cow<'a, str>)> {
    let mut best: Option<(usize, Cow<'_, str>)> = None;
    for member in members(json) {
        let (name, value) = member.ok()?;
        let Some(place) = names.iter().position(|known| *known == name) else { continue };
        let source_id = id_of(value).filter(|source_id| !source_id.is_empty());
        let Some(source_id) = source_id else { continue };
        if best.as_ref().is_none_or(|(known, _)| place <= *known) {
            best = Some((place, source_id));
        }
        if place == 0 {
            break;
        }
    }
    best
}

/// The members of these names that an embedded object shows; of one that is repeated the last, as JSON
/// readers have it, and none for null. `None` when `value` is not an object.
pub(crate) fn shown<'a, const N: usize>(value: &'a str, names: [&str; N]) -> Option<[Option<&'a str>; N]> {
    let mut found = [None; N];
    for member in members(value) {
        let (name, shown) = member.ok()?;
        show(&name, shown, &names, &mut found);
    }
    Some(found)
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
