use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Error;

/// The folder of PostgreSQL's server programs.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

/// Folders that hold one folder a version, with `bin` in it.
const VERSIONED: &[&str] = &[
    "/usr/lib/postgresql",
    "/opt/homebrew/opt",
    "/usr/local/opt",
    "/home/linuxbrew/.linuxbrew/opt",
    "/Applications/Postgres.app/Contents/Versions",
];

impl Programs {
    /// Finds the programs: in the folder that `CDM_POSTGRES_BIN` names, else on the `PATH`, else
    /// where Debian, Homebrew and Postgres.app put them, the newest version first.
    pub fn find() -> Result<Self, Error> {
        let complete = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("postgres").is_file();
        if let Some(folder) = env::var_os("CDM_POSTGRES_BIN") {
            let folder = PathBuf::from(folder);
            return if complete(&folder) { Ok(Self { folder }) } else { Err(Error::NoPrograms) };
        }
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .chain(configured())
            .chain(VERSIONED.iter().flat_map(|root| versions(Path::new(root))))
            .find(complete)
            .map(|folder| Self { folder })
            .ok_or(Error::NoPrograms)
    }

    /// The command line client: of the server's version where that has one beside it, else the one on the
    /// `PATH`.
    pub fn psql(&self) -> Command {
        let real = fs::canonicalize(self.path("postgres")).ok();
        let folders = [Some(self.folder.as_path()), real.as_deref().and_then(Path::parent)];
        let beside = folders.into_iter().flatten().map(|folder| folder.join("psql")).find(|psql| psql.is_file());
        Command::new(beside.unwrap_or_else(|| "psql".into()))
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        Command::new(self.path(program))
    }

    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }
}

/// Where `pg_config`, if it is there, says that the programs are.
fn configured() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// The `bin` folders below `root`, the newest version first.
fn versions(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version =
                name.trim_start_matches("postgresql@").parse().or((name == "postgresql").then_some(0).ok_or(()));
            Some((version.ok()?, entry.path().join("bin")))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, folder)| folder).collect()
}
