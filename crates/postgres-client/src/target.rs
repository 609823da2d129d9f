use std::{
    env,
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use endpoint_api::{Error, ErrorKind, Result};
use tokio_postgres::{
    Client, Config,
    config::{Host, SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    TlsMode,
    silence::{PATIENCE, Patience, keep_going},
    tls,
};

/// Where a server is and how to talk to it.
pub struct Target {
    config: Config,
    /// As the configuration says.
    tls: Option<TlsMode>,
    name: String,
}

/// What is wrong with a URL. It does not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadUrl {
    /// It is none such as `postgres://user:password@host:5432/database`.
    Malformed,
    /// Its `sslmode` is none of disable, prefer, require, verify-ca and verify-full.
    SslMode,
}

/// Reads `postgres://user:password@host:5432/database?sslmode=verify-full`, and what it says of TLS.
pub fn read_url(url: &str) -> Result<(Config, Option<TlsMode>), BadUrl> {
    // What `sslmode` demands of certificates is not the client library's to know.
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut mode = None;
    let mut others = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.strip_prefix("sslmode=") {
            Some(value) => mode = Some(TlsMode::read(value).ok_or(BadUrl::SslMode)?),
            None => others.push(parameter),
        }
    }
    if !address.starts_with("postgres://") && !address.starts_with("postgresql://") {
        return Err(BadUrl::Malformed);
    }
    let config = format!("{address}?{}", others.join("&")).parse().map_err(|_| BadUrl::Malformed)?;
    Ok((config, mode))
}

impl Target {
    /// A server that is told `application` as the name of the program. Without a time of its own in
    /// `config`, connecting takes 10 seconds at the most.
    pub fn new(mut config: Config, tls: Option<TlsMode>, application: &str) -> Self {
        config.application_name(application).keepalives_idle(Duration::from_secs(30));
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        Self { name: name_of(&config), config, tls }
    }

    /// `host:port/database`, for messages; of several hosts all.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is demanded of TLS, where the environment demands nothing.
    pub fn tls(&self) -> TlsMode {
        self.tls.unwrap_or(TlsMode::Prefer)
    }

    /// What the client library is told.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

fn name_of(config: &Config) -> String {
    let host = |host: &Host| match host {
        Host::Tcp(host) => host.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    };
    let mut hosts: Vec<String> = config.get_hosts().iter().map(host).collect();
    if hosts.is_empty() {
        hosts.extend(config.get_hostaddrs().iter().map(ToString::to_string));
    }
    if hosts.is_empty() {
        hosts.push("localhost".to_owned());
    }
    // One port is that of all hosts.
    let ports = config.get_ports();
    let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
    let servers: Vec<String> = hosts.iter().enumerate().map(|(at, host)| format!("{host}:{}", port(at))).collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("{}/{database}", servers.join(","))
}

/// How to connect to one server.
pub struct Connector {
    target: Target,
    tls: MakeRustlsConnect,
    patience: Patience,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// What the client library says.
    Failed(tokio_postgres::Error),
    /// The server accepts connections and does not answer.
    Silent,
}

impl ConnectError {
    /// What the client library says, if it was the one that failed.
    pub fn failure(&self) -> Option<&tokio_postgres::Error> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Silent => None,
        }
    }
}

