use std::time::Duration;

use endpoint_api::Secret;

use super::settings::Section;
use crate::failure::Failure;

/// What `[lineage]` says: to whom runs and datasets are told of.
#[derive(Debug)]
pub(crate) struct LineageSettings {
    pub(crate) receiver: Receiver,
    /// The namespace of jobs and datasets.
    pub(crate) namespace: String,
    /// How long the receiver may take to answer.
    pub(crate) timeout: Duration,
}

/// Who receives events, with references unresolved.
#[derive(Debug)]
pub(crate) enum Receiver {
    Url { url: String, api_key: Option<Secret> },
    File(String),
    Stdout,
}

const DEFAULT_NAMESPACE: &str = "cdm";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_TIMEOUT: u64 = 300;

impl LineageSettings {
    /// Reads the section; `None` when it is not there.
    pub(super) fn read(mut section: Section) -> Result<Option<Self>, Failure> {
        if section.is_empty() {
            return Ok(None);
        }
        let url = section.text("openlineage_url")?;
        let file = section.text("file")?;
        let stdout = section.flag("stdout")?.unwrap_or(false);
        let api_key = section.text("api_key")?.map(Secret::new);
        if api_key.is_some() && url.is_none() {
            return Err(section.wrong(Some("api_key"), "is sent to an `openlineage_url`, and there is none"));
        }
        let receiver = match (url, file, stdout) {
            (Some(url), None, false) => Receiver::Url { url, api_key },
            (None, Some(file), false) => Receiver::File(file),
            (None, None, true) => Receiver::Stdout,
            _ => {
                let message = "expected one receiver: `openlineage_url`, `file` or `stdout = true`";
                return Err(section.wrong(None, message));
            }
        };
        let namespace = section.text("namespace")?.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let timeout = match section.text("timeout_seconds")? {
            None => DEFAULT_TIMEOUT,
            Some(seconds) => match seconds.parse() {
                Ok(seconds @ 1..=LONGEST_TIMEOUT) => Duration::from_secs(seconds),
                _ => {
                    let message = format!("expected a number of seconds from 1 to {LONGEST_TIMEOUT}");
                    return Err(section.wrong(Some("timeout_seconds"), message));
                }
            },
        };
        section.end()?;
        Ok(Some(Self { receiver, namespace, timeout }))
    }
}
