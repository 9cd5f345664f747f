//! Making one table of several, a little at a time.

use std::path::Path;
use std::sync::Arc;

use super::scan::Scan;
use super::table::Table;
use super::writer::Writer;
use crate::domain::time::Timestamp;
use crate::store::Result;
use crate::store::embedded::index::keys::Family;

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
    Unfinished(Box<Merge>),
    /// The new table is on disk, but in no list.
    Finished(Merged),
}

impl Merge {
    /// Begins to make `inputs` one table with the id `id`. They must be of different ages, the oldest first, without
    /// another between them.
    pub(super) fn begin(directory: &Path, (family, id): (Family, u64), inputs: Vec<Arc<Table>>) -> Result<Box<Self>> {
        let newest = inputs.iter().map(|table| table.label.newest).max().unwrap_or(Timestamp::MIN);
        let (scan, writer) = (Scan::all(&inputs)?, Writer::begin(directory, family, id, newest)?);
        Ok(Box::new(Self { inputs, scan, writer }))
    }

    /// Whether the merge takes the table in.
    pub(super) fn takes(&self, table: &Table) -> bool {
        self.inputs.iter().any(|input| input.label.id == table.label.id)
    }

    /// Writes some blocks.
    pub(in crate::store::embedded) fn step(mut self: Box<Self>) -> Result<Step> {
        let until = self.writer.bytes() + STEP_BYTES;
        while self.writer.bytes() < until {
            let Some((key, value)) = self.scan.entry()? else {
                return Ok(Step::Finished(Merged { table: self.writer.finish()?, replaced: self.inputs }));
            };
            self.writer.push(key, value)?;
            self.scan.advance()?;
        }
        Ok(Step::Unfinished(self))
    }
}
