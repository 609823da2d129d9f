use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Who may read a file that is made. The umask of the process takes rights away from it as from any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileMode(u32);

impl FileMode {
    /// Whoever the umask lets.
    pub(crate) const UMASK: Self = Self(0o666);

    /// The owner alone.
    pub(crate) const OWNER: Self = Self(0o600);

    /// Reads an octal mode of files; `None` when it is none, or one in which the owner may not read and write.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_octal = matches!(text.len(), 3 | 4) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let mode = is_octal.then(|| u32::from_str_radix(text, 8).ok()).flatten()?;
        (mode & 0o600 == 0o600 && mode & !0o666 == 0).then_some(Self(mode))
    }

    /// Makes a file, which must be new.
    pub(crate) fn create_new(self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(self.0).open(path)
    }

    /// Makes a folder, which whoever may read the files may look into.
    pub(crate) fn create_folder(self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(self.0 | (self.0 & 0o444) >> 2).create(path)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_mode_is_octal_and_leaves_the_file_to_its_owner() {
        for (text, mode) in [("0640", 0o640), ("640", 0o640), ("0600", 0o600), ("666", 0o666)] {
            assert_eq!(FileMode::parse(text), Some(FileMode(mode)), "{text}");
        }
        for wrong in ["", "64", "0440", "0755", "1640", "00640", "0o640", "+640", "0648", "rw-r-----"] {
            assert_eq!(FileMode::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn folders_can_be_entered_by_those_who_may_read_the_files() {
        let folder = tempfile::tempdir().unwrap();
        for (mode, below) in [(0o600, 0o700), (0o640, 0o750), (0o644, 0o755)] {
            let path = folder.path().join(format!("{mode:o}"));
            FileMode(mode).create_folder(&path).unwrap();
            FileMode(mode).create_new(&path.join("file")).unwrap();
            let of = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((of(&path), of(&path.join("file"))), (below, mode), "under the umask 022");
        }
    }
}
