use endpoint_api::{Error, ErrorKind, Result, UnitDescriptor, UnitField, UnitId};

/// One of the five collections of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Projects,
    Users,
    Issues,
    Comments,
    Worklogs,
}

impl Unit {
    /// All of them, in the order in which they refer to each other.
    pub(crate) const ALL: [Self; 5] = [Self::Projects, Self::Users, Self::Issues, Self::Comments, Self::Worklogs];

    /// The unit with that id.
    pub(crate) fn find(id: &UnitId) -> Result<Self> {
        Self::ALL.into_iter().find(|unit| unit.id() == *id).ok_or_else(|| {
            let known = Self::ALL.map(|unit| unit.id().to_string()).join("`, `");
            let message = format!("an export has no such unit; it has `{known}`");
            Error::new(ErrorKind::Config, "find a unit", message).with("unit", id)
        })
    }

    pub(crate) const fn id(self) -> UnitId {
        match self {
            Self::Projects => UnitId::from_static("jira.projects"),
            Self::Users => UnitId::from_static("jira.users"),
            Self::Issues => UnitId::from_static("jira.issues"),
            Self::Comments => UnitId::from_static("jira.comments"),
            Self::Worklogs => UnitId::from_static("jira.worklogs"),
        }
    }

    /// How its files are called, and the list of its records in a page of Jira's.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Projects => "projects",
            Self::Users => "users",
            Self::Issues => "issues",
            Self::Comments => "comments",
            Self::Worklogs => "worklogs",
        }
    }

    /// The units whose records embed records of this one.
    pub(crate) const fn embedded_in(self) -> &'static [Self] {
        match self {
            Self::Projects | Self::Issues => &[],
            Self::Users => &[Self::Projects, Self::Issues, Self::Comments, Self::Worklogs],
            Self::Comments | Self::Worklogs => &[Self::Issues],
        }
    }

    /// Whether its records belong to an issue.
    pub(crate) const fn is_of_an_issue(self) -> bool {
        matches!(self, Self::Comments | Self::Worklogs)
    }

    /// What the unit is and what its records usually have.
    pub(crate) fn descriptor(self) -> UnitDescriptor {
        let (title, fields) = match self {
            Self::Projects => ("Projects", PROJECT),
            Self::Users => ("Users", USER),
            Self::Issues => ("Issues", ISSUE),
            Self::Comments => ("Comments on issues", COMMENT),
            Self::Worklogs => ("Work logged on issues", WORKLOG),
        };
        let fields = fields.iter().map(|&(name, json_type, description)| UnitField {
            name: name.to_owned(),
            json_type: json_type.to_owned(),
            description: description.to_owned(),
        });
        UnitDescriptor::new(self.id(), title, fields.collect())
    }
}

