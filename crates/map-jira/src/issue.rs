use std::borrow::Cow;

use cdm_models::work::{Item, StatusCategory};
use endpoint_api::{
    Mapped, Mapper, Rejection, Result, SourceIdentity, batch::RawRecord, lineage::Lineage, register_mapper,
};

use crate::{
    ids::{Ids, USER_IDS, shown},
    keep::{Properties, RawObject},
    lineage,
    record::Record,
    rich_text::RichText,
    url::page,
    values::{date, required_id, text, texts, time},
};

/// The property under which the members of the issue itself stand, beside those of its `fields`.
const OF_ISSUE: &str = "@record";

/// Maps Jira's issues to [`Item`]s.
///
/// Custom fields and other members of `fields` that no field of the model holds become properties by
/// their names; such members of the issue itself stand together in the property `@record`.
#[derive(Debug)]
pub struct JiraIssues(Ids);

impl Mapper for JiraIssues {
    const UNIT: &'static str = "jira.issues";
    const REVISION: u32 = 1;
    const LINEAGE: Lineage = lineage::ISSUES;
    type Model<'a> = Item<'a>;

    fn new(source: &SourceIdentity) -> Result<Self> {
        Ids::new(source).map(Self)
    }

    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<Item<'a>>, Rejection> {
        let (mut issue, fields) = Record::parse_nested(record.json, "fields")?;
        let issue_id = required_id(issue.take("id"), "id")?;
        let row = self.row(issue_id.clone(), issue, fields).map_err(|rejection| rejection.key(issue_id))?;
        Ok(Mapped { version_at: row.updated_at, row })
    }

    fn key(&self, record: &RawRecord<'_>) -> Option<String> {
        self.0.key("item", &[], record.json, &["id"])
    }
}

impl JiraIssues {
    fn row<'a>(
        &'a self,
        issue_id: Cow<'a, str>,
        mut issue: Record<'a>,
        mut fields: Record<'a>,
    ) -> Result<Item<'a>, Rejection> {
        let mut raw = RawObject::default();
        let mut raw_fields = RawObject::with_capacity(2048);
        issue.discard("expand");
        drop_page(&mut fields, "comment", "comments");
        drop_page(&mut fields, "worklog", "worklogs");

        let key = text(issue.take("key"), "key")?;
        let resource = issue.take("self");
        raw.keep("self", resource);
        let resource = text(resource, "self")?;
        let source_url = match (&resource, &key) {
            (Some(resource), Some(key)) => page(resource, key).map(Cow::Owned),
            _ => None,
        };

        // An object of which some members are mapped is kept beside them, without its pictures.
        let project = raw_fields.keep_shown("project", fields.take("project"), &["avatarUrls"], ["id"])?;
        let parent = raw_fields.keep_shown("parent", fields.take("parent"), &[], ["id"])?;
        let mut user = |name| raw_fields.keep_shown(name, fields.take(name), &["avatarUrls"], USER_IDS);
        let (reporter, assignee, creator) = (user("reporter")?, user("assignee")?, user("creator")?);
        let issue_type = raw_fields.keep_shown("issuetype", fields.take("issuetype"), &["iconUrl"], ["name"])?;
        let status =
            raw_fields.keep_shown("status", fields.take("status"), &["iconUrl"], ["name", "statusCategory"])?;
        let priority = raw_fields.keep_shown("priority", fields.take("priority"), &["iconUrl"], ["name"])?;
        let resolution = raw_fields.keep_shown("resolution", fields.take("resolution"), &[], ["name"])?;

        let (status, status_category, status_category_name) = status_of(status)?;
        let description = fields.take("description");
        let description_text = RichText::read(description, "fields.description")?;
        if description_text.is_shortened() {
            raw_fields.keep("description", description);
        }
        Ok(Item {
            cdm_id: self.0.of("item", &[&issue_id]),
            source_system: self.0.system().into(),
            source_id: issue_id,
            source_issue_key: key,
            source_url: source_url.or(resource),
            project_cdm_id: self.0.of_object("project", project, "fields.project")?,
            parent_cdm_id: self.0.of_object("item", parent, "fields.parent")?,
            reporter_cdm_id: self.0.of_shown_user(reporter, "fields.reporter")?,
            assignee_cdm_id: self.0.of_shown_user(assignee, "fields.assignee")?,
            creator_cdm_id: self.0.of_shown_user(creator, "fields.creator")?,
            issue_type: name_of(issue_type, "fields.issuetype")?,
            status,
            status_category,
            status_category_name,
            priority: name_of(priority, "fields.priority")?,
            resolution: name_of(resolution, "fields.resolution")?,
            summary: text(fields.take("summary"), "fields.summary")?,
            description: description_text.into_text(),
            labels: texts(fields.take("labels"), "fields.labels")?,
            created_at: time(fields.take("created"), "fields.created")?,
            updated_at: time(fields.take("updated"), "fields.updated")?,
            due_on: date(fields.take("duedate"), "fields.duedate")?,
            closed_at: time(fields.take("resolutiondate"), "fields.resolutiondate")?,
            properties: {
                let mut properties = Properties::with_capacity(2048);
                let mut of_issue = Properties::default();
                // A field of the name under which the issue's own members stand keeps to `raw_source`.
                raw_fields.keep(OF_ISSUE, fields.take(OF_ISSUE));
                properties.keep_rest(fields, &mut raw_fields);
                of_issue.keep_rest(issue, &mut raw);
                properties.nest(OF_ISSUE, of_issue)?;
                properties.finish()?
            },
            raw_source: {
                raw.nest("fields", raw_fields);
                raw.finish()
            },
        })
    }
}

/// Drops the records that an issue embeds: each of them is a row of its own. A member of the same name that
/// is something else stays.
fn drop_page(fields: &mut Record<'_>, name: &str, records: &str) {
    let is_page = fields.get(name).is_some_and(|value| {
        let json = value;
        json.starts_with('[') || Record::object(json).is_some_and(|page| page.get(records).is_some())
    });
    if is_page {
        fields.discard(name);
    }
}

/// The name that a named object shows, such as a priority.
fn name_of<'a>(object: Option<[Option<&'a str>; 1]>, field: &str) -> Result<Option<Cow<'a, str>>, Rejection> {
    let Some([name]) = object else { return Ok(None) };
    text(name, format_args!("{field}.name"))
}

type Status<'a> = (Option<Cow<'a, str>>, Option<StatusCategory>, Option<Cow<'a, str>>);

/// A status: its name, and its category by the key, because names are localised.
fn status_of<'a>(object: Option<[Option<&'a str>; 2]>) -> Result<Status<'a>, Rejection> {
    let Some([name, category]) = object else { return Ok((None, None, None)) };
    let name = text(name, "fields.status.name")?;
    let category = shown(category, ["key", "name"], "fields.status.statusCategory")?;
    let Some([key, category_name]) = category else { return Ok((name, None, None)) };
    let key = text(key, "fields.status.statusCategory.key")?;
    let category_name = text(category_name, "fields.status.statusCategory.name")?;
    let category = match key.as_deref() {
        Some("new") => Some(StatusCategory::Todo),
        Some("indeterminate") => Some(StatusCategory::InProgress),
        Some("done") => Some(StatusCategory::Done),
        _ => None,
    };
    Ok((name, category, category_name))
}

register_mapper!(JiraIssues);
