//! Brings what commits wrote to tables, behind their backs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::compactor::{Compactor, Sorted};
use super::disk::Batch;
use super::keys::{self, Family};
use super::layers::Index;
use super::sweep::{Sweep, Swept};
use crate::domain::time::Timestamp;
use crate::store::embedded::checkpoints::Shelf;
use crate::store::embedded::keep::Keep;
use crate::store::embedded::space::Space;
use crate::store::{Error, Result};

/// The one thread that writes to the index on disk.
pub(in crate::store::embedded) struct Flusher {
    index: Arc<Index>,
    duties: Duties,
    entries: Compactor,
    seen: Compactor,
    sweep: Option<Sweep>,
    /// What the journal had taken since the opening when the newest checkpoint was begun.
    swept_bytes: u64,
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
        let stored = index.stored();
        let compactor = |family| Compactor::new(family, &stored);
        let (entries, seen) = (compactor(Family::Entries), compactor(Family::Seen));
        Self { index, duties, entries, seen, sweep: None, swept_bytes: 0 }
    }

    /// Flushes until it is told to stop, and then once more.
    pub(in crate::store::embedded) fn run(mut self) -> Result<()> {
        loop {
            let goes_on = self.index.signal.wait_for_work();
            if !self.duties.space.has_room_for_index(self.index.bytes()) {
                if goes_on {
                    self.index.checkpoint_request.answer();
                    // Reads see what is in memory; it is tried again after a while.
                    self.index.signal.dirty();
                    continue;
                }
                return Err(Error::DiskFull("the rest of the index is brought up from the journal".to_owned()));
            }
            // Who asks for a checkpoint from here on is answered the next time.
            let is_asked_for = self.index.checkpoint_request.is_open();
            // sled panics where it finds what it does not expect; the journal has everything that it may lose.
            let flushed = catch_unwind(AssertUnwindSafe(|| self.flush_and_tidy(goes_on)));
            let flushed = flushed.unwrap_or_else(|_| Err(Error::Index("sled panicked".to_owned())));
            if let Err(error) = self.index.judged(flushed) {
                self.index.status.poison(error.to_string());
                self.index.signal.flushed();
                return Err(error);
            }
            self.duties.space.keep_reserve();
            if is_asked_for && self.sweep.is_none() {
                self.index.checkpoint_request.answer();
            }
            if !goes_on {
                let stored = self.index.stored();
                Family::ALL.into_iter().try_for_each(|family| stored.of(family).sync())?;
                return self.index.disk.flush();
            }
        }
    }

    fn flush_and_tidy(&mut self, goes_on: bool) -> Result<()> {
        self.flush()?;
        while goes_on && (self.sweep_a_little()? || self.tidy_a_little()?) {
            // Between two steps of a long piece of work, commits get their turn, but no table for each few of them.
            if self.index.is_worth_a_flush() {
                if !self.duties.space.has_room_for_index(self.index.bytes()) {
                    return Ok(());
                }
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Does one step for fewer tables. False where none is due.
    fn tidy_a_little(&mut self) -> Result<bool> {
        let (index, space) = (&self.index, &self.duties.space);
        Ok(self.seen.tidy_a_little(index, space)? || self.entries.tidy_a_little(index, space)?)
    }

    /// Does one step of a checkpoint. False where none is due.
    fn sweep_a_little(&mut self) -> Result<bool> {
        let Some(sweep) = self.sweep.take().or_else(|| self.plan_sweep()) else { return Ok(false) };
        match self.duties.space.check().and_then(|()| sweep.step()) {
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
        let is_due = shelf.is_due(unswept) || self.index.checkpoint_request.is_open();
        if !is_due || !self.duties.space.has_room_for(shelf.expected_bytes()) {
            return None;
        }
        let (meta, stored) = self.index.flushed();
        if shelf.newest() >= Some(meta.applied) {
            return None;
        }
        let begun = shelf.begin(meta.applied).and_then(|file| Sweep::new((meta, &stored), file));
        (self.duties.journal_bytes, self.swept_bytes) = (0, written);
        match begun {
            Ok(sweep) => Some(sweep),
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

    /// Writes the active layer as a table of each family, and names them in one batch: the index on disk goes from the
    /// state after one commit to that after a later one, or stays as it is.
    fn flush(&mut self) -> Result<()> {
        let Some((layer, meta)) = self.index.freeze() else { return Ok(()) };
        let (mut stored, mut batch) = (self.index.stored(), Batch::default());
        let mut entries: Sorted<'_> = layer.entries.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        let to = (&mut stored, &mut batch);
        self.entries.add(&self.index, to, (&entries, meta.time), Timestamp::MIN)?;
        let places: Vec<_> = layer.seen.iter().map(|(hash, at)| (hash, at.to_bytes())).collect();
        let mut seen: Sorted<'_> = places.iter().map(|(hash, at)| (&hash[..], &at[..])).collect();
        seen.sort_unstable_by_key(|(hash, _)| *hash);
        let to = (&mut stored, &mut batch);
        self.seen.add(&self.index, to, (&seen, meta.time), meta.time.minus(self.duties.window))?;
        batch.insert(&keys::META, meta.encode()?);
        self.index.disk.apply(batch)?;
        self.index.thaw(&layer, stored, meta);
        self.entries.remove_garbage(&self.index)?;
        self.seen.remove_garbage(&self.index)
    }
}
