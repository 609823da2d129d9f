use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{
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
    /// The issue of a comment or a worklog that stands for itself: of what names it, the first of
    /// `issueId` and `issueKey`, the record's own URL (`…/issue/10001/comment/7`) and the URL `issue`.
    pub(crate) fn of_record(unit: Unit, json: &'a str) -> Self {
        let record = match unit {
            Unit::Comments => "comment",
            Unit::Worklogs => "worklog",
            Unit::Projects | Unit::Users | Unit::Issues => return Self::default(),
        };
        let names = ["issueId", "issueKey", "self", "issue"];
        let [issue_id, issue_key, own_url, issue_url] = members(json, names).unwrap_or_default();
        let own_url = own_url.and_then(text);
        let issue_url = issue_url.and_then(text);
        let by_member = Self { id: issue_id.and_then(id), key: issue_key.and_then(text) };
        let by_own_url = own_url.as_deref().and_then(|url| issue_of_part(url, record));
        let by_issue_url = issue_url.as_deref().and_then(issue_at);
        by_member.or(by_own_url).or(by_issue_url)
    }

    /// An issue with these members.
    pub(crate) fn of_members(issue_id: Option<&'a RawValue>, issue_key: Option<&'a RawValue>) -> Self {
        Self { id: issue_id.and_then(id), key: issue_key.and_then(text) }
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
            (r#"{"issueId":"10001","issueKey":"AB-1"}"#, "10001", "AB-1"),
            (r#"{"self":"https://x/rest/api/2/issue/10001/comment/7"}"#, "10001", ""),
            (r#"{"self":"https://x/jira/rest/api/2/issue/AB-1/comment/7/?expand=a/b"}"#, "", "AB-1"),
            (r#"{"issueId":null,"self":"https:\/\/x\/issue\/10001\/comment\/7"}"#, "10001", ""),
            (r#"{"issue":"https://x/rest/api/2/issue/AB-1"}"#, "", "AB-1"),
            (r#"{"issue":"https://x/rest/api/2/issue/10001","self":"https://x/comment/7"}"#, "10001", ""),
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
            r#"{"issueId":true,"issueKey":5,"self":[],"issue":{"id":"1"}}"#,
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