impl Connector {
    /// For a target. What is trusted stands in `root_cert` (PEM), else it is what the system trusts. What the target
    /// leaves open is taken from the environment variables `PGPASSWORD`, `PGSSLMODE` and `PGSSLROOTCERT`.
    ///
    /// # Errors
    ///
    /// When certificates are to be verified and there is none to trust, or `PGSSLMODE` has no meaning here.
    pub fn new(target: Target, root_cert: Option<&Path>) -> Result<Self> {
        Self::in_environment(target, root_cert, &|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn in_environment(
        mut target: Target,
        root_cert: Option<&Path>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        if target.config.get_password().is_none() {
            variable("PGPASSWORD").map(|password| target.config.password(password));
        }
        if target.tls.is_none()
            && let Some(mode) = variable("PGSSLMODE")
        {
            let message = "the environment variable PGSSLMODE is none of disable, prefer, require, verify-ca and \
                           verify-full; change it, or set `ssl_mode` or the `sslmode` of the URL, which overrides it";
            let unknown = || Error::new(ErrorKind::Config, "set up TLS", message);
            target.tls = Some(TlsMode::read(&mode).ok_or_else(unknown)?);
        }
        let tls = target.tls();
        target.config.ssl_mode(match tls {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
        });
        let from_environment = variable("PGSSLROOTCERT").filter(|file| file != "system").map(PathBuf::from);
        let root_cert = root_cert.or(from_environment.as_deref());
        Ok(Self { tls: tls::connector(tls, root_cert)?, target, patience: PATIENCE })
    }

    #[cfg(test)]
    pub(crate) fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// `host:port/database`, for messages.
    pub fn server(&self) -> &str {
        self.target.name()
    }

    /// Connects. The connection is kept going by a task of its own until the client is dropped, or until the server
    /// gives no sign of life any more, neither on this connection nor on a new one.
    pub async fn connect(&self) -> Result<Client, ConnectError> {
        self.connect_with(&self.target.config).await
    }

    /// Connects and gives the session settings, such as `cdm.session`, as it starts. A pooler refuses that, or does not
    /// pass it on.
    pub async fn connect_with_settings(&self, settings: &[(&str, String)]) -> Result<Client, ConnectError> {
        let mut config = self.target.config.clone();
        let mut options = config.get_options().unwrap_or_default().to_owned();
        for (name, value) in settings {
            // Writing to a String cannot fail.
            let _ = write!(options, " -c {name}={}", escaped(value));
        }
        config.options(options.trim_start());
        self.connect_with(&config).await
    }

    async fn connect_with(&self, config: &Config) -> Result<Client, ConnectError> {
        // The library's own limit is on the connections of a socket, one for each address, and not on the answer.
        let addresses = u32::try_from(config.get_hosts().len().max(1)).unwrap_or(u32::MAX);
        let limit = config.get_connect_timeout().map_or(Duration::ZERO, |limit| limit.saturating_mul(addresses));
        let connecting = tokio::time::timeout(limit.max(self.patience.answer), config.connect(self.tls.clone()));
        let (client, connection) = connecting.await.map_err(|_| ConnectError::Silent)?.map_err(ConnectError::Failed)?;
        let (config, tls) = (config.clone(), self.tls.clone());
        let probe = move || {
            let (config, tls) = (config.clone(), tls.clone());
            // An error that the server reports is an answer as well: it may have no connection left.
            async move { config.connect(tls).await.err().is_none_or(|error| error.as_db_error().is_some()) }
        };
        keep_going(self.target.name.clone(), connection, self.patience, probe);
        Ok(client)
    }
}

/// A value as it stands among options, which spaces part.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if character == '\\' || character.is_ascii_whitespace() || character == '\u{b}' {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_keeps_its_spaces_and_backslashes() {
        assert_eq!(escaped("2000"), "2000");
        assert_eq!(escaped(r"the owner\s"), r"the\ owner\\s");
    }

    #[test]
    fn a_url_names_a_server_and_what_is_demanded_of_it() {
        let url = "postgres://ada:s3cret@db.example/work?sslmode=verify-full&connect_timeout=3";
        let (config, tls) = read_url(url).unwrap();
        let target = Target::new(config, tls, "test");
        assert_eq!((target.name(), target.tls()), ("db.example:5432/work", TlsMode::VerifyFull));
        assert_eq!(target.config().get_connect_timeout(), Some(&Duration::from_secs(3)));
        let (config, tls) = read_url("postgresql://ada@db:5433").unwrap();
        assert_eq!((Target::new(config, None, "test").name(), tls), ("db:5433/ada", None));
    }

    #[test]
    fn every_host_of_a_url_is_named() {
        let name = |url: &str| Target::new(read_url(url).unwrap().0, None, "test").name().to_owned();
        assert_eq!(name("postgres://ada@one:5433,two:5434/work"), "one:5433,two:5434/work");
        assert_eq!(name("postgres://ada@one,two/work?target_session_attrs=read-write"), "one:5432,two:5432/work");
    }

    #[test]
    fn what_a_url_leaves_open_is_taken_from_the_environment() {
        let connector = |url: &str, variables: &[(&str, &str)]| {
            let (config, tls) = read_url(url).unwrap();
            let find =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            Connector::in_environment(Target::new(config, tls, "test"), None, &find)
        };
        let told = |url: &str, variables: &[(&str, &str)]| {
            let target = connector(url, variables).unwrap().target;
            (target.tls(), target.config.get_password().map(|password| String::from_utf8_lossy(password).into_owned()))
        };
        let variables = [("PGPASSWORD", "s3cret"), ("PGSSLMODE", "require")];
        assert_eq!(told("postgres://ada@db", &variables), (TlsMode::Require, Some("s3cret".to_owned())));
        assert_eq!(
            told("postgres://ada:own@db?sslmode=disable", &variables),
            (TlsMode::Disable, Some("own".to_owned()))
        );
        assert_eq!(told("postgres://ada@db", &[]), (TlsMode::Prefer, None));
        let error = connector("postgres://ada@db", &[("PGSSLMODE", "allow")]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        let missing = [("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", "/none.pem")];
        assert!(connector("postgres://ada@db", &missing).err().unwrap().to_string().contains("/none.pem"));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        let problem = |url: &str| read_url(url).unwrap_err();
        assert_eq!(problem("postgres://ada@db/work?sslmode=allow"), BadUrl::SslMode);
        for url in
            ["host=db user=ada", "postgres://ada:x@db:port/work", "postgres://ada@db/work?unknown=1", "mysql://db"]
        {
            assert_eq!(problem(url), BadUrl::Malformed, "{url}");
        }
    }
}
