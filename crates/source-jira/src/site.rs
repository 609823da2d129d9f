//! Which Jira the records of an export are of.

use std::{collections::BTreeMap, io::Read as _};

use endpoint_api::{Result, SourceSite};
use memchr::memmem;

use crate::{decode, export::Export, files::ExportFile, stop::Stop};

/// How many bytes of a file are looked at.
const PEEKED_BYTES: u64 = 64 * 1024;

/// How many files are looked at, spread over all of them.
const PEEKED_FILES: usize = 256;

/// The site of an export: that of the configured `site_url`, or the one that the `self` of records names at the
/// beginning of the files. Those are looked at in both cases: rows that were loaded before `site_url` was set are known
/// by what the records tell. An export that has grown while its site got another address, or into which somebody has
/// copied the files of another one, names several.
pub(crate) fn of_export(export: &Export, stop: &Stop) -> Result<SourceSite> {
    let site = SourceSite::new(&export.identity).same_as(export.same_site_as.clone());
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let files = export.list()?;
    let step = files.len().div_ceil(PEEKED_FILES).max(1);
    for file in files.iter().step_by(step) {
        // A file that cannot be read is the concern of whoever reads all of it.
        for named in peek(file, stop).unwrap_or_default() {
            found.entry(named).or_insert_with(|| file.name.clone());
        }
    }
    let configured = export.identity.site_url.as_deref().and_then(of_url);
    if configured.is_some() {
        return Ok(site.at(configured).told_by_records(found.into_keys().collect()));
    }
    if found.len() > 1 {
        let sites: Vec<String> = found.iter().map(|(site, file)| format!("{site} ({file})")).collect();
        tracing::warn!(
            endpoint = %export.endpoint(),
            sites = %sites.join(", "),
            "the export holds records of several sites; give each site a folder, an endpoint and a source_system of its \
             own, or set site_url if all are addresses of one site"
        );
        return Ok(site.of_several(found.into_keys().collect()));
    }
    let found = found.into_keys().next();
    export.set_found_site(found.clone());
    Ok(site.at(found))
}

/// The number of bytes at the beginning of a record that are searched for its own `self`.
const SEARCHED_BYTES: usize = 2048;

/// Sees records of another site while they are read: the beginnings of the files do not tell of all of them.
pub(crate) struct SiteWatch {
    finder: memmem::Finder<'static>,
    site: Option<String>,
    /// How an address of the site begins, once one was seen.
    prefix: Vec<u8>,
}

impl SiteWatch {
    /// Watches for records that are of another site than the export; `None` where the site is configured.
    pub(crate) fn new(export: &Export) -> Option<Self> {
        let finder = memmem::Finder::new(b"\"self\"");
        let site = export.found_site();
        export.identity.site_url.is_none().then_some(Self { finder, site, prefix: Vec::new() })
    }

    /// The site of a record, if it is another one.
    pub(crate) fn other(&mut self, record: &str) -> Option<String> {
        let head = record.as_bytes().get(..SEARCHED_BYTES).unwrap_or(record.as_bytes());
        let after = record.get(self.finder.find(head)? + b"\"self\"".len()..)?;
        let url = after.trim_ascii_start().strip_prefix(':')?.trim_ascii_start().strip_prefix('"')?;
        if !self.prefix.is_empty() && url.as_bytes().starts_with(&self.prefix) {
            return None;
        }
        let url = url.split('"').next()?.replace("\\/", "/");
        let site = of_resource(&url)?;
        let known = self.site.get_or_insert_with(|| site.clone());
        if *known != site {
            return Some(site);
        }
        let end = url.find("/rest/").unwrap_or(url.len());
        self.prefix = url.as_bytes().get(..end).unwrap_or_default().to_vec();
        self.prefix.extend_from_slice(b"/rest/");
        None
    }
}

/// The sites that the beginning of a file names.
fn peek(file: &ExportFile, stop: &Stop) -> Result<Vec<String>> {
    let mut head = Vec::new();
    let text = decode::open(file, None, stop)?;
    // What was read before a file turns out to be damaged still tells the site.
    let _ = text.take(PEEKED_BYTES).read_to_end(&mut head);
    Ok(sites_in(&String::from_utf8_lossy(&head)))
}

/// The sites of the members `self` in a JSON text that may be cut anywhere. What stands in a string is escaped and
/// therefore not taken for a member.
fn sites_in(text: &str) -> Vec<String> {
    let mut sites: Vec<String> = Vec::new();
    for (_, rest) in text.match_indices("\"self\"").map(|(at, key)| text.split_at(at + key.len())) {
        let value = rest.trim_start().strip_prefix(':').and_then(|value| value.trim_start().strip_prefix('"'));
        let Some((url, _)) = value.and_then(|value| value.split_once('"')) else { continue };
        if let Some(site) = of_resource(&url.replace("\\/", "/"))
            && !sites.contains(&site)
        {
            sites.push(site);
        }
    }
    sites
}

/// The site of a resource of Jira's REST API: what stands before `/rest/`. Other programs, such as Confluence, have
/// resources of other kinds.
fn of_resource(url: &str) -> Option<String> {
    let (base, resource) = url.split_once("/rest/")?;
    let mut parts = resource.split(['/', '?']);
    let (api, _version, kind) = (parts.next()?, parts.next()?, parts.next()?);
    let is_of_jira = matches!(api, "api" | "agile") && matches!(kind, "issue" | "project" | "user");
    if is_of_jira { of_url(base) } else { None }
}

