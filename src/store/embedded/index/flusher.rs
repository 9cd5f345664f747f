//! Brings what commits wrote to sled, behind their backs.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::disk::{self, Batch};
use super::keys::{self, EventHash};
use super::layers::Index;
use crate::domain::time::Timestamp;
use crate::store::embedded::journal::EventRef;
use crate::store::embedded::seen::{Garbage, Merge, Runs, Step};
use crate::store::{Error, Result};

/// The one thread that writes to sled.
pub(in crate::store::embedded) struct Flusher {
    index: Arc<Index>,
    window: Duration,
    merge: Option<Merge>,
    next_run: u64,
    /// Runs that no reader finds in the list any more, to be removed with the next batch.
    garbage: Garbage,
}

impl Flusher {
    pub(in crate::store::embedded) fn new(index: Arc<Index>, window: Duration) -> Self {
        let next_run = index.runs().next_id();
        Self { index, window, merge: None, next_run, garbage: Garbage::default() }
    }

    /// Flushes until it is told to stop, and then once more.
    pub(in crate::store::embedded) fn run(mut self) -> Result<()> {
        loop {
            let goes_on = self.index.signal.wait_for_work();
            // sled panics where it finds what it does not expect; the journal has everything that it may lose.
            let flushed = catch_unwind(AssertUnwindSafe(|| self.flush_and_merge(goes_on)));
            let flushed = flushed.unwrap_or_else(|_| Err(Error::Index("sled panicked".to_owned())));
            if let Err(error) = flushed {
                self.index.status.poison(error.to_string());
                self.index.signal.flushed();
                return Err(error);
            }
            if !goes_on {
                return self.index.disk.flush();
            }
        }
    }

    fn flush_and_merge(&mut self, goes_on: bool) -> Result<()> {
        self.flush()?;
        // A merge that is not finished leaves blocks behind that no list names; the next start removes them.
        while goes_on && self.merge_a_little()? {
            // Between two steps of a long merge, commits get their turn.
            self.flush()?;
        }
        Ok(())
    }

    /// Does one step of a merge. False where there is nothing to merge.
    fn merge_a_little(&mut self) -> Result<bool> {
        let Some(merge) = self.merge.take().or_else(|| self.plan_merge()) else { return Ok(false) };
        match merge.step(&self.index.disk)? {
            Step::Unfinished(merge) => self.merge = Some(merge),
            Step::Finished(merged) => {
                let runs = self.index.runs().with_merged(merged, &mut self.garbage);
                let mut batch = Batch::default();
                runs.put_list(&mut batch)?;
                self.index.disk.apply(batch)?;
                self.index.set_runs(runs);
            }
        }
        Ok(true)
    }

    fn plan_merge(&mut self) -> Option<Merge> {
        let merge = self.index.runs().plan_merge(self.next_run)?;
        self.next_run += 1;
        Some(merge)
    }

    /// Writes the active layer as one batch: the index in sled goes from the state after one commit to that after a
    /// later one, or stays as it is.
    fn flush(&mut self) -> Result<()> {
        let Some((layer, meta)) = self.index.freeze() else { return Ok(()) };
        let mut batch = Batch::default();
        for (key, value) in &layer.entries {
            disk::put(&mut batch, key, value)?;
        }
        self.garbage.remove(&self.index.disk, &mut batch)?;
        let runs = self.add_seen(layer.seen.clone(), meta.time, &mut batch)?;
        runs.put_list(&mut batch)?;
        batch.insert(&keys::META, meta.encode()?);
        self.index.disk.apply(batch)?;
        self.index.thaw(runs);
        Ok(())
    }

    /// The list of runs with what was seen lately. A merge that is on its way counts on its runs: then none is taken
    /// off the list.
    fn add_seen(&mut self, mut seen: HashMap<EventHash, EventRef>, now: Timestamp, batch: &mut Batch) -> Result<Runs> {
        let mut runs = Runs::clone(&self.index.runs());
        if self.merge.is_none() {
            runs = runs.without_older_than(now.minus(self.window), &mut self.garbage);
            if !seen.is_empty() {
                runs = runs.without_small(&self.index.disk, &mut seen, &mut self.garbage)?;
            }
        }
        if seen.is_empty() {
            return Ok(runs);
        }
        let id = self.next_run;
        self.next_run += 1;
        runs.with_added(id, now, &seen, batch)
    }
}
