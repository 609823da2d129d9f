use std::borrow::Cow;

use endpoint_api::Result;
use serde_json::value::RawValue;

use crate::{
    json::{each_element, id, members},
    parent::IssueRef,
    units::Unit,
};

/// What a record of one unit embeds of another.
#[derive(Debug)]
pub(crate) enum Embedded<'a> {
    /// A record.
    Record {
        /// Its text, as it stands there.
        json: &'a str,
        /// JSON pointer to it.
        part: Cow<'static, str>,
        /// The issue that it belongs to.
        issue: IssueRef<'a>,
    },
    /// Records that are there and are not given, such as those that a page leaves out.
    Missing(&'static str),
}

/// Where embedded records go.
type Found<'f, 'a> = &'f mut dyn FnMut(Embedded<'a>) -> Result<()>;

/// Shows `found` each record of `unit` that a record of `from` embeds. `false` when `json` is no
/// object.
///
/// A list in the place of a page is taken as the list. A shape other than these embeds nothing, and is said to be missing.
pub(crate) fn gather<'a>(unit: Unit, from: Unit, json: &'a str, found: Found<'_, 'a>) -> Result<bool> {
    match (unit, from) {
        (Unit::Users, Unit::Issues) => users_of_issue(json, found),
        (Unit::Users, Unit::Comments | Unit::Worklogs) => users(json, "", ["author", "updateAuthor"], found),
        (Unit::Users, Unit::Projects) => users(json, "", ["lead"], found),
        (Unit::Comments | Unit::Worklogs, Unit::Issues) => parts_of_issue(unit, json, found),
        _ => Ok(members(json, []).is_some()),
    }
}

fn users_of_issue<'a>(json: &'a str, found: Found<'_, 'a>) -> Result<bool> {
    let Some([fields]) = members(json, ["fields"]) else { return Ok(false) };
    let Some(fields) = fields.map(RawValue::get) else { return Ok(true) };
    users(fields, "/fields", ["assignee", "reporter", "creator"], found)?;
    for list in [COMMENTS, WORKLOGS] {
        let mut held = 0;
        let Listed { total, .. } = list.each(fields, &mut |part, json| {
            held += 1;
            users(json, &part, ["author", "updateAuthor"], found)?;
            Ok(())
        })?;
        if total > held {
            found(Embedded::Missing(list.fewer))?;
        }
    }
    Ok(true)
}

/// What to say of an issue whose history is a page that holds fewer changes than there are.
pub(crate) const FEWER_CHANGES: &str = "embeds fewer entries of the changelog than there are";

/// Whether the history in an issue is a page that says that there are more changes than it holds.
pub(crate) fn changelog_is_cut(issue: &str) -> bool {
    let page = members(issue, ["changelog"]).and_then(|[changelog]| changelog);
    let Some([histories, values, total]) = page.and_then(|page| members(page.get(), ["histories", "values", "total"]))
    else {
        return false;
    };
    let mut held = 0_u64;
    if let Some(list) = histories.or(values) {
        // Counting does not fail.
        let _ = each_element(list.get(), &mut |_, _| {
            held += 1;
            Ok(())
        });
    }
    total.and_then(|total| total.get().parse::<u64>().ok()).is_some_and(|total| total > held)
}

/// The users that stand under `names` in the object at `place`. `false` when it is none.
fn users<'a, const N: usize>(json: &'a str, place: &str, names: [&str; N], found: Found<'_, 'a>) -> Result<bool> {
    let Some(values) = members(json, names) else { return Ok(false) };
    for (name, value) in names.into_iter().zip(values) {
        let Some(json) = value.map(RawValue::get).filter(|json| is_user(json)) else { continue };
        let part = Cow::Owned(format!("{place}/{name}"));
        found(Embedded::Record { json, part, issue: IssueRef::default() })?;
    }
    Ok(true)
}

/// Whether an object says which user it is; a name to show does not.
fn is_user(json: &str) -> bool {
    let ids = members(json, ["accountId", "key", "name"]).unwrap_or_default();
    ids.into_iter().flatten().any(|value| id(value).is_some())
}

fn parts_of_issue<'a>(unit: Unit, json: &'a str, found: Found<'_, 'a>) -> Result<bool> {
    let list = if unit == Unit::Comments { COMMENTS } else { WORKLOGS };
    let Some([id, key, fields]) = members(json, ["id", "key", "fields"]) else { return Ok(false) };
    let Some(fields) = fields.map(RawValue::get) else { return Ok(true) };
    let mut held = 0;
    let Listed { total, is_odd } = list.each(fields, &mut |part, json| {
        held += 1;
        found(Embedded::Record { json, part: part.into(), issue: IssueRef::of_members(id, key) })
    })?;
    if is_odd {
        found(Embedded::Missing(list.odd))?;
    }
    if total > held {
        found(Embedded::Missing(list.fewer))?;
    }
    Ok(true)
}

