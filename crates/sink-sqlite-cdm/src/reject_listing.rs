use std::ops::ControlFlow;

use endpoint_api::{
    Dismissal, Dismissals, EachReject, Error, ErrorKind, ListedReject, RejectColumn, RejectFilter, RejectGroup,
    RejectListing, RejectState, Result, async_trait,
};
use relational::{
    state::unsigned,
    support::{self, VERDICT},
};
use rusqlite::{Connection, named_params, types::Value};
use sqlite_client::Access;
use tokio::sync::mpsc;

use crate::{
    cells,
    database::{Database, During as _, OWNER},
    endpoint::SqliteCdm,
    rejects::{LIST, WIDTH, listed_columns, open, read},
};

const DISMISS: &str = "dismiss rejects";

/// How many rejects of a listing are read ahead.
const READ_AHEAD: usize = 256;

/// The condition of a filter, with its values as named parameters.
pub(crate) struct Wanted {
    ids: Option<String>,
    id_prefix: Option<String>,
    ingestion: Option<String>,
    stage: Option<String>,
    field: Option<String>,
    reasons: Option<String>,
}

impl Wanted {
    /// The values of a filter. Which of the stored reasons it takes is looked up in the whole table.
    pub(crate) fn of(connection: &Connection, filter: &RejectFilter) -> Result<Self> {
        let mut wanted = Self::but_reason(filter);
        if filter.reason.is_some() {
            let statement = format!("select distinct reason from {}", support::REJECT);
            let mut statement = connection.prepare(&statement).during(LIST)?;
            let reasons = statement.query_map([], |row| row.get::<_, String>(0)).during(LIST)?;
            let reasons = reasons.collect::<rusqlite::Result<Vec<_>>>().during(LIST)?;
            wanted.reasons = Some(list(reasons.into_iter().filter(|reason| filter.takes_reason(reason))));
        }
        Ok(wanted)
    }

    /// The values of a filter, whatever it says of reasons.
    pub(crate) fn but_reason(filter: &RejectFilter) -> Self {
        Self {
            ids: (!filter.ids.is_empty()).then(|| list(filter.ids.iter().cloned())),
            id_prefix: filter.id_prefix.clone(),
            ingestion: filter.ingestion.as_ref().map(ToString::to_string),
            stage: filter.stage.map(|stage| stage.to_string()),
            field: filter.field.clone(),
            reasons: None,
        }
    }

    pub(crate) fn parameters(&self) -> Vec<(&'static str, Value)> {
        let value = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Text);
        vec![
            (":ids", value(&self.ids)),
            (":id_prefix", value(&self.id_prefix)),
            (":ingestion", value(&self.ingestion)),
            (":stage", value(&self.stage)),
            (":field", value(&self.field)),
            (":reasons", value(&self.reasons)),
        ]
    }
}

/// Texts as one parameter.
fn list(texts: impl Iterator<Item = String>) -> String {
    serde_json::Value::from_iter(texts).to_string()
}

/// Whether the table has the columns of dismissals, which came later.
pub(crate) fn keeps_dismissals(connection: &Connection) -> Result<bool> {
    let statement = "select exists (select 1 from pragma_table_info(?1) where name = 'dismissed_verdict')";
    connection.query_row(statement, [support::REJECT], |row| row.get(0)).during(LIST)
}

pub(crate) fn condition(state: RejectState, keeps_dismissals: bool) -> String {
    let state = match (state, keeps_dismissals) {
        (RejectState::Any, _) | (RejectState::Open, false) => "true".to_owned(),
        (RejectState::Dismissed, false) => "false".to_owned(),
        (RejectState::Open, true) => format!("(dismissed_at is null or dismissed_verdict is not ({VERDICT}))"),
        (RejectState::Dismissed, true) => format!("(dismissed_at is not null and dismissed_verdict = {VERDICT})"),
    };
    format!(
        "(:ids is null or id in (select value from json_each(:ids))) and (:ingestion is null or ingestion = :ingestion) \
         and (:id_prefix is null or substr(id, 1, length(:id_prefix)) = :id_prefix) and (:stage is null or stage = :stage) and (:field is null or field = :field) \
         and (:reasons is null or reason in (select value from json_each(:reasons))) and {state}"
    )
}

pub(crate) fn with<'p>(
    parameters: &'p [(&'static str, Value)],
    more: &[(&'static str, &'p dyn rusqlite::ToSql)],
) -> Vec<(&'static str, &'p dyn rusqlite::ToSql)> {
    let values = parameters.iter().map(|(name, value)| (*name, value as &dyn rusqlite::ToSql));
    values.chain(more.iter().copied()).collect()
}

