use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read as _},
    path::Path,
};

/// The most bytes that a small file has: a configuration, a secret, a plan, a list of certificates.
pub const SMALL_BYTES: u64 = 1024 * 1024;

/// Opens a regular file to read it. It never waits for a writer.
///
/// # Errors
///
/// As [`File::open`]; [`io::ErrorKind::InvalidInput`] when it is no regular file. A folder can be opened, and fails
/// when it is read.
pub fn open_regular(path: &Path) -> io::Result<File> {
    open_checked(path, OpenOptions::new().read(true))
}

/// Reads a file of at most [`SMALL_BYTES`].
///
/// # Errors
///
/// As [`open_regular`]; [`io::ErrorKind::FileTooLarge`] when it is larger.
pub fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB");
    if file.metadata()?.len() > SMALL_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.take(SMALL_BYTES + 1).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(..=SMALL_BYTES) => Ok(bytes),
        _ => Err(too_large()),
    }
}

/// Reads a text of at most [`SMALL_BYTES`].
///
/// # Errors
///
/// As [`read_small`]; [`io::ErrorKind::InvalidData`] when it is not UTF-8.
pub fn read_small_text(path: &Path) -> io::Result<String> {
    let text = String::from_utf8(read_small(path)?);
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8"))
}

/// Fails when something is at `path` that is neither a regular file nor a folder. It opens nothing.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] then; never because nothing is there.
pub fn refuse_special(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) => refuse(&found),
        Err(_) => Ok(()),
    }
}

/// Fails when the environment variable `SSL_CERT_FILE` names something that is neither a regular file nor a folder: the
/// libraries that look for the system's certificates read whatever it names, also a pipe without a writer.
///
/// # Errors
///
/// As [`refuse_special`], with the name of the variable.
pub fn refuse_special_certificates() -> io::Result<()> {
    let named = std::env::var_os("SSL_CERT_FILE");
    named.map_or(Ok(()), |file| refuse_special(file.as_ref())).map_err(|error| {
        let message = "the file that the environment variable SSL_CERT_FILE names cannot be read";
        io::Error::new(error.kind(), format!("{message}: {error}"))
    })
}

fn refuse(found: &Metadata) -> io::Result<()> {
    if found.is_file() || found.is_dir() { Ok(()) } else { Err(special()) }
}

fn special() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file, but a device, a pipe or the like")
}

/// Opens what is there, unless it is special. The look before keeps a device from being opened at all; the one after is
/// of what was opened.
pub(crate) fn open_checked(path: &Path, options: &OpenOptions) -> io::Result<File> {
    refuse_special(path)?;
    let mut options = options.clone();
    wait_for_nobody(&mut options);
    let file = options.open(path)?;
    refuse(&file.metadata()?)?;
    if is_made_when_read(&file) { Err(special()) } else { Ok(file) }
}

#[cfg(unix)]
fn wait_for_nobody(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
}

#[cfg(not(unix))]
fn wait_for_nobody(_: &mut OpenOptions) {}

/// Whether the kernel makes the contents up: such files say that they are regular, and `/proc/kmsg` blocks.
#[cfg(target_os = "linux")]
fn is_made_when_read(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn is_made_when_read(_: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_small_file_has_at_most_a_mebibyte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let largest = vec![b'x'; usize::try_from(SMALL_BYTES).unwrap()];
        fs::write(&path, &largest).unwrap();
        assert_eq!(read_small(&path).unwrap(), largest);
        fs::write(&path, [largest.as_slice(), b"x"].concat()).unwrap();
        assert_eq!(read_small(&path).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        fs::write(&path, b"caf\xE9").unwrap();
        assert_eq!(read_small_text(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_not_opened_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [pipe.as_path(), &link, &socket, Path::new("/dev/zero"), Path::new("/dev/null")] {
            assert_eq!(open_regular(path).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{}", path.display());
            refuse_special(path).unwrap_err();
        }
        refuse_special(&folder.path().join("nothing")).unwrap();
        read_small(folder.path()).unwrap_err();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_kernel_makes_up_is_no_regular_file() {
        assert_eq!(open_regular(Path::new("/proc/self/status")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        if let Err(error) = open_regular(Path::new("/proc/kmsg")) {
            assert_ne!(error.kind(), io::ErrorKind::WouldBlock);
        }
    }
}
