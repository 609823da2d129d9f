use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::export::{self, SITES};
use crate::failure::Failure;

/// Says that a folder is a demonstration's.
const MARKER: &str = ".cdm-demo";

/// The file of a server's URL, which holds its password.
const SECRET: &str = "warehouse.url";

/// The file of the tables.
const TABLES: &str = "work.db";

/// Where the tables go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Warehouse<'a> {
    /// Into a SQLite file in the folder, which stays.
    File,
    /// Onto a private server with this URL, which goes.
    Server(&'a str),
}

/// The folder of a demonstration.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder with a sample export, or takes it as a demonstration has left it. Any other that is not
    /// empty is left alone.
    pub(super) fn prepare(path: &Path) -> Result<Self, Failure> {
        let folder = Self { path: path.to_owned() };
        let is_ours = path.join(MARKER).is_file();
        let is_taken = !is_ours && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if is_taken {
            let message = format!("{} holds something else; name another folder with --dir", folder.shown());
            return Err(Failure::usage(message));
        }
        let make = || -> io::Result<()> {
            local_files::make_private_folder(path)?;
            local_files::replace(&path.join(MARKER), b"made by `cdm demo`, which goes on with what is here\n")?;
            SITES.into_iter().try_for_each(|site| export::write(site, &path.join(site.name)))
        };
        make().map_err(|error| folder.failed(&error))?;
        Ok(folder)
    }

    /// Writes the configuration, if there is none, and beside it a server's URL as a secret; says which file it
    /// is.
    pub(super) fn configure(&self, warehouse: Warehouse<'_>) -> Result<PathBuf, Failure> {
        let (config, metadata) = match warehouse {
            Warehouse::File => ("cdm.toml", "cdm-metadata.db"),
            Warehouse::Server(_) => ("cdm-postgres.toml", "cdm-metadata-postgres.db"),
        };
        let config = self.path.join(config);
        let write = || -> io::Result<()> {
            if let Warehouse::Server(url) = warehouse {
                // The server is a new one.
                remove(&self.path.join(metadata))?;
                remove(&self.path.join("raw-postgres"))?;
                remove(&self.secret())?;
                local_files::create_private(&self.secret())?.write_all(url.as_bytes())?;
            }
            if config.exists() {
                return Ok(());
            }
            local_files::replace(&config, configuration(warehouse, metadata).as_bytes())
        };
        write().map_err(|error| self.failed(&error))?;
        Ok(config)
    }

    pub(super) fn secret(&self) -> PathBuf {
        self.path.join(SECRET)
    }

    /// The file of the tables.
    pub(super) fn tables(&self) -> PathBuf {
        self.path.join(TABLES)
    }

    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::failed(format!("the folder {} cannot be written: {error}", self.shown()))
    }
}

const UNITS: [&str; 5] = ["projects", "users", "issues", "comments", "worklogs"];

/// The ingestions in CDM mode, by name.
pub(super) fn ingestions() -> Vec<String> {
    SITES.iter().flat_map(|site| UNITS.map(|unit| format!("{}_{unit}", site.name))).collect()
}

/// Removes a file or a folder, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    let done = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Every unit of both sites in CDM mode, and the issues of one in raw mode beside it.
fn configuration(warehouse: Warehouse<'_>, metadata: &str) -> String {
    let (sink, raw) = match warehouse {
        Warehouse::File => (format!("driver = \"cdm.sqlite\"\npath = \"./{TABLES}\""), "raw"),
        Warehouse::Server(_) => {
            (format!("driver = \"cdm.postgres\"\nconnection_url = \"${{file:{SECRET}}}\""), "raw-postgres")
        }
    };
    let mut text = format!("[metadata]\nurl = \"sqlite:{metadata}\"\n");
    for site in SITES.map(|site| site.name) {
        // The name of the system stands in the ids, so that the sites do not collide.
        let _ = write!(
            text,
            "\n[endpoints.{site}]\ndriver = \"jira.export\"\npath = \"./{site}\"\nsource_system = \"{site}\"\n"
        );
    }
    let _ = write!(
        text,
        "\n[endpoints.warehouse]\n{sink}\n\n[endpoints.lake]\ndriver = \"raw.files\"\npath = \"./{raw}\"\n"
    );
    let mut ingestion = |name: &str, site: &str, unit: &str, sink: &str, mode: &str| {
        let _ = write!(
            text,
            "\n[ingest.{name}]\nsource = \"{site}\"\nunit = \"jira.{unit}\"\nsink = \"{sink}\"\nmode = \"{mode}\"\n"
        );
    };
    for site in SITES.map(|site| site.name) {
        for unit in UNITS {
            ingestion(&format!("{site}_{unit}"), site, unit, "warehouse", "cdm");
        }
    }
    let [first, ..] = SITES.map(|site| site.name);
    ingestion(&format!("{first}_issues_raw"), first, "issues", "lake", "raw");
    text
}
