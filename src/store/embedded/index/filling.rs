//! Making the tables of an index of the entries of a checkpoint.

use super::disk::{Batch, Disk};
use super::keys::{self, Family};
use super::meta::Meta;
use super::table_set::TableSet;
use crate::store::embedded::tables::{Tables, Writer};
use crate::store::{Error, Result};

/// A table of each family, on its way. They are in the order in which a checkpoint has them.
pub(super) struct Filling {
    meta: Meta,
    entries: Writer,
    seen: Writer,
}

impl Filling {
    /// Begins with what the checkpoint says of itself.
    pub(super) fn begin(disk: &Disk, meta: Meta) -> Result<Self> {
        let begin = |family| Writer::begin(disk.tables(), family, 0, meta.time);
        Ok(Self { meta, entries: begin(Family::Entries)?, seen: begin(Family::Seen)? })
    }

    /// Adds an entry of the family that a byte stands for.
    pub(super) fn put(&mut self, family: u8, key: &[u8], value: &[u8]) -> Result<()> {
        match Family::ALL.into_iter().find(|known| known.byte() == family) {
            Some(Family::Entries) => self.entries.push(key, value),
            Some(Family::Seen) => self.seen.push(key, value),
            None => Err(Error::Index("a checkpoint has an entry of a kind that this release does not know".to_owned())),
        }
    }

    /// Finishes the tables, and names them in one batch with what they hold.
    pub(super) fn finish(self, disk: &Disk) -> Result<(Meta, TableSet)> {
        let (mut batch, mut stored) = (Batch::default(), TableSet::empty());
        for (family, writer) in [(Family::Entries, self.entries), (Family::Seen, self.seen)] {
            let tables = Tables::of(family, writer.finish()?);
            tables.put_list(&mut batch)?;
            stored.set(family, tables);
        }
        batch.insert(&keys::META, self.meta.encode()?);
        disk.apply(batch)?;
        Ok((self.meta, stored))
    }
}
