//! One backup at a time, and none when the store closes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::{Error, Result};

/// Whose turn it is.
#[derive(Debug)]
pub(in crate::store::embedded) struct Turn {
    free: Arc<Semaphore>,
    closing: Arc<AtomicBool>,
}

impl Default for Turn {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(1)), closing: Arc::default() }
    }
}

impl Turn {
    /// Takes the turn until what is returned is dropped.
    ///
    /// # Errors
    /// [`Error::BackupRunning`] while somebody else has it.
    pub(super) fn take(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().map_err(|_| Error::BackupRunning)
    }

    /// Becomes true when a backup must end, because the store closes.
    pub(super) fn closing(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.closing)
    }

    /// Asks the backup at work to end, and lets no other begin.
    pub(in crate::store::embedded) fn end(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Waits until no backup holds the store any more.
    pub(in crate::store::embedded) async fn ended(&self) {
        drop(self.free.acquire().await);
    }
}
