use std::{path::PathBuf, time::Duration};

use endpoint_api::{Error, ErrorKind, Result, Secret};
use relational::{Identifier, Naming};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_postgres::config::SslMode;

/// Where to connect and where the tables go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server as a URL: `postgres://user:password@host:5432/database?sslmode=verify-full`. Instead
    /// of `host`, `port`, `user`, `password` and `database`.
    connection_url: Option<Secret>,
    /// The server's host name or address.
    host: Option<String>,
    /// The server's port; 5432 when it is not given.
    port: Option<u16>,
    /// The role to log in as.
    user: Option<String>,
    /// The role's password.
    password: Option<Secret>,
    /// The database.
    database: Option<String>,
    /// The schema of the tables; it is made when it is missing and the role may make it.
    #[serde(default = "default_schema")]
    schema: String,
    /// What the names of the model tables begin with: with `cdm_` the items are in `cdm_work_item`.
    #[serde(default = "default_prefix")]
    table_prefix: String,
    /// Whether the connection is encrypted, and what is demanded of the server's certificate.
    ssl_mode: Option<TlsMode>,
    /// A file of certificates (PEM) to trust instead of the system's; relative to the configuration
    /// file.
    ssl_root_cert: Option<PathBuf>,
}

/// Whether a connection is encrypted, and what is demanded of the server's certificate; as in libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TlsMode {
    /// Never encrypted.
    Disable,
    /// Encrypted when the server can, with any certificate. The default.
    Prefer,
    /// Always encrypted, with any certificate.
    Require,
    /// Always encrypted, with a certificate that a trusted authority has signed.
    VerifyCa,
    /// Always encrypted, with a certificate that a trusted authority has signed for this host.
    VerifyFull,
}

fn default_schema() -> String {
    "cdm_work".to_owned()
}

fn default_prefix() -> String {
    "cdm_".to_owned()
}

/// How to reach a server.
pub(crate) struct Target {
    pub(crate) postgres: tokio_postgres::Config,
    pub(crate) tls: TlsMode,
    pub(crate) root_cert: Option<PathBuf>,
    /// `host:port/database`, for messages.
    pub(crate) name: String,
}

impl Config {
    pub(crate) fn schema(&self) -> Result<Identifier> {
        Identifier::new(&self.schema).map_err(|error| error.with("key", "schema"))
    }

    pub(crate) fn naming(&self) -> Result<Naming> {
        if self.table_prefix.contains('\0') {
            let message = "a table prefix must not hold U+0000";
            return Err(Error::new(ErrorKind::Config, "read the configuration", message).with("key", "table_prefix"));
        }
        Ok(Naming::new(&self.table_prefix))
    }

    /// How to reach the server.
    ///
    /// # Errors
    ///
    /// When keys are missing or contradict each other, or the URL is none. No value is shown.
    pub(crate) fn target(&self) -> Result<Target> {
        let wrong = |key: &'static str, message: &str| {
            Err(Error::new(ErrorKind::Config, "read the configuration", message).with("key", key))
        };
        let fields = [
            ("host", self.host.is_some()),
            ("port", self.port.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
            ("database", self.database.is_some()),
        ];
        let mut tls = self.ssl_mode;
        let mut postgres = match &self.connection_url {
            Some(url) => {
                if let Some((key, _)) = fields.into_iter().find(|(_, given)| *given) {
                    return wrong(key, "stands beside `connection_url`; give either the URL or the fields");
                }
                let (url, mode) = take_sslmode(url.expose());
                match (mode, tls) {
                    (Err(()), _) => {
                        return wrong(
                            "connection_url",
                            "has an `sslmode` other than disable, prefer, require, verify-ca and verify-full",
                        );
                    }
                    (Ok(Some(given)), Some(other)) if given != other => {
                        return wrong("ssl_mode", "contradicts the `sslmode` of `connection_url`");
                    }
                    (Ok(given), _) => tls = tls.or(given),
                }
                let parsed = url.parse::<tokio_postgres::Config>().ok();
                match parsed.filter(|_| url.starts_with("postgres://") || url.starts_with("postgresql://")) {
                    Some(parsed) => parsed,
                    None => {
                        return wrong(
                            "connection_url",
                            "is no URL such as postgres://user:password@host:5432/database; \
                             special characters in it are written in percent encoding",
                        );
                    }
                }
            }
            None => {
                let Some(host) = &self.host else {
                    return wrong("connection_url", "is missing; give it, or `host`, `user` and `database`");
                };
                let mut postgres = tokio_postgres::Config::new();
                postgres.host(host).port(self.port.unwrap_or(5432));
                self.user.as_ref().map(|user| postgres.user(user));
                self.password.as_ref().map(|password| postgres.password(password.expose()));
                self.database.as_ref().map(|database| postgres.dbname(database));
                postgres
            }
        };
        if postgres.get_user().is_none() {
            return wrong("user", "is missing");
        }
        let tls = tls.unwrap_or(TlsMode::Prefer);
        if self.ssl_root_cert.is_some() && !matches!(tls, TlsMode::VerifyCa | TlsMode::VerifyFull) {
            return wrong("ssl_root_cert", "is of no use without `ssl_mode` verify-ca or verify-full");
        }
        postgres
            .ssl_mode(match tls {
                TlsMode::Disable => SslMode::Disable,
                TlsMode::Prefer => SslMode::Prefer,
                TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
            })
            .application_name("cdm")
            .connect_timeout(Duration::from_secs(10))
            .keepalives_idle(Duration::from_secs(30));
        Ok(Target { name: server_name(&postgres), postgres, tls, root_cert: self.ssl_root_cert.clone() })
    }
}

