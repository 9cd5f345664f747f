//! All tables of a family, and which of them belong together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::filter::KeyHash;
use super::merge::{Merge, Merged};
use super::scan::Scan;
use super::table::{Label, Miss, Table};
use super::writer::Writer;
use crate::domain::time::Timestamp;
use crate::store::Result;
use crate::store::embedded::codec;
use crate::store::embedded::index::keys::{self, Family};
use crate::store::embedded::index::{Batch, Bytes, Disk};

/// A table below this is written anew with what comes next, so that a trickle of commits does not make many tables.
const SMALL_BYTES: u64 = 64 << 10;
/// So many tables of one size become one of the next: the more, the less often a value is written anew, and the more
/// filters are asked for a key that nothing has.
pub(super) const TABLES_PER_TIER: usize = 8;

/// The tables of a family. They never change; others take their place.
#[derive(Debug, Clone)]
pub(in crate::store::embedded) struct Tables {
    pub(super) family: Family,
    /// The oldest first.
    pub(super) list: Vec<Arc<Table>>,
    /// What is on disk of tables that were never finished.
    pub(super) leftovers: Vec<u64>,
}

/// Tables that are in no list any more.
#[derive(Debug, Default)]
pub(in crate::store::embedded) struct Garbage(Vec<Arc<Table>>);

impl Tables {
    #[cfg(test)]
    pub(in crate::store::embedded) fn empty(family: Family) -> Self {
        Self { family, list: Vec::new(), leftovers: Vec::new() }
    }

