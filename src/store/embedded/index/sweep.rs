//! Writing a checkpoint while commits go on.

use super::keys::{self, Family};
use super::meta::Meta;
use super::table_set::TableSet;
use crate::domain::id::Revision;
use crate::store::Result;
use crate::store::embedded::checkpoints::Writer;
use crate::store::embedded::tables::Scan;

/// Bytes of entries that one step writes, between which commits get their turn.
const STEP_BYTES: usize = 1 << 20;

/// A walk over all entries, family by family in the order of their keys. Tables never change, so that those which are
/// read here hold the state after one commit, however many come while it is written.
pub(super) struct Sweep {
    revision: Revision,
    file: Writer,
    scans: Vec<(Family, Scan)>,
}

/// What a step came to.
pub(super) enum Swept {
    Unfinished(Sweep),
    /// The checkpoint has its name.
    Finished {
        revision: Revision,
        bytes: u64,
    },
}

impl Sweep {
    /// Begins with the tables of a commit.
    pub(super) fn new((meta, stored): (Meta, &TableSet), mut file: Writer) -> Result<Self> {
        file.put(keys::META[0], &[], &meta.encode()?)?;
        // The last is written first.
        let scan = |family| Ok((family, stored.of(family).scan()?));
        let scans = Family::ALL.into_iter().rev().map(scan).collect::<Result<_>>()?;
        Ok(Self { revision: meta.applied, file, scans })
    }

    /// Goes on for a while.
    pub(super) fn step(mut self) -> Result<Swept> {
        let mut bytes = 0;
        while let Some((family, scan)) = self.scans.last_mut() {
            let Some((key, value)) = scan.entry()? else {
                self.scans.pop();
                continue;
            };
            self.file.put(family.byte(), key, value)?;
            bytes += key.len() + value.len();
            scan.advance()?;
            if bytes >= STEP_BYTES {
                return Ok(Swept::Unfinished(self));
            }
        }
        Ok(Swept::Finished { revision: self.revision, bytes: self.file.finish()? })
    }
}
