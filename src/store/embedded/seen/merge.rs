//! Making one run of several, a little at a time.

use std::sync::Arc;

use super::run::{BLOCK_ENTRIES, Entry, Run, RunWriter};
use crate::store::Result;
use crate::store::embedded::index::{Batch, Disk};

/// Blocks that one step writes: 1 MiB.
const BLOCKS_PER_STEP: usize = 32;

/// A merge on its way.
pub(in crate::store::embedded) struct Merge {
    inputs: Vec<Input>,
    writer: RunWriter,
}

/// A merge that is done.
pub(in crate::store::embedded) struct Merged {
    pub(super) run: Arc<Run>,
    pub(super) replaced: Vec<u64>,
}

/// A run that is read from front to back.
struct Input {
    run: Arc<Run>,
    next_block: usize,
    /// Entries of the present block, the next one last.
    entries: Vec<Entry>,
}

/// What a step came to.
pub(in crate::store::embedded) enum Step {
    /// There is more to do.
    Unfinished(Merge),
    /// The new run is on disk, but in no list.
    Finished(Merged),
}

impl Merge {
    /// Plans to make `runs` one with the id `id`. The runs must be of different ages without another between them.
    pub(super) fn new(id: u64, runs: Vec<Arc<Run>>) -> Self {
        let newest = runs.iter().map(|run| run.label.newest).max();
        let inputs = runs.into_iter().map(|run| Input { run, next_block: 0, entries: Vec::new() }).collect();
        Self { inputs, writer: RunWriter::new(id, newest.unwrap_or(crate::domain::time::Timestamp::MIN)) }
    }

    /// Writes some blocks.
    pub(in crate::store::embedded) fn step(mut self, disk: &Disk) -> Result<Step> {
        let mut batch = Batch::default();
        for _ in 0..BLOCKS_PER_STEP * BLOCK_ENTRIES {
            let Some(entry) = self.next(disk)? else {
                let run = self.writer.finish(&mut batch)?;
                disk.apply(batch)?;
                let replaced = self.inputs.iter().map(|input| input.run.label.id).collect();
                return Ok(Step::Finished(Merged { run, replaced }));
            };
            self.writer.push(entry, &mut batch);
        }
        disk.apply(batch)?;
        Ok(Step::Unfinished(self))
    }

    /// The entry with the smallest hash; of several with the same the one that was accepted last.
    fn next(&mut self, disk: &Disk) -> Result<Option<Entry>> {
        let mut smallest: Option<Entry> = None;
        for input in &mut self.inputs {
            input.fill(disk)?;
            let Some(entry) = input.entries.last() else { continue };
            let is_smaller = smallest.is_none_or(|known| (entry.hash, known.at) < (known.hash, entry.at));
            if is_smaller {
                smallest = Some(*entry);
            }
        }
        if let Some(taken) = smallest {
            for input in &mut self.inputs {
                input.entries.pop_if(|entry| entry.hash == taken.hash);
            }
        }
        Ok(smallest)
    }
}

impl Input {
    fn fill(&mut self, disk: &Disk) -> Result<()> {
        if self.entries.is_empty() {
            self.entries = self.run.block(disk, self.next_block)?;
            self.entries.reverse();
            self.next_block += 1;
        }
        Ok(())
    }
}
