//! `cdm rejects`: records that could not be read, mapped or stored.

mod dismiss;
mod id;
mod list;
mod pieces;
mod replay;
mod show;

use std::ops::ControlFlow;

use clap::Args;
use endpoint_api::{
    EachReject, Ingestion, ListedReject, RejectFilter, RejectQuery, RejectState, StoredReject, batch::Stage,
};
use serde_json::{Value, json};

use crate::{
    app::App,
    config::Settings,
    endpoints::{Opened, find, open},
    failure::{Failure, unknown},
};
pub(crate) use dismiss::{DismissArgs, ReopenArgs, dismiss, reopen};
use id::by_ids;
pub(crate) use id::short;
pub(crate) use list::{ListArgs, list};
pub(crate) use replay::{ReplayArgs, replay};
pub(crate) use show::show;

/// Which rejects a command is about, beside their ids.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FilterArgs {
    /// Only those of this ingestion.
    #[arg(long, value_name = "NAME")]
    ingestion: Option<String>,
    /// Only those of this stage: source (not a record), map (no row can be made of it) or sink (the row cannot be
    /// stored).
    #[arg(long, value_name = "STAGE")]
    stage: Option<Stage>,
    /// Only those in which this member is wrong, such as `fields.created`.
    #[arg(long, value_name = "FIELD")]
    field: Option<String>,
    /// Only those with this reason, as a list or `--group-by reason` shows it.
    #[arg(long, value_name = "TEXT")]
    rejected_for: Option<String>,
}

impl FilterArgs {
    fn is_empty(&self) -> bool {
        self.ingestion.is_none() && self.stage.is_none() && self.field.is_none() && self.rejected_for.is_none()
    }

    /// The open rejects that match.
    fn filter(&self, settings: &Settings) -> Result<RejectFilter, Failure> {
        let mut filter = RejectFilter::open();
        filter.ingestion = self.ingestion.as_deref().map(|name| named(settings, name)).transpose()?;
        filter.stage = self.stage;
        filter.field.clone_from(&self.field);
        filter.reason.clone_from(&self.rejected_for);
        Ok(filter)
    }
}

/// The ids of rejects, or a filter: both at once would leave open which of them counts.
fn refuse_both(ids: &[String], filter: &FilterArgs) -> Result<(), Failure> {
    if ids.is_empty() || filter.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(
        "name rejects by their ids, or by --ingestion, --stage, --field and --rejected-for; not by both",
    ))
}

/// Opens the endpoint and makes sure that it is a sink.
async fn open_sink(app: &App, settings: &Settings, sink: &str) -> Result<Opened, Failure> {
    let opened = open(app, settings, find(settings, sink)?).await?;
    opened.sink()?;
    Ok(opened)
}

fn named(settings: &Settings, name: &str) -> Result<Ingestion, Failure> {
    let found = settings.ingestions.iter().find(|ingestion| ingestion.name == name);
    let known: Vec<&str> = settings.ingestions.iter().map(|ingestion| ingestion.name.as_str()).collect();
    let found = found.ok_or_else(|| Failure::usage(unknown("ingestion", name, "configured", &known)))?;
    Ok(found.ingestion())
}

/// The rejects that are read at a time, with their records, from a sink without a listing.
const PAGE: usize = 16;

/// Gives the rejects that match to `each`, without their records. A sink without a listing takes no filter but the ids and
/// the ingestion.
async fn each_reject(
    sink: &Opened,
    filter: &RejectFilter,
    limit: usize,
    each: &mut EachReject<'_>,
) -> Result<(), Failure> {
    if let Some(listing) = sink.reject_listing() {
        return Ok(listing.list(filter, limit, each).await?);
    }
    if filter.stage.is_some() || filter.field.is_some() || filter.reason.is_some() {
        return Err(without(sink, "list rejects by stage, field or reason"));
    }
    if filter.state == RejectState::Dismissed {
        return Ok(());
    }
    let mut query = RejectQuery::newest(PAGE);
    query.ingestion.clone_from(&filter.ingestion);
    if let [id] = filter.ids.as_slice() {
        query.id = Some(id.clone());
    }
    let mut left = limit;
    loop {
        let page = sink.sink()?.rejects(&query).await?;
        query.offset += page.len();
        if page.is_empty() {
            return Ok(());
        }
        for reject in page.into_iter().filter(|reject| filter.takes_id(&reject.id)) {
            let reject = StoredReject { raw: Vec::new(), ..reject };
            if left == 0 || each(ListedReject::new(reject, None)).is_break() {
                return Ok(());
            }
            left -= 1;
        }
    }
}

/// The first rejects that match, without their records.
async fn newest(sink: &Opened, filter: &RejectFilter, limit: usize) -> Result<Vec<ListedReject>, Failure> {
    let mut found = Vec::new();
    let mut each = |listed| {
        found.push(listed);
        ControlFlow::Continue(())
    };
    each_reject(sink, filter, limit, &mut each).await?;
    Ok(found)
}

/// The driver does not have the role that the command needs.
fn without(sink: &Opened, role: &str) -> Failure {
    Failure::usage(format!("`{}` ({}) does not {role}; see `cdm drivers`", sink.id, sink.driver.id()))
}

fn to_json(listed: &ListedReject) -> Value {
    let mut json = stored_to_json(&listed.reject);
    if let (Some(dismissal), Some(members)) = (&listed.dismissal, json.as_object_mut()) {
        members.insert("dismissal".to_owned(), json!(dismissal));
    }
    json
}

fn stored_to_json(reject: &StoredReject) -> Value {
    serde_json::to_value(reject).unwrap_or_else(|_| json!({}))
}