    /// The value that was last written under a key.
    pub(in crate::store::embedded) fn find(&self, disk: &Disk, key: &[u8]) -> std::result::Result<Option<Bytes>, Miss> {
        let hash = KeyHash::of(key);
        for table in self.list.iter().rev() {
            if let Some(value) = table.find(disk, key, hash)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// At most `limit` entries whose keys begin with `prefix`, after `after`, which must not lie before them.
    pub(in crate::store::embedded) fn page(
        &self,
        disk: &Disk,
        (prefix, after): (&[u8], &[u8]),
        limit: usize,
    ) -> std::result::Result<Vec<(Bytes, Bytes)>, Miss> {
        let mut scan = Scan::after(disk, self.list.clone(), after)?;
        let mut page = Vec::new();
        while page.len() < limit {
            match scan.next(disk)? {
                // A page may be held for long, and a small value in it must not keep a whole block.
                Some((key, value)) if key.starts_with(prefix) => page.push((key, Bytes::from(&value[..]))),
                _ => break,
            }
        }
        Ok(page)
    }

    /// An id that no table has.
    pub(in crate::store::embedded) fn next_id(&self) -> u64 {
        let taken = self.list.iter().map(|table| table.label.id).chain(self.leftovers.iter().copied());
        taken.map(|id| id.saturating_add(1)).max().unwrap_or(0)
    }

    /// The list with a further table. The newest one so far is written anew with it where it is small, unless a merge is
    /// about to take it in.
    pub(in crate::store::embedded) fn with_added(
        &self,
        disk: &Disk,
        addition: Addition<'_>,
        garbage: &mut Garbage,
        batch: &mut Batch,
    ) -> Result<Self> {
        let Addition { id, newest, mut entries, merge } = addition;
        let mut list = self.list.clone();
        let is_small = |table: &Table| table.label.bytes < SMALL_BYTES && merge.is_none_or(|merge| !merge.takes(table));
        if let Some(small) = list.pop_if(|newest| is_small(newest)) {
            let mut scan = Scan::all(disk, vec![Arc::clone(&small)])?;
            while let Some((key, value)) = scan.next(disk)? {
                entries.entry(key).or_insert(value);
            }
            garbage.0.push(small);
        }
        let mut writer = Writer::new(self.family, id, newest);
        entries.iter().try_for_each(|(key, value)| writer.push(key, value, batch))?;
        list.push(writer.finish(batch)?);
        Ok(self.with_list(list))
    }

    /// The list without the tables whose newest event is older than `oldest`, except those that `merge` takes in.
    pub(in crate::store::embedded) fn without_older_than(
        &self,
        oldest: Timestamp,
        merge: Option<&Merge>,
        garbage: &mut Garbage,
    ) -> Self {
        let is_kept =
            |table: &Arc<Table>| table.label.newest >= oldest || merge.is_some_and(|merge| merge.takes(table));
        let (list, dropped): (Vec<_>, Vec<_>) = self.list.iter().cloned().partition(is_kept);
        garbage.0.extend(dropped);
        self.with_list(list)
    }

    /// The newest tables that should become one, oldest first; none where there is nothing to merge.
    fn mergeable(&self) -> Vec<Arc<Table>> {
        let Some(newest) = self.list.last().map(|newest| tier(newest)) else { return Vec::new() };
        let smaller = self.list.iter().rev().take_while(|table| tier(table) <= newest);
        let mut smaller: Vec<_> = smaller.cloned().collect();
        smaller.reverse();
        if smaller.len() >= TABLES_PER_TIER { smaller } else { Vec::new() }
    }

    /// Begins to make one table with the id `id` of the newest that should become one, where there is room for so many
    /// bytes.
    pub(in crate::store::embedded) fn plan_merge(
        &self,
        disk: &Disk,
        id: u64,
        has_room: impl FnOnce(u64) -> bool,
    ) -> Result<Option<Merge>> {
        let inputs = self.mergeable();
        let bytes = inputs.iter().map(|table| table.label.bytes).sum();
        if inputs.is_empty() || !has_room(bytes) { Ok(None) } else { Merge::begin(disk, id, inputs).map(Some) }
    }

    /// The list with one table in the place of those that it was merged from.
    pub(in crate::store::embedded) fn with_merged(&self, merged: Merged, garbage: &mut Garbage) -> Self {
        let Merged { table, replaced } = merged;
        let is_replaced = |known: &Arc<Table>| replaced.iter().any(|old| old.label.id == known.label.id);
        let position = self.list.iter().position(is_replaced).unwrap_or(self.list.len());
        let mut list = self.list.clone();
        list.retain(|known| !is_replaced(known));
        list.insert(position, table);
        garbage.0.extend(replaced);
        self.with_list(list)
    }

    fn with_list(&self, list: Vec<Arc<Table>>) -> Self {
        Self { list, ..self.clone() }
    }

    /// Removes something that was left, of which there may be as much as of a table. `None` where nothing is left.
    pub(in crate::store::embedded) fn without_leftover(&self, disk: &Disk) -> Result<Option<Self>> {
        let mut leftovers = self.leftovers.clone();
        let Some(leftover) = leftovers.pop() else { return Ok(None) };
        let mut batch = Batch::default();
        for of_table in [keys::blocks, keys::fences_of, keys::filter_of] {
            let prefix = of_table(self.family, leftover);
            for item in disk.from(&prefix) {
                let (key, _) = item?;
                if !key.starts_with(&prefix) {
                    break;
                }
                batch.remove(key);
            }
        }
        disk.apply(batch)?;
        Ok(Some(Self { leftovers, ..self.clone() }))
    }

    /// Adds the list to a batch.
    pub(in crate::store::embedded) fn put_list(&self, batch: &mut Batch) -> Result<()> {
        let labels: Vec<Label> = self.list.iter().map(|table| table.label).collect();
        batch.insert(keys::table_list(self.family), codec::encode(&labels)?);
        Ok(())
    }
}

/// What becomes a further table.
pub(in crate::store::embedded) struct Addition<'a> {
    /// An id that no table has.
    pub(in crate::store::embedded) id: u64,
    /// The latest time of receipt.
    pub(in crate::store::embedded) newest: Timestamp,
    pub(in crate::store::embedded) entries: BTreeMap<Bytes, Bytes>,
    /// The merge that is under way.
    pub(in crate::store::embedded) merge: Option<&'a Merge>,
}

impl Garbage {
    /// Removes the tables. Only for those that a list without them has been published for: a reader that still holds
    /// the older list finds a block gone and takes the newer.
    pub(in crate::store::embedded) fn remove(&mut self, batch: &mut Batch) {
        self.0.drain(..).for_each(|table| table.remove(batch));
    }
}

fn tier(table: &Table) -> u32 {
    (table.label.bytes / SMALL_BYTES).max(1).ilog(TABLES_PER_TIER as u64)
}
