use local_postgres::{Cluster, Options, Programs};
use tempfile::TempDir;

use super::Target;
use crate::{Certificates, SmallDisk};

/// The tablespace on a disk that can be filled.
pub(super) const TABLESPACE: &str = "small";

/// What all rounds share.
pub(super) struct Stage {
    pub(super) target: Target,
    /// A server that no other test has: it is killed and stopped. It goes before its disk.
    pub(super) cluster: Option<Cluster>,
    /// Holds the tables of the server; only where this user may mount one.
    pub(super) server_disk: Option<SmallDisk>,
    /// Holds everything that the program writes but for the tables of a server; only where this user may mount one.
    pub(super) disk: Option<SmallDisk>,
    /// The certificate of the authority that has signed the server's.
    pub(super) authority: String,
}

impl Stage {
    pub(super) fn new(target: Target) -> Self {
        let certificates = Certificates::generate();
        let mut stage = Self {
            target,
            cluster: None,
            server_disk: None,
            disk: SmallDisk::new("32m"),
            authority: certificates.authority,
        };
        if target == Target::Postgres {
            let options = Options::default()
                .setting("ssl", "on")
                .file("server.crt", certificates.server)
                .file("server.key", certificates.key);
            let cluster = Cluster::start(&Programs::find().unwrap(), &options).unwrap();
            stage.server_disk = SmallDisk::new("64m");
            if let Some(disk) = &stage.server_disk {
                let location = disk.folder().display();
                cluster.query("postgres", &format!("create tablespace {TABLESPACE} location '{location}'")).unwrap();
            }
            stage.cluster = Some(cluster);
        }
        stage
    }

    /// Says what is not possible here, if anything.
    pub(super) fn lacks(&self) -> Option<&'static str> {
        let lacks = "faults of disks that are full: only root may mount the file systems for them";
        self.disk.is_none().then_some(lacks)
    }

    /// A folder for a sandbox.
    pub(super) fn folder(&self) -> TempDir {
        match &self.disk {
            Some(disk) => tempfile::tempdir_in(disk.folder()).unwrap(),
            None => tempfile::tempdir().unwrap(),
        }
    }
}
