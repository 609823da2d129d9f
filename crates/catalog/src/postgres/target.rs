use endpoint_api::{Error, ErrorKind, Result};
use postgres_client::{BadUrl, Connector, Target, read_url};

/// Reads a metadata URL that begins with `postgres://` or `postgresql://`.
///
/// # Errors
///
/// [`ErrorKind::Config`], without any part of the URL.
pub(crate) fn connector(url: &str) -> Result<Connector> {
    let wrong = |message| Error::new(ErrorKind::Config, "read the metadata URL", message);
    let (config, tls) = read_url(url).map_err(|problem| match problem {
        BadUrl::SslMode => {
            wrong("the metadata URL has an `sslmode` other than disable, prefer, require, verify-ca and verify-full")
        }
        BadUrl::Malformed => wrong(
            "the metadata URL is none such as postgres://user:password@host:5432/database; \
             special characters in it are written in percent encoding",
        ),
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(wrong("the metadata URL names no host"));
    }
    if config.get_user().is_none() {
        return Err(wrong("the metadata URL names no user"));
    }
    Connector::new(Target::new(config, tls, "cdm catalog"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_none_is_refused_without_showing_it() {
        let problem = |url: &str| connector(url).err().unwrap();
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
