//! Entries of many tables in the order of their keys.

use std::result::Result;
use std::sync::Arc;

use super::block::Block;
use super::table::{Miss, Table};
use crate::store::embedded::index::{Bytes, Disk};

/// Tables that are read side by side. Of several with the same key, the newest counts.
pub(super) struct Scan {
    /// The oldest first.
    cursors: Vec<Cursor>,
}

/// A table that is read from front to back.
struct Cursor {
    table: Arc<Table>,
    next_block: usize,
    block: Option<Block>,
    position: usize,
    /// The next entry.
    next: Option<(Bytes, Bytes)>,
}

impl Scan {
    /// Everything, oldest table first.
    pub(super) fn all(disk: &Disk, tables: Vec<Arc<Table>>) -> Result<Self, Miss> {
        Self::begin(tables, |table| Cursor::begin(disk, table))
    }

    /// Everything after a key, oldest table first.
    pub(super) fn after(disk: &Disk, tables: Vec<Arc<Table>>, after: &[u8]) -> Result<Self, Miss> {
        Self::begin(tables, |table| Cursor::begin_after(disk, table, after))
    }

    fn begin(tables: Vec<Arc<Table>>, cursor: impl FnMut(Arc<Table>) -> Result<Cursor, Miss>) -> Result<Self, Miss> {
        Ok(Self { cursors: tables.into_iter().map(cursor).collect::<Result<_, _>>()? })
    }

    /// The entry with the smallest key.
    pub(super) fn next(&mut self, disk: &Disk) -> Result<Option<(Bytes, Bytes)>, Miss> {
        let keys = self.cursors.iter().filter_map(|cursor| cursor.next.as_ref().map(|(key, _)| key));
        let Some(smallest) = keys.min().cloned() else { return Ok(None) };
        let mut newest = None;
        for cursor in &mut self.cursors {
            if cursor.next.as_ref().is_some_and(|(key, _)| *key == smallest) {
                newest = cursor.take(disk)?;
            }
        }
        Ok(newest)
    }
}

impl Cursor {
    fn begin(disk: &Disk, table: Arc<Table>) -> Result<Self, Miss> {
        let mut cursor = Self { table, next_block: 0, block: None, position: 0, next: None };
        cursor.take(disk)?;
        Ok(cursor)
    }

    fn begin_after(disk: &Disk, table: Arc<Table>, after: &[u8]) -> Result<Self, Miss> {
        let Some(number) = table.block_of(after) else { return Self::begin(disk, table) };
        let block = table.block(disk, number)?;
        let position = block.search(after)?.map_or_else(|here| here, |found| found + 1);
        let mut cursor = Self { table, next_block: number + 1, block: Some(block), position, next: None };
        cursor.take(disk)?;
        Ok(cursor)
    }

    /// Takes the next entry and reads the one after it.
    fn take(&mut self, disk: &Disk) -> Result<Option<(Bytes, Bytes)>, Miss> {
        if self.block.as_ref().is_none_or(|block| self.position >= block.len) {
            let is_more = self.next_block < self.table.fences.len();
            self.block = if is_more { Some(self.table.block(disk, self.next_block)?) } else { None };
            (self.next_block, self.position) = (self.next_block + 1, 0);
        }
        let following = self.block.as_ref().map(|block| block.entry(self.position)).transpose()?;
        self.position += 1;
        Ok(std::mem::replace(&mut self.next, following))
    }
}
