use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::{Sandbox, until};

/// A PgBouncer in transaction mode in front of the sandbox's server, with room for three sessions there.
pub struct Pooler {
    /// Holds the pipe at whose end the keeper takes the pooler down.
    keeper: Child,
    folder: TempDir,
    port: u16,
}

/// Runs the pooler until the pipe on standard input ends, which it does when the owner closes it or is no more.
const KEEPER: &str = r#"
exec 3<&0
"$@" >"$FOLDER/log" 2>&1 </dev/null 3<&- &
pooler=$!
( cat <&3 >/dev/null; kill -KILL "$pooler" ) 2>/dev/null &
exec 3<&-
wait "$pooler"
rm -rf "$FOLDER"
"#;

impl Pooler {
    /// Starts a pooler with further settings: `("server_lifetime", "1")`.
    pub fn before(sandbox: &Sandbox, settings: &[(&str, &str)]) -> Self {
        Self::to(sandbox.database_url(), settings)
    }

    /// As [`before`](Self::before), in front of a database at that URL, with its role.
    pub fn to(url: &str, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("cdm-pgbouncer-").tempdir().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let (user, server) = url.split_once("://").unwrap().1.rsplit_once('@').unwrap();
        let ((user, password), (place, database)) = (user.split_once(':').unwrap(), server.split_once('/').unwrap());
        let (host, server_port) = place.split_once(':').unwrap();
        let mut configuration = format!(
            "[databases]\n{database} = host={host} port={server_port} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 3\n"
        );
        for (name, value) in settings {
            configuration.push_str(&format!("{name} = {value}\n"));
        }
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, configuration).unwrap();
        let mut keeper = Command::new("/bin/sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(program()).arg(&file).env("FOLDER", folder.path());
        if folder.path().metadata().unwrap().uid() == 0 {
            keeper.args(["-u", unprivileged_user()]); // it refuses to run as root
        }
        let quiet = Stdio::null;
        let keeper = keeper.process_group(0).stdin(Stdio::piped()).stdout(quiet()).stderr(quiet()).spawn().unwrap();
        let mut pooler = Self { keeper, folder, port };
        until("the pooler answers", || {
            assert!(pooler.keeper.try_wait().unwrap().is_none(), "the pooler has ended: {}", pooler.log());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        pooler
    }

    /// The URL of the sandbox's database through the pooler.
    pub fn url(&self, sandbox: &Sandbox) -> String {
        let (user, server) = sandbox.database_url().rsplit_once('@').unwrap();
        let (_, database) = server.split_once('/').unwrap();
        format!("{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// The rows of a query through the pooler, each as its columns' texts, null as nothing.
    pub fn ask(&self, sandbox: &Sandbox, query: &str) -> Vec<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&self.url(sandbox), NoTls).await.unwrap();
            let connection = tokio::spawn(connection);
            let messages = client.simple_query(query).await.unwrap();
            drop(client);
            connection.await.unwrap().unwrap();
            let rows = messages.into_iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            });
            rows.map(|row| (0..row.len()).map(|column| row.get(column).unwrap_or_default().to_owned()).collect())
                .collect()
        })
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait(); // nothing can be done about it
    }
}

/// PgBouncer's program.
///
/// # Panics
///
/// When it is not installed: a test that needs it fails, and says what to install.
fn program() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders =
        env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"].map(PathBuf::from));
    let mut programs = folders.map(|folder| folder.join("pgbouncer"));
    programs.find(|program| program.is_file()).expect(
        "PgBouncer was not found. Install it, with `apt-get install pgbouncer` on Debian and Ubuntu or \
         `brew install pgbouncer` on a Mac",
    )
}

/// The user under whom servers run that refuse to run as root.
pub fn unprivileged_user() -> &'static str {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let is_there = |user: &&str| users.lines().any(|line| line.split(':').next() == Some(user));
    ["postgres", "nobody"].into_iter().find(is_there).expect("neither a user `postgres` nor `nobody`")
}
