use std::borrow::Cow;

use cdm_models::work::User;
use endpoint_api::{
    Mapped, Mapper, Note, Rejection, Result, SourceIdentity, batch::RawRecord, lineage::Lineage, register_mapper,
};

use crate::{
    expected::Expected,
    ids::{Ids, USER_IDS, best_id},
    keep::{Properties, RawObject},
    kind::reject_other,
    lineage,
    odd::Odd,
    record::Record,
    url::Site,
    values::{bool, id, string, text},
};

/// Maps Jira's users, whole ones and those that other records embed, to [`User`]s.
///
/// A user is identified by `accountId` (Cloud), otherwise by `key`, otherwise by `name` (Server); by a better one of
/// them where the source knows it from another record ([aliases](RawRecord::aliases)). A display name alone identifies
/// nobody.
#[derive(Debug)]
pub struct JiraUsers(Ids);

static EXPECTED: Expected = Expected::new(JiraUsers::EXPECTED);

impl Mapper for JiraUsers {
    const UNIT: &'static str = "jira.users";
    const REVISION: u32 = 3;
    const LINEAGE: Lineage = lineage::USERS;
    const EXPECTED: &'static [&'static str] = &["displayName", "active"];
    type Model<'a> = User<'a>;

    fn new(source: &SourceIdentity) -> Result<Self> {
        Ids::new(source).map(Self)
    }

    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<User<'a>>, Rejection> {
        self.map_noting(record, &mut Vec::new())
    }

    fn map_noting<'a>(&'a self, record: &RawRecord<'a>, notes: &mut Vec<Note>) -> Result<Mapped<User<'a>>, Rejection> {
        let mut user = Record::parse(record.json, &EXPECTED)?;
        if user.get("displayName").is_none() {
            reject_other(&user, "a user")?;
        }
        let mut odd = Odd::new(notes);
        let account_id = user.get("accountId").and_then(string);
        let name = user.get("name").and_then(string);
        for member in USER_IDS {
            let value = user.take(member);
            let Some(mut user_id) = id(value, member, &mut odd) else { continue };
            if let (Some(known), Some(value)) = (record.aliases.get(member, &user_id), value) {
                // The id by which the record itself names the user is kept beside the better one.
                odd.keep_value(member, value);
                user_id = Cow::Borrowed(known);
            }
            if !record.rank.is_part() {
                user.lacking().for_each(|member| odd.note(Note::Lacking(member)));
            }
            let profile = [account_id, name];
            let row = self.row(user_id.clone(), profile, user, &mut odd);
            let row = row.map_err(|rejection| rejection.key(user_id))?;
            return Ok(Mapped { row, version_at: None });
        }
        Err(Rejection::new("expected `accountId`, `key` or `name`, found none of them"))
    }

    fn key(&self, record: &RawRecord<'_>) -> Option<String> {
        let (place, user_id) = best_id(record.json, &USER_IDS)?;
        let better = USER_IDS.get(place).and_then(|member| record.aliases.get(member, &user_id));
        Some(self.0.of("user", &[better.unwrap_or(&user_id)]).into_owned())
    }
}

impl JiraUsers {
    fn row<'a>(
        &'a self,
        user_id: Cow<'a, str>,
        [account_id, name]: [Option<Cow<'a, str>>; 2],
        mut user: Record<'a>,
        odd: &mut Odd<'a, '_>,
    ) -> Result<User<'a>, Rejection> {
        let mut raw = RawObject::of(&user, 0);
        let mut properties = Properties::default();
        for name in ["avatarUrls", "avatarUrl", "expand"] {
            user.discard(name);
        }
        let resource = user.take("self");
        raw.keep_odd("self", resource);
        let resource = resource.and_then(string);
        let site = Site::of(self.0.site_url(), resource.as_deref());
        let account_id = account_id.filter(|account_id| !account_id.is_empty());
        Ok(User {
            cdm_id: self.0.of("user", &[&user_id]),
            source_system: self.0.system().into(),
            source_user_id: user_id,
            display_name: text(user.take("displayName"), "displayName", odd),
            email: text(user.take("emailAddress"), "emailAddress", odd),
            active: bool(user.take("active"), "active", odd),
            time_zone: text(user.take("timeZone"), "timeZone", odd),
            account_type: text(user.take("accountType"), "accountType", odd),
            source_url: site.and_then(|site| site.profile(account_id.as_deref(), name.as_deref())).map(Cow::Owned),
            properties: {
                properties.keep_rest(user, &mut raw);
                properties.finish(odd.notes())?
            },
            raw_source: {
                odd.keep(&mut raw, None);
                raw.finish()
            },
        })
    }
}

register_mapper!(JiraUsers);
