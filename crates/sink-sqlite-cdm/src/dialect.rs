use relational::{Column, ColumnType, Dialect, Identifier, Index, Table, View};

/// How SQLite writes tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sqlite;

fn column(column: &Column) -> String {
    let name = column.identifier();
    let checked = match column.column_type {
        ColumnType::Bool => format!(" check ({name} in (0, 1))"),
        ColumnType::Json | ColumnType::RawJson | ColumnType::TextList => format!(" check (json_valid({name}))"),
        _ => String::new(),
    };
    let required = if column.nullable { "" } else { " not null" };
    format!("{name} {}{required}{checked}", Sqlite.column_type(column.column_type))
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

    fn shown(&self, table: &Identifier) -> String {
        table.as_str().to_owned()
    }

    fn create_table(&self, table: &Table) -> String {
        let columns: Vec<String> = table.columns.iter().map(|each| format!("    {}", column(each))).collect();
        let key: Vec<String> = table.primary_key.iter().map(|name| Identifier::derived(name).to_string()).collect();
        format!(
            "create table {} (\n{},\n    primary key ({})\n) strict",
            table.name,
            columns.join(",\n"),
            key.join(", ")
        )
    }

    fn add_column(&self, table: &Identifier, added: &Column) -> String {
        format!("alter table {table} add column {}", column(added))
    }

    fn create_index(&self, table: &Identifier, index: &Index) -> String {
        format!("create index {} on {table} ({})", index.name, Identifier::derived(&index.column))
    }

    /// The text of a view is kept with the comment in it.
    fn create_view(&self, view: &View) -> String {
        let columns: Vec<String> = view.columns.iter().map(|name| Identifier::derived(name).to_string()).collect();
        let (name, table) = (&view.name, &view.table);
        format!("create view {name} as /* {} */\nselect {} from {table}", view.comment, columns.join(", "))
    }

    /// A view cannot be replaced; nobody sees it missing, since both happen in one transaction.
    fn extend_view(&self, view: &View) -> String {
        format!("drop view {};\n{}", view.name, self.create_view(view))
    }

    fn comment(&self, _: &Identifier, _: Option<&str>, _: &str) -> Option<String> {
        None
    }
}
