//! Which texts of the server's may be shown.
//!
//! A function, a trigger or an expression of somebody's can put the value of a cell into the message of any code, and
//! into the names that go with it (`raise … using column = …`). The server also says which of its own functions made
//! the message (`routine`), and nothing that is written in SQL or PL/pgSQL can choose that. So a message is shown only
//! for the pairs of code and routine that stand here, whose messages hold names of objects and numbers, and only
//! outside of functions: within one, a statement can be made of a value.

use tokio_postgres::error::{DbError, ErrorPosition};

/// Codes and routines whose messages are the server's own and hold no value.
const MESSAGES: &[(&str, &str)] = &[
    // The server ends, waits or cancels.
    ("25P03", "ProcessInterrupts"),
    ("25P04", "ProcessInterrupts"),
    ("55P03", "ProcessInterrupts"),
    ("57014", "ProcessInterrupts"),
    ("57P01", "ProcessInterrupts"),
    ("57P05", "ProcessInterrupts"),
    ("40P01", "DeadLockReport"),
    ("25006", "PreventCommandIfReadOnly"),
    // Rights, by the name of the object.
    ("42501", "aclcheck_error"),
    ("42501", "aclcheck_error_col"),
    ("42501", "InitTempTableNamespace"),
    (ROW_SECURITY.0, ROW_SECURITY.1),
    // Objects that a statement of ours names.
    ("42P01", "parserOpenTable"),
    ("42703", "checkInsertTargets"),
    ("42703", "errorMissingColumn"),
    ("42703", "CopyGetAttnums"),
    ("42P07", "heap_create_with_catalog"),
    ("42P07", "index_create"),
    ("42P16", "checkViewTupleDesc"),
    ("42P16", "checkViewColumns"),
    ("2BP01", "reportDependentObjects"),
    // Files, by their names in the data folder.
    ("53100", "mdextend"),
    ("53100", "mdzeroextend"),
    ("53100", "mdwrite"),
    ("53100", "mdwritev"),
    ("53100", "FileFallocate"),
    ("53100", "BufFileDumpBuffer"),
    ("53100", "XLogWrite"),
    ("53100", "XLogFileInitInternal"),
    ("58030", "mdread"),
    ("58030", "mdreadv"),
    ("58P01", "mdopenfork"),
    ("XX001", "mdread"),
    ("XX001", "mdreadv"),
    ("XX001", "ReadBuffer_common"),
    ("XX001", "WaitReadBuffers"),
    ("XX001", "PageIsVerifiedExtended"),
];

/// A row that a policy of its table refuses: the code is that of a right that is missing.
pub(crate) const ROW_SECURITY: (&str, &str) = ("42501", "ExecWithCheckOptions");

/// Routines that say which table, column or constraint refuses a row, as it stands in the server's catalog.
const NAMING: &[&str] = &[
    "ExecConstraints",
    "ExecEvalConstraintCheck",
    "ExecEvalConstraintNotNull",
    "ExecFindPartition",
    "ExecPartitionCheckEmitError",
    "ReportNotNullViolationError",
    "_bt_check_unique",
    "check_exclusion_or_unique_constraint",
    "comparetup_index_btree",
    "comparetup_index_btree_tiebreak",
    "domain_check_input",
    "ri_ReportViolation",
];

/// Whether the message holds no value of a cell.
pub(crate) fn is_own_message(error: &DbError, connecting: bool) -> bool {
    // Where a session begins, there are no rows yet.
    let known = |routine: &str| MESSAGES.contains(&(error.code().code(), routine));
    is_outside_functions(error) && (connecting || error.routine().is_some_and(known))
}

/// Whether the names of the table, the column and the constraint are those of objects.
pub(crate) fn names_objects(error: &DbError) -> bool {
    error.routine().is_some_and(|routine| NAMING.contains(&routine))
}

/// Whether it was raised by no function that is written in a language of the database or runs a statement of its own
/// (`query_to_xml`). COPY says in which line it is.
fn is_outside_functions(error: &DbError) -> bool {
    let is_of_inner_statement = matches!(error.position(), Some(ErrorPosition::Internal { .. }));
    !is_of_inner_statement
        && error.where_().is_none_or(|context| context.starts_with("COPY ") && !context.contains('\n'))
}
