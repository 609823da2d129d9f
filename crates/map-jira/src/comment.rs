use std::borrow::Cow;

use cdm_models::work::Comment;
use endpoint_api::{
    Mapped, Mapper, Rejection, Result, SourceIdentity,
    batch::{Parent, RawRecord},
    lineage::Lineage,
    register_mapper,
};

use crate::{
    ids::{Ids, shown},
    keep::{Properties, RawObject},
    lineage,
    record::Record,
    rich_text::RichText,
    values::{id, required_id, text, time},
};

/// Maps Jira's comments, from files of their own and from issues that embed them, to [`Comment`]s.
#[derive(Debug)]
pub struct JiraComments(Ids);

impl Mapper for JiraComments {
    const UNIT: &'static str = "jira.comments";
    const REVISION: u32 = 1;
    const LINEAGE: Lineage = lineage::COMMENTS;
    type Model<'a> = Comment<'a>;

    fn new(source: &SourceIdentity) -> Result<Self> {
        Ids::new(source).map(Self)
    }

    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<Comment<'a>>, Rejection> {
        let mut comment = Record::parse(record.json)?;
        let comment_id = required_id(comment.take("id"), "id")?;
        let row = issue_id(record.parent)
            .and_then(|issue_id| self.row(issue_id, comment_id.clone(), comment))
            .map_err(|rejection| rejection.key(comment_id))?;
        Ok(Mapped { version_at: row.updated_at, row })
    }

    fn key(&self, record: &RawRecord<'_>) -> Option<String> {
        self.0.key("comment", &[issue_id(record.parent).ok()?], record.json, &["id"])
    }
}

impl JiraComments {
    fn row<'a>(
        &'a self,
        issue_id: &'a str,
        comment_id: Cow<'a, str>,
        mut comment: Record<'a>,
    ) -> Result<Comment<'a>, Rejection> {
        let mut raw = RawObject::default();
        let mut properties = Properties::default();
        let author = comment.take("author");
        let body = comment.take("body");
        let body_text = RichText::read(body, "body")?;
        raw.keep_without("author", author, &["avatarUrls"]);
        if body_text.is_shortened() {
            raw.keep("body", body);
        }
        properties.keep_without("updateAuthor", comment.take("updateAuthor"), &["avatarUrls"], &mut raw);
        drop_issue_id(&mut comment, issue_id);
        Ok(Comment {
            cdm_id: self.0.of("comment", &[issue_id, &comment_id]),
            source_system: self.0.system().into(),
            source_comment_id: comment_id,
            item_cdm_id: self.0.of("item", &[issue_id]),
            author_cdm_id: self.0.of_user(author, "author")?,
            body: body_text.into_text(),
            visibility: visibility(&mut comment, &mut raw)?,
            created_at: time(comment.take("created"), "created")?,
            updated_at: time(comment.take("updated"), "updated")?,
            source_url: text(comment.take("self"), "self")?,
            properties: {
                properties.keep_rest(comment, &mut raw);
                properties.finish()?
            },
            raw_source: raw.finish(),
        })
    }
}

/// The id of the issue that a comment or a worklog is on.
pub(crate) fn issue_id(parent: Option<Parent<'_>>) -> Result<&str, Rejection> {
    match parent {
        Some(Parent { id: Some(id), .. }) => Ok(id),
        Some(Parent { key: Some(_), .. }) => Err(Rejection::new(
            "the record names its issue only by a key, and no issue, or more than one, with that key was read",
        )
        .field("issueKey")),
        _ => Err(Rejection::new("expected the record's issue in `issueId`, `issueKey` or `self`, found none")
            .field("issueId")),
    }
}

/// Drops the record's own mention of the issue's id, which the row's reference tells.
pub(crate) fn drop_issue_id(record: &mut Record<'_>, issue_id: &str) {
    if record
        .get("issueId")
        .is_some_and(|value| id(Some(value), "issueId").is_ok_and(|id| id.as_deref() == Some(issue_id)))
    {
        record.discard("issueId");
    }
}

/// Who may read a comment or a worklog: `role:<name>` or `group:<name>`.
pub(crate) fn visibility<'a>(record: &mut Record<'a>, raw: &mut RawObject) -> Result<Option<Cow<'a, str>>, Rejection> {
    let value = record.take("visibility");
    raw.keep("visibility", value);
    if let Some([kind, name]) = shown(value, ["type", "value"], "visibility")? {
        let kind = text(kind, "visibility.type")?;
        let name = text(name, "visibility.value")?;
        return Ok(match (kind, name) {
            (Some(kind), Some(name)) => Some(format!("{kind}:{name}").into()),
            _ => None,
        });
    }
    // The form of the first versions of the REST API.
    for (member, kind) in [("roleLevel", "role"), ("groupLevel", "group")] {
        if let Some(name) = text(record.take(member), member)? {
            return Ok(Some(format!("{kind}:{name}").into()));
        }
    }
    Ok(None)
}

register_mapper!(JiraComments);
