use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Json, Model, RawJson, Timestamp, register_model};

/// A worklog: time that somebody spent on an item.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Worklog<'a> {
    /// Identity in the CDM: `cdm:work:worklog:<source_system>:<item's source_id>:<source_worklog_id>`.
    #[schemars(extend("x-cdm-key" = true))]
    pub cdm_id: Cow<'a, str>,
    /// The system that the record comes from, as configured for its source endpoint.
    pub source_system: Cow<'a, str>,
    /// The worklog's id at the source, which never changes.
    pub source_worklog_id: Cow<'a, str>,
    /// The item that the time was spent on.
    #[schemars(extend("x-cdm-references" = "cdm.work.item"))]
    pub item_cdm_id: Cow<'a, str>,
    /// The user who spent the time; null when it was logged anonymously.
    #[schemars(extend("x-cdm-references" = "cdm.work.user"))]
    pub author_cdm_id: Option<Cow<'a, str>>,
    /// When the work began.
    pub started_at: Option<Timestamp>,
    /// How long it took, in seconds.
    pub time_spent_seconds: Option<i64>,
    /// What was done, as plain text.
    pub comment: Option<Cow<'a, str>>,
    /// Who may read the worklog: `role:Administrators`; `group:staff`, or the group's identifier where its name is not
    /// told; `internal` for a note that customers cannot read; `restricted:unreadable` where there is a restriction
    /// that cannot be read. Null when everybody may read it.
    pub visibility: Option<Cow<'a, str>>,
    /// When the worklog was entered.
    pub created_at: Option<Timestamp>,
    /// When the worklog was last edited.
    #[schemars(extend("x-cdm-index" = true))]
    pub updated_at: Option<Timestamp>,
    /// The page that shows the worklog to people; null when it is not known.
    pub source_url: Option<Cow<'a, str>>,
    /// What mapping changed or shortened, as received, in the record's own shape.
    pub raw_source: Option<RawJson<'a>>,
    /// What no other field holds, by its name at the source.
    pub properties: Option<Json<'a>>,
}

impl Model for Worklog<'_> {
    const ID: &'static str = "cdm.work.worklog";
    const VERSION: &'static str = "1.0.0";
}

register_model!(Worklog<'static>);
