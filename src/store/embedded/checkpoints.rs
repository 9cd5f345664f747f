//! The files of `checkpoints/`, as far as backups and verification need to know them.

use std::ffi::OsStr;
use std::path::Path;

use crate::domain::id::Revision;

/// Where they lie in a data directory. A file is immutable from the moment at which it has its name.
pub(super) const DIRECTORY: &str = "checkpoints";
const EXTENSION: &str = "checkpoint";

/// The commit up to which a checkpoint holds everything, by its name; `None` for what is no checkpoint.
pub(super) fn revision(path: &Path) -> Option<Revision> {
    let stem = path.file_stem().filter(|_| path.extension().and_then(OsStr::to_str) == Some(EXTENSION));
    stem.and_then(OsStr::to_str)?.parse().ok().map(Revision)
}

/// What is wrong with the content of a checkpoint's file, if anything is. There is no format to check yet.
pub(super) fn fault(content: &[u8]) -> Option<&'static str> {
    content.is_empty().then_some("the checkpoint is empty")
}
