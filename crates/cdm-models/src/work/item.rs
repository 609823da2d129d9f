use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Date, Json, Model, RawJson, Timestamp, register_model};

/// An item: a unit of work that is planned, assigned and brought to an end, such as a bug, a story
/// or a task.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Item<'a> {
    /// Identity in the CDM: `cdm:work:item:<source_system>:<source_id>`.
    #[schemars(extend("x-cdm-key" = true))]
    pub cdm_id: Cow<'a, str>,
    /// The system that the record comes from, as configured for its source endpoint.
    pub source_system: Cow<'a, str>,
    /// The item's id at the source, which never changes.
    pub source_id: Cow<'a, str>,
    /// The key that people use (`ACME-42`); it changes when the item moves to another project.
    #[schemars(extend("x-cdm-index" = true))]
    pub source_issue_key: Option<Cow<'a, str>>,
    /// Where to find the item at the source.
    pub source_url: Option<Cow<'a, str>>,
    /// The project that the item is in.
    #[schemars(extend("x-cdm-references" = "cdm.work.project"))]
    pub project_cdm_id: Option<Cow<'a, str>>,
    /// The item that this one is a part of.
    #[schemars(extend("x-cdm-references" = "cdm.work.item"))]
    pub parent_cdm_id: Option<Cow<'a, str>>,
    /// The user on whose behalf the item exists.
    #[schemars(extend("x-cdm-references" = "cdm.work.user"))]
    pub reporter_cdm_id: Option<Cow<'a, str>>,
    /// The user who works on the item.
    #[schemars(extend("x-cdm-references" = "cdm.work.user"))]
    pub assignee_cdm_id: Option<Cow<'a, str>>,
    /// The user who entered the item.
    #[schemars(extend("x-cdm-references" = "cdm.work.user"))]
    pub creator_cdm_id: Option<Cow<'a, str>>,
    /// The kind of item by its name at the source (`Bug`).
    pub issue_type: Option<Cow<'a, str>>,
    /// The step of the workflow by its name at the source; names are localised.
    pub status: Option<Cow<'a, str>>,
    /// How far the item is, the same in every project and language.
    pub status_category: Option<StatusCategory>,
    /// The category's name at the source, which is localised.
    pub status_category_name: Option<Cow<'a, str>>,
    /// The priority by its name at the source.
    pub priority: Option<Cow<'a, str>>,
    /// How the item ended by its name at the source; null while it is open.
    pub resolution: Option<Cow<'a, str>>,
    /// The item in one line.
    pub summary: Option<Cow<'a, str>>,
    /// The item at length, as plain text.
    pub description: Option<Cow<'a, str>>,
    /// Labels in the order of the source; null where the source did not tell.
    pub labels: Option<Vec<Cow<'a, str>>>,
    /// When the item was entered.
    pub created_at: Option<Timestamp>,
    /// When the item last changed at the source.
    #[schemars(extend("x-cdm-index" = true))]
    pub updated_at: Option<Timestamp>,
    /// The day by which the item is due.
    pub due_on: Option<Date>,
    /// When the item was resolved.
    pub closed_at: Option<Timestamp>,
    /// What mapping changed or shortened, as received, in the record's own shape.
    pub raw_source: Option<RawJson<'a>>,
    /// What no other field holds: custom fields by their id, other fields by their name.
    pub properties: Option<Json<'a>>,
}

/// How far an item is, whatever its status is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum StatusCategory {
    /// Nobody has begun.
    Todo,
    /// Somebody works on it.
    InProgress,
    /// It has come to its end.
    Done,
}

impl Model for Item<'_> {
    const ID: &'static str = "cdm.work.item";
    const VERSION: &'static str = "1.0.0";
}

register_model!(Item<'static>);