/// Takes the parameter `sslmode` out of a URL: the client library knows only three of its values.
fn take_sslmode(url: &str) -> (String, Result<Option<TlsMode>, ()>) {
    let Some((address, query)) = url.split_once('?') else { return (url.to_owned(), Ok(None)) };
    let mut mode = Ok(None);
    let others: Vec<&str> = query
        .split('&')
        .filter(|parameter| {
            let Some(value) = parameter.strip_prefix("sslmode=") else { return true };
            mode = match value {
                "disable" => Ok(Some(TlsMode::Disable)),
                "prefer" => Ok(Some(TlsMode::Prefer)),
                "require" => Ok(Some(TlsMode::Require)),
                "verify-ca" => Ok(Some(TlsMode::VerifyCa)),
                "verify-full" => Ok(Some(TlsMode::VerifyFull)),
                _ => Err(()),
            };
            false
        })
        .collect();
    let url = if others.is_empty() { address.to_owned() } else { format!("{address}?{}", others.join("&")) };
    (url, mode)
}

fn server_name(config: &tokio_postgres::Config) -> String {
    use tokio_postgres::config::Host;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("{host}:{port}/{database}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target(config: serde_json::Value) -> Result<Target> {
        serde_json::from_value::<Config>(config).unwrap().target()
    }

    fn problem(config: serde_json::Value) -> String {
        target(config).err().unwrap().to_string()
    }

    #[test]
    fn a_server_is_named_by_url_or_by_fields() {
        let by_url = target(
            json!({ "connection_url": "postgres://ada:s3cret@db.example/work?sslmode=verify-full&connect_timeout=3" }),
        )
        .unwrap();
        assert_eq!((by_url.name.as_str(), by_url.tls), ("db.example:5432/work", TlsMode::VerifyFull));
        let by_fields = target(json!({ "host": "db", "port": 5433, "user": "ada", "password": "s3cret" })).unwrap();
        assert_eq!((by_fields.name.as_str(), by_fields.tls), ("db:5433/ada", TlsMode::Prefer));
    }

    #[test]
    fn what_contradicts_itself_is_refused_without_showing_a_value() {
        let url = "postgres://ada:hunter2@db/work";
        let problems = [
            problem(json!({})),
            problem(json!({ "host": "db" })),
            problem(json!({ "connection_url": url, "password": "hunter2" })),
            problem(json!({ "connection_url": format!("{url}?sslmode=hunter2") })),
            problem(json!({ "connection_url": format!("{url}?sslmode=disable"), "ssl_mode": "require" })),
            problem(json!({ "connection_url": "host=db password=hunter2 user=ada" })),
            problem(json!({ "connection_url": "postgres://ada:hunter2@db:port/work" })),
            problem(json!({ "connection_url": url, "ssl_root_cert": "ca.pem" })),
        ];
        insta::assert_snapshot!(problems.join("\n"));
        assert!(!problems.concat().contains("hunter2"));
    }
}
