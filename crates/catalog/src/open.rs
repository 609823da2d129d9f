use std::path::Path;

use endpoint_api::{Error, ErrorKind, Result};
use refinery_core::Migration;

use crate::{
    Catalog, migrations,
    postgres::{self, Postgres},
    sql::SqlCatalog,
    sqlite::{Location, Sqlite},
};

const UNDERSTOOD: &str = "sqlite:PATH, sqlite::memory: and postgres://user:password@host:5432/database";

/// Opens the catalog at `url`, and makes it when it is not there. Any number of processes may open a
/// new catalog at the same moment.
///
/// - `sqlite:PATH` is one file, relative to `base_dir`; its folder must exist. Files beside it that end
///   with `-wal` and `-shm` are SQLite's own while the catalog is open.
/// - `sqlite::memory:` is a catalog that is gone when it is closed.
/// - `postgres://…` and `postgresql://…` are the schema `cdm_metadata` of a database. The schema is made
///   when the role may do so; the role can do without that right when it is there. `sslmode` is one of
///   libpq's: `disable`, `prefer` (the default: encrypted when the server can, with any certificate),
///   `require`, `verify-ca` and `verify-full`, which trust what the system or `SSL_CERT_FILE` trusts.
///
/// # Errors
///
/// [`ErrorKind::Config`] when the URL is none of these or names something that is no catalog,
/// [`ErrorKind::Outdated`] when the catalog is newer than this program, and then nothing in it is
/// touched; else as [`Catalog`] says. No error shows the URL or a part of it that may hold a password.
pub async fn open(url: &str, base_dir: &Path) -> Result<Box<dyn Catalog>> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Box::new(SqlCatalog(Postgres::open(postgres::connector(url)?).await?)));
    }
    let Some(path) = url.strip_prefix("sqlite:") else {
        return Err(wrong(format!("the metadata URL has an unknown scheme; understood are {UNDERSTOOD}")));
    };
    Ok(Box::new(SqlCatalog(Sqlite::open(location(path, base_dir)?).await?)))
}

/// Whether there is a catalog at `url`; it is not made. Only of a SQLite file that can be told without opening it.
///
/// # Errors
///
/// [`ErrorKind::Config`] when the URL is none that [`open`] understands, or the file's folder does not exist.
pub fn is_to_be_made(url: &str, base_dir: &Path) -> Result<bool> {
    let Some(path) = url.strip_prefix("sqlite:") else { return Ok(false) };
    let Location::File(path) = location(path, base_dir)? else { return Ok(false) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(wrong("the folder of the metadata file does not exist".to_owned()).with("file", path.display()));
    }
    Ok(!path.exists())
}

/// The version of the layout that an open catalog has.
///
/// # Errors
///
/// [`ErrorKind::Internal`] when the program is built wrong.
pub fn layout() -> Result<u64> {
    let known = migrations::sqlite()?.get_migrations().iter().map(Migration::version).max();
    Ok(known.and_then(|version| u64::try_from(version).ok()).unwrap_or_default())
}

fn location(path: &str, base_dir: &Path) -> Result<Location> {
    if path == ":memory:" {
        return Ok(Location::Memory);
    }
    if path.is_empty() {
        return Err(wrong(format!("the metadata URL names no file; understood are {UNDERSTOOD}")));
    }
    if path.contains(['?', '\0']) {
        return Err(wrong("the metadata URL of a SQLite file takes no parameters: it is sqlite:PATH".to_owned()));
    }
    if path.starts_with("//") && !path.starts_with("///") {
        let message = "the metadata URL of a SQLite file has no host: it is sqlite:PATH, without `//`";
        return Err(wrong(message.to_owned()));
    }
    Ok(Location::File(base_dir.join(path)))
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Config, "read the metadata URL", message)
}
