use std::collections::HashMap;

use endpoint_api::{Error, ErrorKind, Result};
use relational::{ActualView, Identifier, VIEW_MARK};
use tokio_postgres::types::Type;

use crate::session::{Session, column};

const VIEWS: &str = "\
select c.relname::text, c.relkind = 'v', coalesce(obj_description(c.oid, 'pg_class'), ''),
       array(select a.attname::text from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2)";

/// The views of these names that exist in the schema.
pub(crate) async fn views(
    session: &Session,
    schema: &Identifier,
    names: &[Identifier],
) -> Result<HashMap<String, ActualView>> {
    let operation = "look at the views";
    let names: Vec<&str> = names.iter().map(Identifier::as_str).collect();
    let parameters = [(&schema.as_str() as _, Type::TEXT), (&names as _, Type::TEXT_ARRAY)];
    let mut views = HashMap::new();
    for row in session.query(operation, VIEWS, &parameters).await? {
        let (name, is_view): (String, bool) = (column(&row, 0)?, column(&row, 1)?);
        if !is_view {
            let message = format!(
                "`{}`.`{name}` is no view, and one of that name is to be made; choose another table prefix",
                schema.as_str()
            );
            return Err(Error::new(ErrorKind::Conflict, operation, message));
        }
        let comment: &str = column(&row, 2)?;
        views.insert(name, ActualView { columns: column(&row, 3)?, is_ours: comment.contains(VIEW_MARK) });
    }
    Ok(views)
}
