use std::collections::HashMap;

use endpoint_api::Result;
use relational::{ActualColumn, ActualIndex, ActualKind, ActualTable, Flaw, Identifier, Mending};
use tokio_postgres::types::Type;

use crate::session::{Session, column};

const SCHEMA: &str = "select exists (select from pg_namespace where nspname = $1)";

const COLUMNS: &str = "\
select c.relname::text, c.relkind::text, obj_description(c.oid, 'pg_class'),
       a.attname::text, format_type(a.atttypid, a.atttypmod), not a.attnotnull,
       a.atthasdef or a.attidentity <> '' or a.attgenerated <> '', col_description(c.oid, a.attnum),
       c.relpersistence = 'u'
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = $1 and c.relname = any($2) and c.relkind in ('r', 'p', 'v', 'm', 'f')
order by c.relname, a.attnum";

const INDEXES: &str = "\
select c.relname::text, i.relname::text, x.indisprimary,
       x.indpred is null and x.indexprs is null and m.amname = 'btree', x.indisunique, x.indisvalid,
       array(select a.attname::text
             from unnest(x.indkey) with ordinality as k (attnum, place)
             join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
             where k.place <= x.indnkeyatts
             order by k.place)
from pg_index x
join pg_class c on c.oid = x.indrelid
join pg_class i on i.oid = x.indexrelid
join pg_am m on m.oid = i.relam
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2)
order by c.relname, i.relname";

const IS_PLAIN: &str = "\
select c.relkind = 'r' and not c.relhasrules and not c.relrowsecurity
       and not exists (select from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = $2";

/// Whether nothing but a table's constraints has a say in what is inserted into it.
pub(crate) async fn is_plain(session: &Session, schema: &Identifier, table: &Identifier) -> Result<bool> {
    let names = [(&schema.as_str() as _, Type::TEXT), (&table.as_str() as _, Type::TEXT)];
    let row = session.query_opt("look at the table", IS_PLAIN, &names).await?;
    row.map_or(Ok(false), |row| column(&row, 0))
}

/// Whether the schema exists.
pub(crate) async fn schema_exists(session: &Session, schema: &Identifier) -> Result<bool> {
    let row = session.query_one("look at the schema", SCHEMA, &[(&schema.as_str(), Type::TEXT)]).await?;
    column(&row, 0)
}

/// The tables of these names that exist in the schema.
pub(crate) async fn tables(
    session: &Session,
    schema: &Identifier,
    names: &[Identifier],
) -> Result<HashMap<String, ActualTable>> {
    let operation = "look at the tables";
    let names: Vec<&str> = names.iter().map(Identifier::as_str).collect();
    let schema = schema.as_str();
    let mut tables: HashMap<String, ActualTable> = HashMap::new();
    for row in session.query(operation, COLUMNS, &[(&schema, Type::TEXT), (&names, Type::TEXT_ARRAY)]).await? {
        let name: String = column(&row, 0)?;
        let kind: String = column(&row, 1)?;
        let kind = match kind.as_str() {
            "r" => ActualKind::Table,
            "p" => ActualKind::Partitioned,
            _ => ActualKind::Other,
        };
        let comment = column(&row, 2)?;
        let flaws = if column(&row, 8)? { vec![unlogged(schema, &name)?] } else { Vec::new() };
        let table = tables.entry(name).or_insert_with(|| ActualTable {
            kind,
            columns: Vec::new(),
            primary_key: Vec::new(),
            indexes: Vec::new(),
            comment,
            flaws,
        });
        // A table without columns has one line all the same.
        if let Some(name) = column::<Option<String>>(&row, 3)? {
            table.columns.push(ActualColumn {
                name,
                sql_type: column(&row, 4)?,
                nullable: column(&row, 5)?,
                has_default: column(&row, 6)?,
                comment: column(&row, 7)?,
            });
        }
    }
    for row in session.query(operation, INDEXES, &[(&schema, Type::TEXT), (&names, Type::TEXT_ARRAY)]).await? {
        let Some(table) = tables.get_mut(column::<&str>(&row, 0)?) else { continue };
        let columns: Vec<String> = column(&row, 6)?;
        if column(&row, 2)? {
            table.primary_key = columns;
            continue;
        }
        let is_plain: bool = column(&row, 3)?;
        let plain_column = match columns.as_slice() {
            [only] if is_plain => Some(only.clone()),
            _ => None,
        };
        table.indexes.push(ActualIndex {
            name: column(&row, 1)?,
            plain_column,
            is_unique: column(&row, 4)?,
            is_valid: column(&row, 5)?,
        });
    }
    Ok(tables)
}

fn unlogged(schema: &str, table: &str) -> Result<Flaw> {
    let (schema, table) = (Identifier::new(schema)?, Identifier::derived(table));
    Ok(Flaw {
        difference: "is an unlogged table: a crash of the server empties it, and what was loaded is not loaded again"
            .to_owned(),
        mending: Mending::Person(format!(
            "run `alter table {schema}.{table} set logged`, or choose another table prefix or schema for the sink"
        )),
    })
}
