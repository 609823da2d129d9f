//! The steps that make a catalog's tables, and whether they have been taken.
//!
//! The steps, their order and their history are refinery's. Its runner is given a connection that is
//! inside a transaction of ours: the steps of one opening are taken together or not at all, by one
//! process at a time, and a history that is damaged is an error.

use std::fmt;

use endpoint_api::{Error, ErrorKind, Result, Retry};
use refinery_core::{Migration, Runner, SchemaVersion, error::Kind};
use time::OffsetDateTime;

const OPERATION: &str = "open the catalog";

/// The steps of the SQLite store.
pub(crate) fn sqlite() -> Result<Runner> {
    let steps = [
        ("V1__catalog", include_str!("../migrations/sqlite/V1__catalog.sql")),
        ("V2__versions", include_str!("../migrations/sqlite/V2__versions.sql")),
        ("V3__outbox", include_str!("../migrations/sqlite/V3__outbox.sql")),
        ("V4__mentions", include_str!("../migrations/sqlite/V4__mentions.sql")),
        ("V5__run_holder", include_str!("../migrations/sqlite/V5__run_holder.sql")),
        ("V6__error_texts", include_str!("../migrations/sqlite/V6__error_texts.sql")),
    ];
    runner("migration", &steps)
}

/// The steps of the PostgreSQL store.
pub(crate) fn postgres() -> Result<Runner> {
    let steps = [
        ("V1__catalog", include_str!("../migrations/postgres/V1__catalog.sql")),
        ("V2__versions", include_str!("../migrations/postgres/V2__versions.sql")),
        ("V3__outbox", include_str!("../migrations/postgres/V3__outbox.sql")),
        ("V4__mentions", include_str!("../migrations/postgres/V4__mentions.sql")),
        ("V5__run_holder", include_str!("../migrations/postgres/V5__run_holder.sql")),
        ("V6__error_texts", include_str!("../migrations/postgres/V6__error_texts.sql")),
    ];
    runner("cdm_metadata.migration", &steps)
}

fn runner(history: &str, steps: &[(&str, &str)]) -> Result<Runner> {
    let migrations = steps.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect::<Result<Vec<_>, _>>();
    let migrations = migrations.map_err(|error| {
        Error::new(ErrorKind::Internal, OPERATION, "a step of the catalog has no valid name").caused_by(error)
    })?;
    let mut runner = Runner::new(&migrations);
    runner.set_migration_table_name(history);
    Ok(runner)
}

/// Whether all steps have been taken, when `last` is the last one in the history.
///
/// # Errors
///
/// When there are steps that this program does not know.
pub(crate) fn up_to_date(runner: &Runner, last: Option<&Migration>) -> Result<bool> {
    let known = runner.get_migrations().iter().map(Migration::version).max().unwrap_or_default();
    match last.map(Migration::version) {
        Some(version) if version > known => Err(newer(version, known)),
        Some(version) => Ok(version == known),
        None => Ok(false),
    }
}

fn newer(found: SchemaVersion, known: SchemaVersion) -> Error {
    let message = format!(
        "the catalog was made by a newer version of this program: its layout is {found}, and this version knows \
         layouts up to {known}; use the newer version"
    );
    Error::new(ErrorKind::Outdated, OPERATION, message).with_retry(Retry::AfterOperator)
}

/// A step as it stands in the history.
///
/// # Errors
///
/// When the checksum is none.
pub(crate) fn taken(version: SchemaVersion, name: String, checksum: &str) -> Result<Migration> {
    let checksum = checksum.parse().map_err(|error| {
        let message = "the history of the catalog's layout is damaged; restore the catalog from a backup";
        Error::new(ErrorKind::Data, OPERATION, message).with("layout", version).caused_by(error)
    })?;
    // When a step was taken is told to people, and decides nothing.
    Ok(Migration::applied(version, name, OffsetDateTime::UNIX_EPOCH, checksum))
}

/// What refinery is told when a statement fails. Why it did is kept beside the connection.
#[derive(Debug)]
pub(crate) struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a statement failed")
    }
}

impl std::error::Error for Failed {}

/// Keeps why a statement failed in `failure`, for [`explain`].
pub(crate) fn keep<T>(failure: &mut Option<Error>, result: Result<T>) -> Result<T, Failed> {
    result.map_err(|error| {
        *failure = Some(error);
        Failed
    })
}

/// Why the steps could not be taken.
pub(crate) fn explain(runner: &Runner, error: refinery_core::Error, failure: Option<Error>) -> Error {
    if let Some(failure) = failure {
        return failure;
    }
    match error.kind() {
        Kind::MissingVersion(found) => match up_to_date(runner, Some(found)) {
            Err(newer) => newer,
            Ok(_) => differs().caused_by(error),
        },
        Kind::DivergentVersion(..) => differs().caused_by(error),
        _ => Error::new(ErrorKind::Internal, OPERATION, "the catalog's layout cannot be made").caused_by(error),
    }
}

fn differs() -> Error {
    let message = "the catalog's layout is not one that a release of this program has made; \
                   open it with the version that made it, or begin a new catalog";
    Error::new(ErrorKind::Data, OPERATION, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_that_is_newer_than_the_program_is_told_with_both_numbers() {
        let runner = sqlite().unwrap();
        let [first, .., last] = &runner.get_migrations()[..] else { panic!() };
        assert!(!up_to_date(&runner, None).unwrap());
        assert!(!up_to_date(&runner, Some(first)).unwrap());
        assert!(up_to_date(&runner, Some(last)).unwrap());
        let error = up_to_date(&runner, Some(&taken(99, "later".into(), "1").unwrap())).unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Outdated, Retry::AfterOperator));
        assert_eq!(
            error.to_string(),
            "the catalog was made by a newer version of this program: its layout is 99, and this version knows layouts \
             up to 6; use the newer version"
        );
    }

    #[test]
    fn a_damaged_history_is_an_error() {
        assert_eq!(taken(1, "catalog".into(), "many").unwrap_err().kind(), ErrorKind::Data);
    }
}
