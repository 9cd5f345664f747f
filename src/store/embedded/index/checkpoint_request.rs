//! A checkpoint that somebody waits for.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::store::embedded::locks;

/// How often whoever waits looks whether it still should.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the flusher is asked for beside its own duties.
#[derive(Debug, Default)]
pub(super) struct CheckpointRequest {
    is_open: Mutex<bool>,
    answered: Condvar,
}

impl CheckpointRequest {
    pub(super) fn ask(&self) {
        *locks::lock(&self.is_open) = true;
    }

    pub(super) fn is_open(&self) -> bool {
        *locks::lock(&self.is_open)
    }

    /// It was made, or could not be.
    pub(super) fn answer(&self) {
        *locks::lock(&self.is_open) = false;
        self.answered.notify_all();
    }

    /// Waits for the answer, as long as `patient` says so.
    pub(super) fn wait(&self, patient: impl Fn() -> bool) {
        let mut is_open = locks::lock(&self.is_open);
        while *is_open && patient() {
            let waited = self.answered.wait_timeout(is_open, LOOK_EVERY);
            is_open = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
