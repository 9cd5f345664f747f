//! Making one table of several, a little at a time.

use std::sync::Arc;

use super::scan::Scan;
use super::table::Table;
use super::writer::Writer;
use crate::domain::time::Timestamp;
use crate::store::Result;
use crate::store::embedded::index::{Batch, Disk};

/// Bytes that one step writes.
pub(in crate::store::embedded) const STEP_BYTES: u64 = 1 << 20;

/// A merge on its way.
pub(in crate::store::embedded) struct Merge {
    inputs: Vec<Arc<Table>>,
    scan: Scan,
    writer: Writer,
}

/// A merge that is done.
pub(in crate::store::embedded) struct Merged {
    pub(super) table: Arc<Table>,
    pub(super) replaced: Vec<Arc<Table>>,
}

/// What a step came to.
pub(in crate::store::embedded) enum Step {
    /// There is more to do.
    Unfinished(Merge),
    /// The new table is on disk, but in no list.
    Finished(Merged),
}

impl Merge {
    /// Begins to make `inputs` one table with the id `id`. They must be of different ages, the oldest first, without
    /// another between them.
    pub(super) fn begin(disk: &Disk, id: u64, inputs: Vec<Arc<Table>>) -> Result<Self> {
        let newest = inputs.iter().map(|table| table.label.newest).max().unwrap_or(Timestamp::MIN);
        let family = inputs[0].family;
        let scan = Scan::all(disk, inputs.clone())?;
        Ok(Self { inputs, scan, writer: Writer::new(family, id, newest) })
    }

    /// Whether the merge takes the table in.
    pub(super) fn takes(&self, table: &Table) -> bool {
        self.inputs.iter().any(|input| input.label.id == table.label.id)
    }

    /// Writes some blocks.
    pub(in crate::store::embedded) fn step(mut self, disk: &Disk) -> Result<Step> {
        let (mut batch, until) = (Batch::default(), self.writer.bytes() + STEP_BYTES);
        while self.writer.bytes() < until {
            let Some((key, value)) = self.scan.next(disk).map_err(crate::store::Error::from)? else {
                let table = self.writer.finish(&mut batch)?;
                disk.apply(batch)?;
                return Ok(Step::Finished(Merged { table, replaced: self.inputs }));
            };
            self.writer.push(&key, &value, &mut batch)?;
        }
        disk.apply(batch)?;
        Ok(Step::Unfinished(self))
    }
}
