use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use endpoint_api::{Error, ErrorKind, Result, Secret, Waiting};
use serde_json::Value;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{
    answer::Output,
    config::{LineageSettings, Receiver, resolve},
    failure::Failure,
};

const DELIVER: &str = "deliver an event";

/// How events get to whoever receives them. Its methods block.
pub(crate) enum Transport {
    Http(Box<Http>),
    File(PathBuf),
    Stdout,
}

/// An endpoint that takes events, one a request.
pub(crate) struct Http {
    agent: Agent,
    url: String,
    api_key: Option<Secret>,
    timeout: Duration,
}

/// What became of an event that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Taken,
    /// The receiver will never take it: sending it again would hold up all that come after it for ever.
    Refused(u16),
}

impl Transport {
    /// As it is configured, with references resolved.
    pub(crate) fn of(settings: &LineageSettings, base_dir: &Path, output: Output) -> Result<Self, Failure> {
        let resolved = |text: &str, key: &str| {
            let value = resolve(&Value::from(text), None, &format!("lineage.{key}"), base_dir)?;
            Ok::<_, Failure>(value.as_str().unwrap_or_default().to_owned())
        };
        match &settings.receiver {
            Receiver::Url { url, api_key } => {
                let url = resolved(url, "openlineage_url")?;
                let api_key = api_key.as_ref().map(|key| resolved(key.expose(), "api_key").map(Secret::new));
                Http::new(url, api_key.transpose()?, settings.timeout).map(Box::new).map(Self::Http)
            }
            Receiver::File(path) => Ok(Self::File(base_dir.join(resolved(path, "file")?))),
            Receiver::Stdout if output == Output::Json => {
                let message = "events and the answer of --output json would be mixed; write the events to a `file`";
                Err(Failure::config("lineage.stdout", message))
            }
            Receiver::Stdout => Ok(Self::Stdout),
        }
    }

    /// Sends one event.
    ///
    /// # Errors
    ///
    /// When it did not get there, and may when it is sent again.
    pub(crate) fn send(&self, event: &Waiting) -> Result<Sent> {
        match self {
            Self::Http(endpoint) => endpoint.post(event),
            Self::File(path) => append(path, &event.payload).map_err(|error| {
                let message = "the event cannot be written to the file; check `lineage.file`";
                Error::new(ErrorKind::Unavailable, DELIVER, message).caused_by(error)
            }),
            Self::Stdout => {
                let mut out = io::stdout().lock();
                let written = writeln!(out, "{}", event.payload).and_then(|()| out.flush());
                written.map(|()| Sent::Taken).map_err(|error| {
                    let message = "nobody reads standard output";
                    Error::new(ErrorKind::Unavailable, DELIVER, message).caused_by(error)
                })
            }
        }
    }
}

/// Appends a line, as a whole and so that it is on the disk.
///
/// A line that an earlier attempt could not write whole, as on a disk that was full, stays as it is: the event gets a
/// line of its own.
fn append(path: &Path, event: &str) -> io::Result<Sent> {
    let mut file = local_files::open_private(path, OpenOptions::new().read(true).append(true))?;
    let begin = if ends_a_line(&mut file)? { "" } else { "\n" };
    file.write_all(format!("{begin}{event}\n").as_bytes())?;
    file.sync_data().map(|()| Sent::Taken)
}

