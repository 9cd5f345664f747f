//! A copy of everything, for the day on which it is lost.

use std::ops::ControlFlow;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::application::App;
use super::customer::Caller;
use super::error::{Error, Reason, Result};
use super::unwind::produce;
use crate::store::{self, BackedUp, BackupRequest, Progress};

/// Messages that wait for a slow caller; reports that find no room are left out.
const MESSAGES_AHEAD: usize = 2;

/// What a caller is told about a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupStep {
    /// It has come so far.
    UnderWay(Progress),
    /// It is complete, durable and read back. Nothing follows.
    Done(BackedUp),
}

impl App {
    /// Copies the data of all workspaces to a directory on this machine, while everything else goes on. The backup
    /// ends, and leaves the one before it valid, when the caller lets go of the stream.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a relative path, [`Error::Forbidden`] for a caller who does not run the server. What the store refuses comes through the stream.
    pub fn create_backup(&self, caller: &Caller, directory: PathBuf) -> Result<mpsc::Receiver<Result<BackupStep>>> {
        if !caller.operator {
            return Err(Error::Forbidden(Reason::OperatorOnly));
        }
        if !directory.is_absolute() {
            return Err(Error::invalid("directory", "must be an absolute path on the server's machine"));
        }
        let app = self.clone();
        let panicked = |panicked: super::unwind::Panicked| Err(panicked.into());
        Ok(produce(MESSAGES_AHEAD, panicked, |sender| app.back_up(directory, sender)))
    }

    async fn back_up(self, directory: PathBuf, sender: mpsc::Sender<Result<BackupStep>>) {
        let tell = sender.clone();
        let observer = Box::new(move |progress| match tell.try_send(Ok(BackupStep::UnderWay(progress))) {
            Err(TrySendError::Closed(_)) => ControlFlow::Break(()),
            Ok(()) | Err(TrySendError::Full(_)) => ControlFlow::Continue(()),
        });
        let place = directory.display().to_string();
        let done = self.store.back_up(BackupRequest { directory, time: self.context.now(), observer }).await;
        match &done {
            Ok(BackedUp { revision, bytes_copied, .. }) => {
                tracing::info!(directory = place, %revision, bytes_copied, "made a backup");
            }
            Err(error) => tracing::warn!(directory = place, %error, "made no backup"),
        }
        let _hung_up = sender.send(done.map(BackupStep::Done).map_err(explain)).await;
    }
}

/// Files and disks are the operator's, who asked for the backup: what is wrong with them is said and not hidden.
fn explain(error: store::Error) -> Error {
    match error {
        error @ (store::Error::Io { .. } | store::Error::Damaged { .. }) => {
            Error::Precondition(Reason::BackupRefused(error.to_string()))
        }
        error => error.into(),
    }
}
