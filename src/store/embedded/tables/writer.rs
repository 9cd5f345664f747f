//! Writing a table.

use std::sync::Arc;

use super::block::Builder;
use super::filter::{Filter, KeyHash};
use super::table::{FENCES_PER_KEY, FILTER_PIECE_BYTES, Fence, Label, Table};
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
    /// The first key of the block, where it has any.
    first: Option<Vec<u8>>,
    fences: Vec<Fence>,
    /// What stands for all keys.
    hashes: Vec<KeyHash>,
}

impl Writer {
    pub(super) fn new(family: Family, id: u64, newest: Timestamp) -> Self {
        let label = Label { id, blocks: 0, bytes: 0, filter_pieces: 0, newest };
        let (block, first, fences, hashes) = (Builder::default(), None, Vec::new(), Vec::new());
        Self { family, label, block, first, fences, hashes }
    }

    /// Bytes of the blocks so far.
    pub(super) fn bytes(&self) -> u64 {
        self.label.bytes
    }

    /// Adds an entry, and a block to the batch when it is full.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8], batch: &mut Batch) -> Result<()> {
        self.first.get_or_insert_with(|| key.to_vec());
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
        let filter = Filter::new(&self.hashes);
        for piece in filter.as_bytes().chunks(FILTER_PIECE_BYTES) {
            batch.insert(keys::filter(self.family, self.label.id, self.label.filter_pieces), piece);
            self.label.filter_pieces += 1;
        }
        Ok(Arc::new(Table { family: self.family, label: self.label, fences: self.fences, filter }))
    }

    fn put_block(&mut self, batch: &mut Batch) -> Result<()> {
        let Some(first) = self.first.take() else { return Ok(()) };
        let bytes = self.block.finish();
        let chunks = u16::try_from(bytes.len().div_ceil(CHUNK_BYTES));
        let chunks = chunks.map_err(|_| Error::Index("a value is too large".to_owned()))?;
        for (chunk, part) in (0..chunks).zip(bytes.chunks(CHUNK_BYTES)) {
            batch.insert(keys::block(self.family, self.label.id, self.label.blocks, chunk), part);
        }
        self.label.blocks += 1;
        self.label.bytes += bytes.len() as u64;
        self.fences.push(Fence { first, chunks });
        Ok(())
    }
}
