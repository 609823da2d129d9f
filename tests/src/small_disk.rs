use std::{
    fs::File,
    io::Write as _,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::unprivileged_user;

/// A small file system in memory, gone with the value. It belongs to the user that servers run as.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where nobody may make one.
    pub fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let id = |which: &str| {
            let output = Command::new("id").args([which, unprivileged_user()]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let options = format!("size={size},mode=0700,uid={},gid={}", id("-u"), id("-g"));
        let is_mounted = mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], folder.path());
        is_mounted.then_some(Self(folder))
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Makes it larger.
    pub fn grow(&self, size: &str) {
        assert!(mount(&["-o", &format!("remount,size={size}")], self.0.path()));
    }

    /// Fills it with a file, except for a number of bytes.
    pub fn fill(&self, except: u64) {
        let mut ballast = File::create(self.ballast()).unwrap();
        let zeros = vec![0; 1 << 16];
        while ballast.write(&zeros).is_ok_and(|written| written > 0) {}
        let size = ballast.metadata().unwrap().len();
        ballast.set_len(size.saturating_sub(except)).unwrap();
    }

    /// Removes the file that fills it.
    pub fn clear(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.0.path().join("ballast")
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    Command::new("mount").args(arguments).arg(at).output().is_ok_and(|Output { status, .. }| status.success())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}
