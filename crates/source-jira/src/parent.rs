use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{
    files::ExportFile,
    json::{id, is_digits, members, text},
    units::Unit,
};

/// The issue that a record belongs to, as far as the record tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct IssueRef<'a> {
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) key: Option<Cow<'a, str>>,
}

impl<'a> IssueRef<'a> {
    /// The issue of a comment or a worklog in a file of its own. Of the members that name it the first one counts, and
    /// the others fill the gaps: `issueId` and `issueKey` (also `issue_id` and `issue_key`), `issueIdOrKey`, the
    /// record's own URL (`…/issue/10001/comment/7`), `issue` (an object, a URL, an id or a key), and an object `parent`
    /// with a `key`.
    pub(crate) fn of_record(unit: Unit, json: &'a str) -> Self {
        let record = match unit {
            Unit::Comments => "comment",
            Unit::Worklogs => "worklog",
            Unit::Projects | Unit::Users | Unit::Issues => return Self::default(),
        };
        let names = ["issueId", "issueKey", "self", "issue", "issue_id", "issue_key", "issueIdOrKey", "parent"];
        let [issue_id, issue_key, own_url, issue, other_id, other_key, id_or_key, parent] =
            members(json, names).unwrap_or_default();
        let own_url = own_url.and_then(text);
        let id_or_key = id_or_key.and_then(id);
        let mut found = Self::of_members(issue_id, issue_key)
            .filled(Self::of_members(other_id, other_key))
            .or(id_or_key.as_deref())
            .or(own_url.as_deref().and_then(|url| issue_of_part(url, record)));
        if let Some(issue) = issue {
            found = found.filled(Self::of_issue_member(issue));
        }
        // A comment that answers another one may name that as its parent: only an issue has a key.
        match parent.and_then(|parent| members(parent.get(), ["id", "key"])) {
            Some([parent_id, Some(key)]) => found.filled(Self::of_members(parent_id, Some(key))),
            _ => found,
        }
    }

    /// As [`of_record`](Self::of_record); where the record does not say it, as the name of its file does.
    pub(crate) fn of_record_in(file: &'a ExportFile, unit: Unit, json: &'a str) -> Self {
        match (&file.issue_key, Self::of_record(unit, json)) {
            (Some(key), Self { id: None, key: None }) if unit.is_of_an_issue() => {
                Self { id: None, key: Some(Cow::Borrowed(key.as_str())) }
            }
            (_, issue) => issue,
        }
    }

    /// The issue that the member `issue` names.
    fn of_issue_member(issue: &'a RawValue) -> Self {
        if let Some([issue_id, issue_key, url]) = members(issue.get(), ["id", "key", "self"]) {
            let url = url.and_then(text);
            return Self::of_members(issue_id, issue_key).or(url.as_deref().and_then(issue_at));
        }
        let Some(named) = id(issue) else { return Self::default() };
        match named.contains('/') {
            true => Self::default().or(issue_at(&named)),
            false => Self::default().or(Some(&named)),
        }
    }

    /// What is not known here is taken from `other`.
    fn filled(self, other: Self) -> Self {
        Self { id: self.id.or(other.id), key: self.key.or(other.key) }
    }

    /// An issue with these members. A key in the place of the id is a key: it can change, so it is never part of an id.
    pub(crate) fn of_members(issue_id: Option<&'a RawValue>, issue_key: Option<&'a RawValue>) -> Self {
        let (issue_id, issue_key) = (issue_id.and_then(id), issue_key.and_then(text));
        match issue_id {
            Some(key) if is_issue_key(&key) => Self { id: None, key: issue_key.or(Some(key)) },
            issue_id => Self { id: issue_id, key: issue_key },
        }
    }

    /// Fills in what is not known yet from a segment of a URL: digits are the id, all else is the key.
    fn or(mut self, segment: Option<&str>) -> Self {
        if let Some(segment) = segment {
            let place = if is_digits(segment) { &mut self.id } else { &mut self.key };
            place.get_or_insert_with(|| Cow::Owned(segment.to_owned()));
        }
        self
    }
}

/// Whether a text has the form of an issue's key: `AB-1`.
fn is_issue_key(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(project, number)| {
        let is_project = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        is_digits(number)
            && project.starts_with(|first: char| first.is_ascii_uppercase())
            && project.bytes().all(is_project)
    })
}

/// The issue in the URL of one of its records: `…/issue/<issue>/<record>/<id>`.
fn issue_of_part<'u>(url: &'u str, record: &str) -> Option<&'u str> {
    let mut segments = segments(url);
    let _id = segments.next()?;
    if segments.next()? != record {
        return None;
    }
    let issue = segments.next()?;
    (segments.next()? == "issue").then_some(issue)
}

