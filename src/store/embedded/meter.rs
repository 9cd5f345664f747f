//! Tells whoever waits for long work how far it has come, and learns whether they still wait.

use std::ops::ControlFlow;

use crate::store::{Error, Progress, Result};

/// Bytes between two reports: often enough for a bar, and seldom enough that nobody notices the reporting.
const STEP_BYTES: u64 = 1 << 20;

/// Work of a known size.
pub(super) struct Meter<'a> {
    progress: Progress,
    told: u64,
    observe: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
}

impl<'a> Meter<'a> {
    /// Work on so many bytes.
    pub(super) fn new(bytes_total: u64, observe: &'a mut dyn FnMut(Progress) -> ControlFlow<()>) -> Self {
        Self { progress: Progress { bytes_done: 0, bytes_total }, told: 0, observe }
    }

    /// So much more is done.
    ///
    /// # Errors
    /// [`Error::Abandoned`] where nobody waits any more.
    pub(super) fn add(&mut self, bytes: u64) -> Result<()> {
        self.progress.bytes_done += bytes;
        // What was counted beforehand may have grown meanwhile.
        self.progress.bytes_total = self.progress.bytes_total.max(self.progress.bytes_done);
        if self.progress.bytes_done < self.told + STEP_BYTES {
            return Ok(());
        }
        self.check()
    }

    /// Tells how far the work has come although nothing may have been added, because it goes on all the same.
    ///
    /// # Errors
    /// As for [`Self::add`].
    pub(super) fn check(&mut self) -> Result<()> {
        self.told = self.progress.bytes_done;
        match (self.observe)(self.progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Abandoned),
        }
    }

    /// Everything is done, whatever was counted beforehand.
    ///
    /// # Errors
    /// As for [`Self::add`].
    pub(super) fn finish(&mut self) -> Result<()> {
        self.progress.bytes_done = self.progress.bytes_total;
        self.check()
    }
}
