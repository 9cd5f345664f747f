//! Writing a table.

use std::sync::Arc;

use super::block::Builder;
use super::filter::{Filter, KeyHash};
use super::table::{FENCES_PER_KEY, Fence, Label, Table};
use crate::domain::time::Timestamp;
use crate::store::embedded::codec;
use crate::store::embedded::index::Batch;
use crate::store::embedded::index::keys::{self, Family};
use crate::store::{Error, Result};

/// Bytes from which a block is full: large, so that sled has few entries, and small, because sled reads and writes a leaf
/// with up to sixteen of them as a whole, and makes a file of its own for each leaf of about 200 kB and more.
const BLOCK_BYTES: usize = 8 << 10;
/// What a larger block is divided into. sled leaks a file for ever for each value of 200 kB and more.
const CHUNK_BYTES: usize = 10 << 10;

/// Writes a table from entries in the order of their keys, each key once.
#[derive(Debug)]
pub(super) struct Writer {
    family: Family,
    label: Label,
    block: Builder,
    /// The first key of the block, and what stands for all of them.
    first: Vec<u8>,
    hashes: Vec<KeyHash>,
    fences: Vec<Fence>,
}

impl Writer {
    pub(super) fn new(family: Family, id: u64, newest: Timestamp) -> Self {
        let label = Label { id, blocks: 0, bytes: 0, newest };
        let (block, first, hashes, fences) = (Builder::default(), Vec::new(), Vec::new(), Vec::new());
        Self { family, label, block, first, hashes, fences }
    }

    /// Bytes of the blocks so far.
    pub(super) fn bytes(&self) -> u64 {
        self.label.bytes
    }

    /// Adds an entry, and a block to the batch when it is full.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8], batch: &mut Batch) -> Result<()> {
        if self.hashes.is_empty() {
            self.first = key.to_vec();
        }
        self.hashes.push(KeyHash::of(key));
        self.block.push(key, value)?;
        if self.block.bytes() >= BLOCK_BYTES { self.put_block(batch) } else { Ok(()) }
    }

    /// Writes what is left. The table is complete once the batch is applied.
    pub(super) fn finish(mut self, batch: &mut Batch) -> Result<Arc<Table>> {
        self.put_block(batch)?;
        for (number, fences) in (0..).zip(self.fences.chunks(FENCES_PER_KEY)) {
            batch.insert(keys::fences(self.family, self.label.id, number), codec::encode(fences)?);
        }
        Ok(Arc::new(Table { family: self.family, label: self.label, fences: self.fences }))
    }

    fn put_block(&mut self, batch: &mut Batch) -> Result<()> {
        if self.hashes.is_empty() {
            return Ok(());
        }
        let bytes = self.block.finish();
        let chunks = u16::try_from(bytes.len().div_ceil(CHUNK_BYTES));
        let chunks = chunks.map_err(|_| Error::Index("a value is too large".to_owned()))?;
        for (chunk, part) in (0..chunks).zip(bytes.chunks(CHUNK_BYTES)) {
            batch.insert(keys::block(self.family, self.label.id, self.label.blocks, chunk), part);
        }
        self.label.blocks += 1;
        self.label.bytes += bytes.len() as u64;
        let (first, filter) = (std::mem::take(&mut self.first), Filter::new(&self.hashes));
        self.fences.push(Fence { first, filter, chunks });
        self.hashes.clear();
        Ok(())
    }
}
