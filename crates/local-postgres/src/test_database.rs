use std::{
    env, process,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use tokio_postgres::Config;

use crate::{CLUSTER_VARIABLE, Cluster, Error, Options, Programs, Row, query::query};

/// A database for one test: empty, its own, and gone when the test is over.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    superuser: Config,
}

impl TestDatabase {
    /// Creates a database in the cluster for tests.
    ///
    /// # Panics
    ///
    /// When there is no cluster and none can be started: a test that needs a server fails without
    /// one, and says what to install.
    #[allow(clippy::panic, reason = "for tests, which must fail and not be skipped")]
    pub fn create() -> Self {
        Self::at(server_url().unwrap_or_else(|error| panic!("{error}")))
    }

    /// Creates a database in a cluster of the test's own, which it may restart.
    ///
    /// # Panics
    ///
    /// When it cannot be created.
    pub fn in_cluster(cluster: &Cluster) -> Self {
        Self::at(&cluster.url("postgres"))
    }

    #[allow(clippy::panic, reason = "for tests, which must fail and not be skipped")]
    fn at(server: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{}_{count}", process::id(), since_epoch.subsec_nanos());
        let superuser: Config = server.parse().unwrap_or_else(|_| panic!("the URL of the cluster cannot be read"));
        if let Err(error) = query(&superuser, &format!("create database {name}")) {
            panic!("cannot create a database for the test: {error}");
        }
        let url = match server.rsplit_once('/') {
            Some((cluster, _)) => format!("{cluster}/{name}"),
            None => panic!("{CLUSTER_VARIABLE} names no database"),
        };
        Self { name, url, superuser }
    }

    /// The database's URL, with the superuser and its password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rows of statements, asked as the superuser. Blocks.
    ///
    /// # Panics
    ///
    /// When they fail.
    #[allow(clippy::panic, reason = "for tests")]
    pub fn query(&self, statements: &str) -> Vec<Row> {
        query(&self.config(), statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// The rows of statements, asked as another role, or why it is refused. Blocks.
    pub fn query_as(&self, role: &str, password: &str, statements: &str) -> Result<Vec<Row>, Error> {
        let mut config = self.config();
        config.user(role).password(password);
        query(&config, statements)
    }

    /// How to connect to it as the superuser.
    pub fn config(&self) -> Config {
        let mut config = self.superuser.clone();
        config.dbname(&self.name);
        config
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // The cluster goes as a whole in the end; this only keeps it small until then.
        let _ = query(&self.superuser, &format!("drop database if exists {} with (force)", self.name));
    }
}

/// The URL of the cluster for tests: the one that is there, else one of this process.
fn server_url() -> Result<&'static str, &'static Error> {
    static URL: OnceLock<Result<(String, Option<Cluster>), Error>> = OnceLock::new();
    let server = URL.get_or_init(|| match env::var(CLUSTER_VARIABLE) {
        Ok(url) => Ok((url, None)),
        Err(_) => {
            let cluster = Cluster::start(&Programs::find()?, &Options::default())?;
            Ok((cluster.url("postgres"), Some(cluster)))
        }
    });
    server.as_ref().map(|(url, _)| url.as_str())
}
