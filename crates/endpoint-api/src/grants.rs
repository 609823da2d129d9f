use serde::Serialize;

/// For which roles of the other side rights are asked, and how much the reader is to see.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantRequest {
    /// The role that tables belong to and that nobody logs in as; the driver's own choice when it is not given.
    pub owner: Option<String>,
    /// The role that provisions.
    pub provisioner: String,
    /// The role that loads.
    pub loader: String,
    /// The role that reads.
    pub reader: String,
    /// Whether the reader sees the plumbing columns beside those of the models.
    pub with_plumbing: bool,
    /// Whether the reader sees the rejects.
    pub with_rejects: bool,
}

impl GrantRequest {
    /// For these roles. The reader sees neither plumbing nor rejects.
    pub fn new(provisioner: impl Into<String>, loader: impl Into<String>, reader: impl Into<String>) -> Self {
        Self {
            owner: None,
            provisioner: provisioner.into(),
            loader: loader.into(),
            reader: reader.into(),
            with_plumbing: false,
            with_rejects: false,
        }
    }

    /// Names the owner.
    #[must_use]
    pub fn owner(mut self, owner: Option<String>) -> Self {
        self.owner = owner;
        self
    }

    /// Sets whether the reader sees the plumbing columns.
    #[must_use]
    pub fn with_plumbing(mut self, with_plumbing: bool) -> Self {
        self.with_plumbing = with_plumbing;
        self
    }

    /// Sets whether the reader sees the rejects.
    #[must_use]
    pub fn with_rejects(mut self, with_rejects: bool) -> Self {
        self.with_rejects = with_rejects;
        self
    }
}

/// The least rights that provisioning, loading and reading need, and how they are given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Grants {
    /// The roles with their rights.
    pub roles: Vec<RoleRights>,
    /// What gives them exactly these rights, in the language of the other side, for an administrator to run.
    pub script: String,
}

impl Grants {
    /// Rights, and what gives them.
    pub fn new(roles: Vec<RoleRights>, script: String) -> Self {
        Self { roles, script }
    }
}

/// The rights of one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RoleRights {
    /// What the role is for.
    pub purpose: Purpose,
    /// Its name.
    pub name: String,
    /// What it may do; all else it may not.
    pub rights: Vec<Right>,
}

impl RoleRights {
    /// A role without rights.
    pub fn new(purpose: Purpose, name: impl Into<String>) -> Self {
        Self { purpose, name: name.into(), rights: Vec::new() }
    }

    /// Adds a right.
    #[must_use]
    pub fn may(mut self, right: Right) -> Self {
        self.rights.push(right);
        self
    }
}

/// What a role is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Purpose {
    /// Tables belong to it; nobody logs in as it.
    Owner,
    /// It makes and extends tables, and reads no rows.
    Provisioner,
    /// It loads rows, and makes no tables.
    Loader,
    /// It reads what was loaded.
    Reader,
}

/// A right on one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Right {
    /// What may be done, in the words of the other side: `SELECT`.
    pub privileges: Vec<&'static str>,
    /// With what: `table cdm_work.cdm_work_item`.
    pub object: String,
    /// With these of its columns only; all when there is none.
    pub columns: Vec<String>,
    /// What needs it.
    pub reason: String,
}

impl Right {
    /// A right on the whole of an object.
    pub fn new(privileges: &[&'static str], object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { privileges: privileges.to_vec(), object: object.into(), columns: Vec::new(), reason: reason.into() }
    }

    /// Restricts it to columns.
    #[must_use]
    pub fn columns(mut self, columns: impl IntoIterator<Item = String>) -> Self {
        self.columns = columns.into_iter().collect();
        self
    }
}
