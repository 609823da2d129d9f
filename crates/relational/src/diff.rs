use std::fmt::Write as _;

use endpoint_api::{Change, Error, ErrorKind, Result};

use crate::{Column, ColumnType, Identifier, Index, Table, View};

/// A table as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActualTable {
    /// Its columns.
    pub columns: Vec<ActualColumn>,
    /// The columns of the primary key; empty when there is none.
    pub primary_key: Vec<String>,
    /// The indexes beside the primary key.
    pub indexes: Vec<ActualIndex>,
    /// Its comment.
    pub comment: Option<String>,
}

/// A column as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActualColumn {
    /// Its name.
    pub name: String,
    /// Its type, in the words of the database.
    pub sql_type: String,
    /// Whether a row may go without a value.
    pub nullable: bool,
    /// Whether the database fills it where a statement does not.
    pub has_default: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// An index as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActualIndex {
    /// Its name.
    pub name: String,
    /// The one column of a plain index that can be used; `None` for any other kind of index.
    pub plain_column: Option<String>,
}

/// How a database writes what a plan does.
pub trait Dialect {
    /// The type of a column, in the words in which the database shows it.
    fn column_type(&self, column_type: ColumnType) -> &'static str;

    /// A table's name as people see it.
    fn shown(&self, table: &Identifier) -> String;

    /// The statement that makes a table, without its indexes and comments.
    fn create_table(&self, table: &Table) -> String;

    /// The statement that adds a column that may be null.
    fn add_column(&self, table: &Identifier, column: &Column) -> String;

    /// The statement that makes an index.
    fn create_index(&self, table: &Identifier, index: &Index) -> String;

    /// The statements that make a view, with its comment where the database has one.
    fn create_view(&self, view: &View) -> String;

    /// The statements that add columns at the end of a view.
    fn extend_view(&self, view: &View) -> String;

    /// The statement that sets a table's or a column's comment; `None` where the database has none.
    fn comment(&self, table: &Identifier, column: Option<&str>, comment: &str) -> Option<String>;
}

/// What has to be done to make of a table as it is (`None` when there is none) the table as it
/// should be: missing columns that may be null, indexes and comments are added; what is there and
/// belongs to somebody else stays.
///
/// # Errors
///
/// [`ErrorKind::Conflict`] when the table differs in a way that adding cannot mend. It names every
/// difference and the way out.
pub fn changes(
    table: &Table,
    actual: Option<&ActualTable>,
    reason: &str,
    dialect: &dyn Dialect,
) -> Result<Vec<Change>> {
    let object = dialect.shown(&table.name);
    let mut changes = Vec::new();
    let mut add = |action, object: String, reason: String, sql| {
        changes.push(Change { action, object, reason, sql: Some(sql) });
    };
    match actual {
        None => add("create table", object.clone(), reason.to_owned(), dialect.create_table(table)),
        Some(actual) => {
            refuse_drift(table, actual, dialect)?;
            for column in table.columns.iter().filter(|column| actual.column(&column.name).is_none()) {
                let sql = dialect.add_column(&table.name, column);
                add("add column", format!("{object}.{}", column.name), format!("{reason}; the column is new"), sql);
            }
        }
    }
    for index in &table.indexes {
        if actual.is_none_or(|actual| !actual.has_index_on(&index.column)) {
            let sql = dialect.create_index(&table.name, index);
            add("create index", index.name.as_str().to_owned(), format!("people look up `{}`", index.column), sql);
        }
    }
    let comments = comments(table, actual, dialect);
    if !comments.is_empty() {
        let reason = format!("people read {} comments in the database", comments.len());
        add("describe", object, reason, comments.join(";\n"));
    }
    Ok(changes)
}

/// The statements that set the comments which are missing or say something else.
fn comments(table: &Table, actual: Option<&ActualTable>, dialect: &dyn Dialect) -> Vec<String> {
    let of_table = (None, &table.comment, actual.and_then(|actual| actual.comment.as_deref()));
    let of_columns = table.columns.iter().map(|column| {
        let found = actual.and_then(|actual| actual.column(&column.name)).and_then(|found| found.comment.as_deref());
        (Some(column.name.as_str()), &column.comment, found)
    });
    std::iter::once(of_table)
        .chain(of_columns)
        .filter(|(_, wanted, found)| !wanted.is_empty() && *found != Some(wanted.as_str()))
        .filter_map(|(column, wanted, _)| dialect.comment(&table.name, column, wanted))
        .collect()
}

impl ActualTable {
    fn column(&self, name: &str) -> Option<&ActualColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    fn has_index_on(&self, column: &str) -> bool {
        self.indexes.iter().any(|index| index.plain_column.as_deref() == Some(column))
    }
}

fn refuse_drift(table: &Table, actual: &ActualTable, dialect: &dyn Dialect) -> Result<()> {
    let mut drift = Vec::new();
    for column in &table.columns {
        let wanted = dialect.column_type(column.column_type);
        match actual.column(&column.name) {
            Some(found) if found.sql_type != wanted => {
                drift.push(format!("column `{}` is {}, not {wanted}", column.name, found.sql_type));
            }
            Some(found) if !found.nullable && column.nullable => {
                drift.push(format!("column `{}` refuses null", column.name));
            }
            Some(found) if found.nullable && !column.nullable => {
                drift.push(format!("column `{}` allows null", column.name));
            }
            None if !column.nullable => drift.push(format!("column `{}` ({wanted}, not null) is missing", column.name)),
            _ => {}
        }
    }
    for foreign in actual.columns.iter().filter(|column| table.column(&column.name).is_none()) {
        if !foreign.nullable && !foreign.has_default {
            drift.push(format!("column `{}`, which is not the model's, refuses null and has no default", foreign.name));
        }
    }
    if actual.primary_key != table.primary_key {
        let found = if actual.primary_key.is_empty() { "missing".into() } else { actual.primary_key.join(", ") };
        drift.push(format!("the primary key is {found}, not {}", table.primary_key.join(", ")));
    }
    for index in &table.indexes {
        let taken = actual.indexes.iter().find(|found| found.name == index.name.as_str());
        if taken.is_some_and(|found| found.plain_column.as_deref() != Some(&index.column)) {
            drift.push(format!("index `{}` is no usable index on `{}` alone", index.name.as_str(), index.column));
        }
    }
    if drift.is_empty() {
        return Ok(());
    }
    let mut message = format!(
        "the table `{}` differs from its model in a way that cannot be mended by adding to it: ",
        dialect.shown(&table.name)
    );
    for (index, difference) in drift.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(message, "{}{difference}", if index == 0 { "" } else { "; " });
    }
    message.push_str(". Alter the table so that it fits, or choose another table prefix or schema for the sink");
    Err(Error::new(ErrorKind::Conflict, "plan", message))
}
