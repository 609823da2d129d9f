use std::path::{Path, PathBuf};

use endpoint_api::{Error, ErrorKind, Result, Secret};
use postgres_client::{BadUrl, Target, TlsMode, read_url};
use relational::{Identifier, Naming, state::Retention};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::budget::Budget;

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
    /// The role's password; when neither this nor the URL gives one, the environment variable `PGPASSWORD` does.
    password: Option<Secret>,
    /// The database.
    database: Option<String>,
    /// The schema of the tables; it is made when it is missing and the role may make it.
    #[serde(default = "default_schema")]
    schema: String,
    /// The role that the schema's tables belong to, such as `cdm_owner`: who provisions becomes that role (`set
    /// role`), and who loads does not. When it is not given, tables belong to whoever provisions.
    owner_role: Option<String>,
    /// What the names of the model tables begin with: with `cdm_` the items are in `cdm_work_item`.
    #[serde(default = "default_prefix")]
    table_prefix: String,
    /// For how many days rejects, and the ledger of runs that have ended, are kept.
    #[serde(default = "default_retention_days")]
    #[schemars(range(min = 1))]
    retention_days: u32,
    /// The highest number of rejects and of lines of that ledger that are kept. Without it there is no limit.
    #[schemars(range(min = 1))]
    retention_rows: Option<u32>,
    /// How long provisioning may be in the way of others.
    #[serde(default)]
    provisioning: Budget,
    /// Whether the connection is encrypted, and what is demanded of the server's certificate; when neither this nor the
    /// URL says so, the environment variable `PGSSLMODE` does, and else it is `prefer`.
    ssl_mode: Option<TlsMode>,
    /// A file of certificates (PEM) to trust instead of the system's; relative to the configuration
    /// file.
    ssl_root_cert: Option<PathBuf>,
}

fn default_schema() -> String {
    "cdm_work".to_owned()
}

fn default_prefix() -> String {
    "cdm_".to_owned()
}

fn default_retention_days() -> u32 {
    30
}

impl Config {
    pub(crate) fn retention(&self) -> Retention {
        Retention { days: self.retention_days, rows: self.retention_rows }
    }

    pub(crate) fn budget(&self) -> Budget {
        self.provisioning
    }

    pub(crate) fn schema(&self) -> Result<Identifier> {
        Identifier::new(&self.schema).map_err(|error| error.with("key", "schema"))
    }

    /// The role that tables belong to.
    pub(crate) fn owner(&self) -> Result<Option<Identifier>> {
        self.owner_role.as_deref().map(role).transpose().map_err(|error| error.with("key", "owner_role"))
    }

    pub(crate) fn naming(&self) -> Result<Naming> {
        if self.table_prefix.contains('\0') {
            let message = "a table prefix must not hold U+0000";
            return Err(Error::new(ErrorKind::Config, "read the configuration", message).with("key", "table_prefix"));
        }
        Ok(Naming::new(&self.table_prefix))
    }

    /// The file of certificates to trust, as it stands in the configuration.
    pub(crate) fn root_cert(&self) -> Option<&Path> {
        self.ssl_root_cert.as_deref()
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
        let postgres = match &self.connection_url {
            Some(url) => {
                if let Some((key, _)) = fields.into_iter().find(|(_, given)| *given) {
                    return wrong(key, "stands beside `connection_url`; give either the URL or the fields");
                }
                match read_url(url.expose()) {
                    Err(BadUrl::SslMode) => {
                        return wrong(
                            "connection_url",
                            "has an `sslmode` other than disable, prefer, require, verify-ca and verify-full",
                        );
                    }
                    Err(BadUrl::Malformed) => {
                        return wrong(
                            "connection_url",
                            "is no URL such as postgres://user:password@host:5432/database; \
                             special characters in it are written in percent encoding",
                        );
                    }
                    Ok((_, Some(given))) if tls.is_some_and(|other| given != other) => {
                        return wrong("ssl_mode", "contradicts the `sslmode` of `connection_url`");
                    }
                    Ok((postgres, given)) => {
                        tls = tls.or(given);
                        postgres
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
        if self.ssl_root_cert.is_some() && !matches!(tls, Some(TlsMode::VerifyCa | TlsMode::VerifyFull)) {
            return wrong("ssl_root_cert", "is of no use without `ssl_mode` verify-ca or verify-full");
        }
        Ok(Target::new(postgres, tls, "cdm"))
    }
}

/// Checks the name of a role.
///
/// # Errors
///
/// [`ErrorKind::Config`] when no role can have it.
pub(crate) fn role(name: &str) -> Result<Identifier> {
    if name.starts_with("pg_") || matches!(name, "public" | "none") {
        let message = format!("`{name}` is no name of a role: the server keeps it for itself");
        return Err(Error::new(ErrorKind::Config, "name a role", message));
    }
    Identifier::new(name)
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
        assert_eq!((by_url.name(), by_url.tls()), ("db.example:5432/work", TlsMode::VerifyFull));
        let by_fields = target(json!({ "host": "db", "port": 5433, "user": "ada", "password": "s3cret" })).unwrap();
        assert_eq!((by_fields.name(), by_fields.tls()), ("db:5433/ada", TlsMode::Prefer));
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
