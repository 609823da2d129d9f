//! The least rights of the roles that provision, load and read, and the statements that give them.

use std::fmt::Write as _;

use cdm_models::ModelDescriptor;
use endpoint_api::{Error, ErrorKind, GrantRequest, Grants, Purpose, Result, Right, RoleRights};
use relational::{Identifier, VIEW_MARK, plumbing, support};

use crate::{config::role, dialect::literal, endpoint::PgCdm, rights::loader_needs};

/// The owner's name where neither the configuration nor the request says it.
const OWNER: &str = "cdm_owner";

/// A table, and what of it the reader sees.
struct Granted {
    name: Identifier,
    /// Where it is a model's, the table of its first version.
    first: Option<Identifier>,
    /// The view of its live rows.
    live: Option<Identifier>,
    seen: Seen,
}

enum Seen {
    Nothing,
    /// These columns.
    Columns(Vec<String>),
    Everything,
}

/// Says the rights. It asks nobody: the roles may not be there yet, nor the one to log in as.
pub(crate) fn grants(endpoint: &PgCdm, request: &GrantRequest, models: &[&ModelDescriptor]) -> Result<Grants> {
    let roles = Roles::of(endpoint, request)?;
    let tables = tables(endpoint, request, models)?;
    let rights = roles.rights(endpoint, &tables);
    let script = Script { endpoint, roles: &roles, tables: &tables, with_plumbing: request.with_plumbing }.text();
    Ok(Grants::new(rights, script))
}

/// The tables of the sink's own and of models. A reader sees the model's columns of a table, and the views; the plumbing
/// stays hidden.
fn tables(endpoint: &PgCdm, request: &GrantRequest, models: &[&ModelDescriptor]) -> Result<Vec<Granted>> {
    let own = support::NAMES.iter().map(|&name| Granted {
        name: Identifier::derived(name),
        first: None,
        live: None,
        seen: match name {
            support::REJECT if request.with_rejects => Seen::Everything,
            _ => Seen::Nothing,
        },
    });
    let names = endpoint.naming().tables(models)?;
    let mut tables: Vec<Granted> = own.collect();
    for (model, name) in models.iter().zip(names) {
        let seen = match request.with_plumbing {
            true => Seen::Everything,
            false => Seen::Columns(model.fields.iter().map(|field| field.name.clone()).collect()),
        };
        let first = Some(endpoint.naming().of_major(&model.id, 1)?);
        let live = endpoint.naming().live_view(&model.id, model.version.major).ok();
        tables.push(Granted { name, first, live, seen });
    }
    Ok(tables)
}

struct Roles {
    owner: Identifier,
    provisioner: Identifier,
    loader: Identifier,
    reader: Identifier,
}

impl Roles {
    /// Checks the names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when one is no name of a role, two are the same, or the owner is not the one that is
    /// configured.
    fn of(endpoint: &PgCdm, request: &GrantRequest) -> Result<Self> {
        let wrong = |message: String| Err(Error::new(ErrorKind::Config, "say the rights", message));
        let owner = match (endpoint.owner(), &request.owner) {
            (Some(configured), Some(asked)) if configured.as_str() != asked => {
                return wrong(format!(
                    "tables are to belong to `{asked}`, but `owner_role` of {} is `{}`; leave one of them away",
                    endpoint.id(),
                    configured.as_str()
                ));
            }
            (Some(configured), _) => configured.clone(),
            (None, asked) => role(asked.as_deref().unwrap_or(OWNER))?,
        };
        let roles = Self {
            owner,
            provisioner: role(&request.provisioner)?,
            loader: role(&request.loader)?,
            reader: role(&request.reader)?,
        };
        let all = [&roles.owner, &roles.provisioner, &roles.loader, &roles.reader];
        for (index, name) in all.iter().enumerate() {
            if all.iter().take(index).any(|other| other == name) {
                return wrong(format!("`{}` is to be two roles at once; each needs a name of its own", name.as_str()));
            }
        }
        Ok(roles)
    }

