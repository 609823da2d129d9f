use std::borrow::Cow;

use cdm_models::work::{Item, StatusCategory};
use endpoint_api::{
    Mapped, Mapper, Note, Rejection, Result, SourceIdentity,
    batch::{Aliases, Parent, RawRecord},
    lineage::Lineage,
    register_mapper,
};

use crate::{
    expected::Expected,
    ids::{Ids, USER_IDS, shown},
    keep::{Properties, RawObject},
    kind::reject_other,
    lineage,
    odd::Odd,
    record::Record,
    rich_text::RichText,
    url::Site,
    values::{date, id_of, required_id, string, text, texts, time, updated},
};

/// The property under which the members of the issue itself stand, beside those of its `fields`.
const OF_ISSUE: &str = "@record";

/// Maps Jira's issues to [`Item`]s.
///
/// Custom fields and other members of `fields` that no field of the model holds become properties by
/// their names; such members of the issue itself stand together in the property `@record`.
#[derive(Debug)]
pub struct JiraIssues(Ids);

/// The members that are looked for in the issue and in its fields.
static EXPECTED: Expected = Expected::new(JiraIssues::EXPECTED.split_at(1).0);
static EXPECTED_FIELDS: Expected = Expected::new(JiraIssues::EXPECTED.split_at(2).1);

