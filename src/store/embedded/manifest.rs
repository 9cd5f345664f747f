//! What a data directory is: its format, and which store it holds.

use std::fs;
use std::path::Path;

use super::{codec, files};
use crate::store::{Error, Result};

/// The file's name.
pub(super) const NAME: &str = "MANIFEST";
const MAGIC: [u8; 4] = *b"RPMF";
/// The layout of the directory and of everything in it but the index, which has its own version.
const FORMAT: u32 = 2;

/// Names one store among all.
pub(super) type StoreId = [u8; 16];

/// Reads the manifest, or writes the first one of a directory that holds no journal yet.
pub(super) fn open(directory: &Path, new_store_id: StoreId) -> Result<StoreId> {
    if directory.join(NAME).exists() || directory.join("journal").exists() {
        // Whoever wrote it may have been killed before its name was durable.
        files::sync_directory(directory)?;
        let store = read(directory)?;
        check_journal(directory)?;
        return Ok(store);
    }
    write(directory, new_store_id)?;
    Ok(new_store_id)
}

/// Reads the manifest of a directory that has a journal.
pub(super) fn read(directory: &Path) -> Result<StoreId> {
    let path = directory.join(NAME);
    let file = files::read(&path)?.ok_or_else(|| files::damaged(&path, 0, "the file is missing beside a journal"))?;
    let (found, content) = codec::open_file(MAGIC, &file).map_err(|what| files::damaged(&path, 0, what))?;
    if found != FORMAT {
        return Err(Error::Format { file: path.display().to_string(), found, supported: FORMAT });
    }
    content.try_into().map_err(|_| files::damaged(&path, 0, "the store's id has another length"))
}

/// Writes the manifest of a store.
pub(super) fn write(directory: &Path, store: StoreId) -> Result<()> {
    files::write_atomically(&directory.join(NAME), &codec::seal_file(MAGIC, FORMAT, &store))
}

/// The index is begun after the journal: where there is one, the journal was lost, and no new one may take its place.
fn check_journal(directory: &Path) -> Result<()> {
    let journal = directory.join("journal");
    let has_files = fs::read_dir(&journal).is_ok_and(|mut files| files.next().is_some());
    if !has_files && directory.join("index").exists() {
        return Err(files::damaged(&journal, 0, "the journal is missing beside an index"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_the_id_that_it_was_made_with() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(open(directory.path(), [1; 16]).expect("new"), [1; 16]);
        assert_eq!(open(directory.path(), [2; 16]).expect("known"), [1; 16]);
    }

    #[test]
    fn a_damaged_a_foreign_and_a_newer_manifest_are_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("MANIFEST");
        let whole = codec::seal_file(MAGIC, FORMAT, &[1; 16]);
        for position in 0..whole.len() {
            let mut file = whole.clone();
            file[position] ^= 1;
            std::fs::write(&path, &file).expect("writable");
            assert!(open(directory.path(), [2; 16]).is_err(), "byte {position}");
        }
        std::fs::write(&path, codec::seal_file(MAGIC, 9, &[1; 16])).expect("writable");
        let refused = open(directory.path(), [2; 16]);
        assert!(matches!(refused, Err(Error::Format { found: 9, supported: FORMAT, .. })), "{refused:?}");
    }

    #[test]
    fn a_journal_without_its_manifest_is_not_taken_for_a_new_store() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("journal")).expect("writable");
        assert!(matches!(open(directory.path(), [1; 16]), Err(Error::Damaged { .. })));
    }

    #[test]
    fn an_index_without_its_journal_is_no_reason_to_begin_a_new_one() {
        let directory = tempfile::tempdir().expect("a directory");
        open(directory.path(), [1; 16]).expect("new");
        open(directory.path(), [1; 16]).expect("killed before its journal was begun");
        std::fs::create_dir(directory.path().join("index")).expect("writable");
        for journal in ["missing", "empty"] {
            let refused = open(directory.path(), [1; 16]);
            assert!(matches!(refused, Err(Error::Damaged { .. })), "{journal}: {refused:?}");
            assert_eq!(directory.path().join("journal").exists(), journal == "empty");
            std::fs::create_dir_all(directory.path().join("journal")).expect("writable");
        }
    }
}
