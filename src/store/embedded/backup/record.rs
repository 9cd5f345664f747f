//! The file `BACKUP`: what belongs to a backup.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::store::embedded::manifest::StoreId;
use crate::store::embedded::{codec, files};
use crate::store::{Error, Result};

/// The file's name.
pub(super) const NAME: &str = "BACKUP";
const MAGIC: [u8; 4] = *b"RPBK";
/// Not 3, which is one flipped bit away from the format before.
const FORMAT: u32 = 4;
/// The format before there was a vault, with the same list.
const FORMAT_UNSEALED: u32 = 2;
/// The format before, with the same list: in such a backup every journal begins with the first commit.
const FORMAT_OF_WHOLE_JOURNALS: u32 = 1;

/// Stands for the content of a file.
pub(super) type Digest = [u8; 32];

/// What belongs to a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The release that made it. First in every format, so that any release can name the one that it takes.
    pub(super) release: String,
    pub(super) store: StoreId,
    /// The last commit in it.
    pub(super) revision: Revision,
    pub(super) time: Timestamp,
    pub(super) files: Vec<Listed>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    /// Its place in a data directory.
    pub(super) path: String,
    /// Its place in the backup: the same, unless an earlier backup holds something else there.
    pub(super) stored: String,
    /// How much of it belongs to the backup. A segment may have become longer since.
    pub(super) bytes: u64,
    /// Of these bytes.
    pub(super) digest: Digest,
}

impl Record {
    /// Reads the record of a backup; `None` where the directory holds none.
    ///
    /// # Errors
    /// [`Error::Refused`] for another format, with the release that takes it; [`Error::Damaged`].
    pub(super) fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(NAME);
        let Some(file) = files::read(&path)? else { return Ok(None) };
        let (found, content) = codec::open_file(MAGIC, &file).map_err(|what| files::damaged(&path, 0, what))?;
        if ![FORMAT, FORMAT_UNSEALED, FORMAT_OF_WHOLE_JOURNALS].contains(&found) {
            return Err(Error::Refused(another_format(&path, found, content)));
        }
        let record: Self = codec::decode("the list of a backup", content)
            .map_err(|_| files::damaged(&path, 0, "the list of files cannot be read"))?;
        let is_within = |file: &Listed| [&file.path, &file.stored].into_iter().all(|path| stays_within(path));
        if record.files.iter().all(is_within) {
            return Ok(Some(record));
        }
        Err(files::damaged(&path, 0, "a file of the backup would lie outside of the directory"))
    }

    /// Puts the record in the place of the earlier one.
    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        files::write_atomically(&directory.join(NAME), &codec::seal_file(MAGIC, FORMAT, &codec::encode(self)?))
    }

    /// The file that lies here in a data directory.
    pub(super) fn file(&self, path: &str) -> Option<&Listed> {
        self.files.iter().find(|file| file.path == path)
    }
}

fn another_format(path: &Path, found: u32, content: &[u8]) -> String {
    let (path, ours) = (path.display(), env!("CARGO_PKG_VERSION"));
    let release =
        codec::decode_first::<String>("the release", content).map_or_else(|_| "?".to_owned(), |(name, _)| name);
    format!(
        "{path} has format {found} and was written by release {release}; this release, {ours}, reads format {FORMAT}: \
         use release {release}"
    )
}

/// Whether a path leads to something inside of the directory that it starts from.
/// Reads the list of a backup without its directory: as the file that it is, and as the content of a file that is whole.
pub(in crate::store::embedded) fn decode(bytes: &[u8]) {
    let content = codec::open_file(MAGIC, bytes).map_or(bytes, |(_, content)| content);
    if let Ok(record) = codec::decode::<Record>("the list of a backup", content) {
        let _all_or_not = record.files.iter().all(|file| stays_within(&file.path));
    }
}

fn stays_within(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str) -> Record {
        let listed = Listed { path: path.to_owned(), stored: path.to_owned(), bytes: 1, digest: [1; 32] };
        let (release, time) = ("9.9.9".to_owned(), Timestamp::from_micros(5));
        Record { release, store: [2; 16], revision: Revision(3), time, files: vec![listed] }
    }

    #[test]
    fn no_flipped_byte_of_a_record_goes_unnoticed() {
        let directory = tempfile::tempdir().expect("a directory");
        record("MANIFEST").write(directory.path()).expect("writable");
        assert_eq!(Record::read(directory.path()).expect("whole"), Some(record("MANIFEST")));
        let path = directory.path().join(NAME);
        let whole = std::fs::read(&path).expect("readable");
        for position in 0..whole.len() {
            let mut file = whole.clone();
            file[position] ^= 1;
            std::fs::write(&path, &file).expect("writable");
            assert!(Record::read(directory.path()).is_err(), "byte {position}");
        }
    }

    #[test]
    fn a_record_of_another_format_names_the_release_that_takes_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let content = codec::encode(&record("MANIFEST")).expect("encodable");
        let file = codec::seal_file(MAGIC, FORMAT + 1, &content);
        std::fs::write(directory.path().join(NAME), file).expect("writable");
        let refused = Record::read(directory.path()).expect_err("refused").to_string();
        assert!(refused.contains("use release 9.9.9") && refused.contains("has format 5"), "{refused}");
    }

    #[test]
    fn a_record_that_leads_out_of_its_directory_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        for path in ["", "/etc/passwd", "../elsewhere", "journal/../../x", "./x"] {
            record(path).write(directory.path()).expect("writable");
            assert!(Record::read(directory.path()).is_err(), "{path}");
        }
    }
}
