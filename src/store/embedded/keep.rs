//! What a backup copies must not be removed under it.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use super::locks;

/// Held by a backup as long as it copies, and by whoever removes a segment, a checkpoint or an artifact while they do.
#[derive(Debug, Clone, Default)]
pub(super) struct Keep(Arc<Mutex<()>>);

impl Keep {
    /// Waits until nobody else holds it.
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        locks::lock(&self.0)
    }

    /// For threads that commits wait for: `None` while a backup copies. What is not removed now, is later.
    pub(super) fn try_hold(&self) -> Option<MutexGuard<'_, ()>> {
        match self.0.try_lock() {
            Ok(held) => Some(held),
            Err(TryLockError::Poisoned(held)) => Some(held.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