/// The issue at a URL: `…/issue/<issue>`.
fn issue_at(url: &str) -> Option<&str> {
    let mut segments = segments(url);
    let issue = segments.next()?;
    (segments.next()? == "issue").then_some(issue)
}

/// The segments of the path, the last first.
fn segments(url: &str) -> impl Iterator<Item = &str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(unit: Unit, json: &str) -> (Option<String>, Option<String>) {
        let issue = IssueRef::of_record(unit, json);
        (issue.id.map(Cow::into_owned), issue.key.map(Cow::into_owned))
    }

    fn known(id: &str, key: &str) -> (Option<String>, Option<String>) {
        let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        (known(id), known(key))
    }

    #[test]
    fn a_record_tells_its_issue_in_one_of_several_ways() {
        for (json, id, key) in [
            (r#"{"issueId":"10001"}"#, "10001", ""),
            (r#"{"issueId":10001}"#, "10001", ""),
            (r#"{"issueKey":"AB-1"}"#, "", "AB-1"),
            (r#"{"issueId":"AB-1"}"#, "", "AB-1"),
            (r#"{"issueId":"AB-1","self":"https://x/rest/api/2/issue/10001/comment/7"}"#, "10001", "AB-1"),
            (r#"{"issue":{"id":"A_2-17"}}"#, "", "A_2-17"),
            (r#"{"issueId":"10001","issueKey":"AB-1"}"#, "10001", "AB-1"),
            (r#"{"self":"https://x/rest/api/2/issue/10001/comment/7"}"#, "10001", ""),
            (r#"{"self":"https://x/jira/rest/api/2/issue/AB-1/comment/7/?expand=a/b"}"#, "", "AB-1"),
            (r#"{"issueId":null,"self":"https:\/\/x\/issue\/10001\/comment\/7"}"#, "10001", ""),
            (r#"{"issue":"https://x/rest/api/2/issue/AB-1"}"#, "", "AB-1"),
            (r#"{"issue":"https://x/rest/api/2/issue/10001","self":"https://x/comment/7"}"#, "10001", ""),
            (r#"{"issue_id":"10001"}"#, "10001", ""),
            (r#"{"issue_key":"AB-1"}"#, "", "AB-1"),
            (r#"{"issueIdOrKey":"AB-1"}"#, "", "AB-1"),
            (r#"{"issueIdOrKey":10001}"#, "10001", ""),
            (r#"{"issue":{"id":"10001","key":"AB-1"}}"#, "10001", "AB-1"),
            (r#"{"issue":{"id":10001}}"#, "10001", ""),
            (r#"{"issue":{"self":"https://x/rest/api/2/issue/10001"}}"#, "10001", ""),
            (r#"{"issue":"AB-1"}"#, "", "AB-1"),
            (r#"{"issue":"10001"}"#, "10001", ""),
            (r#"{"parent":{"id":"10001","key":"AB-1"}}"#, "10001", "AB-1"),
        ] {
            assert_eq!(issue(Unit::Comments, json), known(id, key), "{json}");
        }
        let worklog = r#"{"self":"https://x/rest/api/2/issue/10001/worklog/7"}"#;
        assert_eq!(issue(Unit::Worklogs, worklog), known("10001", ""));
    }

    #[test]
    fn what_comes_first_is_believed_and_the_rest_fills_the_gaps() {
        let both = r#"{"issueId":"1","self":"https://x/issue/2/comment/7","issue":"https://x/issue/AB-3"}"#;
        assert_eq!(issue(Unit::Comments, both), known("1", "AB-3"));
        let key = r#"{"issueKey":"AB-1","self":"https://x/issue/2/comment/7"}"#;
        assert_eq!(issue(Unit::Comments, key), known("2", "AB-1"));
    }

    #[test]
    fn what_names_no_issue_is_not_taken_for_one() {
        for json in [
            "{}",
            r#"{"issueId":"","issueKey":"","self":""}"#,
            r#"{"issueId":true,"issueKey":5,"self":[],"issue":{"name":"1"},"issue_id":{},"issueIdOrKey":[]}"#,
            r#"{"parent":{"id":"7"}}"#,
            r#"{"parent":"7"}"#,
            r#"{"self":"https://x/rest/api/2/issue/10001/worklog/7"}"#,
            r#"{"self":"https://x/rest/api/2/comment/7"}"#,
            r#"{"self":"/comment/7"}"#,
            r#"{"issue":"https://x/rest/api/2/project/10001"}"#,
        ] {
            assert_eq!(issue(Unit::Comments, json), known("", ""), "{json}");
        }
        assert_eq!(issue(Unit::Users, r#"{"issueId":"1"}"#), known("", ""));
    }
}
