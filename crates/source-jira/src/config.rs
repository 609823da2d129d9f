use std::path::PathBuf;

use endpoint_api::{EndpointId, Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// The smallest `max_record_bytes`: below it hardly a record would pass.
const LEAST_RECORD_BYTES: u64 = 1024;

/// The smallest `slice_bytes`: below it the plan would be larger than what it plans.
const LEAST_SLICE_BYTES: u64 = 4096;

/// Where the export is and how it is read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder of the export, or its files, or a list of both; relative to the configuration file.
    /// Of a folder and the folders in it, every file that ends in `.json`, `.jsonl` or `.ndjson`, also
    /// with `.gz` or `.zst`, is a data file. It holds issues, comments, worklogs, projects or users, as its
    /// name (`issues-page-1.json`, `comments-AB-1.json`) or its contents tell; `cdm check` names those
    /// that tell neither.
    pub(crate) path: Paths,
    /// Whether links to files and folders outside of `path` are followed. False by default: they are
    /// named and not read.
    #[serde(default)]
    pub(crate) follow_links: bool,
    /// The name that is part of the records' ids (`cdm:work:item:<source_system>:10001`). Give each Jira
    /// site its own name, and do not change it after the first load.
    #[serde(default = "default_source_system")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_.-]{0,62}$"))]
    pub(crate) source_system: String,
    /// The address of the site that people open in a browser, such as `https://acme.atlassian.net` or
    /// `https://acme.example/jira`. The links in `source_url` begin with it. Without it they are derived from the
    /// records' `self`, which is not possible for an export that was made through `api.atlassian.com`.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#@]+(/[^\s?#]*)?$"))]
    pub(crate) site_url: Option<String>,
    /// The id of the endpoint that has loaded rows of the same site under the same `source_system`, such as the
    /// endpoint of an earlier export. Without it a sink refuses to replace rows of another endpoint, unless the records
    /// or `site_url` show that both are of one site.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(crate) same_site_as: Option<EndpointId>,
    /// The id of the field that holds the key of an issue's epic, such as `customfield_10014`. The epic becomes the
    /// issue's parent where the issue has no other one. It is not needed on Cloud, where `parent` tells it, and
    /// where pages hold the `schema` of the fields, as the search gives it with `expand=schema`.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[A-Za-z][A-Za-z0-9_]{0,63}$"))]
    pub(crate) epic_link_field: Option<String>,
    /// The size in bytes above which a record is rejected instead of read. 16 MiB by default.
    #[serde(default = "default_max_record_bytes")]
    #[schemars(range(min = 1024))]
    pub(crate) max_record_bytes: u64,
    /// About how many bytes of a plain `.jsonl` file make one slice, which is what is loaded and tried
    /// again as one. 8 MiB by default. Other files are one slice each.
    #[serde(default = "default_slice_bytes")]
    #[schemars(range(min = 4096))]
    pub(crate) slice_bytes: u64,
}

/// One path or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Paths {
    /// A folder or a file.
    One(String),
    /// Folders and files.
    Several(#[schemars(length(min = 1))] Vec<String>),
}

fn default_source_system() -> String {
    "jira".to_owned()
}

fn default_max_record_bytes() -> u64 {
    16 * 1024 * 1024
}

fn default_slice_bytes() -> u64 {
    8 * 1024 * 1024
}

impl Config {
    pub(crate) fn validate(&self) -> Result<()> {
        let paths = self.path.as_slice();
        if paths.is_empty() || paths.iter().any(|path| path.is_empty() || path.contains('\0')) {
            return Err(wrong("path", "must be the path of a folder or a file, or a list of them, such as `./export`"));
        }
        if !is_source_system(&self.source_system) {
            let message = "must be at most 63 of a-z, 0-9, `_`, `.` and `-`, beginning with a letter, such as `jira`";
            return Err(wrong("source_system", message));
        }
        if self.epic_link_field.as_deref().is_some_and(|field| !is_field_id(field)) {
            return Err(wrong("epic_link_field", "must be the id of a field, such as `customfield_10014`"));
        }
        if self.site_url.as_deref().is_some_and(|url| !is_site_url(url)) {
            let message = "must be an absolute URL with http or https, without user, query or fragment, such as \
                           `https://acme.atlassian.net`";
            return Err(wrong("site_url", message));
        }
        for (key, value, least) in [
            ("max_record_bytes", self.max_record_bytes, LEAST_RECORD_BYTES),
            ("slice_bytes", self.slice_bytes, LEAST_SLICE_BYTES),
        ] {
            if value < least {
                return Err(wrong(key, format!("must be at least {least} bytes")));
            }
        }
        Ok(())
    }

