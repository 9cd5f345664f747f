//! One sorted table, in a file of its own.
//!
//! ```text
//! blocks   the bytes of each, with their CRC32C (u32)
//! footer   magic · format · CRC32C · what the list says of the table · the fences · the filter
//! ```
//! The list of tables says where the footer begins. A file is written once and then only read, so that whoever holds the
//! table may read it also after its name is gone.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::{ReadWriteFlags, preadv2};
use serde::{Deserialize, Serialize};

use super::block::Block;
use super::filter::{Filter, KeyHash};
use super::guide::Guide;
use crate::domain::time::Timestamp;
use crate::store::embedded::codec;
use crate::store::embedded::files::{self, failed};
use crate::store::embedded::index::Bytes;
use crate::store::embedded::index::keys::Family;
use crate::store::{Error, Result};

const MAGIC: [u8; 4] = *b"RPTB";
const FORMAT: u32 = 1;
/// Behind the bytes of a block.
pub(super) const CHECKSUM_BYTES: usize = size_of::<u32>();
const EXTENSION: &str = "table";
/// The largest buffer that a thread keeps for the next block.
const SCRATCH_BYTES_MAX: usize = 64 << 10;

thread_local! {
    /// Where a block is read for one of its values.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What is kept in memory of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fence {
    pub(super) first: Box<[u8]>,
    /// Where the block begins in the file.
    pub(super) offset: u64,
}

/// What the list of tables says of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Label {
    pub(super) id: u64,
    /// Of all blocks, and so where the footer begins.
    pub(super) bytes: u64,
    /// The latest time of receipt of what it holds.
    pub(super) newest: Timestamp,
}

/// A table whose blocks are on disk.
#[derive(Debug)]
pub(in crate::store::embedded) struct Table {
    pub(super) label: Label,
    pub(super) fences: Vec<Fence>,
    guide: Guide,
    filter: Filter,
    file: File,
    path: PathBuf,
}

/// What a footer holds.
pub(super) struct Footer<'a> {
    pub(super) label: Label,
    pub(super) fences: &'a [Fence],
    pub(super) filter: &'a Filter,
}

impl Footer<'_> {
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let mut content = codec::encode(&(self.label, self.fences))?;
        content.extend_from_slice(self.filter.as_bytes());
        Ok(codec::seal_file(MAGIC, FORMAT, &content))
    }
}

/// The file of a table.
pub(super) fn path(directory: &Path, family: Family, id: u64) -> PathBuf {
    directory.join(format!("{}-{id}.{EXTENSION}", family.name()))
}

/// What was found without waiting for a disk.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store::embedded) enum AtOnce<T> {
    /// This.
    Found(T),
    /// What is needed is not in memory.
    OnDisk,
}

impl Table {
    /// The value of a key, as far as it can be told without waiting for a disk.
    pub(super) fn find_at_once(&self, key: &[u8], hash: KeyHash) -> Result<AtOnce<Option<Bytes>>> {
        if !self.filter.may_hold(hash) {
            return Ok(AtOnce::Found(None));
        }
        let Some(number) = self.block_of(key) else { return Ok(AtOnce::Found(None)) };
        let mut bytes = SCRATCH.take();
        if !self.read_at_once(number, &mut bytes) {
            keep(bytes);
            return Ok(AtOnce::OnDisk);
        }
        self.value_in(self.checked(bytes)?, key).map(AtOnce::Found)
    }

    pub(super) fn find(&self, key: &[u8], hash: KeyHash) -> Result<Option<Bytes>> {
        // Most tables do not have the key, and the filter is far cheaper to ask than the fences.
        if !self.filter.may_hold(hash) {
            return Ok(None);
        }
        let Some(number) = self.block_of(key) else { return Ok(None) };
        self.value_in(self.block(number, SCRATCH.take())?, key)
    }

    /// The value of a key in the block that has it if any has.
    fn value_in(&self, block: Block, key: &[u8]) -> Result<Option<Bytes>> {
        let found = block.search(key)?.ok();
        let value = found.map(|position| block.entry(position).map(|(_, value)| Bytes::from(value))).transpose();
        keep(block.into_bytes());
        value
    }

