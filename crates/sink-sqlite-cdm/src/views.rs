use std::collections::HashMap;

use endpoint_api::{Error, ErrorKind, Result};
use relational::{ActualView, Identifier, VIEW_MARK};
use rusqlite::{Connection, OptionalExtension as _};

use crate::database::During as _;

const OPERATION: &str = "look at the views";

/// The views of these names that exist.
pub(crate) fn views(connection: &Connection, names: &[Identifier]) -> Result<HashMap<String, ActualView>> {
    let mut views = HashMap::new();
    for name in names {
        let found = connection.query_row(
            "select type = 'view', sql from sqlite_schema where name = ?1 collate nocase and type in ('table', 'view')",
            [name.as_str()],
            |row| Ok((row.get::<_, bool>(0)?, row.get::<_, String>(1)?)),
        );
        let Some((is_view, sql)) = found.optional().during(OPERATION)? else { continue };
        if !is_view {
            let name = name.as_str();
            let message =
                format!("`{name}` is no view, and one of that name is to be made; choose another table prefix");
            return Err(Error::new(ErrorKind::Conflict, OPERATION, message));
        }
        let columns = columns(connection, name.as_str()).during(OPERATION)?;
        views.insert(name.as_str().to_owned(), ActualView { columns, is_ours: sql.contains(VIEW_MARK) });
    }
    Ok(views)
}

fn columns(connection: &Connection, view: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("select name from pragma_table_info(?1) order by cid")?;
    statement.query_map([view], |row| row.get(0))?.collect()
}
