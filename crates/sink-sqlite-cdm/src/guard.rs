//! What the table itself has to say to rows that are written into it.

use endpoint_api::{Error, ErrorKind, Result};
use relational::{DROPPED, Identifier};
use rusqlite::{Connection, ErrorCode, ffi};
use sqlite_client::own_text;

use crate::database::During as _;

const OPERATION: &str = "merge rows";

/// Writes row by row, and sees to it that a row is stored as a whole or not at all, whatever the table's triggers do.
pub(crate) struct Guard<'c> {
    connection: &'c Connection,
    has_triggers: bool,
}

impl<'c> Guard<'c> {
    /// Within a write transaction: until it ends nobody makes another trigger.
    pub(crate) fn new(connection: &'c Connection, table: &Identifier) -> Result<Self> {
        let statement = "select exists (select 1 from sqlite_schema \
                         where type = 'trigger' and tbl_name = ?1 collate nocase)";
        let has_triggers = connection.query_row(statement, [table.as_str()], |row| row.get(0)).during(OPERATION)?;
        Ok(Self { connection, has_triggers })
    }

    pub(crate) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Whether it may roll a row back, which ends what reads meanwhile.
    pub(crate) fn rolls_rows_back(&self) -> bool {
        self.has_triggers
    }

    /// Writes a row with `write`, which says why the table refuses it, if it does. Where there are triggers, `is_kept`
    /// says whether it is there afterwards, and a row that is refused leaves nothing of what they did.
    pub(crate) fn write(
        &self,
        write: impl FnOnce() -> Result<Option<String>>,
        is_kept: impl FnOnce() -> Result<bool>,
    ) -> Result<Option<String>> {
        if !self.has_triggers {
            return write();
        }
        let run = |statement: &str| self.connection.execute_batch(statement).during(OPERATION);
        run("savepoint _cdm_row")?;
        let refused = write()?;
        if self.connection.is_autocommit() {
            let message = "a trigger of the table rolls the whole load back; let it use raise(abort, …) and not \
                           raise(rollback, …), so that the row alone is rejected";
            return Err(Error::new(ErrorKind::Data, OPERATION, message));
        }
        let refused = match refused {
            None if !is_kept()? => Some(DROPPED.to_owned()),
            refused => refused,
        };
        run(if refused.is_some() { "rollback to _cdm_row; release _cdm_row" } else { "release _cdm_row" })?;
        Ok(refused)
    }
}

/// Why a table refuses a row, without a value of it; `None` for any other failure. The words of a trigger, and of a
/// function that it calls, may show one.
pub(crate) fn refusal(error: &rusqlite::Error) -> Option<String> {
    let rusqlite::Error::SqliteFailure(failure, _) = error else { return None };
    let what = match failure.code {
        ErrorCode::TooBig => "the row is larger than SQLite takes",
        ErrorCode::ConstraintViolation => match failure.extended_code {
            ffi::SQLITE_CONSTRAINT_TRIGGER => "a trigger of the table refuses the row",
            ffi::SQLITE_CONSTRAINT_CHECK => "the row breaks a rule of the table",
            _ => return Some(own_text(error)),
        },
        ErrorCode::TypeMismatch => "the row breaks a rule of the table",
        // The statement itself could be prepared: what fails is what it evaluates for this row.
        _ if failure.extended_code == ffi::SQLITE_ERROR => "a trigger or an expression of the table fails for the row",
        _ => return None,
    };
    Some(what.to_owned())
}
