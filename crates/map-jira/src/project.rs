use std::borrow::Cow;

use cdm_models::work::Project;
use endpoint_api::{
    Mapped, Mapper, Rejection, Result, SourceIdentity, batch::RawRecord, lineage::Lineage, register_mapper,
};

use crate::{
    ids::Ids,
    keep::{Properties, RawObject},
    lineage,
    record::Record,
    rich_text::RichText,
    url::page,
    values::{bool, required_id, text},
};

/// Maps Jira's projects to [`Project`]s.
#[derive(Debug)]
pub struct JiraProjects(Ids);

impl Mapper for JiraProjects {
    const UNIT: &'static str = "jira.projects";
    const REVISION: u32 = 1;
    const LINEAGE: Lineage = lineage::PROJECTS;
    type Model<'a> = Project<'a>;

    fn new(source: &SourceIdentity) -> Result<Self> {
        Ids::new(source).map(Self)
    }

    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<Project<'a>>, Rejection> {
        let mut project = Record::parse(record.json)?;
        let project_id = required_id(project.take("id"), "id")?;
        let row = self.row(project_id.clone(), project).map_err(|rejection| rejection.key(project_id))?;
        Ok(Mapped { row, version_at: None })
    }

    fn key(&self, record: &RawRecord<'_>) -> Option<String> {
        self.0.key("project", &[], record.json, &["id"])
    }
}

impl JiraProjects {
    fn row<'a>(&'a self, project_id: Cow<'a, str>, mut project: Record<'a>) -> Result<Project<'a>, Rejection> {
        let mut raw = RawObject::default();
        let mut properties = Properties::default();
        project.discard("avatarUrls");
        project.discard("expand");

        let key = text(project.take("key"), "key")?;
        let resource = project.take("self");
        let lead = project.take("lead");
        let description = project.take("description");
        let description_text = RichText::read(description, "description")?;
        raw.keep("self", resource);
        raw.keep_without("lead", lead, &["avatarUrls"]);
        if description_text.is_shortened() {
            raw.keep("description", description);
        }
        let resource = text(resource, "self")?;
        let source_url = match (&resource, &key) {
            (Some(resource), Some(key)) => page(resource, key).map(Cow::Owned),
            _ => None,
        };
        Ok(Project {
            cdm_id: self.0.of("project", &[&project_id]),
            source_system: self.0.system().into(),
            source_id: project_id,
            source_project_key: key,
            name: text(project.take("name"), "name")?,
            description: description_text.into_text(),
            url: text(project.take("url"), "url")?,
            project_type: text(project.take("projectTypeKey"), "projectTypeKey")?,
            lead_cdm_id: self.0.of_user(lead, "lead")?,
            archived: bool(project.take("archived"), "archived")?,
            source_url: source_url.or(resource),
            properties: {
                properties.keep_rest(project, &mut raw);
                properties.finish()?
            },
            raw_source: raw.finish(),
        })
    }
}

register_mapper!(JiraProjects);
