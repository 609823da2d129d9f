use std::borrow::Cow;

use cdm_models::work::Worklog;
use endpoint_api::{
    Mapped, Mapper, Note, Rejection, Result, SourceIdentity, batch::RawRecord, lineage::Lineage, register_mapper,
};

use crate::{
    comment::AUTHOR_IDS,
    expected::Expected,
    ids::Ids,
    keep::{Properties, RawObject},
    kind::reject_other,
    lineage,
    odd::Odd,
    on_issue::{drop_issue_id, issue_id, issue_key},
    record::Record,
    rich_text::RichText,
    url::Site,
    values::{required_id, string, time, updated, whole_number},
    visibility::visibility,
};

/// Maps Jira's worklogs, from files of their own and from issues that embed them, to [`Worklog`]s.
#[derive(Debug)]
pub struct JiraWorklogs(Ids);

static EXPECTED: Expected = Expected::new(JiraWorklogs::EXPECTED);

impl Mapper for JiraWorklogs {
    const UNIT: &'static str = "jira.worklogs";
    const REVISION: u32 = 3;
    const LINEAGE: Lineage = lineage::WORKLOGS;
    const EXPECTED: &'static [&'static str] = &["started", "timeSpentSeconds", "created", "updated"];
    type Model<'a> = Worklog<'a>;

    fn new(source: &SourceIdentity) -> Result<Self> {
        Ids::new(source).map(Self)
    }

    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<Worklog<'a>>, Rejection> {
        self.map_noting(record, &mut Vec::new())
    }

    fn map_noting<'a>(
        &'a self,
        record: &RawRecord<'a>,
        notes: &mut Vec<Note>,
    ) -> Result<Mapped<Worklog<'a>>, Rejection> {
        let mut worklog = Record::parse(record.json, &EXPECTED)?;
        if worklog.get("timeSpentSeconds").is_none() {
            reject_other(&worklog, "a worklog")?;
        }
        let worklog_id = required_id(worklog.take("id"), "id")?;
        let mut odd = Odd::new(notes);
        let row = issue_id(record.parent)
            .and_then(|issue_id| self.row(record, issue_id, worklog_id.clone(), worklog, &mut odd))
            .map_err(|rejection| rejection.key(worklog_id))?;
        Ok(Mapped { version_at: row.updated_at, row })
    }

    fn key(&self, record: &RawRecord<'_>) -> Option<String> {
        self.0.key("worklog", &[issue_id(record.parent).ok()?], record.json, &["id"])
    }
}

impl JiraWorklogs {
    fn row<'a>(
        &'a self,
        record: &RawRecord<'a>,
        issue_id: &'a str,
        worklog_id: Cow<'a, str>,
        mut worklog: Record<'a>,
        odd: &mut Odd<'a, '_>,
    ) -> Result<Worklog<'a>, Rejection> {
        worklog.lacking().for_each(|member| odd.note(Note::Lacking(member)));
        let mut raw = RawObject::of(&worklog, 0);
        let mut properties = Properties::default();
        let resource = worklog.take("self");
        raw.keep_odd("self", resource);
        let resource = resource.and_then(string);
        let site = Site::of(self.0.site_url(), resource.as_deref());
        let author = worklog.take("author");
        raw.keep_without("author", author, &["avatarUrls"]);
        let comment = RichText::take(&mut worklog, "comment", "comment", &mut raw, odd);
        properties.keep_without("updateAuthor", worklog.take("updateAuthor"), &["avatarUrls"], &mut raw);
        drop_issue_id(&mut worklog, issue_id);
        Ok(Worklog {
            cdm_id: self.0.of("worklog", &[issue_id, &worklog_id]),
            source_system: self.0.system().into(),
            item_cdm_id: self.0.of("item", &[issue_id]),
            author_cdm_id: self.0.of_user_in(author, AUTHOR_IDS, record.aliases, odd),
            started_at: time(worklog.take("started"), "started", odd),
            time_spent_seconds: whole_number(worklog.take("timeSpentSeconds"), "timeSpentSeconds", odd),
            comment,
            visibility: visibility(&mut worklog, &mut raw, odd),
            created_at: time(worklog.take("created"), "created", odd),
            updated_at: updated(worklog.take("updated"), "updated", odd),
            source_url: site.and_then(|site| site.worklog(issue_key(record.parent)?, &worklog_id)).map(Cow::Owned),
            source_worklog_id: worklog_id,
            properties: {
                properties.keep_rest(worklog, &mut raw);
                properties.finish(odd.notes())?
            },
            raw_source: {
                odd.keep(&mut raw, None);
                raw.finish()
            },
        })
    }
}

register_mapper!(JiraWorklogs);
