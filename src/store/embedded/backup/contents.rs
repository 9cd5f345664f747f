//! What a backup must hold.

use std::fs;
use std::io;
use std::path::Path;

use crate::domain::id::Revision;
use crate::store::Result;
use crate::store::embedded::files::{self, failed};
use crate::store::embedded::{artifacts, audit, checkpoints, journal, manifest, vault};

/// A file that belongs into a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Its place in the data directory.
    pub(super) path: String,
    /// How much of it, as far as that can be said before it is copied.
    pub(super) bytes: u64,
    pub(super) nature: Nature,
}

/// What may become of a file while the store goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// It grows at its end.
    Segment,
    /// It is replaced as a whole, if at all.
    Whole,
    /// It changes anywhere.
    Changing,
}

/// Everything that the data directory needs to answer as of `revision`: all but the index, which the journal rebuilds.
pub(super) fn wanted(directory: &Path, revision: Revision) -> Result<Vec<Wanted>> {
    let mut wanted = vec![whole(directory, manifest::NAME.to_owned())?];
    for extent in journal::extents(&directory.join("journal"), revision)? {
        wanted.push(Wanted { path: format!("journal/{}", extent.name), bytes: extent.bytes, nature: Nature::Segment });
    }
    // `LAST` stays behind: it may be ahead of what is copied, and a restored log is what the backup says it is.
    for extent in audit::extents(directory)? {
        let path = format!("{}/{}", audit::DIRECTORY, extent.name);
        wanted.push(Wanted { path, bytes: extent.bytes, nature: Nature::Segment });
    }
    for workspace in names(directory, artifacts::DIRECTORY)? {
        for version in names(directory, &workspace)? {
            wanted.push(whole(directory, version)?);
        }
    }
    for checkpoint in names(directory, checkpoints::DIRECTORY)? {
        // One that is ahead of the journal beside it would promise commits that are not there.
        if checkpoints::revision(Path::new(&checkpoint)).is_some_and(|covered| covered <= revision) {
            wanted.push(whole(directory, checkpoint)?);
        }
    }
    // Listed after the commits are known that they are needed for.
    for keys in names(directory, vault::DIRECTORY)? {
        wanted.push(Wanted { nature: Nature::Changing, ..whole(directory, keys)? });
    }
    Ok(wanted)
}

fn whole(directory: &Path, path: String) -> Result<Wanted> {
    let full = directory.join(&path);
    let bytes = full.metadata().map_err(failed("reading", &full))?.len();
    Ok(Wanted { path, bytes, nature: Nature::Whole })
}

/// What lies in a folder of the data directory, sorted, by its place in that; what is not finished is left out.
fn names(directory: &Path, folder: &str) -> Result<Vec<String>> {
    let full = directory.join(folder);
    let entries = match fs::read_dir(&full) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("listing", &full))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed("listing", &full))?.file_name();
        // We give no names that are no text.
        let Some(name) = name.to_str() else { continue };
        if !name.ends_with(&format!(".{}", files::UNFINISHED)) {
            names.push(format!("{folder}/{name}"));
        }
    }
    names.sort();
    Ok(names)
}
