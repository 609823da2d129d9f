use std::collections::HashMap;

use endpoint_api::Result;
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

/// What stands under these names in the schema.
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
        let comment: &str = column(&row, 2)?;
        views.insert(
            name,
            ActualView { is_view, columns: column(&row, 3)?, is_ours: is_view && comment.contains(VIEW_MARK) },
        );
    }
    Ok(views)
}
