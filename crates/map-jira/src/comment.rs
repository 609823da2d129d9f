use std::borrow::Cow;

use cdm_models::work::Comment;
use endpoint_api::{
    Mapped, Mapper, Note, Rejection, Result, SourceIdentity, batch::RawRecord, lineage::Lineage, register_mapper,
};

use crate::{
    expected::Expected,
    ids::{Ids, USER_IDS},
    keep::{Properties, RawObject},
    kind::reject_other,
    lineage,
    odd::Odd,
    on_issue::{drop_issue_id, issue_id, issue_key},
    record::Record,
    rich_text::RichText,
    url::Site,
    values::{required_id, string, time, updated},
    visibility::visibility,
};

/// Maps Jira's comments, from files of their own and from issues that embed them, to [`Comment`]s.
#[derive(Debug)]
pub struct JiraComments(Ids);

/// The dotted paths of an author's [`USER_IDS`].
pub(crate) const AUTHOR_IDS: [&str; USER_IDS.len()] = ["author.accountId", "author.key", "author.name"];

static EXPECTED: Expected = Expected::new(JiraComments::EXPECTED);

impl Mapper for JiraComments {
    const UNIT: &'static str = "jira.comments";
    const REVISION: u32 = 3;
    const LINEAGE: Lineage = lineage::COMMENTS;
    const EXPECTED: &'static [&'static str] = &["body", "created", "updated"];
    type Model<'a> = Comment<'a>;

    fn new(source: &SourceIdentity) -> Result<Self> {
        Ids::new(source).map(Self)
    }

    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<Comment<'a>>, Rejection> {
        self.map_noting(record, &mut Vec::new())
    }

    fn map_noting<'a>(
        &'a self,
        record: &RawRecord<'a>,
        notes: &mut Vec<Note>,
    ) -> Result<Mapped<Comment<'a>>, Rejection> {
        let mut comment = Record::parse(record.json, &EXPECTED)?;
        if comment.get("body").is_none() {
            reject_other(&comment, "a comment")?;
        }
        let comment_id = required_id(comment.take("id"), "id")?;
        let mut odd = Odd::new(notes);
        let row = issue_id(record.parent)
            .and_then(|issue_id| self.row(record, issue_id, comment_id.clone(), comment, &mut odd))
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
        record: &RawRecord<'a>,
        issue_id: &'a str,
        comment_id: Cow<'a, str>,
        mut comment: Record<'a>,
        odd: &mut Odd<'a, '_>,
    ) -> Result<Comment<'a>, Rejection> {
        comment.lacking().for_each(|member| odd.note(Note::Lacking(member)));
        let mut raw = RawObject::of(&comment, 0);
        let mut properties = Properties::default();
        let resource = comment.take("self");
        raw.keep_odd("self", resource);
        let resource = resource.and_then(string);
        let site = Site::of(self.0.site_url(), resource.as_deref());
        let author = comment.take("author");
        raw.keep_without("author", author, &["avatarUrls"]);
        let body = RichText::take(&mut comment, "body", "body", &mut raw, odd);
        properties.keep_without("updateAuthor", comment.take("updateAuthor"), &["avatarUrls"], &mut raw);
        drop_issue_id(&mut comment, issue_id);
        Ok(Comment {
            cdm_id: self.0.of("comment", &[issue_id, &comment_id]),
            source_system: self.0.system().into(),
            item_cdm_id: self.0.of("item", &[issue_id]),
            author_cdm_id: self.0.of_user_in(author, AUTHOR_IDS, record.aliases, odd),
            body,
            visibility: visibility(&mut comment, &mut raw, odd),
            created_at: time(comment.take("created"), "created", odd),
            updated_at: updated(comment.take("updated"), "updated", odd),
            source_url: site.and_then(|site| site.comment(issue_key(record.parent)?, &comment_id)).map(Cow::Owned),
            source_comment_id: comment_id,
            properties: {
                properties.keep_rest(comment, &mut raw);
                properties.finish(odd.notes())?
            },
            raw_source: {
                odd.keep(&mut raw, None);
                raw.finish()
            },
        })
    }
}

register_mapper!(JiraComments);
