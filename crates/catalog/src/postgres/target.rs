use std::time::Duration;

use endpoint_api::{Error, ErrorKind, Result};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

/// Where the catalog's server is and how to talk to it.
pub(crate) struct Target {
    pub(super) config: Config,
    pub(super) tls: Tls,
    /// `host:port/database`, for messages.
    pub(super) name: String,
}

/// Whether the connection is encrypted, and what is demanded of the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    /// Never encrypted.
    Disable,
    /// Encrypted when the server can, with any certificate.
    Prefer,
    /// Always encrypted, with a certificate that a trusted authority has signed for this host.
    Require,
}

impl Target {
    /// Reads a URL that begins with `postgres://` or `postgresql://`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`], without any part of the URL.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let wrong = |message| Error::new(ErrorKind::Config, "read the metadata URL", message);
        let (url, tls) = take_sslmode(url);
        let tls =
            tls.map_err(|()| wrong("the metadata URL has an `sslmode` other than disable, prefer and require"))?;
        let mut config: Config = url.parse().map_err(|_| {
            wrong(
                "the metadata URL is none such as postgres://user:password@host:5432/database; \
                 special characters in it are written in percent encoding",
            )
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(wrong("the metadata URL names no host"));
        }
        if config.get_user().is_none() {
            return Err(wrong("the metadata URL names no user"));
        }
        config
            .ssl_mode(match tls {
                Tls::Disable => SslMode::Disable,
                Tls::Prefer => SslMode::Prefer,
                Tls::Require => SslMode::Require,
            })
            .application_name("cdm catalog")
            .keepalives_idle(Duration::from_secs(30));
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        Ok(Self { name: server_name(&config), config, tls })
    }
}

/// Takes the parameter `sslmode` out of a URL: what it demands of certificates is not the client
/// library's to know.
fn take_sslmode(url: &str) -> (String, Result<Tls, ()>) {
    let mut tls = Ok(Tls::Prefer);
    let Some((address, query)) = url.split_once('?') else { return (url.to_owned(), tls) };
    let others: Vec<&str> = query
        .split('&')
        .filter(|parameter| {
            let Some(value) = parameter.strip_prefix("sslmode=") else { return true };
            tls = match value {
                "disable" => Ok(Tls::Disable),
                "prefer" => Ok(Tls::Prefer),
                "require" | "verify-full" => Ok(Tls::Require),
                _ => Err(()),
            };
            false
        })
        .collect();
    let url = if others.is_empty() { address.to_owned() } else { format!("{address}?{}", others.join("&")) };
    (url, tls)
}

fn server_name(config: &Config) -> String {
    let host = match (config.get_hosts().first(), config.get_hostaddrs().first()) {
        (Some(Host::Tcp(host)), _) => host.clone(),
        #[cfg(unix)]
        (Some(Host::Unix(path)), _) => path.display().to_string(),
        (None, Some(address)) => address.to_string(),
        (None, None) => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("{host}:{port}/{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_and_what_is_demanded_of_it() {
        let target = Target::parse("postgres://ada:s3cret@db.example/work?sslmode=require&connect_timeout=3").unwrap();
        assert_eq!((target.name.as_str(), target.tls), ("db.example:5432/work", Tls::Require));
        assert_eq!(target.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        let target = Target::parse("postgresql://ada@db:5433").unwrap();
        assert_eq!((target.name.as_str(), target.tls), ("db:5433/ada", Tls::Prefer));
    }

    #[test]
    fn a_url_that_is_none_is_refused_without_showing_it() {
        let problem = |url: &str| Target::parse(url).err().unwrap();
        for (url, expected) in [
            ("postgres://ada:hunter2@db/work?sslmode=allow", "an `sslmode` other than"),
            ("postgres://ada:hunter2@db:hunter2/work", "percent encoding"),
            ("postgres://ada:hunter2@db/work?hunter2=1", "percent encoding"),
            ("postgres://db/work", "names no user"),
            ("postgres://ada:hunter2@/work", "names no host"),
        ] {
            let error = problem(url);
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