/// A list of records among the fields of an issue.
#[derive(Clone, Copy)]
struct List {
    /// The field: a page.
    field: &'static str,
    /// The member of the page that is the list.
    member: &'static str,
    /// What to say when the page says that there are more.
    fewer: &'static str,
    /// What to say when there is something else than a page or a list.
    odd: &'static str,
}

/// What a list says beside its records.
struct Listed {
    /// How many records there are in all, as far as the page tells.
    total: u64,
    /// Whether something there is no page, no list or no record.
    is_odd: bool,
}

const COMMENTS: List = List {
    field: "comment",
    member: "comments",
    fewer: "embeds fewer comments than there are",
    odd: "has issues whose `comment` is not as Jira gives it; what is not an object in a list is not read",
};
const WORKLOGS: List = List {
    field: "worklog",
    member: "worklogs",
    fewer: "embeds fewer worklogs than there are",
    odd: "has issues whose `worklog` is not as Jira gives it; what is not an object in a list is not read",
};

impl List {
    /// Shows `look` each record of the list in these fields, with its place in the issue.
    fn each<'a>(self, fields: &'a str, look: &mut dyn FnMut(String, &'a str) -> Result<()>) -> Result<Listed> {
        let Self { field, member, .. } = self;
        let Some([Some(page)]) = members(fields, [field]) else { return Ok(Listed { total: 0, is_odd: false }) };
        let (list, place, total) = match members(page.get(), [member, "total"]) {
            Some([list, total]) => (list, format!("/fields/{field}/{member}"), total),
            None => (Some(page), format!("/fields/{field}"), None),
        };
        let total = total.and_then(|total| total.get().parse().ok());
        let mut is_odd = match list {
            Some(list) => !list.get().starts_with('[') && list.get() != "\"\"",
            // A page may leave the list out when nothing is in it.
            None => total.is_none() && page.get().len() > "{}".len(),
        };
        if let Some(list) = list {
            each_element(list.get(), &mut |index, json| match json.starts_with('{') {
                true => look(format!("{place}/{index}"), json),
                false => {
                    is_odd = true;
                    Ok(())
                }
            })?;
        }
        Ok(Listed { total: total.unwrap_or(0), is_odd })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found, one line each: `part json id key`.
    fn found(unit: Unit, from: Unit, json: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let is_object = gather(unit, from, json, &mut |embedded| {
            lines.push(match embedded {
                Embedded::Record { json, part, issue: IssueRef { id, key } } => {
                    format!("{part} {json} {} {}", id.unwrap_or_default(), key.unwrap_or_default()).trim_end().into()
                }
                Embedded::Missing(what) => what.to_owned(),
            });
            Ok(())
        })
        .unwrap();
        assert!(is_object);
        lines
    }

    #[test]
    fn an_issue_embeds_comments_and_worklogs_with_their_places() {
        let issue = r#"{"id":"1","key":"A-1","fields":{
            "comment":{"total":2,"comments":[{"id" : "7"},{"id":8}]},
            "worklog":{"worklogs":[{"id":"9"}],"total":1}}}"#;
        assert_eq!(
            found(Unit::Comments, Unit::Issues, issue),
            ["/fields/comment/comments/0 {\"id\" : \"7\"} 1 A-1", "/fields/comment/comments/1 {\"id\":8} 1 A-1"]
        );
        assert_eq!(found(Unit::Worklogs, Unit::Issues, issue), ["/fields/worklog/worklogs/0 {\"id\":\"9\"} 1 A-1"]);
    }

    #[test]
    fn a_page_that_holds_fewer_than_it_says_is_incomplete() {
        let incomplete = |page: &str| {
            let issue = format!(r#"{{"id":"1","fields":{{"comment":{page}}}}}"#);
            found(Unit::Comments, Unit::Issues, &issue).last().is_some_and(|line| line == COMMENTS.fewer)
        };
        assert!(incomplete(r#"{"comments":[{}],"total":2}"#));
        assert!(incomplete(r#"{"comments":[{},null],"total":2}"#));
        assert!(incomplete(r#"{"comments":[],"total":1}"#));
        assert!(incomplete(r#"{"total":1}"#));
        assert!(!incomplete(r#"{"comments":[{},{}],"total":2}"#));
        assert!(!incomplete(r#"{"comments":[{},{}],"total":1}"#));
        assert!(!incomplete(r#"{"comments":[{}]}"#));
        assert!(!incomplete(r#"{"comments":[{}],"total":"many"}"#));
    }

    #[test]
    fn a_user_may_be_missing_where_a_list_is_cut() {
        let issue = r#"{"id":"1","fields":{"comment":{"total":2,"comments":[{"author":{"name":"x"}}]},
            "worklog":{"total":1,"worklogs":[{}]}}}"#;
        let expected = [r#"/fields/comment/comments/0/author {"name":"x"}"#, COMMENTS.fewer];
        assert_eq!(found(Unit::Users, Unit::Issues, issue), expected);
    }

    #[test]
    fn a_history_that_holds_fewer_changes_than_it_says_is_cut() {
        for (changelog, is_cut) in [
            (r#"{"startAt":0,"maxResults":1,"total":2,"histories":[{"id":"1"}]}"#, true),
            (r#"{"total":2,"histories":[{"id":"1"},{"id":"2"}]}"#, false),
            (r#"{"total":1}"#, true),
            (r#"{"total":2,"values":[{},{}]}"#, false),
            (r#"{"histories":[]}"#, false),
            ("null", false),
            ("[]", false),
        ] {
            let issue = format!(r#"{{"id":"1","changelog":{changelog}}}"#);
            assert_eq!(changelog_is_cut(&issue), is_cut, "{issue}");
        }
        assert!(!changelog_is_cut(r#"{"fields":{"changelog":{"total":2}}}"#));
    }

    #[test]
    fn shapes_that_are_not_jiras_are_tolerated() {
        let comments =
            |fields: &str| found(Unit::Comments, Unit::Issues, &format!(r#"{{"id":10,"key":null,"fields":{fields}}}"#));
        assert_eq!(
            comments(r#"{"comment":[{"id":"7"},"x",{"id":"8"}]}"#),
            ["/fields/comment/0 {\"id\":\"7\"} 10", "/fields/comment/2 {\"id\":\"8\"} 10", COMMENTS.odd]
        );
        for fields in [
            "null",
            "[]",
            "\"x\"",
            "{}",
            r#"{"comment":null}"#,
            r#"{"comment":""}"#,
            r#"{"comment":[]}"#,
            r#"{"comment":{}}"#,
            r#"{"comment":{"comments":[]}}"#,
            r#"{"comment":{"startAt":0,"total":0}}"#,
        ] {
            assert_eq!(comments(fields), [""; 0], "{fields}");
        }
        for fields in [
            r#"{"comment":"none"}"#,
            r#"{"comment":5}"#,
            r#"{"comment":{"comments":null}}"#,
            r#"{"comment":{"self":"https://x.example/comment"}}"#,
            r#"{"comment":{"comments":{"id":"7"}}}"#,
            r#"{"comment":{"comments":"none"}}"#,
            r#"{"comment":{"comments":[null,1,[]]}}"#,
        ] {
            assert_eq!(comments(fields), [COMMENTS.odd], "{fields}");
        }
        let worklog = found(Unit::Worklogs, Unit::Issues, r#"{"id":1,"fields":{"worklog":"none"}}"#);
        assert_eq!(worklog, [WORKLOGS.odd]);
        assert_eq!(found(Unit::Comments, Unit::Issues, "{}"), [""; 0]);
        for no_object in ["[]", "17", "{", ""] {
            for unit in [Unit::Comments, Unit::Worklogs, Unit::Users] {
                assert!(!gather(unit, Unit::Issues, no_object, &mut |_| Ok(())).unwrap(), "{no_object}");
            }
        }
    }

    #[test]
    fn users_are_found_wherever_they_are_embedded() {
        let issue = r#"{"fields":{"creator":{"name":"c"},"assignee":{"accountId":"a"},"reporter":{"key":"r"},
            "comment":{"comments":[{"author":{"name":"x"},"updateAuthor":{"name":"y"}}]},
            "worklog":[{"author":{"name":"z"}}]}}"#;
        assert_eq!(
            found(Unit::Users, Unit::Issues, issue),
            [
                r#"/fields/assignee {"accountId":"a"}"#,
                r#"/fields/reporter {"key":"r"}"#,
                r#"/fields/creator {"name":"c"}"#,
                r#"/fields/comment/comments/0/author {"name":"x"}"#,
                r#"/fields/comment/comments/0/updateAuthor {"name":"y"}"#,
                r#"/fields/worklog/0/author {"name":"z"}"#,
            ]
        );
        let record = r#"{"author":{"name":"x"},"updateAuthor":{"name":"y"},"lead":{"name":"l"}}"#;
        let authors = [r#"/author {"name":"x"}"#, r#"/updateAuthor {"name":"y"}"#];
        assert_eq!(found(Unit::Users, Unit::Comments, record), authors);
        assert_eq!(found(Unit::Users, Unit::Worklogs, record), authors);
        assert_eq!(found(Unit::Users, Unit::Projects, record), [r#"/lead {"name":"l"}"#]);
    }

    #[test]
    fn a_user_that_cannot_be_told_from_others_is_none() {
        for user in [r#"{"displayName":"Ada"}"#, r#"{"accountId":"","key":null,"name":5.5}"#, r#""ada""#, "null", "[]"]
        {
            let issue = format!(r#"{{"fields":{{"assignee":{user}}}}}"#);
            assert_eq!(found(Unit::Users, Unit::Issues, &issue), [""; 0], "{user}");
        }
    }
}
