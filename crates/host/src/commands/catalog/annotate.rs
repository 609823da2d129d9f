use std::str::FromStr;

use catalog::{AnnotationEdit, Interval, RowBand};
use clap::Args;
use endpoint_api::ErrorKind;

use super::{find, show};
use crate::{answer::Answer, app::App, failure::Failure, metadata::now};

/// What to write about a dataset.
#[derive(Debug, Args)]
pub(crate) struct AnnotateArgs {
    /// The dataset's id, such as `cdm.work.item@warehouse`.
    id: String,
    /// What it is and how to use it.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Who answers for it.
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// A word to find it by, beside those that are there; again for more.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What there is to say about a column, `status_category=Use this and not status`; again for more.
    #[arg(long = "column", value_name = "NAME=NOTE")]
    columns: Vec<ColumnNote>,
    /// It is loaded at least that often, such as `24h` or `1d 12h`; `cdm catalog health` looks.
    #[arg(long, value_name = "INTERVAL")]
    expect_every: Option<Interval>,
    /// It has so many rows, both ends counted: `100..5000`, `1..` or `..5000`.
    #[arg(long, value_name = "FROM..TO")]
    expect_rows: Option<RowBand>,
    /// Take something away: `description`, `owner`, `tag=TAG`, `column=NAME`, `expect-every` or `expect-rows`;
    /// again for more.
    #[arg(long = "remove", value_name = "WHAT")]
    removals: Vec<Removal>,
}

#[derive(Debug, Clone)]
struct ColumnNote {
    column: String,
    note: String,
}

impl FromStr for ColumnNote {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((column, note)) if !column.is_empty() && !note.is_empty() => {
                Ok(Self { column: column.to_owned(), note: note.to_owned() })
            }
            _ => Err("expected a column, `=` and what there is to say about it".to_owned()),
        }
    }
}

#[derive(Debug, Clone)]
enum Removal {
    Description,
    Owner,
    Tag(String),
    Column(String),
    ExpectEvery,
    ExpectRows,
}

impl FromStr for Removal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.split_once('=') {
            None if text == "description" => Self::Description,
            None if text == "owner" => Self::Owner,
            None if text == "expect-every" => Self::ExpectEvery,
            None if text == "expect-rows" => Self::ExpectRows,
            Some(("tag", tag)) if !tag.is_empty() => Self::Tag(tag.to_owned()),
            Some(("column", column)) if !column.is_empty() => Self::Column(column.to_owned()),
            _ => {
                let known = "description, owner, tag=TAG, column=NAME, expect-every or expect-rows";
                return Err(format!("expected {known}"));
            }
        })
    }
}

impl AnnotateArgs {
    fn edit(&self) -> AnnotationEdit {
        let mut edit = AnnotationEdit::default();
        if let Some(description) = &self.description {
            edit = edit.description(description);
        }
        if let Some(owner) = &self.owner {
            edit = edit.owner(owner);
        }
        if self.expect_every.is_some() {
            edit = edit.expect_every(self.expect_every);
        }
        if self.expect_rows.is_some() {
            edit = edit.expect_rows(self.expect_rows);
        }
        edit = self.tags.iter().fold(edit, AnnotationEdit::tag);
        edit = self.columns.iter().fold(edit, |edit, ColumnNote { column, note }| edit.note(column, note));
        self.removals.iter().fold(edit, |edit, removal| match removal {
            Removal::Description => edit.description(""),
            Removal::Owner => edit.owner(""),
            Removal::Tag(tag) => edit.without_tag(tag),
            Removal::Column(column) => edit.note(column, ""),
            Removal::ExpectEvery => edit.expect_every(None),
            Removal::ExpectRows => edit.expect_rows(None),
        })
    }
}

/// Writes what somebody has to say about a dataset, and shows it.
pub(crate) async fn annotate(app: &App, args: &AnnotateArgs) -> Result<Answer, Failure> {
    let edit = args.edit();
    if edit.is_empty() {
        let message = "there is nothing to write; `cdm catalog annotate --help` shows what can be said of a dataset";
        return Err(Failure::usage(message));
    }
    let (catalog, mut dataset) = find(app, &args.id).await?;
    let at = now();
    let written = catalog.annotate(&dataset.spec.id(), &edit, at).await.map_err(|error| match error.kind() {
        ErrorKind::Config => Failure::usage(error.to_string()),
        _ => Failure::from(error),
    })?;
    catalog.close().await?;
    if written != dataset.annotations {
        dataset.annotations = written;
        dataset.annotated_at = Some(at);
    }
    Ok(show::answer(app, &dataset))
}
