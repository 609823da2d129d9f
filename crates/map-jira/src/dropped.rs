/// Something of a record that no row keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// The unit whose records have it.
    pub unit: &'static str,
    /// Where it stands: a dotted path; a final `**` is everything below.
    pub path: &'static str,
    /// Why it is of no use.
    pub why: &'static str,
}

const PICTURES: &str = "addresses of pictures, which follow from the object's id";
const EXPAND: &str = "the names of what the request could have asked for";
const COMMENTS: &str = "each of the comments is a row of `cdm.work.comment`";
const WORKLOGS: &str = "each of the worklogs is a row of `cdm.work.worklog`";

const fn dropped(unit: &'static str, path: &'static str, why: &'static str) -> Dropped {
    Dropped { unit, path, why }
}

/// All that the mappers of this crate leave out, beside members that are null.
pub const DROPPED: &[Dropped] = &[
    dropped("jira.projects", "expand", EXPAND),
    dropped("jira.projects", "avatarUrls.**", PICTURES),
    dropped("jira.projects", "lead.avatarUrls.**", PICTURES),
    dropped("jira.users", "expand", EXPAND),
    dropped("jira.users", "avatarUrl", PICTURES),
    dropped("jira.users", "avatarUrls.**", PICTURES),
    dropped("jira.issues", "expand", EXPAND),
    dropped("jira.issues", "fields.project.avatarUrls.**", PICTURES),
    dropped("jira.issues", "fields.reporter.avatarUrls.**", PICTURES),
    dropped("jira.issues", "fields.assignee.avatarUrls.**", PICTURES),
    dropped("jira.issues", "fields.creator.avatarUrls.**", PICTURES),
    dropped("jira.issues", "fields.issuetype.iconUrl", PICTURES),
    dropped("jira.issues", "fields.status.iconUrl", PICTURES),
    dropped("jira.issues", "fields.priority.iconUrl", PICTURES),
    dropped("jira.issues", "fields.comment.**", COMMENTS),
    dropped("jira.issues", "fields.worklog.**", WORKLOGS),
    dropped("jira.comments", "author.avatarUrls.**", PICTURES),
    dropped("jira.comments", "updateAuthor.avatarUrls.**", PICTURES),
    dropped("jira.worklogs", "author.avatarUrls.**", PICTURES),
    dropped("jira.worklogs", "updateAuthor.avatarUrls.**", PICTURES),
];
