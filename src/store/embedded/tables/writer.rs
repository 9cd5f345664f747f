//! Writing a table.

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::block::Builder;
use super::filter::{Filter, KeyHash};
use super::table::{CHECKSUM_BYTES, Fence, Footer, Label, Table};
use crate::domain::time::Timestamp;
use crate::store::Result;
use crate::store::embedded::files::{self, Appender, failed};
use crate::store::embedded::index::keys::Family;

/// Bytes from which a block is full: large, so that there are few fences in memory, and small, because a block is read as
/// a whole for each of its entries.
const BLOCK_BYTES: usize = 4 << 10;
/// Bytes that are handed to the operating system at a time.
const WRITE_BYTES: usize = 256 << 10;
/// Bytes after which what was written is brought to disk, so that a commit's own sync never waits for all of it.
const SYNC_BYTES: u64 = 8 << 20;

/// Writes a table from entries in the order of their keys, each key once. Dropped before it is finished, it leaves nothing
/// behind.
#[derive(Debug)]
pub(in crate::store::embedded) struct Writer {
    directory: PathBuf,
    family: Family,
    label: Label,
    /// `None` once the table is finished.
    file: Option<BufWriter<Appender>>,
    synced: u64,
    block: Builder,
    /// The first key of the block, where it has any.
    first: Option<Box<[u8]>>,
    fences: Vec<Fence>,
    /// What stands for all keys.
    hashes: Vec<KeyHash>,
}

impl Writer {
    /// Begins a table with an id that no other one has.
    pub(in crate::store::embedded) fn begin(
        directory: &Path,
        family: Family,
        id: u64,
        newest: Timestamp,
    ) -> Result<Self> {
        let file = Appender::create(&super::table::path(directory, family, id))?;
        Ok(Self {
            directory: directory.to_owned(),
            family,
            label: Label { id, bytes: 0, newest },
            file: Some(BufWriter::with_capacity(WRITE_BYTES, file)),
            synced: 0,
            block: Builder::default(),
            first: None,
            fences: Vec::new(),
            hashes: Vec::new(),
        })
    }

    /// Bytes of the blocks so far.
    pub(super) fn bytes(&self) -> u64 {
        self.label.bytes
    }

    /// Adds an entry.
    pub(in crate::store::embedded) fn push(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.first.get_or_insert_with(|| key.into());
        self.hashes.push(KeyHash::of(key));
        self.block.push(key, value)?;
        if self.block.bytes() >= BLOCK_BYTES { self.put_block() } else { Ok(()) }
    }

    /// Writes what is left, and opens the table. It belongs to the index once a list names it.
    pub(in crate::store::embedded) fn finish(mut self) -> Result<Arc<Table>> {
        self.put_block()?;
        let footer = Footer { label: self.label, fences: &self.fences, filter: &Filter::new(&self.hashes) }.encode()?;
        self.write(|file| {
            file.write_all(&footer)?;
            file.flush()
        })?;
        self.file = None;
        Table::open(&self.directory, self.family, self.label)
    }

    fn put_block(&mut self) -> Result<()> {
        let Some(first) = self.first.take() else { return Ok(()) };
        let block = self.block.finish();
        self.write(|file| {
            file.write_all(&block)?;
            file.write_all(&crc32c::crc32c(&block).to_le_bytes())
        })?;
        self.fences.push(Fence { first, offset: self.label.bytes });
        self.label.bytes += (block.len() + CHECKSUM_BYTES) as u64;
        if self.label.bytes - self.synced >= SYNC_BYTES {
            self.synced = self.label.bytes;
            self.write(|file| {
                file.flush()?;
                file.get_mut().sync()
            })?;
        }
        Ok(())
    }

    fn write(&mut self, write: impl FnOnce(&mut BufWriter<Appender>) -> io::Result<()>) -> Result<()> {
        match &mut self.file {
            Some(file) => write(file).map_err(failed("writing", file.get_ref().path())),
            None => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // What is still in the buffer is not worth writing any more, and what stays no list names.
            let (file, _) = file.into_parts();
            let _gone_or_not = files::give_up(file.path());
        }
    }
}
