use std::borrow::Cow;

use cdm_models::work::Worklog;
use endpoint_api::{
    Mapped, Mapper, Rejection, Result, SourceIdentity, batch::RawRecord, lineage::Lineage, register_mapper,
};

use crate::{
    comment::{drop_issue_id, issue_id, visibility},
    ids::Ids,
    keep::{Properties, RawObject},
    lineage,
    record::Record,
    rich_text::RichText,
    values::{required_id, text, time, whole_number},
};

/// Maps Jira's worklogs, from files of their own and from issues that embed them, to [`Worklog`]s.
#[derive(Debug)]
pub struct JiraWorklogs(Ids);

impl Mapper for JiraWorklogs {
    const UNIT: &'static str = "jira.worklogs";
    const REVISION: u32 = 1;
    const LINEAGE: Lineage = lineage::WORKLOGS;
    type Model<'a> = Worklog<'a>;

    fn new(source: &SourceIdentity) -> Result<Self> {
        Ids::new(source).map(Self)
    }

    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<Worklog<'a>>, Rejection> {
        let mut worklog = Record::parse(record.json)?;
        let worklog_id = required_id(worklog.take("id"), "id")?;
        let row = issue_id(record.parent)
            .and_then(|issue_id| self.row(issue_id, worklog_id.clone(), worklog))
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
        issue_id: &'a str,
        worklog_id: Cow<'a, str>,
        mut worklog: Record<'a>,
    ) -> Result<Worklog<'a>, Rejection> {
        let mut raw = RawObject::default();
        let mut properties = Properties::default();
        let author = worklog.take("author");
        let comment = worklog.take("comment");
        let comment_text = RichText::read(comment, "comment")?;
        raw.keep_without("author", author, &["avatarUrls"]);
        if comment_text.is_shortened() {
            raw.keep("comment", comment);
        }
        properties.keep_without("updateAuthor", worklog.take("updateAuthor"), &["avatarUrls"], &mut raw);
        drop_issue_id(&mut worklog, issue_id);
        Ok(Worklog {
            cdm_id: self.0.of("worklog", &[issue_id, &worklog_id]),
            source_system: self.0.system().into(),
            source_worklog_id: worklog_id,
            item_cdm_id: self.0.of("item", &[issue_id]),
            author_cdm_id: self.0.of_user(author, "author")?,
            started_at: time(worklog.take("started"), "started")?,
            time_spent_seconds: whole_number(worklog.take("timeSpentSeconds"), "timeSpentSeconds")?,
            comment: comment_text.into_text(),
            visibility: visibility(&mut worklog, &mut raw)?,
            created_at: time(worklog.take("created"), "created")?,
            updated_at: time(worklog.take("updated"), "updated")?,
            source_url: text(worklog.take("self"), "self")?,
            properties: {
                properties.keep_rest(worklog, &mut raw);
                properties.finish()?
            },
            raw_source: raw.finish(),
        })
    }
}

register_mapper!(JiraWorklogs);
