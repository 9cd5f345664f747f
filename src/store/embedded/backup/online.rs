//! A backup of a store that is open and goes on taking writes.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tokio::task;

use super::create::{Snapshot, create};
use crate::store::embedded::EmbeddedStore;
use crate::store::{BackedUp, BackupRequest, Backups, Error, Progress, Result};

#[async_trait]
impl Backups for EmbeddedStore {
    async fn back_up(&self, request: BackupRequest) -> Result<BackedUp> {
        let turn = self.backups().take()?;
        let (open, status, closing) = (self.opened()?, self.shared_status(), self.backups().closing());
        let BackupRequest { directory, time, mut observer } = request;
        let mut observe = move |progress: Progress| {
            if closing.load(Ordering::Acquire) { ControlFlow::Break(()) } else { observer(progress) }
        };
        let done = task::spawn_blocking(move || {
            // From here on nothing that the backup has to copy can be removed.
            let keep = open.keep().hold();
            let snapshot =
                Snapshot { directory: open.directory(), store: open.store(), revision: status.revision(), time };
            let done = create(&snapshot, &directory, &mut observe);
            drop(keep);
            // Closing waits for the turn, and must find the store without other users then.
            drop(open);
            drop(turn);
            done
        });
        done.await.unwrap_or_else(|_| Err(Error::Index("a backup ended in a panic".to_owned())))
    }
}
