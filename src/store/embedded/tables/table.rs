//! One sorted table.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::block::Block;
use super::filter::{Filter, KeyHash};
use crate::domain::time::Timestamp;
use crate::store::embedded::codec;
use crate::store::embedded::index::keys::{self, Family};
use crate::store::embedded::index::{Batch, Bytes, Disk};
use crate::store::{Error, Result};

/// Fences that are stored together: about 6 KiB.
pub(super) const FENCES_PER_KEY: usize = 128;
/// Bytes of a filter that are stored together.
pub(super) const FILTER_PIECE_BYTES: usize = 8 << 10;

/// What is kept in memory of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fence {
    pub(super) first: Vec<u8>,
    /// Entries of sled that the block's bytes take.
    pub(super) chunks: u16,
}

/// What the list of tables says of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Label {
    pub(super) id: u64,
    pub(super) blocks: u32,
    pub(super) bytes: u64,
    /// Pieces that its filter is stored in.
    pub(super) filter_pieces: u32,
    /// The latest time of receipt of what it holds.
    pub(super) newest: Timestamp,
}

/// A table whose blocks are on disk.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) family: Family,
    pub(super) label: Label,
    pub(super) fences: Vec<Fence>,
    pub(super) filter: Filter,
}

/// Why something could not be read.
#[derive(Debug)]
pub(in crate::store::embedded) enum Miss {
    /// A block is gone because its table was merged into another: the list that named it is out of date.
    Gone,
    /// Anything else.
    Failed(Error),
}

impl From<Error> for Miss {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Miss> for Error {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Gone => Self::Index("a block of the index is missing".to_owned()),
            Miss::Failed(error) => error,
        }
    }
}

impl Table {
    pub(super) fn find(&self, disk: &Disk, key: &[u8], hash: KeyHash) -> std::result::Result<Option<Bytes>, Miss> {
        // Most tables do not have the key, and the filter is far cheaper to ask than the fences.
        if !self.filter.may_hold(hash) {
            return Ok(None);
        }
        let Some(number) = self.block_of(key) else { return Ok(None) };
        let block = self.block(disk, number)?;
        let found = block.search(key)?.ok();
        Ok(found.map(|position| block.value(position)).transpose()?)
    }

    /// The block that has the key if any has it; `None` where all keys are greater.
    pub(super) fn block_of(&self, key: &[u8]) -> Option<usize> {
        self.fences.partition_point(|fence| fence.first.as_slice() <= key).checked_sub(1)
    }

    pub(super) fn block(&self, disk: &Disk, number: usize) -> std::result::Result<Block, Miss> {
        let chunk = |chunk| disk.get(&keys::block(self.family, self.label.id, number as u32, chunk))?.ok_or(Miss::Gone);
        let bytes = match self.fences[number].chunks {
            1 => chunk(0)?,
            chunks => {
                let mut bytes = Vec::new();
                for number in 0..chunks {
                    bytes.extend_from_slice(&chunk(number)?);
                }
                bytes.into()
            }
        };
        Ok(Block::new(bytes)?)
    }

    /// Reads what belongs into memory.
    pub(super) fn load(disk: &Disk, family: Family, label: Label) -> Result<Arc<Self>> {
        let blocks = label.blocks as usize;
        let mut fences = Vec::new();
        for number in 0..blocks.div_ceil(FENCES_PER_KEY) {
            let stored = disk.get(&keys::fences(family, label.id, number as u32))?;
            let stored = stored.ok_or_else(|| Error::Index("fences of a table are missing".to_owned()))?;
            fences.extend(codec::decode::<Vec<Fence>>("a list of fences", &stored)?);
        }
        if fences.len() != blocks {
            return Err(Error::Index("a table has another number of blocks".to_owned()));
        }
        let mut filter = Vec::new();
        for number in 0..label.filter_pieces {
            let stored = disk.get(&keys::filter(family, label.id, number))?;
            filter.extend_from_slice(&stored.ok_or_else(|| Error::Index("a piece of a filter is missing".to_owned()))?);
        }
        let filter = Filter::from_bytes(filter).ok_or_else(|| Error::Index("a filter is cut off".to_owned()))?;
        Ok(Arc::new(Self { family, label, fences, filter }))
    }

    /// Adds the removal of everything that is stored of the table to a batch.
    pub(super) fn remove(&self, batch: &mut Batch) {
        for (number, fence) in (0..).zip(&self.fences) {
            for chunk in 0..fence.chunks {
                batch.remove(keys::block(self.family, self.label.id, number, chunk));
            }
        }
        for number in 0..self.fences.len().div_ceil(FENCES_PER_KEY) {
            batch.remove(keys::fences(self.family, self.label.id, number as u32));
        }
        for number in 0..self.label.filter_pieces {
            batch.remove(keys::filter(self.family, self.label.id, number));
        }
    }
}
