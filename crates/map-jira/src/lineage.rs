//! What each mapper declares about where its fields come from, and what it drops.

use endpoint_api::lineage::{
    Dropped, Input, Lineage, dropped, field, identity, kept, kept_rest, parent_id, parent_key, site_url, source_system,
    transformed,
};

const DOCUMENT: &str = "it is a document and not text";
const NUMBERS: &str = "it holds a number that `jsonb` would write in another way, or an object that repeats a member, \
                       or is nested too deeply";
const NO_PARENT: &str = "there is no `fields.parent`";

const PICTURES: &str = "addresses of pictures, which follow from the object's id";
const EXPAND: &str = "the names of what the request could have asked for";
const PAGE: &str = "it is a list, or a page of such records";

pub(crate) const PROJECTS: Lineage = Lineage {
    fields: &[
        field("cdm_id", &[source_system(), transformed("id")]),
        field("source_system", &[source_system().as_it_is()]),
        field("source_id", &[identity("id")]),
        field("source_project_key", &[identity("key")]),
        field("name", &[identity("name")]),
        field("description", &[transformed("description")]),
        field("url", &[identity("url")]),
        field("project_type", &[identity("projectTypeKey")]),
        field(
            "lead_cdm_id",
            &[source_system(), transformed("lead.accountId"), transformed("lead.key"), transformed("lead.name")],
        ),
        field("archived", &[identity("archived")]),
        field("source_url", &[site_url(), transformed("self"), transformed("key")]),
        field(
            "raw_source",
            &[kept("self"), kept("lead"), kept("description").when(DOCUMENT), kept_rest().when(NUMBERS)],
        ),
        field("properties", &[kept_rest()]),
    ],
    dropped: &[dropped("expand", EXPAND), dropped("avatarUrls", PICTURES), dropped("lead.avatarUrls", PICTURES)],
};

const NO_ACCOUNT_ID: &str = "there is no `accountId`";
const NO_KEY: &str = "there is neither `accountId` nor `key`";

pub(crate) const USERS: Lineage = Lineage {
    fields: &[
        field(
            "cdm_id",
            &[
                source_system(),
                transformed("accountId"),
                transformed("key").when(NO_ACCOUNT_ID),
                transformed("name").when(NO_KEY),
            ],
        ),
        field("source_system", &[source_system().as_it_is()]),
        field(
            "source_user_id",
            &[identity("accountId"), identity("key").when(NO_ACCOUNT_ID), identity("name").when(NO_KEY)],
        ),
        field("display_name", &[identity("displayName")]),
        field("email", &[identity("emailAddress")]),
        field("active", &[identity("active")]),
        field("time_zone", &[identity("timeZone")]),
        field("account_type", &[identity("accountType")]),
        field(
            "source_url",
            &[site_url(), transformed("self"), transformed("accountId"), transformed("name").when(NO_ACCOUNT_ID)],
        ),
        field("raw_source", &[kept("self"), kept_rest().when(NUMBERS)]),
        field("properties", &[kept_rest()]),
    ],
    dropped: &[dropped("expand", EXPAND), dropped("avatarUrl", PICTURES), dropped("avatarUrls", PICTURES)],
};

pub(crate) const ISSUES: Lineage = Lineage {
    fields: &[
        field("cdm_id", &[source_system(), transformed("id")]),
        field("source_system", &[source_system().as_it_is()]),
        field("source_id", &[identity("id")]),
        field("source_issue_key", &[identity("key")]),
        field("source_url", &[site_url(), transformed("self"), transformed("key")]),
        field("project_cdm_id", &[source_system(), transformed("fields.project.id")]),
        field(
            "parent_cdm_id",
            &[
                source_system(),
                transformed("fields.parent.id"),
                parent_id().when("`fields.parent` has no id"),
                transformed("fields.epic.id").when(NO_PARENT),
            ],
        ),
        field(
            "reporter_cdm_id",
            &[
                source_system(),
                transformed("fields.reporter.accountId"),
                transformed("fields.reporter.key"),
                transformed("fields.reporter.name"),
            ],
        ),
        field(
            "assignee_cdm_id",
            &[
                source_system(),
                transformed("fields.assignee.accountId"),
                transformed("fields.assignee.key"),
                transformed("fields.assignee.name"),
            ],
        ),
        field(
            "creator_cdm_id",
            &[
                source_system(),
                transformed("fields.creator.accountId"),
                transformed("fields.creator.key"),
                transformed("fields.creator.name"),
            ],
        ),
        field("issue_type", &[identity("fields.issuetype.name")]),
        field("status", &[identity("fields.status.name")]),
        field("status_category", &[transformed("fields.status.statusCategory.key")]),
        field("status_category_name", &[identity("fields.status.statusCategory.name")]),
        field("priority", &[identity("fields.priority.name")]),
        field("resolution", &[identity("fields.resolution.name")]),
        field("summary", &[identity("fields.summary")]),
        field("description", &[transformed("fields.description")]),
        field("labels", &[identity("fields.labels")]),
        field("created_at", &[identity("fields.created")]),
        field("updated_at", &[identity("fields.updated")]),
        field("due_on", &[identity("fields.duedate")]),
        field("closed_at", &[identity("fields.resolutiondate")]),
        field(
            "raw_source",
            &[
                kept("self"),
                kept("fields.project"),
                kept("fields.parent"),
                kept("fields.reporter"),
                kept("fields.assignee"),
                kept("fields.creator"),
                kept("fields.issuetype"),
                kept("fields.status"),
                kept("fields.priority"),
                kept("fields.resolution"),
                kept("fields.description").when(DOCUMENT),
                kept("fields.@record"),
                kept_rest().when(NUMBERS),
            ],
        ),
        field("properties", &[kept_rest()]),
    ],
    dropped: &[
        dropped("expand", EXPAND),
        dropped("fields.project.avatarUrls", PICTURES),
        dropped("fields.reporter.avatarUrls", PICTURES),
        dropped("fields.assignee.avatarUrls", PICTURES),
        dropped("fields.creator.avatarUrls", PICTURES),
        dropped("fields.issuetype.iconUrl", PICTURES),
        dropped("fields.status.iconUrl", PICTURES),
        dropped("fields.priority.iconUrl", PICTURES),
        dropped("fields.comment", "each of the comments is a row of `cdm.work.comment`").when(PAGE),
        dropped("fields.worklog", "each of the worklogs is a row of `cdm.work.worklog`").when(PAGE),
    ],
};

