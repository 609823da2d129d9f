use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Json, Model, RawJson, register_model};

/// A user: a person or an app that reports, works on or comments on items.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct User<'a> {
    /// Identity in the CDM: `cdm:work:user:<source_system>:<source_user_id>`.
    #[schemars(extend("x-cdm-key" = true))]
    pub cdm_id: Cow<'a, str>,
    /// The system that the record comes from, as configured for its source endpoint.
    pub source_system: Cow<'a, str>,
    /// The user's id at the source, which never changes.
    pub source_user_id: Cow<'a, str>,
    /// The name that people see.
    pub display_name: Option<Cow<'a, str>>,
    /// E-mail address, where the source shows it.
    pub email: Option<Cow<'a, str>>,
    /// Whether the account can be used.
    pub active: Option<bool>,
    /// Time zone by its IANA name (`Europe/Berlin`).
    pub time_zone: Option<Cow<'a, str>>,
    /// The kind of account at the source (`atlassian`, `app`, `customer`).
    pub account_type: Option<Cow<'a, str>>,
    /// The page that shows the user to people; null when it is not known.
    pub source_url: Option<Cow<'a, str>>,
    /// What mapping changed or shortened, as received, in the record's own shape.
    pub raw_source: Option<RawJson<'a>>,
    /// What no other field holds, by its name at the source.
    pub properties: Option<Json<'a>>,
}

impl Model for User<'_> {
    const ID: &'static str = "cdm.work.user";
    const VERSION: &'static str = "1.0.0";
}

register_model!(User<'static>);
