//! One sorted run.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use crate::domain::time::Timestamp;
use crate::store::embedded::codec::{self, u32_at, u64_at};
use crate::store::embedded::index::keys::{self, EventHash};
use crate::store::embedded::index::{Batch, Bytes, Disk};
use crate::store::embedded::journal::EventRef;
use crate::store::{Error, Result};

/// Entries of a block: 32 KiB.
pub(super) const BLOCK_ENTRIES: usize = 1_024;
const ENTRY_BYTES: usize = 32;
/// Fences that are stored together: about 25 KiB.
const FENCES_PER_KEY: usize = 16;

/// An accepted event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) hash: EventHash,
    pub(super) at: EventRef,
}

/// What is kept in memory of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fence {
    first: EventHash,
    filter: Filter,
}

/// What the list of runs says of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Label {
    pub(super) id: u64,
    pub(super) entries: u64,
    /// The latest time of receipt.
    pub(super) newest: Timestamp,
}

/// A run whose blocks are on disk.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) label: Label,
    pub(super) fences: Vec<Fence>,
}

/// What a run says about a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    No,
    At(EventRef),
    /// The run's blocks are gone: the list that named it is out of date.
    Gone,
}

impl Run {
    pub(super) fn find(&self, disk: &Disk, hash: &EventHash) -> Result<Found> {
        let position = self.fences.partition_point(|fence| fence.first <= *hash);
        let Some(number) = position.checked_sub(1) else { return Ok(Found::No) };
        if !self.fences[number].filter.may_hold(hash) {
            return Ok(Found::No);
        }
        let Some(block) = disk.raw(&keys::run_block(self.label.id, number as u32))? else { return Ok(Found::Gone) };
        let entries = Block::new(&block)?;
        let found = entries.binary_search(hash);
        Ok(found.map_or(Found::No, Found::At))
    }

    /// The entries of a block, or none behind the last.
    pub(super) fn block(&self, disk: &Disk, number: usize) -> Result<Vec<Entry>> {
        if number >= self.fences.len() {
            return Ok(Vec::new());
        }
        let block = disk.raw(&keys::run_block(self.label.id, number as u32))?;
        let block = block.ok_or_else(|| Error::Index("a block of seen events is missing".to_owned()))?;
        let block = Block::new(&block)?;
        Ok((0..block.len()).map(|position| block.entry(position)).collect())
    }

    /// Reads what belongs into memory.
    pub(super) fn load(disk: &Disk, label: Label) -> Result<Self> {
        let blocks = usize::try_from(label.entries).unwrap_or(usize::MAX).div_ceil(BLOCK_ENTRIES);
        let mut fences = Vec::new();
        for number in 0..blocks.div_ceil(FENCES_PER_KEY) {
            let stored = disk.raw(&keys::run_fence(label.id, number as u32))?;
            let stored = stored.ok_or_else(|| Error::Index("fences of seen events are missing".to_owned()))?;
            fences.extend(codec::decode::<Vec<Fence>>("a list of fences", &stored)?);
        }
        if fences.len() != blocks {
            return Err(Error::Index("a run of seen events has another number of blocks".to_owned()));
        }
        Ok(Self { label, fences })
    }
}

/// A block as it is stored: sorted entries of one length.
struct Block<'a>(&'a [u8]);

impl<'a> Block<'a> {
    fn new(bytes: &'a Bytes) -> Result<Self> {
        if !bytes.len().is_multiple_of(ENTRY_BYTES) {
            return Err(Error::Index("a block of seen events is cut off".to_owned()));
        }
        Ok(Self(bytes))
    }

    fn len(&self) -> usize {
        self.0.len() / ENTRY_BYTES
    }

    fn entry(&self, position: usize) -> Entry {
        let bytes = &self.0[position * ENTRY_BYTES..][..ENTRY_BYTES];
        let mut hash = [0; 16];
        hash.copy_from_slice(&bytes[..16]);
        Entry { hash, at: EventRef { segment: u64_at(bytes, 16), offset: u32_at(bytes, 24), bytes: u32_at(bytes, 28) } }
    }

    fn binary_search(&self, hash: &EventHash) -> Option<EventRef> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.entry(middle);
            match entry.hash.cmp(hash) {
                std::cmp::Ordering::Equal => return Some(entry.at),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

/// Writes a run from entries in the order of their hashes, each hash once.
#[derive(Debug)]
pub(super) struct RunWriter {
    id: u64,
    newest: Timestamp,
    written: u64,
    block: Vec<Entry>,
    fences: Vec<Fence>,
}

impl RunWriter {
    pub(super) fn new(id: u64, newest: Timestamp) -> Self {
        Self { id, newest, written: 0, block: Vec::with_capacity(BLOCK_ENTRIES), fences: Vec::new() }
    }

    /// Adds an entry, and a block to the batch when it is full.
    pub(super) fn push(&mut self, entry: Entry, batch: &mut Batch) {
        self.block.push(entry);
        if self.block.len() == BLOCK_ENTRIES {
            self.put_block(batch);
        }
    }

    /// Writes what is left. The run is complete once the batch is applied.
    pub(super) fn finish(mut self, batch: &mut Batch) -> Result<Arc<Run>> {
        self.put_block(batch);
        for (number, fences) in (0..).zip(self.fences.chunks(FENCES_PER_KEY)) {
            batch.insert(keys::run_fence(self.id, number), codec::encode(fences)?);
        }
        let label = Label { id: self.id, entries: self.written, newest: self.newest };
        Ok(Arc::new(Run { label, fences: self.fences }))
    }

    fn put_block(&mut self, batch: &mut Batch) {
        let Some(first) = self.block.first() else { return };
        let filter = Filter::new(self.block.iter().map(|entry| &entry.hash));
        let mut bytes = Vec::with_capacity(self.block.len() * ENTRY_BYTES);
        for entry in &self.block {
            bytes.extend(entry.hash);
            bytes.extend(entry.at.segment.to_le_bytes());
            bytes.extend(entry.at.offset.to_le_bytes());
            bytes.extend(entry.at.bytes.to_le_bytes());
        }
        batch.insert(keys::run_block(self.id, self.fences.len() as u32), bytes);
        self.fences.push(Fence { first: first.hash, filter });
        self.written += self.block.len() as u64;
        self.block.clear();
    }
}
