use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::export;
use crate::failure::Failure;

/// Says that a folder is a demonstration's and may be made anew.
const MARKER: &str = ".cdm-demo";

/// The file of the server's URL, which holds its password.
const SECRET: &str = "warehouse.url";

/// The folder of a demonstration.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder with a sample export. One that a demonstration left is made anew; any other that
    /// is not empty is left alone.
    pub(super) fn prepare(path: &Path) -> Result<Self, Failure> {
        let folder = Self { path: path.to_owned() };
        let is_ours = path.join(MARKER).is_file();
        let is_taken = !is_ours && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if is_taken {
            let message = format!("{} holds something else; name another folder with --dir", folder.shown());
            return Err(Failure::usage(message));
        }
        let make = || -> io::Result<()> {
            if is_ours {
                fs::remove_dir_all(path)?;
            }
            fs::create_dir_all(path)?;
            fs::write(path.join(MARKER), "made by `cdm demo`, and made anew by the next one\n")?;
            export::write(&path.join("export"))
        };
        make().map_err(|error| folder.failed(&error))?;
        Ok(folder)
    }

    /// Writes the configuration and, beside it, the server's URL as a secret.
    pub(super) fn configure(&self, url: &str) -> Result<(), Failure> {
        let write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(self.secret())?.write_all(url.as_bytes())?;
            fs::write(self.config(), configuration())
        };
        write().map_err(|error| self.failed(&error))
    }

    pub(super) fn config(&self) -> PathBuf {
        self.path.join("cdm.toml")
    }

    pub(super) fn secret(&self) -> PathBuf {
        self.path.join(SECRET)
    }

    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::failed(format!("the folder {} cannot be written: {error}", self.shown()))
    }
}

/// Every unit in CDM mode, and issues in raw mode beside it.
fn configuration() -> String {
    let mut configuration = format!(
        "[metadata]\nurl = \"sqlite:cdm-metadata.db\"\n\n\
         [endpoints.acme_jira]\ndriver = \"jira.export\"\npath = \"./export\"\n\n\
         [endpoints.warehouse]\ndriver = \"cdm.postgres\"\nconnection_url = \"${{file:{SECRET}}}\"\n\n\
         [endpoints.lake]\ndriver = \"raw.files\"\npath = \"./raw\"\n"
    );
    let units = ["projects", "users", "issues", "comments", "worklogs"];
    let ingestions = units.map(|unit| (unit.to_owned(), unit, "warehouse", "cdm"));
    for (name, unit, sink, mode) in ingestions.into_iter().chain([("issues_raw".to_owned(), "issues", "lake", "raw")]) {
        configuration.push_str(&format!(
            "\n[ingest.{name}]\nsource = \"acme_jira\"\nunit = \"jira.{unit}\"\nsink = \"{sink}\"\nmode = \"{mode}\"\n"
        ));
    }
    configuration
}
