use std::collections::HashMap;

use endpoint_api::Result;
use relational::{ActualColumn, ActualIndex, ActualKind, ActualTable, Identifier};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{database::During as _, dialect::outdated};

const OPERATION: &str = "look at the tables";

/// The tables of these names that exist. SQLite takes names that differ in case for the same one.
pub(crate) fn tables(connection: &Connection, names: &[Identifier]) -> Result<HashMap<String, ActualTable>> {
    let mut tables = HashMap::new();
    for name in names {
        let found = connection.query_row(
            "select type, name, sql from sqlite_schema where name = ?1 collate nocase and type in ('table', 'view')",
            [name.as_str()],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)),
        );
        if let Some((kind, stored_name, sql)) = found.optional().during(OPERATION)? {
            let kind = if kind == "table" { ActualKind::Table } else { ActualKind::Other };
            let mut table = table(connection, name.as_str(), kind).during(OPERATION)?;
            table.flaws.extend(outdated(&stored_name, &sql, &table.columns));
            tables.insert(name.as_str().to_owned(), table);
        }
    }
    Ok(tables)
}

fn table(connection: &Connection, name: &str, kind: ActualKind) -> rusqlite::Result<ActualTable> {
    let mut statement = connection.prepare(
        "select name, lower(type), \"notnull\" = 0 and pk = 0, dflt_value is not null or hidden <> 0, pk \
         from pragma_table_xinfo(?1) order by cid",
    )?;
    let read = statement.query_map([name], |row| {
        let column = ActualColumn {
            name: row.get(0)?,
            sql_type: row.get(1)?,
            nullable: row.get(2)?,
            has_default: row.get(3)?,
            comment: None,
        };
        Ok((column, row.get::<_, i64>(4)?))
    })?;
    let (mut columns, mut key) = (Vec::new(), Vec::new());
    for column in read {
        let (column, place) = column?;
        if place > 0 {
            key.push((place, column.name.clone()));
        }
        columns.push(column);
    }
    key.sort_unstable();
    Ok(ActualTable {
        kind,
        columns,
        primary_key: key.into_iter().map(|(_, name)| name).collect(),
        indexes: indexes(connection, name)?,
        comment: None,
        flaws: Vec::new(),
    })
}

/// The indexes beside that of the primary key.
fn indexes(connection: &Connection, table: &str) -> rusqlite::Result<Vec<ActualIndex>> {
    let mut statement = connection
        .prepare("select name, partial, \"unique\" from pragma_index_list(?1) where origin <> 'pk' order by name")?;
    let found = statement.query_map([table], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)))?;
    let mut indexes = Vec::new();
    for index in found {
        let (name, is_partial, is_unique): (_, bool, bool) = index?;
        // An expression has no name.
        let mut statement = connection.prepare("select name from pragma_index_info(?1) order by seqno")?;
        let columns: Vec<Option<String>> =
            statement.query_map(params![name], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let plain_column = match columns.as_slice() {
            [Some(only)] if !is_partial => Some(only.clone()),
            _ => None,
        };
        // An index is made with the transaction that makes it, or not at all.
        indexes.push(ActualIndex { name, plain_column, is_unique, is_valid: true });
    }
    Ok(indexes)
}
