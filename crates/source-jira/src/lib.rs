//! The driver `jira.export`: a source that reads what was exported from Jira's REST API, from files.
//!
//! It must never change, repair or map a record: a record is handed out as it stands in its file,
//! except that a line break between two tokens of its JSON becomes a space, and that byte order marks between records
//! are left out. It must never write to the export, and never hold more of it in memory than a few batches and one
//! record, whatever the size of a file or of a record.
//!
//! # Files
//!
//! A data file is any file at `path`, at any depth, that ends in `.json`, `.jsonl` or `.ndjson`, with or without `.gz`
//! or `.zst` after that. Upper and lower case are the same.
//!
//! | name | what it tells |
//! | --- | --- |
//! | begins with `projects`, `users`, `issues`, `comments` or `worklogs`, and has besides only numbers, project keys in capitals, and words such as `page`, `part` or `all`: `issues.jsonl`, `Issues-3.json`, `issues (2).json`, `issues-page-1.json`, `issues-ACME.jsonl` | the unit, unless the contents are certainly of another one |
//! | has one of these words, also in the singular, among others: `issues-acme.jsonl`, `issue-AB-1.json`, `acme-comments.json` | the unit, if the contents bear it out |
//! | has none of them, but its folder has: `comments/0001.json` | as if the folder's name were the file's |
//! | none of these: `AB-1.json` | nothing: the contents decide |
//! | has an issue's key: `comments-AB-1.json`, `AB-1/worklogs.json` | the issue of the comments and worklogs that do not name one |
//! | `.gz`, `.zst` | the compression, unless the first bytes tell another one |
//!
//! The contents decide by the first 64 KiB: a page is of the unit that its list is named after (`issues`); a record with
//! `fields` is an issue, with `body` a comment, with `timeSpentSeconds` a worklog, with `accountId` a user, and with
//! `projectTypeKey` a project.
//!
//! Records stand one a line (lines end with `\n` and with nothing else), or as values of any number of lines: records,
//! pages as Jira sends them (`{"total":2,"issues":[…]}`), and arrays of records or pages, one after the other. Which of
//! the two it is, is told by the contents as well: a page or an indented record in a `.jsonl` file is read, and so is a
//! `.json` file with one record a line. The origin of a record is its file and its line, or its place among the other
//! records of the file, from 1.
//!
//! A data file that is not read is named by the check and by runs, with the reason: one that tells no unit, one whose
//! name begins with a dot, one with another ending after `.json` or `.jsonl`, and a link that leads out of the export,
//! unless `follow_links` is set. Folders whose names begin with a dot are not looked into, and named when data files are
//! in them. A file that cannot be read to its end gives none of its records: reading its slice is an error, and the
//! other files are not concerned.
//!
//! # Records that others embed
//!
//! In CDM mode a unit also has the records that others embed: users (rank 0, parts of a record) from
//! projects, issues, comments and worklogs, whole comments and worklogs from issues. A comment or
//! worklog that names its issue only by key gets the issue's id from the issues of the same export;
//! where there is none, or more than one, it keeps the key alone, and mapping rejects it. In raw mode
//! a unit is its own files. An issue that names its parent only by key (`parent`, `epic`, or the field that
//! `epic_link_field` or the `schema` of the file's pages names) gets the parent's id likewise, and stays without one where it is not found. Users that
//! are named by a lesser id than the export's own users have get the better one as an alias in the envelope.
//!
//! # What is missing
//!
//! A plan begins with a slice without records when something is missing in the export as a whole
//! ([`Incomplete`](endpoint_api::Incomplete)): pages that announce more records by their `total` than all pages of the
//! unit hold, a last page that says that another one follows (`nextPageToken`, `isLast`), lists of other records beside the unit's own, entries in `issueErrors`,
//! `errorMessages`, `errors`, `warningMessages` or `warnings`, a file that an earlier run has read and that is gone, and
//! data files that are not read. The other slices say which issues embed fewer comments, worklogs or entries of the
//! changelog than there are, or embed them in another shape than Jira's, and which records are of another site than the
//! export.
//!
//! What pages say of the fields of their issues (`names` and `schema`) becomes fields of the unit `jira.issues`:
//! `fields.customfield_10016`, with the field's name and schema as the description.
//!
//! # Checkpoints
//!
//! A checkpoint holds the fingerprints of the files that were read to their end. A later run reads the
//! files whose contents have changed; a file whose modification time is as recorded is not even looked
//! into, except for its first 64 KiB. A slice of a file that has changed since the plan was made is outdated.
//!
//! The rows of a file also depend on `site_url` and `epic_link_field`, and on records of other files: the users with
//! several ids, and the ids and keys of issues and projects. When a setting has changed, all files are read again. When only other
//! files have changed, a full load (not a later run) counts the file as changed, if it has records to which that may
//! matter.
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

mod access;
mod batches;
mod buffer;
mod check;
mod config;
mod content;
mod cuts;
mod decode;
mod depends;
mod driver;
mod elements;
mod error;
mod export;
mod extract;
mod field_names;
mod files;
mod files_read;
mod fingerprint;
mod gather;
mod gathered_files;
mod gzip;
mod hints;
mod issue_parent;
mod issue_project;
mod json;
mod json_lines;
mod key_index;
mod lines;
mod look;
mod names;
mod notes;
mod pages;
mod parent;
mod pieces;
mod plan;
mod read;
mod scan;
mod site;
mod slice_spec;
mod spans;
mod stop;
mod survey;
mod units;
mod user_aliases;
mod walk;

pub use config::Config;
pub use driver::{ExportEndpoint, JiraExport};