    /// The block that has the key if any has it; `None` where all keys are greater.
    pub(super) fn block_of(&self, key: &[u8]) -> Option<usize> {
        self.guide.at_or_before(&self.fences, key).checked_sub(1)
    }

    /// Reads a block into a buffer, whatever that holds.
    pub(super) fn block(&self, number: usize, mut bytes: Vec<u8>) -> Result<Block> {
        let begin = self.make_room(number, &mut bytes);
        self.file.read_exact_at(&mut bytes, begin).map_err(|cause| self.unreadable(cause))?;
        self.checked(bytes)
    }

    /// Reads a block as it lies, if the operating system has all of it in memory. What goes wrong is told by whoever waits
    /// for it.
    fn read_at_once(&self, number: usize, bytes: &mut Vec<u8>) -> bool {
        let begin = self.make_room(number, bytes);
        let whole = bytes.len();
        let read = preadv2(&self.file, &mut [IoSliceMut::new(bytes)], begin, ReadWriteFlags::NOWAIT);
        read == Ok(whole)
    }

    /// Makes a buffer as large as a block is, and tells where that begins.
    fn make_room(&self, number: usize, bytes: &mut Vec<u8>) -> u64 {
        let begin = self.fences[number].offset;
        let end = self.fences.get(number + 1).map_or(self.label.bytes, |next| next.offset);
        bytes.resize(end.saturating_sub(begin) as usize, 0);
        begin
    }

    /// The block that was read, if it is what was written.
    fn checked(&self, mut bytes: Vec<u8>) -> Result<Block> {
        let content = bytes.len().checked_sub(CHECKSUM_BYTES);
        let content = content.filter(|end| codec::u32_at(&bytes, *end) == crc32c::crc32c(&bytes[..*end]));
        bytes.truncate(content.ok_or_else(|| Error::Index("a block does not match its checksum".to_owned()))?);
        Block::new(bytes)
    }

    /// Opens the table that a list names, and reads what belongs into memory.
    pub(super) fn open(directory: &Path, family: Family, label: Label) -> Result<Arc<Self>> {
        let path = path(directory, family, label.id);
        let read = || {
            let file = File::open(&path)?;
            let mut footer = vec![0; file.metadata()?.len().saturating_sub(label.bytes) as usize];
            file.read_exact_at(&mut footer, label.bytes)?;
            Ok((file, footer))
        };
        let (file, footer) = read().map_err(unusable)?;
        let (format, content) = codec::open_file(MAGIC, &footer).map_err(|what| Error::Index(what.to_owned()))?;
        let (written, filter) = codec::decode_first::<(Label, Vec<Fence>)>("the footer of a table", content)?;
        if (format, written.0) != (FORMAT, label) {
            return Err(Error::Index("a table is not the one that the list names".to_owned()));
        }
        let filter = Filter::from_bytes(filter.to_vec());
        let filter = filter.ok_or_else(|| Error::Index("a filter is cut off".to_owned()))?;
        let guide = Guide::new(&written.1);
        Ok(Arc::new(Self { label, fences: written.1, guide, filter, file, path }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file durable.
    pub(super) fn sync(&self) -> Result<()> {
        files::sync(&self.path)
    }

    /// Removes the file. Whoever still reads the table goes on.
    pub(super) fn remove(&self) -> Result<()> {
        files::give_up(&self.path).map_err(failed("removing", &self.path))
    }

    fn unreadable(&self, cause: io::Error) -> Error {
        if cause.kind() == io::ErrorKind::UnexpectedEof {
            unusable(cause)
        } else {
            failed("reading", &self.path)(cause)
        }
    }
}

/// Keeps a buffer for the next block that this thread reads.
fn keep(buffer: Vec<u8>) {
    SCRATCH.set(Some(buffer).filter(|bytes| bytes.capacity() <= SCRATCH_BYTES_MAX).unwrap_or_default());
}

/// A file that is missing or too short is a fault of the index, which can be built anew.
fn unusable(cause: io::Error) -> Error {
    Error::Index(format!("a table cannot be read: {cause}"))
}
