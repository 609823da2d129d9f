use std::pin::pin;

use endpoint_api::{
    Dismissal, Dismissals, EachReject, Error, ErrorKind, ListedReject, RejectColumn, RejectFilter, RejectGroup,
    RejectListing, RejectState, Result, async_trait,
};
use futures::TryStreamExt as _;
use relational::{
    state::{unsigned, without_nul},
    support::VERDICT,
};
use tokio_postgres::{Row, types::Type};

use crate::{
    endpoint::PgCdm,
    rejects::{WIDTH, listed_columns, stored, unprovisioned},
    session::{Session, column},
    state::SupportTables,
};

/// As the time of a reject is shown.
const RFC_3339: &str = "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'";

/// A session with the table of rejects.
pub(crate) struct Rejects<'e> {
    endpoint: &'e PgCdm,
    pub(crate) session: Session,
    pub(crate) table: String,
    /// Whether the table has the columns of dismissals, which came later.
    keeps_dismissals: bool,
}

/// A filter as the parameters of [`Rejects::condition`].
pub(crate) struct Wanted {
    ids: Option<Vec<String>>,
    id_prefix: Option<String>,
    ingestion: Option<String>,
    stage: Option<String>,
    field: Option<String>,
    reasons: Option<Vec<String>>,
    pub(crate) state: RejectState,
}

impl<'e> Rejects<'e> {
    pub(crate) async fn open(endpoint: &'e PgCdm) -> Result<Self> {
        let session = Session::open(endpoint.connector()).await?;
        let table = SupportTables::of(endpoint.schema()).reject;
        let statement = "select exists (select from pg_attribute where attrelid = to_regclass($1) \
                         and attname = 'dismissed_verdict' and not attisdropped)";
        let found = session.query_one("list rejects", statement, &[(&table, Type::TEXT)]).await?;
        Ok(Self { endpoint, session, table, keeps_dismissals: column(&found, 0)? })
    }

    /// The parameters of a filter. Which of the stored reasons it takes is looked up in the whole table.
    pub(crate) async fn wanted(&self, filter: &RejectFilter) -> Result<Wanted> {
        let mut wanted = Wanted::but_reason(filter);
        if filter.reason.is_some() {
            let statement = format!("select distinct reason from {}", self.table);
            let rows = self.session.query("list rejects", &statement, &[]).await;
            let rows = rows.map_err(|error| self.unprovisioned(error))?;
            let reasons = rows.iter().map(|row| column(row, 0)).collect::<Result<Vec<String>>>()?;
            wanted.reasons = Some(reasons.into_iter().filter(|reason| filter.takes_reason(reason)).collect());
        }
        Ok(wanted)
    }

    pub(crate) fn unprovisioned(&self, error: Error) -> Error {
        unprovisioned(self.endpoint, error)
    }

    /// What a reject has to fulfil: the parameters are $1 to $6.
    pub(crate) fn condition(&self, state: RejectState) -> String {
        let state = match (state, self.keeps_dismissals) {
            (RejectState::Any, _) | (RejectState::Open, false) => "true".to_owned(),
            (RejectState::Dismissed, false) => "false".to_owned(),
            (RejectState::Open, true) => {
                format!("(dismissed_at is null or dismissed_verdict is distinct from {VERDICT})")
            }
            (RejectState::Dismissed, true) => format!("(dismissed_at is not null and dismissed_verdict = {VERDICT})"),
        };
        format!(
            "($1::text[] is null or id = any($1)) and ($2::text is null or ingestion = $2) \
             and ($3::text is null or stage = $3) and ($4::text is null or field = $4) \
             and ($5::text[] is null or reason = any($5)) and ($6::text is null or starts_with(id, $6)) and {state}"
        )
    }

    /// Changes the rejects that match; `$7` and `$8` are the texts.
    async fn update(&self, filter: &RejectFilter, state: RejectState, set: &str, texts: [&str; 2]) -> Result<u64> {
        const OPERATION: &str = "dismiss rejects";
        if !self.keeps_dismissals {
            let message = format!(
                "the sink has no place for dismissals yet; run `cdm provision {}`, which adds it",
                self.endpoint.id()
            );
            return Err(Error::new(ErrorKind::NotProvisioned, OPERATION, message));
        }
        let wanted = self.wanted(filter).await?;
        let condition = self.condition(state);
        // Both texts are parameters of every such statement.
        let statement =
            format!("update {} set {set} where {condition} and ($7::text, $8::text) is not null", self.table);
        let [first, second] = texts.map(without_nul);
        let mut parameters = wanted.parameters().to_vec();
        parameters.extend([(&first as _, Type::TEXT), (&second as _, Type::TEXT)]);
        self.session.execute(OPERATION, &statement, &parameters).await
    }
}

