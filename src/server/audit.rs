//! The background job that writes the audit log.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::App;

/// How often it writes what was gathered, and so how much of the log a crash may lose.
const EVERY: Duration = Duration::from_secs(1);

/// The job at work.
pub(super) struct Job {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Job {
    /// Begins to write now and then.
    pub(super) fn start(app: App) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut is_failing = false;
            loop {
                tokio::select! {
                    _asked_or_dropped = &mut stopped => return,
                    () = tokio::time::sleep(EVERY) => {}
                }
                let written = app.write_audit().await;
                if let (Err(error), false) = (&written, is_failing) {
                    let error = crate::app::chain(error);
                    tracing::warn!(%error, "the audit log was not written; what was gathered stays, and it is tried again");
                }
                is_failing = written.is_err();
            }
        });
        Self { stop, task }
    }

    /// Ends the job, never in the middle of a write.
    pub(super) async fn end(self) {
        let _already_over = self.stop.send(());
        let _panicked = self.task.await;
    }
}
