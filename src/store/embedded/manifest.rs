//! What a data directory is: its format, which store it holds, and where its journal begins.

use std::fs;
use std::path::Path;

use super::codec::{open_file, seal_file, u64_at};
use super::files;
use crate::domain::id::Revision;
use crate::store::{Error, Result};

/// The file's name.
pub(super) const NAME: &str = "MANIFEST";
const MAGIC: [u8; 4] = *b"RPMF";
/// The layout of the directory and of everything in it but the index, which has its own version.
const FORMAT: u32 = 4;
/// The format before there was a vault, with the same content.
const FORMAT_UNSEALED: u32 = 3;
/// The format before: the journal of every store began with its first commit, and only the store's id was written.
const FORMAT_WITHOUT_BEGIN: u32 = 2;
/// Bytes of a store's id.
const ID_BYTES: usize = 16;

/// Names one store among all.
pub(super) type StoreId = [u8; ID_BYTES];

/// What the manifest of a data directory says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) store: StoreId,
    pub(super) begin: Begin,
}

/// Where a journal begins. What was before was let go of: the manifest says so before the first file is removed, so that
/// a segment that was lost is told from one that is not needed any more, and a removal that was cut short is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begin {
    /// The first commit, and the name of its segment.
    pub(super) first: Revision,
    /// The segment that was before, as the first one names it; zero where there never was one.
    pub(super) previous_first: Revision,
    /// Its length.
    pub(super) previous_bytes: u64,
    /// An index, or a checkpoint, of an earlier commit is of no use: it may ask for what was let go of.
    pub(super) usable_from: Revision,
}

impl Begin {
    /// Where every journal begins at first.
    pub(super) const FIRST: Self =
        Self { first: Revision(1), previous_first: Revision(0), previous_bytes: 0, usable_from: Revision(0) };

    /// Whether the journal alone does not lead to the present state any more.
    pub(super) fn is_late(&self) -> bool {
        self.first > Self::FIRST.first
    }
}

impl Manifest {
    /// Of a store that has let go of nothing.
    pub(super) fn new(store: StoreId) -> Self {
        Self { store, begin: Begin::FIRST }
    }

    fn encode(&self) -> Vec<u8> {
        let Begin { first, previous_first, previous_bytes, usable_from } = self.begin;
        let mut content = self.store.to_vec();
        for number in [first.0, previous_first.0, previous_bytes, usable_from.0] {
            content.extend(number.to_le_bytes());
        }
        seal_file(MAGIC, FORMAT, &content)
    }

    fn decode(format: u32, content: &[u8]) -> Option<Self> {
        let (store, rest) = content.split_first_chunk::<ID_BYTES>()?;
        match (format, rest.len()) {
            (FORMAT_WITHOUT_BEGIN, 0) => Some(Self::new(*store)),
            (FORMAT | FORMAT_UNSEALED, 32) => {
                let [first, previous_first, previous_bytes, usable_from] = [0, 8, 16, 24].map(|at| u64_at(rest, at));
                let [first, previous_first, usable_from] = [first, previous_first, usable_from].map(Revision);
                Some(Self { store: *store, begin: Begin { first, previous_first, previous_bytes, usable_from } })
            }
            _ => None,
        }
    }
}

/// Reads the manifest, or writes the first one of a directory that holds no journal yet.
pub(super) fn open(directory: &Path, new_store_id: StoreId) -> Result<Manifest> {
    if directory.join(NAME).exists() || directory.join("journal").exists() {
        // Whoever wrote it may have been killed before its name was durable.
        files::sync_directory(directory)?;
        let manifest = read(directory)?;
        check_journal(directory)?;
        return Ok(manifest);
    }
    let manifest = Manifest::new(new_store_id);
    write(directory, &manifest)?;
    Ok(manifest)
}

/// Reads the manifest of a directory that has a journal.
pub(super) fn read(directory: &Path) -> Result<Manifest> {
    let path = directory.join(NAME);
    let file = files::read(&path)?.ok_or_else(|| files::damaged(&path, 0, "the file is missing beside a journal"))?;
    let (found, content) = open_file(MAGIC, &file).map_err(|what| files::damaged(&path, 0, what))?;
    if ![FORMAT, FORMAT_UNSEALED, FORMAT_WITHOUT_BEGIN].contains(&found) {
        return Err(Error::Format { file: path.display().to_string(), found, supported: FORMAT });
    }
    Manifest::decode(found, content).ok_or_else(|| files::damaged(&path, 0, "the content has another length"))
}

/// Writes the manifest of a store.
pub(super) fn write(directory: &Path, manifest: &Manifest) -> Result<()> {
    files::write_atomically(&directory.join(NAME), &manifest.encode())
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
        assert_eq!(open(directory.path(), [1; 16]).expect("new"), Manifest::new([1; 16]));
        assert_eq!(open(directory.path(), [2; 16]).expect("known"), Manifest::new([1; 16]));
        let begin =
            Begin { first: Revision(7), previous_first: Revision(3), previous_bytes: 900, usable_from: Revision(9) };
        write(directory.path(), &Manifest { store: [1; 16], begin }).expect("writable");
        assert_eq!(open(directory.path(), [2; 16]).expect("known"), Manifest { store: [1; 16], begin });
    }

    #[test]
    fn what_the_format_before_wrote_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(NAME), seal_file(MAGIC, 2, &[1; 16])).expect("writable");
        assert_eq!(open(directory.path(), [2; 16]).expect("known"), Manifest::new([1; 16]));
    }

    #[test]
    fn a_damaged_a_foreign_and_a_newer_manifest_are_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("MANIFEST");
        let whole = Manifest::new([1; 16]).encode();
        for position in 0..whole.len() {
            let mut file = whole.clone();
            file[position] ^= 1;
            std::fs::write(&path, &file).expect("writable");
            assert!(open(directory.path(), [2; 16]).is_err(), "byte {position}");
        }
        std::fs::write(&path, seal_file(MAGIC, 9, &[1; 16])).expect("writable");
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
