use std::borrow::Cow;

use cdm_models::cdm_id;
use endpoint_api::{Error, ErrorKind, Rejection, Result, SourceIdentity};
use serde_json::value::RawValue;

use crate::{
    record::Record,
    values::{expected, id},
};

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

    /// The CDM id of the object that `value` shows; `None` when it shows no `id`.
    pub(crate) fn of_object(
        &self,
        entity: &str,
        value: Option<&RawValue>,
        field: &str,
    ) -> Result<Option<Cow<'static, str>>, Rejection> {
        let Some(mut object) = object(value, field)? else { return Ok(None) };
        let object_id = id(object.take("id"), &format!("{field}.id"))?;
        Ok(object_id.map(|object_id| self.of(entity, &[&object_id])))
    }

    /// The CDM id of the user that `value` shows; `None` when it shows no more than a display name.
    pub(crate) fn of_user(
        &self,
        value: Option<&RawValue>,
        field: &str,
    ) -> Result<Option<Cow<'static, str>>, Rejection> {
        let Some(mut user) = object(value, field)? else { return Ok(None) };
        for name in USER_IDS {
            if let Some(user_id) = id(user.take(name), &format!("{field}.{name}"))? {
                return Ok(Some(self.of("user", &[&user_id])));
            }
        }
        Ok(None)
    }
}

/// The members of an embedded object.
pub(crate) fn object<'a>(value: Option<&'a RawValue>, field: &str) -> Result<Option<Record<'a>>, Rejection> {
    let Some(value) = value else { return Ok(None) };
    Record::object(value.get()).map(Some).ok_or_else(|| expected("an object", value, field))
}
