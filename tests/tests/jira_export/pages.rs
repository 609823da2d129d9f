//! The pages that people open, which rows point to.

use serde_json::Value;

/// The site of a record, by the address of its resource. The gateway of Jira Cloud is none: it has no pages.
pub(crate) fn site(record: &Value) -> Option<&str> {
    let (site, _) = record["self"].as_str()?.split_once("/rest/")?;
    let address = site.strip_prefix("https://").or_else(|| site.strip_prefix("http://"))?;
    let host = address.split('/').next()?;
    let is_site = !host.is_empty() && !host.contains('@') && host != "api.atlassian.com";
    (is_site && !address.contains(['?', '#', '"', '<', '>', ' '])).then_some(site)
}

/// The page of a project or an issue.
pub(crate) fn browse(record: &Value, key: Option<&str>) -> Option<String> {
    let key = key.filter(|key| !key.is_empty())?;
    let is_key = key.chars().all(|letter| letter.is_alphanumeric() || letter == '-' || letter == '_');
    is_key.then_some(format!("{}/browse/{key}", site(record)?))
}

/// A comment or a worklog on the page of its issue: `Comment` or `Worklog`.
pub(crate) fn focused(record: &Value, issue_key: Option<&str>, kind: &str, id: &str) -> Option<String> {
    let page = browse(record, issue_key)?;
    let tab = format!("com.atlassian.jira.plugin.system.issuetabpanels:{}-tabpanel", kind.to_lowercase());
    id.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(format!("{page}?focused{kind}Id={id}&page={tab}"))
}

/// The profile of a user: by the account id, otherwise by the login name; a key alone has none.
pub(crate) fn profile(user: &Value) -> Option<String> {
    let told = |name: &str| user[name].as_str().filter(|text| !text.is_empty());
    let site = site(user)?;
    if let Some(account) = told("accountId") {
        let is_safe = account.chars().all(|letter| letter.is_ascii_alphanumeric() || ":-_.".contains(letter));
        return is_safe.then_some(format!("{site}/jira/people/{account}"));
    }
    let encoded = told("name")?.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    Some(format!("{site}/secure/ViewProfile.jspa?name={}", encoded.collect::<String>()))
}
