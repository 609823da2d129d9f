use std::borrow::Cow;

use cdm_models::work::User;
use endpoint_api::{
    Mapped, Mapper, Rejection, Result, SourceIdentity, batch::RawRecord, lineage::Lineage, register_mapper,
};

use crate::{
    ids::{Ids, USER_IDS},
    keep::{Properties, RawObject},
    lineage,
    record::Record,
    values::{bool, id, text},
};

/// Maps Jira's users, whole ones and those that other records embed, to [`User`]s.
///
/// A user is identified by `accountId` (Cloud), else by `key`, else by `name` (Server). A display
/// name alone identifies nobody.
#[derive(Debug)]
pub struct JiraUsers(Ids);

impl Mapper for JiraUsers {
    const UNIT: &'static str = "jira.users";
    const REVISION: u32 = 1;
    const LINEAGE: Lineage = lineage::USERS;
    type Model<'a> = User<'a>;

    fn new(source: &SourceIdentity) -> Result<Self> {
        Ids::new(source).map(Self)
    }

    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<User<'a>>, Rejection> {
        let mut user = Record::parse(record.json)?;
        for name in USER_IDS {
            if let Some(user_id) = id(user.take(name), name)? {
                let row = self.row(user_id.clone(), user).map_err(|rejection| rejection.key(user_id))?;
                return Ok(Mapped { row, version_at: None });
            }
        }
        Err(Rejection::new("expected `accountId`, `key` or `name`, found none of them"))
    }

    fn key(&self, record: &RawRecord<'_>) -> Option<String> {
        self.0.key("user", &[], record.json, &USER_IDS)
    }
}

impl JiraUsers {
    fn row<'a>(&'a self, user_id: Cow<'a, str>, mut user: Record<'a>) -> Result<User<'a>, Rejection> {
        let mut raw = RawObject::default();
        let mut properties = Properties::default();
        for name in ["avatarUrls", "avatarUrl", "expand"] {
            user.discard(name);
        }
        Ok(User {
            cdm_id: self.0.of("user", &[&user_id]),
            source_system: self.0.system().into(),
            source_user_id: user_id,
            display_name: text(user.take("displayName"), "displayName")?,
            email: text(user.take("emailAddress"), "emailAddress")?,
            active: bool(user.take("active"), "active")?,
            time_zone: text(user.take("timeZone"), "timeZone")?,
            account_type: text(user.take("accountType"), "accountType")?,
            source_url: text(user.take("self"), "self")?,
            properties: {
                properties.keep_rest(user, &mut raw);
                properties.finish()?
            },
            raw_source: raw.finish(),
        })
    }
}

register_mapper!(JiraUsers);
