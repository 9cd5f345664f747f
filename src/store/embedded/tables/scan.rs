//! Entries of many tables in the order of their keys.

use std::cmp::Ordering;
use std::sync::Arc;

use super::block::Block;
use super::table::Table;
use crate::store::Result;

/// Tables that are read side by side, standing at an entry or at the end. Of several entries with the same key, that of
/// the newest table counts.
pub(in crate::store::embedded) struct Scan {
    /// The oldest first.
    cursors: Vec<Cursor>,
    /// Those that stand at the smallest key, the oldest first.
    smallest: Vec<usize>,
}

/// A table that is read from front to back.
struct Cursor {
    table: Arc<Table>,
    next_block: usize,
    block: Option<Block>,
    position: usize,
}

impl Scan {
    /// Everything, oldest table first.
    pub(in crate::store::embedded) fn all(tables: &[Arc<Table>]) -> Result<Self> {
        Self::begin(tables, |table| Cursor { table, next_block: 0, block: None, position: 0 }.settled())
    }

    /// Everything after a key, oldest table first.
    pub(super) fn after(tables: &[Arc<Table>], after: &[u8]) -> Result<Self> {
        Self::begin(tables, |table| {
            let number = table.block_of(after).unwrap_or(0);
            let mut cursor = Cursor { table, next_block: number, block: None, position: 0 }.settled()?;
            if let Some(block) = &cursor.block {
                cursor.position = block.search(after)?.map_or_else(|here| here, |found| found + 1);
            }
            cursor.settled()
        })
    }

    fn begin(tables: &[Arc<Table>], cursor: impl Fn(Arc<Table>) -> Result<Cursor>) -> Result<Self> {
        let cursors = tables.iter().map(|table| cursor(Arc::clone(table))).collect::<Result<_>>()?;
        let mut scan = Self { cursors, smallest: Vec::new() };
        scan.settle()?;
        Ok(scan)
    }

    /// The key and the value of the entry where the scan stands; `None` at the end.
    pub(in crate::store::embedded) fn entry(&self) -> Result<Option<(&[u8], &[u8])>> {
        self.smallest.last().map_or(Ok(None), |newest| self.cursors[*newest].entry())
    }

    /// Goes on to the next key.
    pub(in crate::store::embedded) fn advance(&mut self) -> Result<()> {
        for position in self.smallest.drain(..) {
            self.cursors[position].advance()?;
        }
        self.settle()
    }

    /// Finds the smallest key.
    fn settle(&mut self) -> Result<()> {
        let Self { cursors, smallest } = self;
        let mut least: Option<&[u8]> = None;
        for (position, cursor) in cursors.iter().enumerate() {
            let Some((key, _)) = cursor.entry()? else { continue };
            match least.map_or(Ordering::Less, |least| key.cmp(least)) {
                Ordering::Less => {
                    least = Some(key);
                    smallest.clear();
                }
                Ordering::Equal => {}
                Ordering::Greater => continue,
            }
            smallest.push(position);
        }
        Ok(())
    }
}

impl Cursor {
    /// Stands at the next entry, with its block, or has no block where there is none.
    fn settled(mut self) -> Result<Self> {
        self.settle()?;
        Ok(self)
    }

    fn settle(&mut self) -> Result<()> {
        while self.block.as_ref().is_none_or(|block| self.position >= block.len) {
            if self.next_block == self.table.fences.len() {
                self.block = None;
                return Ok(());
            }
            let buffer = self.block.take().map(Block::into_bytes).unwrap_or_default();
            self.block = Some(self.table.block(self.next_block, buffer)?);
            (self.next_block, self.position) = (self.next_block + 1, 0);
        }
        Ok(())
    }

    fn entry(&self) -> Result<Option<(&[u8], &[u8])>> {
        self.block.as_ref().map(|block| block.entry(self.position)).transpose()
    }

    fn advance(&mut self) -> Result<()> {
        self.position += 1;
        self.settle()
    }
}
