use endpoint_api::{Execution, Stage, TableLock};
use relational::{Column, ColumnType, Dialect, Identifier, Index, Remedy, Statement, Table, View, repair};

use crate::budget::Budget;

/// How PostgreSQL writes tables, in one schema.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    pub(crate) schema: Identifier,
    /// How long each statement may be in the way.
    pub(crate) budget: Budget,
    /// Whether the server can compress with lz4, which is many times faster than its own method.
    pub(crate) lz4: bool,
}

/// The lock of what goes on beside those who read and write, and not beside another of its kind.
const SHARE_UPDATE_EXCLUSIVE: &str = "share update exclusive";

/// A text as a literal. For what cannot be a parameter: comments.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    // A backslash means itself only under standard_conforming_strings, which somebody may have set off.
    if quoted.contains('\\') { format!("e'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

impl Postgres {
    fn qualified(&self, table: &Identifier) -> String {
        format!("{}.{table}", self.schema)
    }

    fn view(&self, how: &str, view: &View) -> String {
        format!(
            "{how} {name} as\nselect {} from {}{};\ncomment on view {name} is {}",
            names(&view.columns),
            self.qualified(&view.table),
            view.condition(),
            literal(&view.comment),
            name = self.qualified(&view.name),
        )
    }

    /// A statement of the transaction that takes a lock, if it takes one that others can be waiting for. None of
    /// those here reads or writes the rows of a table.
    pub(crate) fn in_transaction(&self, sql: String, lock: Option<TableLock>) -> Statement {
        let execution = Execution {
            stage: Stage::Transaction,
            lock,
            scans_table: false,
            rewrites_table: false,
            lock_timeout_ms: Some(self.budget.lock_timeout_ms.into()),
            statement_timeout_ms: Some(self.budget.statement_timeout_ms.into()),
        };
        Statement { sql, execution }
    }

    /// A statement that goes on beside those who read and write. Nobody waits behind it, and so it may wait for its
    /// locks, and for whoever was writing before, as long as it may go on.
    fn concurrently(&self, sql: String, table: &Identifier, scans_table: bool) -> Statement {
        let statement = self.in_transaction(sql, Some(self.lock(SHARE_UPDATE_EXCLUSIVE, table)));
        let execution = Execution {
            stage: Stage::Concurrently,
            scans_table,
            lock_timeout_ms: Some(self.budget.index_timeout_ms.into()),
            statement_timeout_ms: Some(self.budget.index_timeout_ms.into()),
            ..statement.execution
        };
        Statement { execution, ..statement }
    }

    fn lock(&self, mode: &'static str, table: &Identifier) -> TableLock {
        TableLock { mode: mode.into(), on: self.shown(table) }
    }

    fn column(&self, column: &Column) -> String {
        let compressed = self.lz4 && matches!(column.column_type, ColumnType::Json | ColumnType::RawJson);
        format!(
            "{} {}{}{}",
            column.identifier(),
            self.column_type(column.column_type),
            if compressed { " compression lz4" } else { "" },
            if column.nullable { "" } else { " not null" },
        )
    }
}

impl Dialect for Postgres {
    fn column_type(&self, column_type: ColumnType) -> &'static str {
        match column_type {
            ColumnType::Text => "text",
            ColumnType::Bool => "boolean",
            ColumnType::Int16 => "smallint",
            ColumnType::Int32 => "integer",
            ColumnType::Int64 => "bigint",
            ColumnType::Float64 => "double precision",
            ColumnType::Date => "date",
            ColumnType::Timestamp => "timestamp with time zone",
            ColumnType::TextList => "text[]",
            ColumnType::Json => "jsonb",
            ColumnType::RawJson => "json",
            ColumnType::Bytes => "bytea",
        }
    }

    fn is_same_name(&self, one: &str, other: &str) -> bool {
        one == other
    }

    fn shown(&self, table: &Identifier) -> String {
        format!("{}.{}", self.schema.as_str(), table.as_str())
    }

    fn create_table(&self, table: &Table) -> Statement {
        let columns: Vec<String> = table.columns.iter().map(|column| format!("    {}", self.column(column))).collect();
        let sql = format!(
            "create table {} (\n{},\n    primary key ({})\n)",
            self.qualified(&table.name),
            columns.join(",\n"),
            names(&table.primary_key)
        );
        self.in_transaction(sql, None)
    }

    fn add_column(&self, table: &Identifier, column: &Column) -> Statement {
        // Without a default the server changes only what it knows of the table.
        let sql = format!("alter table {} add column {}", self.qualified(table), self.column(column));
        self.in_transaction(sql, Some(self.lock("access exclusive", table)))
    }

    /// Nobody who reads waits for it, and nobody loads while the table lacks a column.
    fn mark_rows(&self, table: &Identifier) -> Statement {
        let Statement { sql, execution } = self.in_transaction(repair::mark_rows(&self.qualified(table), "''"), None);
        let limit = Some(self.budget.index_timeout_ms.into());
        let execution = Execution { scans_table: true, rewrites_table: true, statement_timeout_ms: limit, ..execution };
        Statement { sql, execution }
    }

    fn create_index(&self, table: &Identifier, index: &Index, is_new_table: bool) -> Statement {
        let (name, column) = (&index.name, Identifier::derived(&index.column));
        let on = format!("{name} on {} ({column})", self.qualified(table));
        if is_new_table {
            self.in_transaction(format!("create index {on}"), None)
        } else {
            self.concurrently(format!("create index concurrently {on}"), table, true)
        }
    }

    fn create_view(&self, view: &View, is_new_table: bool) -> Statement {
        let lock = (!is_new_table).then(|| self.lock("access share", &view.table));
        self.in_transaction(self.view("create view", view), lock)
    }

    fn extend_view(&self, view: &View) -> Statement {
        let lock = self.lock("access exclusive", &view.name);
        self.in_transaction(self.view("create or replace view", view), Some(lock))
    }

    fn drop_failed_index(&self, table: &Identifier, index: &Index) -> Option<Statement> {
        let sql = format!("drop index concurrently {}", self.qualified(&index.name));
        Some(self.concurrently(sql, table, false))
    }

    fn describe(&self, table: &Identifier, comments: &[(Option<&str>, &str)], is_new_table: bool) -> Option<Statement> {
        let name = self.qualified(table);
        let statements = comments.iter().map(|(column, comment)| {
            let comment = literal(comment);
            match column {
                None => format!("comment on table {name} is {comment}"),
                Some(column) => format!("comment on column {name}.{} is {comment}", Identifier::derived(column)),
            }
        });
        let sql = statements.collect::<Vec<_>>().join(";\n");
        Some(self.in_transaction(sql, (!is_new_table).then(|| self.lock(SHARE_UPDATE_EXCLUSIVE, table))))
    }

    fn remedy(&self, table: &Identifier, remedy: Remedy<'_>) -> Option<String> {
        let table = self.qualified(table);
        Some(match remedy {
            Remedy::Retype(column) => {
                let (name, sql_type) = (column.identifier(), self.column_type(column.column_type));
                format!("alter table {table} alter column {name} type {sql_type} using {name}::{sql_type}")
            }
            Remedy::AllowNull(column) => {
                format!("alter table {table} alter column {} drop not null", Identifier::derived(column))
            }
            Remedy::RefuseNull(column) => {
                format!("alter table {table} alter column {} set not null", Identifier::derived(column))
            }
            Remedy::AddRequired(column) => format!("alter table {table} add column {}", self.column(column)),
            Remedy::AddKey(key) => format!("alter table {table} add primary key ({})", names(key)),
            Remedy::RenameIndex(index) => {
                let other = Identifier::derived(&format!("{}_of_another", index.as_str()));
                format!("alter index {} rename to {other}", self.qualified(index))
            }
        })
    }
}

fn names(columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().map(|name| Identifier::derived(name).to_string()).collect();
    names.join(", ")
}
