use relational::{Column, ColumnType, Dialect, Identifier, Index, Table, View};

/// How PostgreSQL writes tables, in one schema.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    pub(crate) schema: Identifier,
    /// Whether the server can compress with lz4, which is many times faster than its own method.
    pub(crate) lz4: bool,
}

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
        let columns: Vec<String> = view.columns.iter().map(|name| Identifier::derived(name).to_string()).collect();
        format!(
            "{how} {name} as\nselect {} from {};\ncomment on view {name} is {}",
            columns.join(", "),
            self.qualified(&view.table),
            literal(&view.comment),
            name = self.qualified(&view.name),
        )
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

    fn shown(&self, table: &Identifier) -> String {
        format!("{}.{}", self.schema.as_str(), table.as_str())
    }

    fn create_table(&self, table: &Table) -> String {
        let columns: Vec<String> = table.columns.iter().map(|column| format!("    {}", self.column(column))).collect();
        let key: Vec<String> = table.primary_key.iter().map(|name| Identifier::derived(name).to_string()).collect();
        format!(
            "create table {} (\n{},\n    primary key ({})\n)",
            self.qualified(&table.name),
            columns.join(",\n"),
            key.join(", ")
        )
    }

    fn add_column(&self, table: &Identifier, column: &Column) -> String {
        format!("alter table {} add column {}", self.qualified(table), self.column(column))
    }

    fn create_index(&self, table: &Identifier, index: &Index) -> String {
        format!("create index {} on {} ({})", index.name, self.qualified(table), Identifier::derived(&index.column))
    }

    fn create_view(&self, view: &View) -> String {
        self.view("create view", view)
    }

    fn extend_view(&self, view: &View) -> String {
        self.view("create or replace view", view)
    }

    fn comment(&self, table: &Identifier, column: Option<&str>, comment: &str) -> Option<String> {
        let table = self.qualified(table);
        let comment = literal(comment);
        Some(match column {
            None => format!("comment on table {table} is {comment}"),
            Some(column) => format!("comment on column {table}.{} is {comment}", Identifier::derived(column)),
        })
    }
}