    fn rights(&self, endpoint: &PgCdm, tables: &[Granted]) -> Vec<RoleRights> {
        let schema = format!("schema {}", endpoint.schema().as_str());
        let table = |name: &Identifier| format!("table {}.{}", endpoint.schema().as_str(), name.as_str());
        let connect = || Right::new(&["CONNECT"], "the database", "to log in");
        let owner = RoleRights::new(Purpose::Owner, self.owner.as_str()).may(Right::new(
            &["USAGE", "CREATE"],
            &*schema,
            "the tables and views of the sink belong to it; nobody logs in as it",
        ));
        let becomes = format!("role {}", self.owner.as_str());
        let provisioner = RoleRights::new(Purpose::Provisioner, self.provisioner.as_str()).may(connect()).may(
            Right::new(&["SET"], becomes, "to make and extend tables as their owner; it inherits nothing from it"),
        );
        let mut loader = RoleRights::new(Purpose::Loader, self.loader.as_str())
            .may(connect())
            .may(Right::new(&["TEMPORARY"], "the database", "to stage rows that have changed"))
            .may(Right::new(&["USAGE"], &*schema, "to find the tables"));
        let mut reader = RoleRights::new(Purpose::Reader, self.reader.as_str()).may(connect()).may(Right::new(
            &["USAGE"],
            &*schema,
            "to find the tables",
        ));
        for granted in tables {
            loader = loader.may(Right::new(
                loader_needs(granted.name.as_str()),
                table(&granted.name),
                match granted.name.as_str() {
                    support::MODEL => "to know what is provisioned",
                    support::SITE => "to know of which site the rows are",
                    support::FENCE => "to take a fence",
                    support::INGESTION => "to move checkpoints",
                    support::LOAD => "to write the ledger, and to remove its old lines",
                    support::OUTBOX => "to put messages, and to mark those as delivered that were",
                    support::REJECT => "to keep rejects, and to remove those that are old or were replayed",
                    _ => "to look rows up, and to write those that are new or have changed",
                },
            ));
            let right = Right::new(&["SELECT"], table(&granted.name), "to read what was loaded");
            reader = match &granted.seen {
                Seen::Nothing => reader,
                Seen::Columns(columns) => reader.may(right.columns(columns.clone())),
                Seen::Everything => reader.may(right),
            };
            if let Some(live) = &granted.live {
                let view = format!("view {}.{}", endpoint.schema().as_str(), live.as_str());
                reader = reader.may(Right::new(&["SELECT"], view, "to read the rows that are not deleted"));
            }
        }
        vec![owner, provisioner, loader, reader]
    }
}

/// The statements that give the rights.
struct Script<'a> {
    endpoint: &'a PgCdm,
    roles: &'a Roles,
    tables: &'a [Granted],
    with_plumbing: bool,
}

