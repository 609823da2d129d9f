use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::read::{open_checked, refuse_special};

/// How often a name is looked for that nobody has, or a file that comes and goes is opened again.
const ATTEMPTS: u32 = 100;

/// Makes a new file for its owner alone.
///
/// # Errors
///
/// As [`File::create_new`].
pub fn create_private(path: &Path) -> io::Result<File> {
    create_with(path, OpenOptions::new().write(true))
}

/// Opens a file as `options` say, and makes it for its owner alone when it is missing. One that is there keeps its mode
/// and must be a regular file. It never waits.
///
/// # Errors
///
/// As [`OpenOptions::open`]; [`io::ErrorKind::InvalidInput`] when what is there is no regular file.
pub fn open_private(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for _ in 0..ATTEMPTS {
        match create_with(path, options) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made,
        }
        match open_checked(path, options) {
            // It has gone since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => last = error,
            opened => return opened,
        }
    }
    Err(last)
}

/// Makes a folder for its owner alone, and those above it. Folders that are there keep their modes.
///
/// # Errors
///
/// As [`fs::create_dir_all`].
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), make_private_folder)?;
    match private_builder().create(path) {
        Ok(()) => set_mode(path, 0o700),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes a file as a whole: beside `path`, to the disk, and then in place of what was there. Where that fails, the
/// older file is as it was. A new file is its owner's alone, and an older one keeps its mode. Where `path` is a link,
/// what it leads to is replaced.
///
/// # Errors
///
/// When the folder or the file cannot be written; [`io::ErrorKind::InvalidInput`] when `path` is no regular file.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    refuse_special(&target)?;
    let older = match fs::metadata(&target) {
        Ok(older) if older.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(older) => Some(older.permissions()),
        Err(_) => None,
    };
    let (temporary, mut file) = create_beside(&target)?;
    let write = || {
        file.write_all(bytes)?;
        if let Some(permissions) = older {
            file.set_permissions(permissions)?;
        }
        file.sync_all()?;
        fs::rename(&temporary, &target)
    };
    if let Err(error) = write() {
        // What stays behind is no harm; the error is what counts.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    // The folder's own entry; a file system that cannot do this has written the file all the same.
    let _ = File::open(folder_of(&target)).and_then(|folder| folder.sync_all());
    Ok(())
}

fn create_with(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let mut options = options.clone();
    options.create_new(true);
    private(&mut options);
    let file = options.open(path)?;
    // A umask that takes rights from the owner, too, would leave a file that cannot be opened again.
    set_mode_of(&file, 0o600)?;
    Ok(file)
}

fn create_beside(target: &Path) -> io::Result<(PathBuf, File)> {
    let name = target.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for number in 0..ATTEMPTS {
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}-{number}.tmp", std::process::id()));
        let temporary = folder_of(target).join(temporary);
        match create_private(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
}

#[cfg(not(unix))]
fn private(_: &mut OpenOptions) {}

#[cfg(unix)]
fn private_builder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(not(unix))]
fn private_builder() -> DirBuilder {
    DirBuilder::new()
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

#[cfg(unix)]
fn set_mode_of(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn set_mode_of(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_made_is_its_owners_alone_and_what_is_there_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // Of this process, which runs this test alone.
        for (name, umask) in [("a", 0), ("b", 0o022), ("c", 0o777)] {
            rustix::process::umask(Mode::from_raw_mode(umask));
            create_private(&at(name)).unwrap();
            replace(&at(&format!("{name}-replaced")), b"x").unwrap();
            make_private_folder(&at(&format!("{name}-folder")).join("below")).unwrap();
            let options = OpenOptions::new().append(true).clone();
            open_private(&at(&format!("{name}-appended")), &options).unwrap();
            rustix::process::umask(Mode::from_raw_mode(0o022));
            let replaced = at(&format!("{name}-replaced"));
            assert_eq!((mode(&at(name)), mode(&replaced)), (0o600, 0o600), "{umask:o}");
            assert_eq!(mode(&at(&format!("{name}-appended"))), 0o600, "{umask:o}");
            assert_eq!(mode(&at(&format!("{name}-folder/below"))), 0o700, "{umask:o}");
        }
        let shared = at("shared");
        fs::write(&shared, "older").unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&shared, b"newer").unwrap();
        open_private(&shared, OpenOptions::new().append(true)).unwrap().write_all(b"!").unwrap();
        assert_eq!((mode(&shared), fs::read_to_string(&shared).unwrap().as_str()), (0o640, "newer!"));
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_or_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        replace(&file, b"one").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        replace(&link, b"two").unwrap();
        assert!(link.is_symlink() && fs::read(&file).unwrap() == b"two");
        for special in ["/dev/null", "/dev/full"] {
            assert_eq!(replace(Path::new(special), b"x").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        replace(folder.path(), b"x").unwrap_err();
        replace(&folder.path().join("none/file"), b"x").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing stays behind");
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened_to_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let opened = open_private(&pipe, OpenOptions::new().write(true));
        assert_eq!(opened.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
