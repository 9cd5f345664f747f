//! The files of the log by their names, and how much of them is durable.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::batch::{Frames, read};
use super::{DIRECTORY, Last};
use crate::store::Result;
use crate::store::embedded::files::{self, failed};

/// What the name of a file of the log ends with.
const EXTENSION: &str = "audit";
/// Digits of a number in a name, so that names sort as the numbers do.
const DIGITS: usize = 20;
/// The file that says how far the log reaches.
const LAST: &str = "LAST";

/// Part of a file that belongs to the log.
pub(in crate::store::embedded) struct Extent {
    pub(in crate::store::embedded) name: String,
    pub(in crate::store::embedded) bytes: u64,
}

/// The file whose first entry has a number.
pub(super) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(DIRECTORY).join(format!("{first:020}.{EXTENSION}"))
}

/// The file that says how far the log of a data directory reaches.
pub(in crate::store::embedded) fn last(directory: &Path) -> PathBuf {
    directory.join(DIRECTORY).join(LAST)
}

/// The number of the first entry of a file, by its name; `None` for a file that is none of the log.
pub(in crate::store::embedded) fn first(path: &Path) -> Option<u64> {
    let digits = path.file_stem()?.to_str()?;
    let is_ours = path.extension() == Some(OsStr::new(EXTENSION)) && digits.len() == DIGITS;
    is_ours.then(|| digits.parse().ok())?
}

/// The files of the log with the numbers of their first entries, in order.
pub(in crate::store::embedded) fn list(directory: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let folder = directory.join(DIRECTORY);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("listing", &folder))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed("listing", &folder))?.path();
        files.extend(first(&path).map(|first| (first, path)));
    }
    files.sort();
    Ok(files)
}

/// Removes what a crash left unfinished.
pub(super) fn sweep(directory: &Path) -> Result<()> {
    let folder = directory.join(DIRECTORY);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed("listing", &folder))?,
    };
    for entry in entries {
        let path = entry.map_err(failed("listing", &folder))?.path();
        if path.extension() == Some(OsStr::new(files::UNFINISHED)) {
            files::remove(&path)?;
        }
    }
    Ok(())
}

/// The files of the log, each as far as it is durable: a batch that is being written may never come to be.
pub(in crate::store::embedded) fn extents(directory: &Path) -> Result<Vec<Extent>> {
    // Where it cannot be read, every batch that is whole counts.
    let durable = Last::read(directory).ok().flatten().map_or(u64::MAX, |last| last.number);
    let files = list(directory)?;
    let newest = files.last().map(|(first, _)| *first);
    let mut extents = Vec::with_capacity(files.len());
    for (first, path) in files {
        if first > durable {
            break;
        }
        let bytes = if Some(first) == newest {
            let file = read(&path)?;
            let whole = Frames::of(&file).map_while(std::result::Result::ok);
            whole.take_while(|framed| framed.batch.last() <= durable).last().map_or(0, |framed| framed.end)
        } else {
            path.metadata().map_err(failed("reading", &path))?.len()
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        extents.extend((bytes > 0).then_some(Extent { name, bytes }));
    }
    Ok(extents)
}
