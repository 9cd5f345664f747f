//! The tables that sled holds.

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
    #[cfg(test)]
    pub(in crate::store::embedded) fn empty() -> Self {
        let empty = |family| Arc::new(Tables::empty(family));
        Self { entries: empty(Family::Entries), seen: empty(Family::Seen) }
    }

    /// Takes up what sled holds.
    pub(super) fn load(disk: &Disk) -> Result<Self> {
        let load = |family| tables::load(disk, family).map(Arc::new);
        Ok(Self { entries: load(Family::Entries)?, seen: load(Family::Seen)? })
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
