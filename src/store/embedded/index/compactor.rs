//! Adds to the tables of one family, and keeps them few.

use super::disk::Batch;
use super::keys::Family;
use super::layers::Index;
use super::table_set::TableSet;
use crate::domain::time::Timestamp;
use crate::store::Result;
use crate::store::embedded::space::Space;
use crate::store::embedded::tables::{Addition, Garbage, Merge, STEP_BYTES, Step};

/// Keys and values in the order of the keys.
pub(super) type Sorted<'a> = Vec<(&'a [u8], &'a [u8])>;

/// What the flusher knows of the tables of a family.
pub(super) struct Compactor {
    family: Family,
    merge: Option<Box<Merge>>,
    next_id: u64,
    /// Tables that no reader finds in the list any more.
    garbage: Garbage,
}

impl Compactor {
    pub(super) fn new(family: Family, stored: &TableSet) -> Self {
        Self { family, merge: None, next_id: stored.of(family).next_id(), garbage: Garbage::default() }
    }

    /// Writes a table of the entries, and adds it to `stored`, where those whose newest event is before `oldest` leave. The
    /// list goes into the batch.
    pub(super) fn add(
        &mut self,
        index: &Index,
        (stored, batch): (&mut TableSet, &mut Batch),
        (entries, newest): (&Sorted<'_>, Timestamp),
        oldest: Timestamp,
    ) -> Result<()> {
        let merge = self.merge.as_deref();
        let mut tables = stored.of(self.family).without_older_than(oldest, merge, &mut self.garbage);
        if !entries.is_empty() {
            let addition = Addition { id: self.next_id, newest, entries, merge };
            self.next_id += 1;
            tables = tables.with_added(index.disk.tables(), addition, &mut self.garbage)?;
        }
        tables.put_list(batch)?;
        stored.set(self.family, tables);
        Ok(())
    }

    /// Removes the tables that are in no list any more.
    pub(super) fn remove_garbage(&mut self, index: &Index) -> Result<()> {
        self.garbage.remove(&index.disk)
    }

    /// Does one step of a merge. False where there is nothing to do, or no room to do it.
    pub(super) fn tidy_a_little(&mut self, index: &Index, space: &Space) -> Result<bool> {
        if !space.has_room_for_merge(STEP_BYTES) {
            return Ok(false);
        }
        if self.merge.is_none() {
            self.plan(index, space)?;
        }
        let Some(merge) = self.merge.take() else { return Ok(false) };
        match merge.step()? {
            Step::Unfinished(merge) => self.merge = Some(merge),
            Step::Finished(merged) => {
                let mut stored = index.stored();
                let tables = stored.of(self.family).with_merged(merged, &mut self.garbage);
                let mut batch = Batch::default();
                tables.put_list(&mut batch)?;
                index.disk.apply(batch)?;
                stored.set(self.family, tables);
                index.set_stored(stored);
                self.remove_garbage(index)?;
            }
        }
        Ok(true)
    }

    fn plan(&mut self, index: &Index, space: &Space) -> Result<()> {
        let has_room = |bytes| space.has_room_for_merge(bytes);
        self.merge = index.stored().of(self.family).plan_merge(index.disk.tables(), self.next_id, has_room)?;
        self.next_id += u64::from(self.merge.is_some());
        Ok(())
    }
}
