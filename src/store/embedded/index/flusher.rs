//! Brings what commits wrote to sled, behind their backs.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::disk::{self, Batch};
use super::keys::{self, EventHash};
use super::layers::Index;
use super::sweep::{Sweep, Swept};
use crate::domain::time::Timestamp;
use crate::store::embedded::checkpoints::Shelf;
use crate::store::embedded::journal::EventRef;
use crate::store::embedded::keep::Keep;
use crate::store::embedded::seen::{Garbage, Merge, Runs, Step};
use crate::store::embedded::space::Space;
use crate::store::{Error, Result};

/// The one thread that writes to sled.
pub(in crate::store::embedded) struct Flusher {
    index: Arc<Index>,
    duties: Duties,
    merge: Option<Merge>,
    sweep: Option<Sweep>,
    /// What the journal had taken since the opening when the newest checkpoint was begun.
    swept_bytes: u64,
    next_run: u64,
    /// Runs that no reader finds in the list any more, to be removed with the next batch.
    garbage: Garbage,
}

/// What a flusher has to look after besides the index.
pub(in crate::store::embedded) struct Duties {
    pub(in crate::store::embedded) space: Arc<Space>,
    /// The idempotency window.
    pub(in crate::store::embedded) window: Duration,
    pub(in crate::store::embedded) checkpoints: Shelf,
    /// Held while a checkpoint is removed.
    pub(in crate::store::embedded) keep: Keep,
    /// Bytes of the journal behind the newest checkpoint, as it was opened.
    pub(in crate::store::embedded) journal_bytes: u64,
}

impl Flusher {
    pub(in crate::store::embedded) fn new(index: Arc<Index>, duties: Duties) -> Self {
        let next_run = index.runs().next_id();
        Self { index, duties, merge: None, sweep: None, swept_bytes: 0, next_run, garbage: Garbage::default() }
    }

    /// Flushes until it is told to stop, and then once more.
    pub(in crate::store::embedded) fn run(mut self) -> Result<()> {
        loop {
            let goes_on = self.index.signal.wait_for_work();
            if !self.duties.space.has_room_for_index(self.index.bytes()) {
                if goes_on {
                    // Reads see what is in memory; it is tried again after a while.
                    self.index.signal.dirty();
                    continue;
                }
                return Err(Error::DiskFull("the rest of the index is brought up from the journal".to_owned()));
            }
            // sled panics where it finds what it does not expect; the journal has everything that it may lose.
            let flushed = catch_unwind(AssertUnwindSafe(|| self.flush_and_tidy(goes_on)));
            let flushed = flushed.unwrap_or_else(|_| Err(Error::Index("sled panicked".to_owned())));
            if let Err(error) = flushed {
                self.index.status.poison(error.to_string());
                self.index.signal.flushed();
                return Err(error);
            }
            self.duties.space.keep_reserve();
            if !goes_on {
                return self.index.disk.flush();
            }
        }
    }

    fn flush_and_tidy(&mut self, goes_on: bool) -> Result<()> {
        self.flush()?;
        // A merge that is not finished leaves blocks behind that no list names; the next start removes them. While a
        // checkpoint is written no merge goes on, so that every change passes by the sweep.
        while goes_on && (self.sweep_a_little()? || self.merge_a_little()?) {
            // Between two steps of a long piece of work, commits get their turn.
            self.flush()?;
        }
        Ok(())
    }

    /// Does one step of a checkpoint. False where none is due.
    fn sweep_a_little(&mut self) -> Result<bool> {
        let Some(sweep) = self.sweep.take().or_else(|| self.plan_sweep()) else { return Ok(false) };
        match self.duties.space.check().and_then(|()| sweep.step(&self.index.disk)) {
            Ok(Swept::Unfinished(sweep)) => self.sweep = Some(sweep),
            Ok(Swept::Finished { revision, bytes }) => {
                tracing::info!(%revision, bytes, "made a checkpoint");
                self.duties.checkpoints.add(revision, bytes);
                let removed = self.duties.keep.try_hold().map(|_held| self.duties.checkpoints.tidy());
                if let Some(Err(error)) = removed {
                    tracing::warn!(%error, "an old checkpoint could not be removed");
                }
            }
            Err(error) => self.give_up(&error),
        }
        Ok(true)
    }

    /// Begins a checkpoint where one is due and there is room for it.
    fn plan_sweep(&mut self) -> Option<Sweep> {
        let written = self.index.status.statistics().bytes;
        let shelf = &self.duties.checkpoints;
        let unswept = self.duties.journal_bytes + written.saturating_sub(self.swept_bytes);
        if !shelf.is_due(unswept) || !self.duties.space.has_room_for(shelf.expected_bytes()) {
            return None;
        }
        let revision = self.index.flushed();
        if shelf.newest() >= Some(revision) {
            return None;
        }
        let begun = shelf.begin(revision);
        (self.duties.journal_bytes, self.swept_bytes) = (0, written);
        match begun {
            Ok(file) => Some(Sweep::new(revision, file)),
            Err(error) => {
                self.give_up(&error);
                None
            }
        }
    }

    /// A checkpoint that cannot be written is no reason to stop: nothing depends on it yet.
    fn give_up(&mut self, error: &Error) {
        tracing::warn!(%error, "a checkpoint could not be made; the next one is tried later");
        self.sweep = None;
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
        if let Some(sweep) = &mut self.sweep
            && let Err(error) = sweep.keep(&self.index.disk, &batch)
        {
            self.give_up(&error);
        }
        self.index.disk.apply(batch)?;
        self.index.thaw(runs, meta.applied);
        Ok(())
    }

    /// The list of runs with what was seen lately. A merge that is on its way counts on its runs: then none is taken
    /// off the list.
    fn add_seen(&mut self, mut seen: HashMap<EventHash, EventRef>, now: Timestamp, batch: &mut Batch) -> Result<Runs> {
        let mut runs = Runs::clone(&self.index.runs());
        if self.merge.is_none() {
            runs = runs.without_older_than(now.minus(self.duties.window), &mut self.garbage);
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
