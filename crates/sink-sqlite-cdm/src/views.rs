use std::collections::HashMap;

use endpoint_api::Result;
use relational::{ActualView, Identifier, VIEW_MARK};
use rusqlite::{Connection, OptionalExtension as _};

use crate::database::During as _;

const OPERATION: &str = "look at the views";

/// What stands under these names.
pub(crate) fn views(connection: &Connection, names: &[Identifier]) -> Result<HashMap<String, ActualView>> {
    let mut views = HashMap::new();
    for name in names {
        let found = connection.query_row(
            "select type = 'view', sql from sqlite_schema where name = ?1 collate nocase and type in ('table', 'view')",
            [name.as_str()],
            |row| Ok((row.get::<_, bool>(0)?, row.get::<_, String>(1)?)),
        );
        let Some((is_view, sql)) = found.optional().during(OPERATION)? else { continue };
        let columns = columns(connection, name.as_str()).during(OPERATION)?;
        views.insert(
            name.as_str().to_owned(),
            ActualView { is_view, columns, is_ours: is_view && sql.contains(VIEW_MARK) },
        );
    }
    Ok(views)
}

fn columns(connection: &Connection, view: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("select name from pragma_table_info(?1) order by cid")?;
    statement.query_map([view], |row| row.get(0))?.collect()
}
