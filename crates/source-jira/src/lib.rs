//! The driver `jira.export`: a source that reads what was exported from Jira's REST API, from files.
//!
//! It must never change, repair or map a record: a record is handed out as it stands in its file,
//! except that a line break between two tokens of its JSON becomes a space. It must never write to
//! the export, and never hold more of it in memory than a few batches and one record, whatever the
//! size of a file or of a record.
//!
//! In a folder it reads these files, and none that lie deeper; single files are called the same:
//!
//! | name | what |
//! | --- | --- |
//! | `projects`, `users`, `issues`, `comments`, `worklogs` | the unit, `jira.projects` and so on |
//! | nothing, or `-`, `_` or `.` and digits | one of many files: `issues-0001` |
//! | `.jsonl` | one record a line; lines end with `\n` and with nothing else |
//! | `.json` | arrays of records and pages as Jira sends them (`{"total":2,"issues":[…]}`), one after the other |
//! | nothing, `.gz` or `.zst` | plain or compressed |
//!
//! The origin of a record is its file and line; in a `.json` file the line is the record's place among
//! the others, from 1.
//!
//! In CDM mode a unit also has the records that others embed: users (rank 0, parts of a record) from
//! projects, issues, comments and worklogs, whole comments and worklogs from issues. A comment or
//! worklog that names its issue only by key gets the issue's id from the issues of the same export;
//! where there is none, or more than one, it keeps the key alone, and mapping rejects it. In raw mode
//! a unit is its own files. An issue that names its parent only by key (`parent`, `epic`, or the field that
//! `epic_link_field` names) gets the parent's id likewise, and stays without one where it is not found. Users that
//! are named by a lesser id than the export's own users have get the better one as an alias in the envelope.
//!
//! A checkpoint holds the fingerprints of the files that were read to their end. A later run reads the
//! files whose contents have changed; a file whose modification time is as recorded is not even looked
//! into. A slice of a file that has changed since the plan was made is outdated.
//!
//! ```
//! use endpoint_api::{Driver as _, Endpoint as _, EndpointId, Mode, OpenContext, PlanRequest, Source as _, UnitId};
//! use futures::StreamExt as _;
//! use source_jira::JiraExport;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("issues.jsonl"), "{\"id\":\"10001\",\"key\":\"AB-1\"}\n")?;
//!
//! let config = serde_json::from_value(serde_json::json!({ "path": "." }))?;
//! let context = OpenContext::new(EndpointId::from_static("acme_jira"), folder.path());
//! let export = JiraExport::open(config, context).await?;
//!
//! let issues = UnitId::from_static("jira.issues");
//! for slice in export.plan(&issues, &PlanRequest::new(Mode::Raw, None)).await? {
//!     let mut batches = export.read(&issues, &slice);
//!     while let Some(batch) = batches.next().await {
//!         for record in batch?.records() {
//!             assert_eq!(record.origin.to_string(), "issues.jsonl:1");
//!         }
//!     }
//! }
//! export.close().await?;
//! # Ok(())
//! # }
//! ```

mod batches;
mod buffer;
mod config;
mod cuts;
mod decode;
mod driver;
mod elements;
mod error;
mod export;
mod extract;
mod files;
mod fingerprint;
mod gather;
mod issue_keys;
mod issue_parent;
mod json;
mod lines;
mod parent;
mod pieces;
mod plan;
mod read;
mod site;
mod stop;
mod units;
mod user_aliases;

pub use config::Config;
pub use driver::{ExportEndpoint, JiraExport};
