use clap::{Args, ValueEnum};
use endpoint_api::{ListedReject, RejectColumn, RejectFilter, RejectGroup, RejectListing, RejectState};
use serde_json::{Map, Value, json};

use super::{FilterArgs, newest, open_sink, pieces, short, to_json, without};
use crate::{
    answer::Answer,
    app::App,
    failure::Failure,
    table::{Table, Width, grouped},
};

/// Which rejects are listed, and how.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Count the rejects that have the same values: `reason`, `stage`, `field` or `ingestion`; several with commas,
    /// such as `stage,reason`. Reasons that differ in whole numbers only are one, with `N` for the number.
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',')]
    group_by: Vec<GroupBy>,
    /// Those that were dismissed, with the reason, instead of the others.
    #[arg(long)]
    dismissed: bool,
    /// The maximum number of rejects, or of groups, that are shown.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(super) limit: usize,
}

/// By what rejects are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GroupBy {
    Reason,
    Stage,
    Field,
    Ingestion,
}

impl From<GroupBy> for RejectColumn {
    fn from(group_by: GroupBy) -> Self {
        match group_by {
            GroupBy::Reason => Self::Reason,
            GroupBy::Stage => Self::Stage,
            GroupBy::Field => Self::Field,
            GroupBy::Ingestion => Self::Ingestion,
        }
    }
}

impl ListArgs {
    /// The newest open rejects of all ingestions.
    pub(crate) fn newest(limit: usize) -> Self {
        Self { filter: FilterArgs::default(), group_by: Vec::new(), dismissed: false, limit }
    }
}

/// Lists a sink's rejects, or counts them in groups.
pub(crate) async fn list(app: &App, sink: &str, args: &ListArgs) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let mut filter = args.filter.filter(&settings)?;
    let opened = open_sink(app, &settings, sink).await?;
    if args.dismissed {
        if opened.dismissals().is_none() {
            return Err(without(&opened, "dismiss rejects"));
        }
        filter.state = RejectState::Dismissed;
    }
    let columns: Vec<RejectColumn> = args.group_by.iter().copied().map(RejectColumn::from).collect();
    let answer = match (opened.reject_listing(), columns.as_slice()) {
        (None, [_, ..]) => return Err(without(&opened, "count rejects in groups")),
        (Some(listing), [_, ..]) => {
            let groups = listing.count(&filter, &columns).await?;
            count_answer(&groups, &columns, args.limit, app.width)
        }
        (listing, []) => {
            let totals = match listing {
                Some(listing) => Some(Totals::of(listing, &filter).await?),
                None => None,
            };
            let list = List { sink, totals, args, width: app.width };
            if args.limit > pieces::ROWS {
                pieces::print(app.output, &opened, &filter, &list).await?
            } else {
                list.answer(&newest(&opened, &filter, args.limit).await?)
            }
        }
    };
    opened.endpoint.close().await?;
    Ok(answer)
}

/// How many rejects match, and how many more are dismissed.
struct Totals {
    total: u64,
    dismissed: u64,
}

impl Totals {
    async fn of(listing: &dyn RejectListing, filter: &RejectFilter) -> Result<Self, Failure> {
        let total = total(&listing.count(filter, &[]).await?);
        let dismissed = match filter.state {
            RejectState::Dismissed => total,
            _ => {
                let mut dismissed = filter.clone();
                dismissed.state = RejectState::Dismissed;
                self::total(&listing.count(&dismissed, &[]).await?)
            }
        };
        Ok(Self { total, dismissed })
    }
}

fn total(groups: &[RejectGroup]) -> u64 {
    groups.iter().map(|group| group.count).sum()
}

/// How a list of rejects is shown.
pub(super) struct List<'l> {
    sink: &'l str,
    /// `None` of a sink that does not count its rejects.
    totals: Option<Totals>,
    pub(super) args: &'l ListArgs,
    width: Width,
}