const NO_VISIBILITY: &str = "there is no `visibility`";
const NO_RESTRICTION: &str = "there is no other restriction";
const NO_ROLE: &str = "there is neither `visibility` nor `roleLevel`";

/// What is dropped of comments and worklogs alike.
const DROPPED_OF_ISSUE: &[Dropped] = &[
    dropped("author.avatarUrls", PICTURES),
    dropped("updateAuthor.avatarUrls", PICTURES),
    dropped("issueId", "the reference to the item tells it").when("it is the id of the record's issue"),
];

/// By whom a comment or a worklog is.
const AUTHOR: &[Input] =
    &[source_system(), transformed("author.accountId"), transformed("author.key"), transformed("author.name")];

/// Where a comment or a worklog is shown on the page of its issue.
const ON_PAGE: &[Input] = &[site_url(), transformed("self"), parent_key(), transformed("id")];

/// Who may read a comment or a worklog; older servers say it beside the record.
const VISIBILITY: &[Input] = &[
    transformed("visibility.type"),
    transformed("visibility.value"),
    transformed("visibility.identifier").when("`visibility` has no `value`"),
    transformed("roleLevel").when(NO_VISIBILITY),
    transformed("groupLevel").when(NO_ROLE),
    transformed("jsdPublic").when(NO_RESTRICTION),
    transformed("properties").when(NO_RESTRICTION),
];

pub(crate) const COMMENTS: Lineage = Lineage {
    fields: &[
        field("cdm_id", &[source_system(), parent_id(), transformed("id")]),
        field("source_system", &[source_system().as_it_is()]),
        field("source_comment_id", &[identity("id")]),
        field("item_cdm_id", &[source_system(), parent_id()]),
        field("author_cdm_id", AUTHOR),
        field("body", &[transformed("body")]),
        field("visibility", VISIBILITY),
        field("created_at", &[identity("created")]),
        field("updated_at", &[identity("updated")]),
        field("source_url", ON_PAGE),
        field(
            "raw_source",
            &[kept("self"), kept("author"), kept("body").when(DOCUMENT), kept("visibility"), kept_rest().when(NUMBERS)],
        ),
        field("properties", &[kept_rest()]),
    ],
    dropped: DROPPED_OF_ISSUE,
};

pub(crate) const WORKLOGS: Lineage = Lineage {
    fields: &[
        field("cdm_id", &[source_system(), parent_id(), transformed("id")]),
        field("source_system", &[source_system().as_it_is()]),
        field("source_worklog_id", &[identity("id")]),
        field("item_cdm_id", &[source_system(), parent_id()]),
        field("author_cdm_id", AUTHOR),
        field("started_at", &[identity("started")]),
        field("time_spent_seconds", &[identity("timeSpentSeconds")]),
        field("comment", &[transformed("comment")]),
        field("visibility", VISIBILITY),
        field("created_at", &[identity("created")]),
        field("updated_at", &[identity("updated")]),
        field("source_url", ON_PAGE),
        field(
            "raw_source",
            &[
                kept("self"),
                kept("author"),
                kept("comment").when(DOCUMENT),
                kept("visibility"),
                kept_rest().when(NUMBERS),
            ],
        ),
        field("properties", &[kept_rest()]),
    ],
    dropped: DROPPED_OF_ISSUE,
};
