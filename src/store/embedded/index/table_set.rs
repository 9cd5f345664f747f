//! The tables that sled names.

use std::sync::Arc;

use super::disk::Disk;
use super::keys::Family;
use crate::store::Result;
use crate::store::embedded::tables::{self, Tables};

/// The tables of both families as they are after some commit.
#[derive(Debug, Clone)]
pub(in crate::store::embedded) struct TableSet {
    entries: Arc<Tables>,
    seen: Arc<Tables>,
}

impl TableSet {
    /// None.
    pub(in crate::store::embedded) fn empty() -> Self {
        let empty = |family| Arc::new(Tables::empty(family));
        Self { entries: empty(Family::Entries), seen: empty(Family::Seen) }
    }

    /// Takes up what sled names, and removes what it does not.
    pub(super) fn load(disk: &Disk) -> Result<Self> {
        let (entries, seen) = (tables::load(disk, Family::Entries)?, tables::load(disk, Family::Seen)?);
        tables::remove_leftovers(disk.tables(), [&entries, &seen])?;
        Ok(Self { entries: Arc::new(entries), seen: Arc::new(seen) })
    }

    pub(super) fn of(&self, family: Family) -> &Arc<Tables> {
        match family {
            Family::Entries => &self.entries,
            Family::Seen => &self.seen,
        }
    }

    /// Replaces the tables of a family.
    pub(super) fn set(&mut self, family: Family, tables: Tables) {
        let place = match family {
            Family::Entries => &mut self.entries,
            Family::Seen => &mut self.seen,
        };
        *place = Arc::new(tables);
    }
}