impl Script<'_> {
    fn text(&self) -> String {
        let mut text = self.heading();
        text.push_str("\nbegin;\nset local search_path = '';\nset local lock_timeout = '5s';\n");
        self.write_roles(&mut text);
        self.write_schema(&mut text);
        self.write_tables(&mut text);
        text.push_str("\ncommit;\n");
        text
    }

    /// What people read first.
    fn heading(&self) -> String {
        let Roles { owner, provisioner, loader, reader } = self.roles;
        let width = [owner, provisioner, loader, reader].map(|name| name.as_str().chars().count()).into_iter().max();
        let about = [
            (owner, "has the tables and views; nobody logs in as it"),
            (provisioner, "makes and extends tables, as their owner, and by itself reads no row"),
            (loader, "loads rows, and makes, alters and empties no table"),
            (reader, "reads what was loaded"),
        ];
        let mut text = format!("-- The least rights on what cdm keeps in schema {}:\n--\n", self.endpoint.schema());
        for (name, what) in about {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "--   {:width$}  {what}", name.as_str(), width = width.unwrap_or_default());
        }
        if self.endpoint.owner().is_none() {
            let _ = writeln!(text, "--\n-- For this, set owner_role = {} in the endpoint's configuration.", owner);
        }
        text.push_str(
            "--\n\
             -- Run it in the sink's database as a superuser: before anything is provisioned, and again whenever\n\
             -- provisioning has made a table or a column. It may be run any number of times. It gives nobody a\n\
             -- password: psql's \\password does.\n\
             -- In PostgreSQL 14 everybody may make tables in the schema public until somebody runs\n\
             -- `revoke create on schema public from public`.\n",
        );
        // A name that holds the end of a line must not begin a statement.
        text.lines().map(|line| format!("{}\n", line.replace('\r', " "))).map(commented).collect()
    }

    fn write_roles(&self, text: &mut String) {
        let [owner, provisioner, loader, reader] = self.literals();
        let body = format!(
            "declare
  wanted record;
begin
  for wanted in
    select * from (values
      ({owner}, 'nologin'),
      ({provisioner}, 'login noinherit'),
      ({loader}, 'login'),
      ({reader}, 'login')
    ) as roles (name, options)
  loop
    if not exists (select from pg_roles where rolname = wanted.name) then
      execute format('create role %I %s', wanted.name, wanted.options);
    end if;
  end loop;
  -- The provisioner may become the owner, and has none of its rights before it does.
  if current_setting('server_version_num')::int >= 160000 then
    execute format('grant %I to %I with inherit false, set true', {owner}, {provisioner});
  else
    execute format('alter role %I noinherit', {provisioner});
    execute format('grant %I to %I', {owner}, {provisioner});
  end if;
  execute format('grant connect on database %I to %I, %I, %I', current_database(), {provisioner}, {loader}, {reader});
  execute format('grant temporary on database %I to %I', current_database(), {loader});
end"
        );
        let _ = writeln!(text, "\ndo {};", dollar_quoted(&body));
    }

    fn write_schema(&self, text: &mut String) {
        let Roles { owner, provisioner, loader, reader } = self.roles;
        let schema = self.endpoint.schema();
        let _ = write!(
            text,
            "
create schema if not exists {schema} authorization {owner};
grant usage, create on schema {schema} to {owner};
revoke all on schema {schema} from {provisioner}, {loader}, {reader};
grant usage on schema {schema} to {loader}, {reader};
-- Tables that are provisioned later can be loaded at once.
alter default privileges for role {owner} in schema {schema}
  grant select, insert, update on tables to {loader};
"
        );
    }

    fn write_tables(&self, text: &mut String) {
        let [owner, provisioner, loader, reader] = self.literals();
        let schema = literal(self.endpoint.schema().as_str());
        let body = format!(
            "declare
  named regclass := to_regclass(format('%I.%I', {schema}, relation));
  seen text;
begin
  if named is null then
    return;
  end if;
  if not exists (select from pg_class c join pg_roles r on r.oid = c.relowner where c.oid = named and r.rolname = {owner}) then
    execute format('alter table %s owner to %I', named, {owner});
  end if;
  execute format('revoke all on table %s from %I, %I, %I', named, {provisioner}, {loader}, {reader});
  if to_loader <> '' then
    execute format('grant %s on table %s to %I', to_loader, named, {loader});
  end if;
  if to_reader is null then
    execute format('grant select on table %s to %I', named, {reader});
  else
    select string_agg(quote_ident(attname), ', ' order by attnum) into seen
    from pg_attribute where attrelid = named and attnum > 0 and not attisdropped and attname = any(to_reader);
    if seen is not null then
      execute format('grant select (%s) on table %s to %I', seen, named, {reader});
    end if;
  end if;
end"
        );
        let _ = write!(
            text,
            "
-- Each table that is there goes to the owner, and the rights on it are made anew: what the loader may do, and
-- which columns the reader sees (null: all).
create procedure pg_temp.cdm_grant(relation text, to_loader text, to_reader text[]) language plpgsql as {};
",
            dollar_quoted(&body)
        );
        for granted in self.tables {
            let privileges = loader_needs(granted.name.as_str()).join(", ").to_lowercase();
            let seen = match &granted.seen {
                Seen::Nothing => "'{}'".to_owned(),
                Seen::Everything => "null".to_owned(),
                Seen::Columns(columns) => {
                    let columns: Vec<String> = columns.iter().map(|column| literal(column)).collect();
                    format!("array[{}]", columns.join(", "))
                }
            };
            let name = literal(granted.name.as_str());
            let _ = writeln!(text, "call pg_temp.cdm_grant({name}, '{privileges}', {seen});");
        }
        self.write_versions(text);
        text.push_str("\ndrop procedure pg_temp.cdm_grant(text, text, text[]);\n");
    }

    /// Tables of older major versions, and the views of all, are found by their names and by what is theirs alone.
    fn write_versions(&self, text: &mut String) {
        let quoted = |names: &mut dyn Iterator<Item = &Identifier>| {
            names.map(|name| literal(name.as_str())).collect::<Vec<_>>().join(", ")
        };
        let models = || self.tables.iter().filter_map(|granted| Some((&granted.name, granted.first.as_ref()?)));
        if models().next().is_none() {
            return;
        }
        let (own, first) = (quoted(&mut models().map(|(own, _)| own)), quoted(&mut models().map(|(_, first)| first)));
        let seen = match self.with_plumbing {
            true => "null".to_owned(),
            false => "version.fields".to_owned(),
        };
        let body = format!(
            "declare
  version record;
begin
  for version in
    select c.relname::text as name, c.relkind = 'v' as is_view,
      array(select a.attname::text from pg_attribute a
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and left(a.attname, 5) <> '_cdm_') as fields
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace and n.nspname = {schema}
    join unnest(array[{first}]) as model (first) on starts_with(c.relname::text, model.first)
    where c.relkind = 'v' and substr(c.relname, length(model.first) + 1) ~ '^_(view_v[1-9][0-9]*|live(_v[1-9][0-9]*)?)$'
        and obj_description(c.oid, 'pg_class') like {mark}
      or c.relkind in ('r', 'p') and substr(c.relname, length(model.first) + 1) ~ '^(_v[1-9][0-9]*)?$'
        and c.relname <> all (array[{own}])
        and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = '{hash}')
  loop
    if version.is_view then
      call pg_temp.cdm_grant(version.name, '', null);
    else
      call pg_temp.cdm_grant(version.name, 'select, insert, update', {seen});
    end if;
  end loop;
end",
            schema = literal(self.endpoint.schema().as_str()),
            mark = literal(&format!("%{VIEW_MARK}%")),
            hash = plumbing::CONTENT_HASH,
        );
        let _ = write!(
            text,
            "
-- The tables of older major versions of the models, and the views of all versions.
do {};
",
            dollar_quoted(&body)
        );
    }

    fn literals(&self) -> [String; 4] {
        let Roles { owner, provisioner, loader, reader } = self.roles;
        [owner, provisioner, loader, reader].map(|name| literal(name.as_str()))
    }
}

fn commented(line: String) -> String {
    if line.starts_with("--") { line } else { format!("-- {line}") }
}

/// A body of code, in quotes that it does not hold itself.
fn dollar_quoted(body: &str) -> String {
    let mut tag = "$cdm$".to_owned();
    while body.contains(&tag) {
        tag = tag.replacen("cdm", "cdm_", 1);
    }
    format!("{tag}\n{body}\n{tag}")
}
