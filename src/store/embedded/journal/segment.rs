//! One file of the journal: its name and what stands before its first frame.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::domain::id::Revision;
use crate::store::embedded::codec::{u32_at, u64_at};
use crate::store::embedded::files::{self, Appender, damaged, failed};
use crate::store::embedded::manifest::StoreId;
use crate::store::{Error, Result};

/// Bytes before the first frame.
pub(super) const HEADER_BYTES: usize = 56;

const MAGIC: [u8; 8] = *b"RAPPJRNL";
const FORMAT: u32 = 1;
const EXTENSION: &str = "journal";
const CHECKSUM_AT: usize = 52;

/// What a segment says about itself and about the one before it.
///
/// A chain of names and lengths: a segment that was lost, cut or replaced is noticed when the store is opened, without
/// reading everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) store: StoreId,
    /// The revision of the first frame, also the segment's name.
    pub(super) first: Revision,
    /// The name of the segment before, 0 where there is none.
    pub(super) previous_first: Revision,
    /// The length of the segment before.
    pub(super) previous_bytes: u64,
}

/// The file of a segment.
pub(super) fn path(directory: &Path, first: Revision) -> PathBuf {
    directory.join(file_name(first))
}

/// The name of a segment's file.
pub(super) fn file_name(first: Revision) -> String {
    format!("{:020}.{EXTENSION}", first.0)
}

/// Makes a segment that is durable with its name before anything is written to it.
pub(super) fn create(directory: &Path, header: &Header) -> Result<Appender> {
    let path = path(directory, header.first);
    if path.exists() {
        return Err(damaged(&path, 0, "the next segment exists already"));
    }
    files::write_atomically(&path, &header.encode())?;
    open_for_append(directory, header.first)
}

/// Opens a segment to write behind its end.
pub(super) fn open_for_append(directory: &Path, first: Revision) -> Result<Appender> {
    Appender::open(&path(directory, first))
}

/// The first revisions of all segments, in order. Removes what was not finished.
pub(super) fn list(directory: &Path) -> Result<Vec<Revision>> {
    for entry in fs::read_dir(directory).map_err(failed("listing", directory))? {
        let path = entry.map_err(failed("listing", directory))?.path();
        if path.extension().and_then(OsStr::to_str) == Some(files::UNFINISHED) {
            files::remove(&path)?;
        }
    }
    names(directory)
}

/// The first revisions of all segments, in order. Changes nothing, so that it may be called while somebody writes.
pub(super) fn names(directory: &Path) -> Result<Vec<Revision>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed("listing", directory))? {
        let path = entry.map_err(failed("listing", directory))?.path();
        if path.extension().and_then(OsStr::to_str) == Some(EXTENSION) {
            let name = path.file_stem().and_then(OsStr::to_str).and_then(|stem| stem.parse().ok());
            segments.push(Revision(name.ok_or_else(|| damaged(&path, 0, "the name is not that of a segment"))?));
        }
    }
    segments.sort();
    Ok(segments)
}

/// The segment that holds a commit, or the one before where the commit is not there yet.
pub(super) fn holding(directory: &Path, revision: Revision) -> Result<Option<Revision>> {
    let mut holding = None;
    for entry in fs::read_dir(directory).map_err(failed("listing", directory))? {
        let path = entry.map_err(failed("listing", directory))?.path();
        let name = path.file_stem().filter(|_| path.extension().and_then(OsStr::to_str) == Some(EXTENSION));
        let first = name.and_then(OsStr::to_str).and_then(|stem| stem.parse().ok()).map(Revision);
        holding = holding.max(first.filter(|first| *first <= revision));
    }
    Ok(holding)
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..28].copy_from_slice(&self.store);
        bytes[28..36].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[36..44].copy_from_slice(&self.previous_first.0.to_le_bytes());
        bytes[44..52].copy_from_slice(&self.previous_bytes.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the header of a segment.
    pub(super) fn read(file: &File, path: &Path) -> Result<Self> {
        let mut bytes = [0; HEADER_BYTES];
        if file.read_exact_at(&mut bytes, 0).is_err() {
            return Err(damaged(path, 0, "the segment's header is cut off"));
        }
        if bytes[..8] != MAGIC {
            return Err(damaged(path, 0, "the file is no segment of a journal"));
        }
        if u32_at(&bytes, CHECKSUM_AT) != crc32c::crc32c(&bytes[..CHECKSUM_AT]) {
            return Err(damaged(path, 0, "the segment's header does not match its checksum"));
        }
        let found = u32_at(&bytes, 8);
        if found != FORMAT {
            return Err(Error::Format { file: path.display().to_string(), found, supported: FORMAT });
        }
        let mut store = [0; 16];
        store.copy_from_slice(&bytes[12..28]);
        let [first, previous_first, previous_bytes] = [28, 36, 44].map(|at| u64_at(&bytes, at));
        Ok(Self { store, first: Revision(first), previous_first: Revision(previous_first), previous_bytes })
    }
}