/// Whether the next byte of a file begins a line.
fn ends_a_line(file: &mut File) -> io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?;
    if length == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(length - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

impl Http {
    fn new(url: String, api_key: Option<Secret>, timeout: Duration) -> Result<Self, Failure> {
        let is_http = url.starts_with("http://") || url.starts_with("https://");
        if !is_http || url.parse::<ureq::http::Uri>().is_err() {
            let message = "expected the URL that events are posted to, such as http://marquez:5000/api/v1/lineage";
            return Err(Failure::config("lineage.openlineage_url", message));
        }
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("cdm/", env!("CARGO_PKG_VERSION")));
        let config = if url.starts_with("https://") { config.tls_config(tls()?) } else { config };
        Ok(Self { agent: config.build().into(), url, api_key, timeout })
    }

    fn post(&self, event: &Waiting) -> Result<Sent> {
        if SystemTime::now() < SystemTime::UNIX_EPOCH {
            // The TLS library has no time before that, and panics.
            let message = "the clock of this machine is before 1970; set it";
            return Err(Error::new(ErrorKind::Unavailable, DELIVER, message));
        }
        let mut request = self
            .agent
            .post(&self.url)
            .header("Content-Type", "application/json")
            // The same event has the same key each time it is sent.
            .header("Idempotency-Key", &event.id);
        if let Some(key) = &self.api_key {
            request = request.header("Authorization", format!("Bearer {}", key.expose()));
        }
        match request.send(event.payload.as_str()) {
            Ok(answer) => self.judge(answer.status().as_u16()),
            Err(error) => Err(self.explain(error)),
        }
    }

    fn judge(&self, status: u16) -> Result<Sent> {
        match status {
            200..=299 => Ok(Sent::Taken),
            400 | 409 | 413 | 422 => Ok(Sent::Refused(status)),
            401 | 403 => {
                let message =
                    format!("the OpenLineage endpoint refuses the key with {status}; check `lineage.api_key`");
                Err(Error::new(ErrorKind::Denied, DELIVER, message))
            }
            300..=399 | 404 | 405 => {
                let message =
                    format!("the OpenLineage endpoint answers {status}; check the path in `lineage.openlineage_url`");
                Err(Error::new(ErrorKind::Unavailable, DELIVER, message))
            }
            _ => {
                let message = format!("the OpenLineage endpoint answers {status}");
                Err(Error::new(ErrorKind::Unavailable, DELIVER, message))
            }
        }
    }

    /// Says what is wrong without the URL, which may hold a password.
    fn explain(&self, error: ureq::Error) -> Error {
        let message = match &error {
            ureq::Error::Timeout(_) => format!("the OpenLineage endpoint did not answer within {:?}", self.timeout),
            ureq::Error::Io(error) => format!("the OpenLineage endpoint cannot be reached: {}", error.kind()),
            ureq::Error::HostNotFound => "the host of the OpenLineage endpoint is not known".to_owned(),
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
                "the certificate of the OpenLineage endpoint is not to be trusted".to_owned()
            }
            _ => "the OpenLineage endpoint cannot be reached".to_owned(),
        };
        Error::new(ErrorKind::Unavailable, DELIVER, message)
    }
}

/// Certificates that the system trusts.
fn tls() -> std::result::Result<TlsConfig, Failure> {
    local_files::refuse_special_certificates()
        .map_err(|error| Failure::config("lineage.openlineage_url", error.to_string()))?;
    let trusted = rustls_native_certs::load_native_certs().certs;
    let trusted = trusted.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(trusted)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(url: &str) -> Result<Http, Failure> {
        Http::new(url.to_owned(), Some(Secret::new("hunter2")), Duration::from_secs(1))
    }

    #[test]
    fn a_url_that_is_none_is_refused_without_showing_it() {
        for url in ["", "marquez:5000", "ftp://ada:hunter2@host/x", "http://ada:hunter2@ /"] {
            let problem = http(url).err().unwrap().to_string();
            assert!(problem.starts_with("lineage.openlineage_url: expected the URL"), "{problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn an_event_has_a_line_of_its_own_after_one_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        append(&path, "{\"a\":1}").unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"cut").unwrap();
        append(&path, "{\"b\":2}").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"cut\n{\"b\":2}\n");
        assert!(append(Path::new("/dev/full"), "{}").is_err());
    }

    #[test]
    fn an_answer_says_whether_an_event_is_sent_again() {
        let http = http("http://127.0.0.1:1/x").unwrap();
        for status in [200, 201, 202, 204] {
            assert_eq!(http.judge(status).unwrap(), Sent::Taken);
        }
        for status in [400, 422] {
            assert_eq!(http.judge(status).unwrap(), Sent::Refused(status), "it would be refused again");
        }
        for status in [301, 401, 404, 408, 429, 500, 503] {
            assert!(http.judge(status).is_err(), "{status} may pass");
        }
        let unreachable = http.post(&Waiting::new("q", 1, "id", "{}")).unwrap_err();
        assert_eq!(unreachable.kind(), ErrorKind::Unavailable);
        assert!(!format!("{unreachable:?}").contains("hunter2"));
    }
}
