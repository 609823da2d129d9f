//! Addresses of pages that people open. Each is a page of the site: the configured one, otherwise the one that the
//! record's `self` is of. Where neither is known there is no address, and never a made-up one.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The gateway through which programs call Jira Cloud: it has no pages.
const GATEWAY: &str = "api.atlassian.com";

/// The tabs of an issue's page, without which Data Center may show another tab and not the record.
const COMMENTS: &str = "com.atlassian.jira.plugin.system.issuetabpanels:comment-tabpanel";
const WORKLOGS: &str = "com.atlassian.jira.plugin.system.issuetabpanels:worklog-tabpanel";

/// A site, and where its pages are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a>(&'a str);

impl<'a> Site<'a> {
    /// The configured site, otherwise that of the REST resource at `resource`:
    /// `https://acme.example/jira/rest/api/3/issue/10001` is of `https://acme.example/jira`.
    pub(crate) fn of(configured: Option<&'a str>, resource: Option<&'a str>) -> Option<Self> {
        configured.or_else(|| site_of(resource?)).map(Self)
    }

    /// The page of a project or an issue.
    pub(crate) fn page(self, key: &str) -> Option<String> {
        is_key(key).then(|| format!("{}/browse/{key}", self.0))
    }

    /// A comment on the page of its issue.
    pub(crate) fn comment(self, issue_key: &str, comment_id: &str) -> Option<String> {
        let page = self.page(issue_key)?;
        is_plain(comment_id).then(|| format!("{page}?focusedCommentId={comment_id}&page={COMMENTS}"))
    }

    /// A worklog on the page of its issue.
    pub(crate) fn worklog(self, issue_key: &str, worklog_id: &str) -> Option<String> {
        let page = self.page(issue_key)?;
        is_plain(worklog_id).then(|| format!("{page}?focusedWorklogId={worklog_id}&page={WORKLOGS}"))
    }

    /// The profile of a user: of Cloud by the account id, of Server and Data Center by the login name.
    pub(crate) fn profile(self, account_id: Option<&str>, name: Option<&str>) -> Option<String> {
        match (account_id, name) {
            (Some(account_id), _) => {
                let is_account = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.');
                let is_safe = !account_id.is_empty() && account_id.bytes().all(is_account);
                is_safe.then(|| format!("{}/jira/people/{account_id}", self.0))
            }
            (None, Some(name)) if !name.is_empty() => {
                Some(format!("{}/secure/ViewProfile.jspa?name={}", self.0, percent_encoded(name)))
            }
            _ => None,
        }
    }
}

fn site_of(resource: &str) -> Option<&str> {
    let (site, _) = resource.split_once("/rest/")?;
    let (scheme, rest) = site.split_once("://")?;
    let host = rest.split('/').next().unwrap_or_default();
    let is_site = matches!(scheme, "http" | "https")
        && !host.is_empty()
        && !host.contains('@')
        && !host.eq_ignore_ascii_case(GATEWAY)
        && !rest.contains(['?', '#', '"', '<', '>', ' ']);
    is_site.then_some(site)
}

/// Whether a text can be the key of an issue or a project in an address as it is.
fn is_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_'))
}

fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn percent_encoded(text: &str) -> Cow<'_, str> {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    if text.bytes().all(is_unreserved) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if is_unreserved(byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUE: &str = "https://acme.example/jira/rest/agile/1.0/issue/1";

    #[test]
    fn a_page_is_below_the_site_even_with_a_context_path() {
        let page = |configured, resource, key| Site::of(configured, resource).and_then(|site| site.page(key));
        assert_eq!(page(None, Some(ISSUE), "ACME-7").as_deref(), Some("https://acme.example/jira/browse/ACME-7"));
        let site = Some("https://acme.example");
        assert_eq!(page(site, Some(ISSUE), "ACME-7").as_deref(), Some("https://acme.example/browse/ACME-7"));
        assert_eq!(page(site, None, "ACME-7").as_deref(), Some("https://acme.example/browse/ACME-7"));
        assert_eq!(page(None, Some(ISSUE), ""), None);
        assert_eq!(page(None, Some(ISSUE), "a b?c"), None);
        for none in ["ACME-7", "/rest/api/2/issue/1", "ftp://x/rest/api", "https:///rest/api", "https://u@x/rest/api"] {
            assert_eq!(page(None, Some(none), "ACME-7"), None, "{none}");
        }
    }

    #[test]
    fn the_gateway_has_no_pages() {
        let gateway = "https://api.atlassian.com/ex/jira/11111111-2222-3333-4444-555555555555/rest/api/3/issue/1";
        assert!(Site::of(None, Some(gateway)).is_none());
        assert!(Site::of(Some("https://acme.atlassian.net"), Some(gateway)).is_some());
    }

    #[test]
    fn comments_worklogs_and_users_have_pages() {
        let site = Site::of(Some("https://a.example"), None).unwrap();
        assert_eq!(
            site.comment("AB-1", "7").unwrap(),
            format!("https://a.example/browse/AB-1?focusedCommentId=7&page={COMMENTS}")
        );
        assert_eq!(
            site.worklog("AB-1", "8").unwrap(),
            format!("https://a.example/browse/AB-1?focusedWorklogId=8&page={WORKLOGS}")
        );
        assert_eq!(site.comment("AB-1", "7&x"), None);
        let account = site.profile(Some("557058:f5-8"), Some("ada"));
        assert_eq!(account.unwrap(), "https://a.example/jira/people/557058:f5-8");
        let name = site.profile(None, Some("ada l@x"));
        assert_eq!(name.unwrap(), "https://a.example/secure/ViewProfile.jspa?name=ada%20l%40x");
        assert_eq!(site.profile(None, None), None);
    }
}
