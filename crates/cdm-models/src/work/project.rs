use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Json, Model, RawJson, register_model};

/// A project: the container of items that have a key, people and a workflow in common.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Project<'a> {
    /// Identity in the CDM: `cdm:work:project:<source_system>:<source_id>`.
    #[schemars(extend("x-cdm-key" = true))]
    pub cdm_id: Cow<'a, str>,
    /// The system that the record comes from, as configured for its source endpoint.
    pub source_system: Cow<'a, str>,
    /// The project's id at the source, which never changes.
    pub source_id: Cow<'a, str>,
    /// The project's short key at the source (`ACME`); it can be renamed.
    pub source_project_key: Option<Cow<'a, str>>,
    /// The project's name.
    pub name: Option<Cow<'a, str>>,
    /// What the project is about, as plain text.
    pub description: Option<Cow<'a, str>>,
    /// A web address that the project's people gave it.
    pub url: Option<Cow<'a, str>>,
    /// The kind of project at the source (`software`, `service_desk`, `business`).
    pub project_type: Option<Cow<'a, str>>,
    /// The user who leads the project.
    #[schemars(extend("x-cdm-references" = "cdm.work.user"))]
    pub lead_cdm_id: Option<Cow<'a, str>>,
    /// Whether the project was archived.
    pub archived: Option<bool>,
    /// The page that shows the project to people; null when it is not known.
    pub source_url: Option<Cow<'a, str>>,
    /// What mapping changed or shortened, as received, in the record's own shape.
    pub raw_source: Option<RawJson<'a>>,
    /// What no other field holds, by its name at the source.
    pub properties: Option<Json<'a>>,
}

impl Model for Project<'_> {
    const ID: &'static str = "cdm.work.project";
    const VERSION: &'static str = "1.0.0";
}

register_model!(Project<'static>);
