use std::{
    fs,
    io::{self, Read as _},
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Error, Programs, error::io as failed};
#[cfg(feature = "query")]
use crate::{Row, query::query};

/// How long a cluster may take to be made and to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a cluster is to be like.
#[derive(Debug, Clone, Default)]
pub struct Options {
    settings: Vec<(String, String)>,
    files: Vec<(String, Vec<u8>)>,
    initdb: Vec<String>,
}

impl Options {
    /// Sets a server setting: `("max_connections", "200")`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Passes an argument to `initdb`: `--data-checksums`.
    #[must_use]
    pub fn initdb(mut self, argument: &str) -> Self {
        self.initdb.push(argument.to_owned());
        self
    }

    /// Puts a file into the data folder, readable by the server only: a certificate, a key.
    #[must_use]
    pub fn file(mut self, name: &str, contents: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), contents.into()));
        self
    }
}

/// A running cluster. Dropping it stops the server and removes its files.
#[derive(Debug)]
pub struct Cluster {
    /// Holds the pipe at whose end the keeper takes the server down.
    keeper: Child,
    programs: Programs,
    user: Option<User>,
    folder: PathBuf,
    port: u16,
    password: String,
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Transactions are rolled back and connections ended; nothing is left to recover.
    Fast,
    /// As in a crash: the server recovers when it starts again.
    Immediate,
}

impl Shutdown {
    const fn mode(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Immediate => "immediate",
        }
    }
}

/// Runs the server until the pipe on standard input ends, which it does when the owner closes it or
/// is no more. Then nothing of the cluster stays. A server that ends before is started again as long
/// as there is the file `again`.
///
/// A server that somebody has stopped (SIGSTOP) is continued, so that it can end. When the owner of a stopped server
/// dies, the kernel sends SIGHUP to the keeper: it must survive that.
const KEEPER: &str = r#"
over=
trap '' HUP
trap 'over=1; kill -QUIT "$server" 2>/dev/null; kill -CONT "$server" 2>/dev/null' USR1
exec 3<&0
( cat <&3 >/dev/null; kill -USR1 $$ ) 2>/dev/null &
exec 3<&-
while :; do
  "$1" -D "$2/data" >>"$2/log" 2>&1 </dev/null &
  server=$!
  [ -z "$over" ] || kill -QUIT "$server"
  while kill -0 "$server" 2>/dev/null; do wait "$server"; done
  [ -z "$over" ] && [ -e "$2/again" ] || break
  sleep 0.05
done
rm -rf "$2"
"#;

