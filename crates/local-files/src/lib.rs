//! How we open files of this machine.
//!
//! - What is read is a **regular file**. A pipe without a writer would be waited for without an end, a device such as
//!   `/dev/zero` has no end, and some files of `/proc` block. None of them is opened.
//! - What is made is readable and writable by **its owner alone** (mode 0600, folders 0700), unless the caller wants
//!   others to read it. A file that exists keeps its mode.
//! - What is written anew **replaces the older file as a whole** or not at all.
//!
//! ```
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("plan.json");
//! local_files::replace(&file, b"{}")?;
//! assert_eq!(local_files::read_small_text(&file)?, "{}");
//! assert!(local_files::read_small("/dev/null".as_ref()).is_err());
//! # Ok::<(), std::io::Error>(())
//! ```

mod make;
mod read;

pub use crate::{
    make::{create_private, make_private_folder, open_private, replace},
    read::{SMALL_BYTES, open_regular, read_small, read_small_text, refuse_special, refuse_special_certificates},
};