    /// The configured address of the site: scheme and host in lower case, no slash at the end.
    pub(crate) fn site_url(&self) -> Option<String> {
        let (scheme, rest) = self.site_url.as_deref()?.split_once("://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
        Some(format!("{scheme}://{host}{}", path.trim_end_matches('/')))
    }
}

impl Paths {
    /// The paths as they were configured.
    pub(crate) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Several(paths) => paths,
        }
    }
}

/// A path as people gave it, and what it means.
#[derive(Debug, Clone)]
pub(crate) struct ConfiguredPath {
    /// As it stands in the configuration.
    pub(crate) given: String,
    /// Relative to nothing but the file system.
    pub(crate) path: PathBuf,
}

fn wrong(key: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "read the configuration", message).with("key", key)
}

/// Whether `text` can stand for a source in ids, whose parts are separated by colons.
fn is_source_system(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'))
}

/// Whether `text` can be the id of a field.
fn is_field_id(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether `text` is an absolute URL of http or https without user, query or fragment.
fn is_site_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
        && !host.is_empty()
        && !host.contains('@')
        && !rest.contains(['?', '#'])
        && !rest.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use endpoint_api::ConfigSchema;
    use serde_json::{Value, json};

    use super::*;

    fn validated(config: Value) -> Result<Config> {
        let config: Config = serde_json::from_value(config).unwrap();
        config.validate().map(|()| config)
    }

    #[test]
    fn what_is_not_configured_has_a_default() {
        let config = validated(json!({ "path": "./export" })).unwrap();
        assert_eq!(config.path.as_slice(), ["./export"]);
        assert_eq!(config.source_system, "jira");
        assert_eq!((config.max_record_bytes, config.slice_bytes), (16 << 20, 8 << 20));
        assert_eq!(validated(json!({ "path": ["a", "b.jsonl"] })).unwrap().path.as_slice(), ["a", "b.jsonl"]);
    }

    #[test]
    fn the_schema_and_the_validation_refuse_the_same() {
        let schema = ConfigSchema::of::<Config>();
        let long = format!("j{}", "x".repeat(63));
        for (key, value) in [
            ("source_system", json!("")),
            ("source_system", json!("Jira")),
            ("source_system", json!("2jira")),
            ("source_system", json!("acme:jira")),
            ("source_system", json!(long)),
            ("max_record_bytes", json!(1023)),
            ("slice_bytes", json!(4095)),
            ("path", json!([])),
            ("epic_link_field", json!("")),
            ("epic_link_field", json!("Epic Link")),
            ("epic_link_field", json!(long.replace('j', "_"))),
            ("site_url", json!("")),
            ("site_url", json!("acme.example")),
            ("site_url", json!("ftp://acme.example")),
            ("site_url", json!("https://")),
            ("site_url", json!("https:///jira")),
            ("site_url", json!("https://user@acme.example")),
            ("site_url", json!("https://acme.example/?x")),
            ("site_url", json!("https://acme.example/#x")),
            ("site_url", json!("https://acme.example/a b")),
        ] {
            let mut config = json!({ "path": "./export" });
            config[key] = value;
            assert!(!schema.problems(&config).is_empty(), "{config}");
            let error = validated(config).unwrap_err().to_string();
            assert!(error.ends_with(&format!("(key: {key})")), "{error}");
        }
        for path in [json!(""), json!("a\0b"), json!(["a", ""])] {
            assert_eq!(validated(json!({ "path": path })).unwrap_err().context().next(), Some(("key", "path")));
        }
        let config =
            json!({ "path": ["a"], "source_system": "acme.jira-2", "max_record_bytes": 1024, "slice_bytes": 4096 });
        assert_eq!(schema.problems(&config), []);
        validated(config).unwrap();
    }

    #[test]
    fn an_address_of_a_site_is_brought_into_one_form() {
        for (given, site) in [
            ("https://acme.atlassian.net", "https://acme.atlassian.net"),
            ("https://acme.atlassian.net/", "https://acme.atlassian.net"),
            ("HTTP://Acme.Example:8080/Jira/", "http://acme.example:8080/Jira"),
        ] {
            let config = json!({ "path": "./export", "site_url": given });
            assert_eq!(ConfigSchema::of::<Config>().problems(&config), []);
            assert_eq!(validated(config).unwrap().site_url().as_deref(), Some(site));
        }
        assert_eq!(validated(json!({ "path": "./export" })).unwrap().site_url(), None);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let config = json!({ "path": "./export", "pattern": "*" });
        assert!(serde_json::from_value::<Config>(config.clone()).is_err());
        assert_eq!(ConfigSchema::of::<Config>().problems(&config).len(), 1);
    }
}
