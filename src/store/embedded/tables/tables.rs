//! All tables of a family, and which of them belong together.

use std::path::Path;
use std::sync::Arc;

use super::filter::KeyHash;
use super::merge::{Merge, Merged};
use super::scan::Scan;
use super::table::{AtOnce, Label, Table};
use super::writer::Writer;
use crate::domain::time::Timestamp;
use crate::store::Result;
use crate::store::embedded::codec;
use crate::store::embedded::index::keys::{self, Family};
use crate::store::embedded::index::{Batch, Bytes, Disk};

/// A table below this is written anew with what comes next, so that a trickle of commits does not make many tables.
const SMALL_BYTES: u64 = 64 << 10;
/// So many tables of one size become one of the next: the more, the less often a value is written anew, and the more
/// filters are asked for a key that nothing has. All become one whenever the others outweigh the oldest, so that values
/// which were replaced take no more than those that count.
pub(super) const TABLES_PER_TIER: usize = 8;

/// The tables of a family. They never change; others take their place.
#[derive(Debug, Clone)]
pub(in crate::store::embedded) struct Tables {
    pub(super) family: Family,
    /// The oldest first.
    pub(super) list: Vec<Arc<Table>>,
}

/// Tables that are in no list any more.
#[derive(Debug, Default)]
pub(in crate::store::embedded) struct Garbage(Vec<Arc<Table>>);

impl Tables {
    pub(in crate::store::embedded) fn empty(family: Family) -> Self {
        Self { family, list: Vec::new() }
    }

    /// One.
    pub(in crate::store::embedded) fn of(family: Family, table: Arc<Table>) -> Self {
        Self { family, list: vec![table] }
    }

    /// The value that was last written under a key.
    pub(in crate::store::embedded) fn find(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let hash = KeyHash::of(key);
        for table in self.list.iter().rev() {
            if let Some(value) = table.find(key, hash)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The same, as far as it can be told without waiting for a disk.
    pub(in crate::store::embedded) fn find_at_once(&self, key: &[u8]) -> Result<AtOnce<Option<Bytes>>> {
        let hash = KeyHash::of(key);
        for table in self.list.iter().rev() {
            match table.find_at_once(key, hash)? {
                AtOnce::Found(None) => {}
                found => return Ok(found),
            }
        }
        Ok(AtOnce::Found(None))
    }

    /// The entries after a key, whether there is one or not, as they are now.
    pub(in crate::store::embedded) fn after(&self, key: &[u8]) -> Result<Scan> {
        Scan::after(&self.list, key)
    }

    /// All entries as they are now, whatever takes the place of the tables meanwhile.
    pub(in crate::store::embedded) fn scan(&self) -> Result<Scan> {
        Scan::all(&self.list)
    }

    /// Makes all of them durable.
    pub(in crate::store::embedded) fn sync(&self) -> Result<()> {
        self.list.iter().try_for_each(|table| table.sync())
    }

    /// An id that no table has.
    pub(in crate::store::embedded) fn next_id(&self) -> u64 {
        self.list.iter().map(|table| table.label.id.saturating_add(1)).max().unwrap_or(0)
    }

    /// The list with a further table. The newest one so far is written anew with it where it is small, unless a merge is
    /// about to take it in.
    pub(in crate::store::embedded) fn with_added(
        &self,
        directory: &Path,
        addition: Addition<'_>,
        garbage: &mut Garbage,
    ) -> Result<Self> {
        let Addition { id, newest, entries, merge } = addition;
        let mut list = self.list.clone();
        let is_small = |table: &Table| table.label.bytes < SMALL_BYTES && merge.is_none_or(|merge| !merge.takes(table));
        let small = list.pop_if(|newest| is_small(newest));
        let mut older = Scan::all(small.as_slice())?;
        let mut writer = Writer::begin(directory, self.family, id, newest)?;
        for (key, value) in entries {
            while let Some((before, value)) = older.entry()?.filter(|(older, _)| older < key) {
                writer.push(before, value)?;
                older.advance()?;
            }
            if older.entry()?.is_some_and(|(older, _)| older == *key) {
                older.advance()?;
            }
            writer.push(key, value)?;
        }
        while let Some((key, value)) = older.entry()? {
            writer.push(key, value)?;
            older.advance()?;
        }
        list.push(writer.finish()?);
        garbage.0.extend(small);
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
    fn mergeable(&self) -> &[Arc<Table>] {
        let bytes = |tables: &[Arc<Table>]| tables.iter().map(|table| table.label.bytes).sum::<u64>();
        // Events that were seen are never replaced, and leave as whole tables.
        if let (Family::Entries, [oldest, younger @ ..]) = (self.family, &self.list[..])
            && bytes(younger) > oldest.label.bytes.max(TABLES_PER_TIER as u64 * SMALL_BYTES)
        {
            return &self.list;
        }
        let Some(newest) = self.list.last().map(|newest| tier(newest)) else { return &[] };
        let larger = self.list.iter().rposition(|table| tier(table) > newest).map_or(0, |larger| larger + 1);
        let smaller = &self.list[larger..];
        if smaller.len() >= TABLES_PER_TIER { smaller } else { &[] }
    }

    /// Begins to make one table with the id `id` of the newest that should become one, where there is room for so many
    /// bytes.
    pub(in crate::store::embedded) fn plan_merge(
        &self,
        directory: &Path,
        id: u64,
        has_room: impl FnOnce(u64) -> bool,
    ) -> Result<Option<Box<Merge>>> {
        let inputs = self.mergeable();
        let bytes = inputs.iter().map(|table| table.label.bytes).sum();
        if inputs.is_empty() || !has_room(bytes) {
            return Ok(None);
        }
        Merge::begin(directory, (self.family, id), inputs.to_vec()).map(Some)
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
        Self { family: self.family, list }
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
    /// In the order of their keys, each key once.
    pub(in crate::store::embedded) entries: &'a [(&'a [u8], &'a [u8])],
    /// The merge that is under way.
    pub(in crate::store::embedded) merge: Option<&'a Merge>,
}

impl Garbage {
    /// Removes the tables. Only for those that a list without them has been given to sled for: a process that is killed
    /// must not find the older list and miss them.
    pub(in crate::store::embedded) fn remove(&mut self, disk: &Disk) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        disk.flush()?;
        self.0.drain(..).try_for_each(|table| table.remove())
    }
}

fn tier(table: &Table) -> u32 {
    (table.label.bytes / SMALL_BYTES).max(1).ilog(TABLES_PER_TIER as u64)
}