impl Cluster {
    /// Makes a cluster and starts it. Its superuser is `postgres`.
    ///
    /// PostgreSQL refuses to run as root: root starts it as the user `postgres` or, where there is
    /// none, as `nobody`.
    pub fn start(programs: &Programs, options: &Options) -> Result<Self, Error> {
        let user = if is_root() { Some(unprivileged_user()?) } else { None };
        let folder = tempfile::Builder::new()
            .prefix("cdm-postgres-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(failed("make a folder for the cluster"))?
            .keep();
        let made = make(programs, options, &folder, user).and_then(|password| {
            // Between looking for a free port and using it, another program may take it.
            let mut last = None;
            for _ in 0..5 {
                match run(programs, &folder, user, &password) {
                    Ok(cluster) => return Ok(cluster),
                    Err(error) => last = Some(error),
                }
            }
            Err(last.unwrap_or(Error::NoPrograms))
        });
        if made.is_err() {
            let _ = fs::remove_dir_all(&folder); // the error tells more than that this failed, too
        }
        made
    }

    /// Stops the server and starts it again on the same port. Blocks until it answers.
    pub fn restart(&self, shutdown: Shutdown) -> Result<(), Error> {
        let before = self.postmaster().map(|(process, _)| process);
        let again = self.folder.join("again");
        fs::write(&again, "").map_err(failed("tell that the server is to be started again"))?;
        let mut stop = self.programs.command("pg_ctl");
        stop.args(["stop", "--silent", "--no-wait", "--mode", shutdown.mode(), "--pgdata"]).arg(self.data_folder());
        become_user(stop.current_dir("/"), self.user);
        let stopped = stop.output().map_err(failed("run pg_ctl"))?;
        if !stopped.status.success() {
            let output = String::from_utf8_lossy(&stopped.stderr).into_owned();
            return Err(Error::Server { doing: "stop the server", output });
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.postmaster().is_some_and(|(process, is_ready)| is_ready && Some(process) != before) {
            if Instant::now() > deadline {
                let output = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(Error::Server { doing: "start the server again", output });
            }
            thread::sleep(Duration::from_millis(10));
        }
        fs::remove_file(&again).map_err(failed("tell that the server has been started again"))
    }

    /// The server's first process, and whether it is ready for connections.
    fn postmaster(&self) -> Option<(u32, bool)> {
        let status = fs::read_to_string(self.data_folder().join("postmaster.pid")).ok()?;
        // The eighth line of the file is the server's state, padded with blanks.
        let is_ready = status.lines().nth(7).is_some_and(|state| state.trim() == "ready");
        Some((status.lines().next()?.trim().parse().ok()?, is_ready))
    }

    /// The URL of a database of the cluster, password included.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The rows of statements in a database, asked as the superuser. Blocks.
    #[cfg(feature = "query")]
    pub fn query(&self, database: &str, statements: &str) -> Result<Vec<Row>, Error> {
        let config = self.url(database).parse().map_err(|_| Error::Query("the URL cannot be read".to_owned()))?;
        query(&config, statements)
    }

    /// The folder of the server's data, for those who look into its files.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait(); // nothing can be done about it, and the keeper goes on alone
    }
}

/// Runs `initdb` and writes the configuration; says the superuser's password.
fn make(programs: &Programs, options: &Options, folder: &Path, user: Option<User>) -> Result<String, Error> {
    let password = random_password()?;
    let password_file = folder.join("password");
    fs::write(&password_file, &password).map_err(failed("write the password file"))?;
    own(&password_file, user)?;
    own(folder, user)?;
    let data = folder.join("data");
    let mut initdb = programs.command("initdb");
    initdb
        .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .args(&options.initdb)
        .arg("--pwfile")
        .arg(&password_file)
        .arg("--pgdata")
        .arg(&data)
        .current_dir("/");
    become_user(&mut initdb, user);
    let output = initdb.output().map_err(failed("run initdb"))?;
    if !output.status.success() {
        return Err(Error::Server {
            doing: "make a cluster with initdb",
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    fs::remove_file(&password_file).map_err(failed("remove the password file"))?;
    for (name, contents) in &options.files {
        let file = data.join(name);
        fs::write(&file, contents).map_err(failed("write a file of the cluster"))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))
            .map_err(failed("protect a file of the cluster"))?;
        own(&file, user)?;
    }
    // What is thrown away in the end need not survive a power failure.
    let mut configuration = String::from(
        "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\nmax_connections = 200\n",
    );
    for (name, value) in &options.settings {
        configuration.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
    }
    let file = data.join("postgresql.auto.conf");
    fs::write(&file, configuration).map_err(failed("write the cluster's configuration"))?;
    own(&file, user)?;
    Ok(password)
}

/// Starts the server on a free port and waits until it answers.
fn run(programs: &Programs, folder: &Path, user: Option<User>, password: &str) -> Result<Cluster, Error> {
    let port = TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map_err(failed("find a free port"))?
        .port();
    let mut keeper = Command::new("/bin/sh");
    keeper
        .args(["-c", KEEPER, "keeper"])
        .arg(programs.path("postgres"))
        .arg(folder)
        .env("PGPORT", port.to_string())
        .current_dir("/")
        .process_group(0) // Ctrl-C is for the owner; the keeper ends after it
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    become_user(&mut keeper, user);
    let keeper = keeper.spawn().map_err(failed("start the server"))?;
    let (folder, password) = (folder.to_owned(), password.to_owned());
    let mut cluster = Cluster { keeper, programs: programs.clone(), user, folder, port, password };
    let log_file = cluster.folder.join("log");
    let mut log = String::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if cluster.postmaster().is_some_and(|(_, is_ready)| is_ready) {
            return Ok(cluster);
        }
        log = fs::read_to_string(&log_file).unwrap_or(log);
        let ended = cluster.keeper.try_wait().map_err(failed("look after the server"))?.is_some();
        if ended || Instant::now() > deadline {
            return Err(Error::Server { doing: "start the server", output: log });
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// 128 random bits.
fn random_password() -> Result<String, Error> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(failed("draw a random password"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A user of the system: id, group.
type User = (u32, u32);

fn is_root() -> bool {
    // The owner of a file that this process makes is the user that it runs as.
    tempfile::tempfile()
        .and_then(|file| file.metadata())
        .is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}

fn unprivileged_user() -> Result<User, Error> {
    let users = fs::read_to_string("/etc/passwd").map_err(failed("read the users of this machine"))?;
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|wanted| {
            users.lines().find_map(|line| {
                let mut columns = line.split(':');
                let (name, _password, id, group) = (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
                (name == wanted).then_some((id.parse().ok()?, group.parse().ok()?))
            })
        })
        .ok_or_else(|| Error::Io {
            doing: "start PostgreSQL as root, and there is neither a user `postgres` nor `nobody`",
            source: io::ErrorKind::NotFound.into(),
        })
}

fn own(path: &Path, user: Option<User>) -> Result<(), Error> {
    match user {
        Some((id, group)) => chown(path, Some(id), Some(group)).map_err(failed("hand a file over to the server")),
        None => Ok(()),
    }
}

fn become_user(command: &mut Command, user: Option<User>) {
    if let Some((id, group)) = user {
        command.uid(id).gid(group);
    }
}