impl Wanted {
    /// The parameters of a filter, whatever it says of reasons.
    pub(crate) fn but_reason(filter: &RejectFilter) -> Self {
        Self {
            ids: (!filter.ids.is_empty()).then(|| filter.ids.iter().map(|id| without_nul(id)).collect()),
            id_prefix: filter.id_prefix.as_deref().map(without_nul),
            ingestion: filter.ingestion.as_ref().map(ToString::to_string),
            stage: filter.stage.map(|stage| stage.to_string()),
            field: filter.field.as_deref().map(without_nul),
            reasons: None,
            state: filter.state,
        }
    }

    pub(crate) fn parameters(&self) -> [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 6] {
        [
            (&self.ids, Type::TEXT_ARRAY),
            (&self.ingestion, Type::TEXT),
            (&self.stage, Type::TEXT),
            (&self.field, Type::TEXT),
            (&self.reasons, Type::TEXT_ARRAY),
            (&self.id_prefix, Type::TEXT),
        ]
    }
}

/// The reject in a row of [`listed_columns`] and a dismissal.
fn listed(row: &Row) -> Result<ListedReject> {
    const DISMISSAL: usize = WIDTH;
    let at: Option<String> = column(row, DISMISSAL)?;
    let (by, reason): (String, String) = (column(row, DISMISSAL + 1)?, column(row, DISMISSAL + 2)?);
    Ok(ListedReject::new(stored(row)?, at.map(|at| Dismissal::new(reason, by, at))))
}

#[async_trait]
impl RejectListing for PgCdm {
    async fn list(&self, filter: &RejectFilter, limit: usize, each: &mut EachReject<'_>) -> Result<()> {
        let rejects = Rejects::open(self).await?;
        let wanted = rejects.wanted(filter).await?;
        let dismissal = if rejects.keeps_dismissals {
            format!(
                "case when dismissed_verdict = {VERDICT} then to_char(dismissed_at at time zone 'UTC', {RFC_3339}) \
                 end, coalesce(dismissed_by, ''), coalesce(dismissed_reason, '')"
            )
        } else {
            "null::text, '', ''".to_owned()
        };
        let statement = format!(
            "select {}, {dismissal} from {} where {} order by rejected_at desc, origin, id limit $7",
            listed_columns(),
            rejects.table,
            rejects.condition(wanted.state),
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut parameters = wanted.parameters().to_vec();
        parameters.push((&limit as _, Type::INT8));
        let rows = rejects.session.query_rows("list rejects", &statement, &parameters).await;
        let mut rows = pin!(rows.map_err(|error| rejects.unprovisioned(error))?);
        while let Some(row) = rows.try_next().await? {
            if each(listed(&row)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn count(&self, filter: &RejectFilter, columns: &[RejectColumn]) -> Result<Vec<RejectGroup>> {
        let rejects = Rejects::open(self).await?;
        let wanted = rejects.wanted(filter).await?;
        let selected: String = columns.iter().map(|column| format!(", {}", column.name())).collect();
        let grouped: Vec<&str> = columns.iter().map(|column| column.name()).collect();
        let grouped = if grouped.is_empty() { String::new() } else { format!("group by {}", grouped.join(", ")) };
        let statement = format!(
            "select count(*), to_char(max(rejected_at) at time zone 'UTC', {RFC_3339}), min(id){selected} \
             from {} where {} {grouped}",
            rejects.table,
            rejects.condition(wanted.state),
        );
        let rows = rejects.session.query("count rejects", &statement, &wanted.parameters()).await;
        let rows = rows.map_err(|error| rejects.unprovisioned(error))?;
        let mut groups = Vec::with_capacity(rows.len());
        for row in &rows {
            let count = unsigned(column(row, 0)?);
            if count > 0 {
                let values = (0..columns.len()).map(|index| column(row, index + 3)).collect::<Result<_>>()?;
                groups.push(RejectGroup::new(values, count, column(row, 1)?, column(row, 2)?));
            }
        }
        Ok(RejectGroup::merged(groups, columns))
    }
}

#[async_trait]
impl Dismissals for PgCdm {
    async fn dismiss(&self, filter: &RejectFilter, reason: &str, by: &str) -> Result<u64> {
        let set =
            format!("dismissed_at = now(), dismissed_reason = $7, dismissed_by = $8, dismissed_verdict = {VERDICT}");
        Rejects::open(self).await?.update(filter, RejectState::Open, &set, [reason, by]).await
    }

    async fn reopen(&self, filter: &RejectFilter) -> Result<u64> {
        let set = "dismissed_at = null, dismissed_reason = null, dismissed_by = null, dismissed_verdict = null";
        Rejects::open(self).await?.update(filter, RejectState::Dismissed, set, ["", ""]).await
    }
}
