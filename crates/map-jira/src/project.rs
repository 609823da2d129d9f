use std::borrow::Cow;

use cdm_models::work::Project;
use endpoint_api::{
    Mapped, Mapper, Note, Rejection, Result, SourceIdentity, batch::RawRecord, lineage::Lineage, register_mapper,
};

use crate::{
    expected::Expected,
    ids::Ids,
    keep::{Properties, RawObject},
    kind::reject_other,
    lineage,
    odd::Odd,
    record::Record,
    rich_text::RichText,
    url::Site,
    values::{bool, required_id, string, text},
};

/// Maps Jira's projects to [`Project`]s.
#[derive(Debug)]
pub struct JiraProjects(Ids);

static EXPECTED: Expected = Expected::new(JiraProjects::EXPECTED);

impl Mapper for JiraProjects {
    const UNIT: &'static str = "jira.projects";
    const REVISION: u32 = 3;
    const LINEAGE: Lineage = lineage::PROJECTS;
    const EXPECTED: &'static [&'static str] = &["key", "name"];
    type Model<'a> = Project<'a>;

    fn new(source: &SourceIdentity) -> Result<Self> {
        Ids::new(source).map(Self)
    }

    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<Project<'a>>, Rejection> {
        self.map_noting(record, &mut Vec::new())
    }

    fn map_noting<'a>(
        &'a self,
        record: &RawRecord<'a>,
        notes: &mut Vec<Note>,
    ) -> Result<Mapped<Project<'a>>, Rejection> {
        let mut project = Record::parse(record.json, &EXPECTED)?;
        if project.get("projectTypeKey").is_none() {
            reject_other(&project, "a project")?;
        }
        let project_id = required_id(project.take("id"), "id")?;
        let row = self
            .row(record, project_id.clone(), project, &mut Odd::new(notes))
            .map_err(|rejection| rejection.key(project_id))?;
        Ok(Mapped { row, version_at: None })
    }

    fn key(&self, record: &RawRecord<'_>) -> Option<String> {
        self.0.key("project", &[], record.json, &["id"])
    }
}

impl JiraProjects {
    fn row<'a>(
        &'a self,
        record: &RawRecord<'a>,
        project_id: Cow<'a, str>,
        mut project: Record<'a>,
        odd: &mut Odd<'a, '_>,
    ) -> Result<Project<'a>, Rejection> {
        project.lacking().for_each(|member| odd.note(Note::Lacking(member)));
        let mut raw = RawObject::of(&project, 0);
        let mut properties = Properties::default();
        project.discard("avatarUrls");
        project.discard("expand");

        let key = text(project.take("key"), "key", odd);
        let resource = project.take("self");
        raw.keep_odd("self", resource);
        let resource = resource.and_then(string);
        let site = Site::of(self.0.site_url(), resource.as_deref());
        let lead = project.take("lead");
        raw.keep_without("lead", lead, &["avatarUrls"]);
        let lead_ids = ["lead.accountId", "lead.key", "lead.name"];
        Ok(Project {
            cdm_id: self.0.of("project", &[&project_id]),
            source_system: self.0.system().into(),
            source_id: project_id,
            name: text(project.take("name"), "name", odd),
            description: RichText::take(&mut project, "description", "description", &mut raw, odd),
            url: text(project.take("url"), "url", odd),
            project_type: text(project.take("projectTypeKey"), "projectTypeKey", odd),
            lead_cdm_id: self.0.of_user_in(lead, lead_ids, record.aliases, odd),
            archived: bool(project.take("archived"), "archived", odd),
            source_url: site.and_then(|site| site.page(key.as_deref()?)).map(Cow::Owned),
            source_project_key: key,
            properties: {
                properties.keep_rest(project, &mut raw);
                properties.finish(odd.notes())?
            },
            raw_source: {
                odd.keep(&mut raw, None);
                raw.finish()
            },
        })
    }
}

register_mapper!(JiraProjects);