/// A site in one form, whatever the address is written like: host, port unless it is the usual one, and path.
pub(crate) fn of_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let usual_port = match scheme.to_ascii_lowercase().as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // An address may hold a user's name, which is no part of the site.
    let host = authority.rsplit('@').next().unwrap_or(authority).to_ascii_lowercase();
    let host = host.strip_suffix(usual_port).unwrap_or(&host);
    (!host.is_empty()).then(|| format!("{host}{}", path.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use endpoint_api::EndpointId;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_site_has_one_form() {
        for (url, site) in [
            ("https://acme.atlassian.net", Some("acme.atlassian.net")),
            ("HTTPS://Acme.Atlassian.net:443/", Some("acme.atlassian.net")),
            ("http://acme.example:8080/Jira/", Some("acme.example:8080/Jira")),
            ("https://me@acme.example/jira", Some("acme.example/jira")),
            ("ftp://acme.example", None),
            ("https://", None),
            ("acme", None),
        ] {
            assert_eq!(of_url(url).as_deref(), site, "{url}");
        }
    }

    #[test]
    fn records_name_their_site_and_other_programs_and_texts_do_not() {
        let text = r#"{"issues":[{"id":"1","self" : "https:\/\/acme.atlassian.net\/rest\/api\/3\/issue\/1","fields":{
            "summary":"\"self\":\"https://lab.example/rest/api/2/issue/9\"",
            "page":{"self":"https://acme.atlassian.net/wiki/rest/api/content/7"},
            "board":{"self":"https://other.example/rest/greenhopper/1.0/board/3"},
            "project":{"self":"https://acme.atlassian.net/rest/api/3/project/1"}}},
            {"self":"https://acme.atlassian.net/rest/ap"#;
        assert_eq!(sites_in(text), ["acme.atlassian.net"]);
        let gateway = r#"{"self":"https://api.atlassian.com/ex/jira/0f6c/rest/api/2/issue/1"}"#;
        assert_eq!(sites_in(gateway), ["api.atlassian.com/ex/jira/0f6c"]);
        assert_eq!(sites_in(r#"{"self":"https://acme.example/jira/rest/agile/1.0/issue/1"}"#), ["acme.example/jira"]);
        assert!(sites_in(r#"{"key":"A-1","self":null}"#).is_empty());
    }

    #[test]
    fn a_record_of_another_site_is_seen_wherever_it_stands() {
        let record = |host: &str| format!(r#"{{"id":"1","self":"https://{host}/rest/api/2/issue/1"}}"#);
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("issues.jsonl"), record("acme.example")).unwrap();
        let export = |settings: Value| {
            let config = serde_json::from_value(settings).unwrap();
            Export::new(EndpointId::from_static("acme"), config, folder.path())
        };
        let found = export(json!({ "path": "." }));
        let other = |watch: &mut SiteWatch, host: &str| watch.other(&record(host));
        let mut watch = SiteWatch::new(&found).unwrap();
        assert_eq!(other(&mut watch, "lab.example"), None, "the first one that is seen");
        assert_eq!(other(&mut watch, "acme.example").as_deref(), Some("acme.example"));
        of_export(&found, &Stop::default()).unwrap();
        let mut watch = SiteWatch::new(&found).unwrap();
        for _ in 0..2 {
            assert_eq!(other(&mut watch, "lab.example").as_deref(), Some("lab.example"));
            assert_eq!(other(&mut watch, "acme.example.evil").as_deref(), Some("acme.example.evil"));
            assert_eq!(other(&mut watch, "acme.example"), None);
            assert_eq!(watch.other(r#"{"id":"1"}"#), None);
        }
        assert!(SiteWatch::new(&export(json!({ "path": ".", "site_url": "https://acme.example" }))).is_none());
    }

    fn site_of(files: &[(&str, &str)], settings: Value) -> Result<SourceSite> {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut config = json!({ "path": "." });
        for (key, value) in settings.as_object().unwrap() {
            config[key] = value.clone();
        }
        let config = serde_json::from_value(config).unwrap();
        let export = Export::new(EndpointId::from_static("acme"), config, folder.path());
        of_export(&export, &Stop::default())
    }

    #[test]
    fn an_export_is_of_the_site_of_its_records_or_the_configured_one() {
        let issue = |host: &str| format!(r#"{{"id":"1","self":"https://{host}/rest/api/2/issue/1"}}"#);
        let (acme, lab) = (issue("acme.example"), issue("lab.example"));
        let same = site_of(&[("issues.jsonl", &acme), ("issues-2.jsonl", &acme)], json!({})).unwrap();
        assert_eq!(same.site.as_deref(), Some("acme.example"));
        assert_eq!(site_of(&[("issues.jsonl", r#"{"id":"1"}"#)], json!({})).unwrap().site, None);

        let files = [("issues.jsonl", acme.as_str()), ("issues-2.jsonl", lab.as_str())];
        let several = site_of(&files, json!({})).unwrap();
        assert_eq!((several.site, several.several), (None, vec!["acme.example".to_owned(), "lab.example".to_owned()]));

        let configured = json!({ "site_url": "https://acme.example/", "same_site_as": "other" });
        let site = site_of(&files, configured).unwrap();
        assert_eq!(site.site.as_deref(), Some("acme.example"));
        assert_eq!(site.same_site_as, Some(EndpointId::from_static("other")));
        assert_eq!(site.told, ["acme.example", "lab.example"]);
    }
}