/// Dotted path, JSON type, description; after the reference of Jira's REST API, versions 2 and 3.
type Member = (&'static str, &'static str, &'static str);

const PROJECT: &[Member] = &[
    ("id", "string", "The project's id, which never changes"),
    ("key", "string", "The project's key, with which the keys of its issues begin; it can change"),
    ("name", "string", "The project's name"),
    ("description", "string", "What the project is about"),
    ("lead", "object", "The user who leads the project"),
    ("projectTypeKey", "string", "software, service_desk or business"),
    ("projectCategory", "object", "The category that the project was put into"),
    ("simplified", "boolean", "Whether the project is managed by its team"),
    ("style", "string", "classic or next-gen"),
    ("isPrivate", "boolean", "Whether only its members see the project"),
    ("archived", "boolean", "Whether the project is archived"),
    ("issueTypes", "array", "The types that its issues can have"),
    ("components", "array", "The parts that the project is divided into"),
    ("versions", "array", "The versions that the project plans or has released"),
    ("roles", "object", "The URLs of its roles, by name"),
    ("avatarUrls", "object", "The URLs of its picture, by size"),
    ("url", "string", "A page about the project, as its people gave it"),
    ("self", "string", "The project's URL in the REST API"),
];

const USER: &[Member] = &[
    ("accountId", "string", "The user's id in all of Atlassian's cloud; absent on Server"),
    ("key", "string", "The user's id on Server and Data Center, which never changes"),
    ("name", "string", "The login name on Server and Data Center; it can change"),
    ("displayName", "string", "The name that people see"),
    ("emailAddress", "string", "The address, where the user lets it be seen"),
    ("active", "boolean", "Whether the user can log in"),
    ("timeZone", "string", "The user's time zone, such as Europe/Berlin"),
    ("locale", "string", "The user's language, such as en_US"),
    ("accountType", "string", "atlassian, app or customer"),
    ("groups", "object", "The groups that the user is in"),
    ("applicationRoles", "object", "The products that the user may use"),
    ("avatarUrls", "object", "The URLs of the user's picture, by size"),
    ("self", "string", "The user's URL in the REST API"),
];

const ISSUE: &[Member] = &[
    ("id", "string", "The issue's id, which never changes"),
    ("key", "string", "The issue's key, such as ABC-12; it changes when the issue moves to another project"),
    ("self", "string", "The issue's URL in the REST API"),
    ("fields.summary", "string", "The issue in one line"),
    ("fields.description", "object", "The issue at length: an ADF document, or a string on Server"),
    ("fields.project", "object", "The project that the issue is in"),
    ("fields.issuetype", "object", "The type: bug, story, task, …"),
    ("fields.status", "object", "Where in its workflow the issue is, with the category of that"),
    ("fields.priority", "object", "How urgent the issue is"),
    ("fields.resolution", "object", "How the issue was closed; null while it is open"),
    ("fields.assignee", "object", "The user who is to do it"),
    ("fields.reporter", "object", "The user who asked for it"),
    ("fields.creator", "object", "The user who entered it"),
    ("fields.parent", "object", "The issue that this one is a part of"),
    ("fields.subtasks", "array", "The issues that are parts of this one"),
    ("fields.issuelinks", "array", "How the issue is related to others"),
    ("fields.labels", "array", "The labels, in their order"),
    ("fields.components", "array", "The parts of the project that it is about"),
    ("fields.versions", "array", "The versions that are affected"),
    ("fields.fixVersions", "array", "The versions in which it is to be done"),
    ("fields.environment", "object", "Where it was met: an ADF document, or a string on Server"),
    ("fields.created", "string", "When the issue was entered, with offset"),
    ("fields.updated", "string", "When the issue last changed, with offset"),
    ("fields.resolutiondate", "string", "When the issue was closed, with offset"),
    ("fields.duedate", "string", "The day on which it is due"),
    ("fields.timetracking", "object", "The estimates and the time spent"),
    ("fields.timespent", "number", "The time spent, in seconds"),
    ("fields.timeoriginalestimate", "number", "The first estimate, in seconds"),
    ("fields.timeestimate", "number", "The time that is left, in seconds"),
    ("fields.votes", "object", "How many users voted for it"),
    ("fields.watches", "object", "How many users watch it"),
    ("fields.attachment", "array", "The files that are attached, without their contents"),
    ("fields.comment", "object", "A page of the comments"),
    ("fields.worklog", "object", "A page of the worklogs"),
    ("changelog", "object", "A page of the issue's history, where it was asked for"),
    ("renderedFields", "object", "The fields as HTML, where they were asked for"),
];

const COMMENT: &[Member] = &[
    ("id", "string", "The comment's id"),
    ("author", "object", "The user who wrote the comment"),
    ("body", "object", "The text: an ADF document, or a string on Server"),
    ("updateAuthor", "object", "The user who changed the comment last"),
    ("created", "string", "When the comment was written, with offset"),
    ("updated", "string", "When the comment last changed, with offset"),
    ("visibility", "object", "The role or group that alone sees the comment"),
    ("jsdPublic", "boolean", "Whether customers of the service desk see the comment"),
    ("properties", "array", "What apps keep beside the comment"),
    ("self", "string", "The comment's URL in the REST API, which names the issue"),
    ("issueId", "string", "The id of the issue, where the export adds it"),
    ("issueKey", "string", "The key of the issue, where the export adds it"),
];

const WORKLOG: &[Member] = &[
    ("id", "string", "The worklog's id"),
    ("issueId", "string", "The id of the issue"),
    ("issueKey", "string", "The key of the issue, where the export adds it"),
    ("author", "object", "The user who did the work"),
    ("updateAuthor", "object", "The user who changed the worklog last"),
    ("comment", "object", "What was done: an ADF document, or a string on Server"),
    ("started", "string", "When the work began, with offset"),
    ("timeSpent", "string", "The time spent, as Jira shows it: 1h 30m"),
    ("timeSpentSeconds", "number", "The time spent, in seconds"),
    ("created", "string", "When the worklog was entered, with offset"),
    ("updated", "string", "When the worklog last changed, with offset"),
    ("visibility", "object", "The role or group that alone sees the worklog"),
    ("properties", "array", "What apps keep beside the worklog"),
    ("self", "string", "The worklog's URL in the REST API, which names the issue"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_unit_is_found_by_its_id_and_describes_itself() {
        for unit in Unit::ALL {
            assert_eq!(Unit::find(&unit.id()).unwrap(), unit);
            let descriptor = unit.descriptor();
            assert_eq!(descriptor.id.as_str(), format!("jira.{}", unit.name()));
            assert!(!descriptor.title.is_empty());
            let names: BTreeSet<&str> = descriptor.fields.iter().map(|field| field.name.as_str()).collect();
            assert_eq!(names.len(), descriptor.fields.len(), "{} names a member twice", descriptor.id);
            for field in &descriptor.fields {
                let types = ["string", "number", "boolean", "object", "array"];
                assert!(types.contains(&field.json_type.as_str()), "{}", field.name);
                assert!(!field.description.is_empty(), "{}", field.name);
            }
        }
    }

    #[test]
    fn an_unknown_unit_is_told_the_known_ones() {
        let error = Unit::find(&UnitId::from_static("jira.boards")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("`jira.issues`"), "{error}");
    }
}
