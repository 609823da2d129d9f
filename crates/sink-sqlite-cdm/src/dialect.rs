use endpoint_api::{Execution, Stage, TableLock};
use relational::{
    ActualColumn, Column, ColumnType, Dialect, Flaw, Identifier, Index, Mending, Remedy, Statement, Table, View, repair,
};

use crate::database::PATIENCE;

/// How SQLite writes tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sqlite;

/// Before 3.43 `json_valid(null)` is false.
fn json_check(name: &Identifier) -> String {
    format!("check ({name} is null or json_valid({name}))")
}

/// What earlier versions wrote in its place: newer versions of SQLite take it for the same, and older ones report rows
/// that break it, and load no dump.
fn outdated_json_check(name: &Identifier) -> String {
    format!("check (json_valid({name}))")
}

/// That a table, as its statement stands in the file, has such conditions on columns.
pub(crate) fn outdated(table: &str, sql: &str, columns: &[ActualColumn]) -> Option<Flaw> {
    let names = columns.iter().map(|column| Identifier::derived(&column.name));
    let outdated: Vec<Identifier> = names.filter(|name| sql.contains(&outdated_json_check(name))).collect();
    if outdated.is_empty() {
        return None;
    }
    let literal = |text: &str| text.replace('\'', "''");
    let mended = outdated.iter().fold("sql".to_owned(), |mended, name| {
        format!("replace({mended}, '{}', '{}')", literal(&outdated_json_check(name)), literal(&json_check(name)))
    });
    // No row is written: the condition is the same for this version. The last two statements tell other connections.
    let sql = format!(
        "pragma writable_schema = on;\n\
         update sqlite_schema set sql = {mended} where type = 'table' and name = '{}';\n\
         pragma writable_schema = reset;\n\
         create table _cdm_schema_changed (x);\n\
         drop table _cdm_schema_changed",
        literal(table)
    );
    Some(Flaw {
        difference: "has conditions on JSON that SQLite before 3.43 takes for broken".to_owned(),
        mending: Mending::Provisioning { action: "renew conditions", statement: statement(sql, false) },
    })
}

fn column(column: &Column) -> String {
    let name = column.identifier();
    let checked = match column.column_type {
        ColumnType::Bool => format!(" check ({name} in (0, 1))"),
        ColumnType::Json | ColumnType::RawJson | ColumnType::TextList => format!(" {}", json_check(&name)),
        _ => String::new(),
    };
    let required = if column.nullable { "" } else { " not null" };
    format!("{name} {}{required}{checked}", Sqlite.column_type(column.column_type))
}

/// A statement of the one transaction, which nobody else writes beside; who reads goes on.
fn statement(sql: String, scans_table: bool) -> Statement {
    let execution = Execution {
        stage: Stage::Transaction,
        lock: Some(TableLock { mode: "write".into(), on: "the file".to_owned() }),
        scans_table,
        rewrites_table: false,
        lock_timeout_ms: u64::try_from(PATIENCE.as_millis()).ok(),
        statement_timeout_ms: None,
    };
    Statement { sql, execution }
}

fn create_view(view: &View) -> String {
    let columns: Vec<String> = view.columns.iter().map(|name| Identifier::derived(name).to_string()).collect();
    let (name, table) = (&view.name, &view.table);
    let (columns, condition) = (columns.join(", "), view.condition());
    format!("create view {name} as /* {} */\nselect {columns} from {table}{condition}", view.comment)
}

impl Dialect for Sqlite {
    fn column_type(&self, column_type: ColumnType) -> &'static str {
        match column_type {
            ColumnType::Bool | ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => "integer",
            ColumnType::Float64 => "real",
            ColumnType::Bytes => "blob",
            ColumnType::Text
            | ColumnType::Date
            | ColumnType::Timestamp
            | ColumnType::TextList
            | ColumnType::Json
            | ColumnType::RawJson => "text",
        }
    }

    fn is_same_name(&self, one: &str, other: &str) -> bool {
        // Even in quotes; letters beyond ASCII are told apart.
        one.eq_ignore_ascii_case(other)
    }

    fn shown(&self, table: &Identifier) -> String {
        table.as_str().to_owned()
    }

    fn create_table(&self, table: &Table) -> Statement {
        let columns: Vec<String> = table.columns.iter().map(|each| format!("    {}", column(each))).collect();
        let key: Vec<String> = table.primary_key.iter().map(|name| Identifier::derived(name).to_string()).collect();
        let sql = format!(
            "create table {} (\n{},\n    primary key ({})\n) strict",
            table.name,
            columns.join(",\n"),
            key.join(", ")
        );
        statement(sql, false)
    }

    fn add_column(&self, table: &Identifier, added: &Column) -> Statement {
        // Where the column has a condition, SQLite looks whether the rows that are there meet it.
        let column = column(added);
        statement(format!("alter table {table} add column {column}"), column.contains(" check "))
    }

    fn mark_rows(&self, table: &Identifier) -> Statement {
        let Statement { sql, execution } = statement(repair::mark_rows(&table.to_string(), "x''"), true);
        Statement { sql, execution: Execution { rewrites_table: true, ..execution } }
    }

    fn create_index(&self, table: &Identifier, index: &Index, is_new_table: bool) -> Statement {
        let sql = format!("create index {} on {table} ({})", index.name, Identifier::derived(&index.column));
        statement(sql, !is_new_table)
    }

    /// The text of a view is kept with the comment in it.
    fn create_view(&self, view: &View, _: bool) -> Statement {
        statement(create_view(view), false)
    }

    /// A view cannot be replaced; nobody sees it missing, since both happen in one transaction.
    fn extend_view(&self, view: &View) -> Statement {
        statement(format!("drop view {};\n{}", view.name, create_view(view)), false)
    }

    fn drop_failed_index(&self, _: &Identifier, _: &Index) -> Option<Statement> {
        None
    }

    fn describe(&self, _: &Identifier, _: &[(Option<&str>, &str)], _: bool) -> Option<Statement> {
        None
    }

    fn remedy(&self, _: &Identifier, remedy: Remedy<'_>) -> Option<String> {
        // SQLite changes no column, and renames no index.
        match remedy {
            Remedy::RenameIndex(index) => Some(format!("drop index {index}")),
            _ => None,
        }
    }
}