impl Mapper for JiraIssues {
    const UNIT: &'static str = "jira.issues";
    const REVISION: u32 = 3;
    const LINEAGE: Lineage = lineage::ISSUES;
    const EXPECTED: &'static [&'static str] = &[
        "key",
        "fields",
        "fields.summary",
        "fields.status",
        "fields.issuetype",
        "fields.project",
        "fields.created",
        "fields.updated",
        "fields.description",
        "fields.assignee",
        "fields.labels",
        "fields.resolution",
    ];
    type Model<'a> = Item<'a>;

    fn new(source: &SourceIdentity) -> Result<Self> {
        Ids::new(source).map(Self)
    }

    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<Item<'a>>, Rejection> {
        self.map_noting(record, &mut Vec::new())
    }

    fn map_noting<'a>(&'a self, record: &RawRecord<'a>, notes: &mut Vec<Note>) -> Result<Mapped<Item<'a>>, Rejection> {
        let (mut issue, fields) = Record::parse_nested(record.json, "fields", &EXPECTED, &EXPECTED_FIELDS)?;
        if fields.is_empty() {
            reject_other(&issue, "an issue")?;
        }
        let issue_id = required_id(issue.take("id"), "id")?;
        let row = self
            .row(issue_id.clone(), record, issue, fields, &mut Odd::new(notes))
            .map_err(|rejection| rejection.key(issue_id))?;
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
        record: &RawRecord<'a>,
        mut issue: Record<'a>,
        mut fields: Record<'a>,
        odd: &mut Odd<'a, '_>,
    ) -> Result<Item<'a>, Rejection> {
        note_lacking(&issue, &fields, odd);
        let mut raw = RawObject::of(&issue, 0);
        let mut raw_fields = RawObject::of(&fields, 2048);
        issue.discard("expand");
        if let Some(no_object) = issue.take("fields") {
            odd.add("fields", no_object);
        }
        drop_page(&mut fields, "comment", "comments");
        drop_page(&mut fields, "worklog", "worklogs");

        let key = text(issue.take("key"), "key", odd);
        let resource = issue.take("self");
        raw.keep_odd("self", resource);
        let resource = resource.and_then(string);
        let site = Site::of(self.0.site_url(), resource.as_deref());

        // An object of which some members are mapped is kept beside them, without its pictures.
        let mut from = Objects { fields: &mut fields, raw: &mut raw_fields, odd };
        let project = from.take("fields.project", &["avatarUrls"], ["id", "key"]);
        let parent = from.take("fields.parent", &[], ["id"]);
        let epic = from.show_id("fields.epic");
        let reporter = from.take("fields.reporter", &["avatarUrls"], USER_IDS);
        let assignee = from.take("fields.assignee", &["avatarUrls"], USER_IDS);
        let creator = from.take("fields.creator", &["avatarUrls"], USER_IDS);
        let issue_type = from.take("fields.issuetype", &["iconUrl"], ["name"]);
        let status = from.take("fields.status", &["iconUrl"], ["name", "statusCategory"]);
        let priority = from.take("fields.priority", &["iconUrl"], ["name"]);
        let resolution = from.take("fields.resolution", &[], ["name"]);

        let (status, status_category, status_category_name) = status_of(status, odd);
        let mut user = |shown, fields| self.0.of_user(shown, fields, record.aliases, odd);
        let reporter_ids = ["fields.reporter.accountId", "fields.reporter.key", "fields.reporter.name"];
        let assignee_ids = ["fields.assignee.accountId", "fields.assignee.key", "fields.assignee.name"];
        let creator_ids = ["fields.creator.accountId", "fields.creator.key", "fields.creator.name"];
        Ok(Item {
            cdm_id: self.0.of("item", &[&issue_id]),
            source_system: self.0.system().into(),
            source_id: issue_id,
            reporter_cdm_id: user(reporter, reporter_ids),
            assignee_cdm_id: user(assignee, assignee_ids),
            creator_cdm_id: user(creator, creator_ids),
            source_url: site.and_then(|site| site.page(key.as_deref()?)).map(Cow::Owned),
            source_issue_key: key,
            project_cdm_id: self.project(project, record.aliases, odd),
            parent_cdm_id: self.parent(parent, record.parent, epic, odd),
            issue_type: name_of(issue_type, "fields.issuetype.name", odd),
            status,
            status_category,
            status_category_name,
            priority: name_of(priority, "fields.priority.name", odd),
            resolution: name_of(resolution, "fields.resolution.name", odd),
            summary: text(fields.take("summary"), "fields.summary", odd),
            description: RichText::take(&mut fields, "description", "fields.description", &mut raw_fields, odd),
            labels: texts(fields.take("labels"), "fields.labels", odd),
            created_at: time(fields.take("created"), "fields.created", odd),
            updated_at: updated(fields.take("updated"), "fields.updated", odd),
            due_on: date(fields.take("duedate"), "fields.duedate", odd),
            closed_at: time(fields.take("resolutiondate"), "fields.resolutiondate", odd),
            properties: {
                let mut properties = Properties::with_capacity(2048);
                let mut of_issue = Properties::default();
                // A field of the name under which the issue's own members stand keeps to `raw_source`.
                raw_fields.keep_odd(OF_ISSUE, fields.take(OF_ISSUE));
                properties.keep_rest(fields, &mut raw_fields);
                of_issue.keep_rest(issue, &mut raw);
                properties.nest(OF_ISSUE, of_issue, odd.notes())?;
                properties.finish(odd.notes())?
            },
            raw_source: {
                odd.keep(&mut raw, Some(&mut raw_fields));
                raw.nest("fields", raw_fields);
                raw.finish()
            },
        })
    }

    /// The project that an issue shows: by its id, or by its key where the source knows the id of that.
    fn project<'a>(
        &self,
        shown: Option<[Option<&'a str>; 2]>,
        aliases: Aliases<'a>,
        odd: &mut Odd<'a, '_>,
    ) -> Option<Cow<'static, str>> {
        let [shown_id, key] = shown?;
        let known = || aliases.get("project", &key.and_then(string)?);
        if let Some(known) = shown_id.and_then(id_of).filter(|id| !id.is_empty()).is_none().then(known).flatten() {
            return Some(self.0.of("project", &[known]));
        }
        if shown_id.is_none() {
            odd.note(Note::Unidentified("fields.project"));
        }
        self.0.of_object("project", Some([shown_id]), "fields.project.id", odd)
    }

    /// The id of the parent: of `fields.parent`, otherwise what the source found by the key of the parent or the
    /// epic, otherwise of `fields.epic`.
    fn parent<'a>(
        &self,
        shown: Option<[Option<&'a str>; 1]>,
        found: Option<Parent<'a>>,
        epic: Option<[Option<&'a str>; 1]>,
        odd: &mut Odd<'a, '_>,
    ) -> Option<Cow<'static, str>> {
        if let Some(parent) = self.0.of_object("item", shown, "fields.parent.id", odd) {
            return Some(parent);
        }
        match found {
            Some(Parent { id: Some(id), .. }) => Some(self.0.of("item", &[id])),
            Some(Parent { key: Some(_), .. }) => {
                odd.note(Note::Unresolved(if shown.is_some() { "fields.parent" } else { "the epic link" }));
                None
            }
            _ => self.0.of_object("item", epic, "fields.epic.id", odd),
        }
    }
}

