//! Where the checkpoints of a store are, and when the next one is due.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::file::{Reader, Writer};
use crate::domain::id::Revision;
use crate::store::Result;
use crate::store::embedded::files::{self, failed};
use crate::store::embedded::manifest::StoreId;

/// Their directory within a data directory.
pub(in crate::store::embedded) const DIRECTORY: &str = "checkpoints";
const EXTENSION: &str = "checkpoint";
/// How many are kept.
pub(in crate::store::embedded) const KEPT: usize = 2;

/// The checkpoints of a store.
#[derive(Debug)]
pub(in crate::store::embedded) struct Shelf {
    directory: PathBuf,
    store: StoreId,
    /// Bytes of the journal after which the next one is due, if the last one is not larger than that.
    every_bytes: u64,
    /// In the order of their commits.
    revisions: Vec<Revision>,
    newest_bytes: u64,
}

impl Shelf {
    /// Looks at what there is, and removes what was not finished.
    pub(in crate::store::embedded) fn open(data: &Path, store: StoreId, every_bytes: u64) -> Result<Self> {
        let directory = data.join(DIRECTORY);
        files::make_directory(&directory)?;
        let mut revisions = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed("listing", &directory))? {
            let path = entry.map_err(failed("listing", &directory))?.path();
            match revision(&path) {
                // One whose header says something else holds nothing that is known, and must not count as the newest.
                Some(revision) => match Reader::open(&path, store) {
                    Ok(_) => revisions.push(revision),
                    Err(error) => tracing::warn!(%error, "a checkpoint cannot be used"),
                },
                None if path.extension().and_then(OsStr::to_str) == Some(files::UNFINISHED) => files::remove(&path)?,
                None => tracing::warn!(file = %path.display(), "a file among the checkpoints is none"),
            }
        }
        revisions.sort();
        let mut shelf = Self { directory, store, every_bytes, revisions, newest_bytes: 0 };
        let newest = shelf.newest().map(|newest| shelf.path(newest));
        shelf.newest_bytes = newest.and_then(|path| fs::metadata(path).ok()).map_or(0, |found| found.len());
        Ok(shelf)
    }

    /// The commit of the newest checkpoint.
    pub(in crate::store::embedded) fn newest(&self) -> Option<Revision> {
        self.revisions.last().copied()
    }

    /// All of them, the newest first, each with its file.
    pub(in crate::store::embedded) fn newest_first(&self) -> impl Iterator<Item = (Revision, PathBuf)> {
        self.revisions.iter().rev().map(|revision| (*revision, self.path(*revision)))
    }

    /// Whether the next one is due, so many bytes of the journal after the newest. A larger one is made less often, so
    /// that checkpoints never write more than the journal does.
    pub(in crate::store::embedded) fn is_due(&self, journal_bytes: u64) -> bool {
        journal_bytes >= self.every_bytes.max(self.newest_bytes)
    }

    /// Bytes that the next one will take, as far as can be said.
    pub(in crate::store::embedded) fn expected_bytes(&self) -> u64 {
        self.newest_bytes.max(self.every_bytes / 4)
    }

    /// Begins the checkpoint of a commit.
    pub(in crate::store::embedded) fn begin(&self, revision: Revision) -> Result<Writer> {
        Writer::begin(&self.path(revision), self.store, revision)
    }

    /// Takes in a checkpoint that was finished.
    pub(in crate::store::embedded) fn add(&mut self, revision: Revision, bytes: u64) {
        self.revisions.retain(|known| *known != revision);
        self.revisions.push(revision);
        self.newest_bytes = bytes;
    }

    /// Removes those that are not needed any more.
    pub(in crate::store::embedded) fn tidy(&mut self) -> Result<()> {
        let surplus = self.revisions.len().saturating_sub(KEPT);
        for old in self.revisions.drain(..surplus).collect::<Vec<_>>() {
            files::remove(&self.path(old))?;
        }
        Ok(())
    }

    fn path(&self, revision: Revision) -> PathBuf {
        self.directory.join(format!("{:020}.{EXTENSION}", revision.0))
    }
}

/// The checkpoints in a data directory by their names, in the order of their commits. Changes nothing, so that it may be
/// called while one is written.
pub(in crate::store::embedded) fn list(data: &Path) -> Result<Vec<(Revision, PathBuf)>> {
    let directory = data.join(DIRECTORY);
    let mut found = Vec::new();
    if directory.is_dir() {
        for entry in fs::read_dir(&directory).map_err(failed("listing", &directory))? {
            let path = entry.map_err(failed("listing", &directory))?.path();
            found.extend(revision(&path).map(|revision| (revision, path)));
        }
    }
    found.sort();
    Ok(found)
}

/// The commit that a file is the checkpoint of, by its name.
pub(in crate::store::embedded) fn revision(path: &Path) -> Option<Revision> {
    let stem = path.file_stem().filter(|_| path.extension().and_then(OsStr::to_str) == Some(EXTENSION))?;
    stem.to_str()?.parse().ok().map(Revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(shelf: &mut Shelf, revision: u64) {
        let mut writer = shelf.begin(Revision(revision)).expect("begun");
        writer.put(1, b"key", &vec![0; 5_000]).expect("written");
        let bytes = writer.finish().expect("finished");
        shelf.add(Revision(revision), bytes);
        shelf.tidy().expect("removed");
    }

    #[test]
    fn a_file_that_is_no_checkpoint_does_not_count_as_the_newest() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || Shelf::open(directory.path(), [1; 16], 1_000).expect("opens");
        let mut shelf = open();
        make(&mut shelf, 3);
        fs::write(shelf.path(Revision(4)), "not one").expect("written");
        fs::copy(shelf.path(Revision(3)), shelf.path(Revision(5))).expect("copied");
        assert_eq!(open().newest(), Some(Revision(3)));
    }

    #[test]
    fn the_two_latest_are_kept_and_found_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || Shelf::open(directory.path(), [1; 16], 1_000).expect("opens");
        let mut shelf = open();
        assert!(shelf.newest().is_none() && shelf.is_due(1_000) && !shelf.is_due(999));
        [3, 20, 100].into_iter().for_each(|revision| make(&mut shelf, revision));
        fs::write(directory.path().join(DIRECTORY).join("00000000000000000200.checkpoint.tmp"), "x").expect("written");
        let again = open();
        let kept: Vec<u64> = again.newest_first().map(|(revision, _)| revision.0).collect();
        assert_eq!(kept, [100, 20]);
        assert_eq!(fs::read_dir(directory.path().join(DIRECTORY)).expect("readable").count(), 2);
        assert!(!again.is_due(5_000) && again.is_due(6_000), "no more often than a checkpoint is large");
    }
}
