use std::fmt;

/// The sink that is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `cdm.postgres`, on a server of the test's own.
    Postgres,
    /// `cdm.sqlite`.
    Sqlite,
    /// `raw.files`.
    RawFiles,
}

impl Target {
    /// The name of its endpoint.
    pub(super) fn sink(self) -> &'static str {
        match self {
            Self::Postgres | Self::Sqlite => "warehouse",
            Self::RawFiles => "lake",
        }
    }

    /// The ingestions into it.
    pub(super) fn ingestions(self) -> [&'static str; 5] {
        match self {
            Self::Postgres | Self::Sqlite => ["projects", "users", "issues", "comments", "worklogs"],
            Self::RawFiles => ["projects_raw", "users_raw", "issues_raw", "comments_raw", "worklogs_raw"],
        }
    }

    /// Whether rows of models are stored in tables.
    pub(super) fn has_tables(self) -> bool {
        self != Self::RawFiles
    }

    /// The configuration for it.
    pub(super) fn configure(self, configuration: &str) -> String {
        let configuration = configuration.replace("path = \"export\"", "path = \"export\"\nslice_bytes = 16384");
        let postgres = "driver = \"cdm.postgres\"\nconnection_url = \"${env:WAREHOUSE_URL}\"";
        match self {
            Self::Sqlite => configuration.replace(postgres, "driver = \"cdm.sqlite\"\npath = \"work.db\""),
            Self::Postgres | Self::RawFiles => configuration,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
            Self::RawFiles => "raw",
        })
    }
}