impl List<'_> {
    fn answer(&self, rejects: &[ListedReject]) -> Answer {
        let text = format!("{}{}", self.table(rejects), self.summary(rejects.len()));
        let mut json = Map::from_iter([("rejects".to_owned(), rejects.iter().map(to_json).collect())]);
        json.extend(self.totals());
        Answer::of(json, text)
    }

    /// The members of the JSON that count, which come after the rejects.
    pub(super) fn totals(&self) -> Map<String, Value> {
        let count = |of: fn(&Totals) -> u64| json!(self.totals.as_ref().map(of));
        let members = [("total", count(|totals| totals.total)), ("dismissed", count(|totals| totals.dismissed))];
        members.map(|(name, count)| (name.to_owned(), count)).into_iter().collect()
    }

    /// The rejects as a table; without any, nothing.
    pub(super) fn table(&self, rejects: &[ListedReject]) -> String {
        if rejects.is_empty() {
            return String::new();
        }
        let heads = ["ID", "INGESTION", "STAGE", "ORIGIN", "KEY", "FIELD", "REASON"];
        let mut table = if self.args.dismissed {
            let heads: Vec<&str> = heads.into_iter().chain(["DISMISSED", "BY", "AT"]).collect();
            let optional = ["INGESTION", "KEY", "FIELD", "AT", "STAGE", "ORIGIN", "BY"];
            Table::new(&heads).wrapped(&["ORIGIN", "REASON", "DISMISSED"]).optional(&optional)
        } else {
            Table::new(&heads).wrapped(&["ORIGIN", "REASON"]).optional(&["INGESTION", "KEY", "FIELD"])
        };
        for ListedReject { reject, dismissal, .. } in rejects {
            let mut cells = vec![
                short(&reject.id),
                reject.ingestion.clone(),
                reject.stage.to_string(),
                reject.origin.clone(),
                reject.key.clone().unwrap_or_default(),
                reject.field.clone().unwrap_or_default(),
                reject.reason.clone(),
            ];
            if let Some(dismissal) = dismissal {
                cells.extend([dismissal.reason.clone(), dismissal.by.clone(), dismissal.at.clone()]);
            }
            table.row(cells);
        }
        table.render(self.width)
    }

    /// How many there are and how to see the others.
    pub(super) fn summary(&self, shown: usize) -> String {
        let shown = u64::try_from(shown).unwrap_or(u64::MAX);
        let kind = if self.args.dismissed { "dismissed rejects" } else { "rejects" };
        let Some(Totals { total, dismissed }) = &self.totals else {
            return match shown {
                0 => format!("no {kind}\n"),
                _ => format!("showing the newest {}; the sink does not count its rejects\n", grouped(shown)),
            };
        };
        let mut text = match *total {
            0 => format!("no {kind}"),
            1 if shown == 1 => format!("1 {}", kind.trim_end_matches('s')),
            total if shown == total => format!("{} {kind}", grouped(total)),
            total => format!(
                "showing {} of {} {kind}; --limit shows more, and --group-by reason counts them",
                grouped(shown),
                grouped(total)
            ),
        };
        if !self.args.dismissed && *dismissed > 0 {
            text.push_str(&format!(
                "; {} dismissed: `cdm rejects list {} --dismissed`",
                grouped(*dismissed),
                self.sink
            ));
        }
        text.push('\n');
        text
    }
}

fn count_answer(groups: &[RejectGroup], columns: &[RejectColumn], limit: usize, width: Width) -> Answer {
    let heads: Vec<String> = columns.iter().map(|column| column.name().to_uppercase()).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).chain(["COUNT", "NEWEST", "EXAMPLE"]).collect();
    let mut table =
        Table::new(&heads).number("COUNT").wrapped(&["REASON", "FIELD", "INGESTION"]).optional(&["NEWEST", "EXAMPLE"]);
    for group in groups.iter().take(limit) {
        let values = group.values.iter().map(|value| value.clone().unwrap_or_else(|| "-".to_owned()));
        table.row(values.chain([grouped(group.count), group.newest.clone(), short(&group.example)]));
    }
    let rejects = total(groups);
    let text = match groups.len() {
        0 => "no rejects\n".to_owned(),
        count if count > limit => format!(
            "{}showing {limit} of {count} groups, with {} rejects in all; --limit shows more\n",
            table.render(width),
            grouped(rejects)
        ),
        _ => format!("{}{} in all\n", table.render(width), grouped(rejects)),
    };
    let json = groups.iter().take(limit).map(|group| {
        let values = columns.iter().zip(&group.values).map(|(column, value)| (column.name().to_owned(), json!(value)));
        let mut members: Map<String, Value> = values.collect();
        members.insert("count".to_owned(), group.count.into());
        members.insert("newest".to_owned(), group.newest.as_str().into());
        members.insert("example".to_owned(), group.example.as_str().into());
        Value::Object(members)
    });
    let json = json!({ "groups": json.collect::<Vec<Value>>(), "total_groups": groups.len(), "total": rejects });
    Answer::of(members(json), text)
}

fn members(json: Value) -> Map<String, Value> {
    match json {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
