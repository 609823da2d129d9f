//! Mappers from the records of Jira's REST API to the work models of the CDM.
//!
//! Cloud (REST v3, rich text as ADF documents) and Server or Data Center (REST v2, text as it was
//! typed) are read alike, with every member allowed to be null or absent. A value that cannot be read is null in
//! the row, stays in `raw_source`, and is noted for the run's report. Only a record that is no JSON object, has no
//! id, is of another kind, or needs an issue and names none is rejected.
//!
//! | unit | model |
//! | --- | --- |
//! | `jira.projects` | `cdm.work.project` |
//! | `jira.users` | `cdm.work.user` |
//! | `jira.issues` | `cdm.work.item` |
//! | `jira.comments` | `cdm.work.comment` |
//! | `jira.worklogs` | `cdm.work.worklog` |
//!
//! Nothing of a record is lost silently: what no field holds is kept in `properties`, what mapping
//! changes or shortens is kept in `raw_source` in the shape of the record. Which members feed which field, and
//! what is left out, each mapper declares in its [`LINEAGE`](endpoint_api::Mapper::LINEAGE).
//!
//! This crate is pure: its dependencies make I/O impossible.

mod adf;
mod comment;
mod expected;
mod ids;
mod issue;
mod keep;
mod kind;
mod lineage;
mod odd;
mod on_issue;
mod project;
mod record;
mod rich_text;
mod url;
mod user;
mod values;
mod visibility;
mod worklog;

pub use comment::JiraComments;
pub use issue::JiraIssues;
pub use project::JiraProjects;
pub use user::JiraUsers;
pub use worklog::JiraWorklogs;