/// Gives the rejects that match to `each` until it breaks.
fn listed(database: &Database, filter: &RejectFilter, limit: usize, each: &mut EachReject<'_>) -> Result<()> {
    let connection = open(database, Access::Read)?;
    let keeps_dismissals = keeps_dismissals(&connection)?;
    let dismissal = if keeps_dismissals {
        format!(
            "case when dismissed_verdict = {VERDICT} then dismissed_at end, coalesce(dismissed_by, ''), \
             coalesce(dismissed_reason, '')"
        )
    } else {
        "null, '', ''".to_owned()
    };
    let statement = format!(
        "select {}, {dismissal} from {} where {} order by rejected_at desc, origin, id limit :limit",
        listed_columns(),
        support::REJECT,
        condition(filter.state, keeps_dismissals),
    );
    let parameters = Wanted::of(&connection, filter)?.parameters();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare(&statement).during(LIST)?;
    let parameters = with(&parameters, &[(":limit", &limit)]);
    let rows = statement.query_map(parameters.as_slice(), |row| {
        const DISMISSAL: usize = WIDTH;
        let at: Option<String> = row.get(DISMISSAL)?;
        let (by, reason): (String, String) = (row.get(DISMISSAL + 1)?, row.get(DISMISSAL + 2)?);
        Ok(ListedReject::new(read(row)?, at.map(|at| Dismissal::new(reason, by, at))))
    });
    for row in rows.during(LIST)? {
        if each(row.during(LIST)?).is_break() {
            break;
        }
    }
    Ok(())
}

fn counted(database: &Database, filter: &RejectFilter, columns: &[RejectColumn]) -> Result<Vec<RejectGroup>> {
    const OPERATION: &str = "count rejects";
    let connection = open(database, Access::Read)?;
    let selected: String = columns.iter().map(|column| format!(", {}", column.name())).collect();
    let grouped: Vec<&str> = columns.iter().map(|column| column.name()).collect();
    let grouped = if grouped.is_empty() { String::new() } else { format!("group by {}", grouped.join(", ")) };
    let statement = format!(
        "select count(*), coalesce(max(rejected_at), ''), coalesce(min(id), ''){selected} from {} where {} {grouped}",
        support::REJECT,
        condition(filter.state, keeps_dismissals(&connection)?),
    );
    let parameters = Wanted::of(&connection, filter)?.parameters();
    let mut statement = connection.prepare(&statement).during(OPERATION)?;
    let rows = statement.query_map(with(&parameters, &[]).as_slice(), |row| {
        let values = (0..columns.len()).map(|index| row.get(index + 3)).collect::<rusqlite::Result<_>>()?;
        Ok(RejectGroup::new(values, unsigned(row.get(0)?), row.get(1)?, row.get(2)?))
    });
    let mut groups = rows.during(OPERATION)?.collect::<rusqlite::Result<Vec<_>>>().during(OPERATION)?;
    groups.retain(|group| group.count > 0);
    Ok(RejectGroup::merged(groups, columns))
}

/// Changes the rejects that match.
fn update(
    database: &Database,
    filter: &RejectFilter,
    state: RejectState,
    set: &str,
    more: &[(&'static str, &dyn rusqlite::ToSql)],
) -> Result<u64> {
    let connection = open(database, Access::Write)?;
    if !keeps_dismissals(&connection)? {
        let message =
            format!("the sink has no place for dismissals yet; run `cdm provision {}`, which adds it", database.id());
        return Err(Error::new(ErrorKind::NotProvisioned, DISMISS, message));
    }
    let statement = format!("update {} set {set} where {}", support::REJECT, condition(state, true));
    let parameters = Wanted::of(&connection, filter)?.parameters();
    let changed = connection.execute(&statement, with(&parameters, more).as_slice()).during(DISMISS)?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

#[async_trait]
impl RejectListing for SqliteCdm {
    async fn list(&self, filter: &RejectFilter, limit: usize, each: &mut EachReject<'_>) -> Result<()> {
        let (database, filter) = (self.database().clone(), filter.clone());
        let (sender, mut receiver) = mpsc::channel(READ_AHEAD);
        let reading = OWNER.blocking(move || {
            // Nobody receives any more once `each` breaks.
            listed(&database, &filter, limit, &mut |listed| match sender.blocking_send(listed) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
        });
        let giving = async move {
            while let Some(listed) = receiver.recv().await {
                if each(listed).is_break() {
                    break;
                }
            }
        };
        tokio::join!(reading, giving).0
    }

    async fn count(&self, filter: &RejectFilter, columns: &[RejectColumn]) -> Result<Vec<RejectGroup>> {
        let (database, filter, columns) = (self.database().clone(), filter.clone(), columns.to_vec());
        OWNER.blocking(move || counted(&database, &filter, &columns)).await
    }
}

#[async_trait]
impl Dismissals for SqliteCdm {
    async fn dismiss(&self, filter: &RejectFilter, reason: &str, by: &str) -> Result<u64> {
        let (database, filter) = (self.database().clone(), filter.clone());
        let (reason, by) = (reason.to_owned(), by.to_owned());
        let set = format!(
            "dismissed_at = :now, dismissed_reason = :reason, dismissed_by = :by, dismissed_verdict = {VERDICT}"
        );
        OWNER
            .blocking(move || {
                let now = cells::now()?;
                let more = named_params! { ":now": now, ":reason": reason, ":by": by };
                update(&database, &filter, RejectState::Open, &set, more)
            })
            .await
    }

    async fn reopen(&self, filter: &RejectFilter) -> Result<u64> {
        let (database, filter) = (self.database().clone(), filter.clone());
        let set = "dismissed_at = null, dismissed_reason = null, dismissed_by = null, dismissed_verdict = null";
        OWNER.blocking(move || update(&database, &filter, RejectState::Dismissed, set, &[])).await
    }
}
