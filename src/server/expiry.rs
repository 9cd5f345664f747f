//! The background job that lets history expire.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::app::App;

/// How long after a start, so that it does not slow that down.
const FIRST_AFTER: Duration = Duration::from_secs(30);
/// How often after that. History expires by whole days; what one time leaves undone, the next one does.
const EVERY: Duration = Duration::from_secs(3_600);

/// Lets history expire that is older than `kept`, now and then, until the job is aborted.
pub(super) fn start(app: App, kept: Duration) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut pause = FIRST_AFTER;
        loop {
            tokio::time::sleep(pause).await;
            pause = EVERY;
            if let Err(error) = app.expire_history(kept).await {
                tracing::warn!(error = %crate::app::chain(&error), "history did not expire; it is tried again");
            }
        }
    })
}