/// Where the objects among an issue's fields are taken from, and where they are kept.
struct Objects<'r, 'a, 'n> {
    fields: &'r mut Record<'a>,
    raw: &'r mut RawObject<'a>,
    odd: &'r mut Odd<'a, 'n>,
}

impl<'a> Objects<'_, 'a, '_> {
    /// Takes the object at `path` out and keeps it without the members that `leave_out` names; what it shows of the
    /// members that `names` names.
    fn take<const N: usize>(
        &mut self,
        path: &'static str,
        leave_out: &[&str],
        names: [&str; N],
    ) -> Option<[Option<&'a str>; N]> {
        let name = path.strip_prefix("fields.").unwrap_or(path);
        let value = self.fields.take(name)?;
        let found = self.raw.keep_shown(name, Some(value), leave_out, names);
        if found.is_none() {
            self.odd.add_kept(path);
        }
        found
    }

    /// What the object at `path` shows of its `id`; it stays where it is.
    fn show_id(&mut self, path: &'static str) -> Option<[Option<&'a str>; 1]> {
        let name = path.strip_prefix("fields.").unwrap_or(path);
        shown(self.fields.get(name)?, ["id"])
    }
}

/// Notes which of the members that a full export always has an issue lacks.
fn note_lacking(issue: &Record<'_>, fields: &Record<'_>, odd: &mut Odd<'_, '_>) {
    issue.lacking().for_each(|member| odd.note(Note::Lacking(member)));
    if fields.is_empty() {
        odd.note(Note::Lacking("fields"));
    } else {
        fields.lacking().for_each(|member| odd.note(Note::Lacking(member)));
    }
}

/// Drops the records that an issue embeds: each of them is a row of its own. A member of the same name that
/// is something else stays.
fn drop_page(fields: &mut Record<'_>, name: &str, records: &str) {
    let is_page = fields.get(name).is_some_and(|value| {
        let is_list = |json: &str| json.starts_with('[');
        is_list(value) || Record::object(value).is_some_and(|page| page.get(records).is_some_and(is_list))
    });
    if is_page {
        fields.discard(name);
    }
}

/// The name that a named object shows, such as a priority.
fn name_of<'a>(
    object: Option<[Option<&'a str>; 1]>,
    field: &'static str,
    odd: &mut Odd<'a, '_>,
) -> Option<Cow<'a, str>> {
    let [name] = object?;
    text(name, field, odd)
}

type Status<'a> = (Option<Cow<'a, str>>, Option<StatusCategory>, Option<Cow<'a, str>>);

/// A status: its name, and its category by the key, because names are localised.
fn status_of<'a>(object: Option<[Option<&'a str>; 2]>, odd: &mut Odd<'a, '_>) -> Status<'a> {
    let Some([name, category]) = object else { return (None, None, None) };
    let name = text(name, "fields.status.name", odd);
    let Some(category) = category else { return (name, None, None) };
    let Some([key, category_name]) = shown(category, ["key", "name"]) else {
        odd.add_kept("fields.status.statusCategory");
        return (name, None, None);
    };
    let key = text(key, "fields.status.statusCategory.key", odd);
    let category_name = text(category_name, "fields.status.statusCategory.name", odd);
    let category = match key.as_deref() {
        Some("new") => Some(StatusCategory::Todo),
        Some("indeterminate") => Some(StatusCategory::InProgress),
        Some("done") => Some(StatusCategory::Done),
        _ => None,
    };
    (name, category, category_name)
}

register_mapper!(JiraIssues);
