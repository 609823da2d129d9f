use std::fs;

use endpoint_api::{CheckReport, Result};
use rusqlite::Connection;
use sqlite_client::Access;

use crate::database::{Database, During as _};

/// Looks whether the file can be used; changes nothing.
pub(crate) fn check(database: &Database) -> Result<CheckReport> {
    let mut report = CheckReport::new();
    report.server_version = Some(format!("SQLite {}", rusqlite::version()));
    let shown = database.shown();
    let connection = match database.open_if_there(Access::Write).and_then(|connection| {
        connection.map(|connection| look(&connection).map(|mode| (mode, connection))).transpose()
    }) {
        Ok(connection) => connection,
        Err(error) => {
            report.add("open", false, error.to_string());
            return Ok(report);
        }
    };
    match connection {
        None => {
            let folder = database.path().parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(std::path::Path::new("."));
            let may_write =
                fs::metadata(folder).is_ok_and(|folder| folder.is_dir() && !folder.permissions().readonly());
            let detail = match may_write {
                true => format!("{shown} is not there yet; provisioning makes it"),
                false => format!("{shown} is not there, and its folder is missing or read-only; make the folder"),
            };
            report.add("open", may_write, detail);
        }
        Some((mode, connection)) => {
            report.add("open", true, format!("opened {shown}"));
            let detail = if mode == "wal" {
                "readers and the writer do not wait for each other"
            } else {
                "provisioning turns the WAL mode on"
            };
            report.add("journal", true, format!("journal mode {mode}: {detail}"));
            // Takes the lock of the one writer, and gives it back.
            let writable = connection.execute_batch("begin immediate; rollback").during("check");
            let detail = match &writable {
                Ok(()) => "the file takes writes".to_owned(),
                Err(error) => error.to_string(),
            };
            report.add("writable", writable.is_ok(), detail);
        }
    }
    Ok(report)
}

fn look(connection: &Connection) -> Result<String> {
    connection
        .query_row("select 1 from sqlite_schema limit 1", [], |_| Ok(()))
        .or_else(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => Ok(()),
            error => Err(error),
        })
        .during("check")?;
    connection.query_row("pragma journal_mode", [], |row| row.get(0)).during("check")
}
