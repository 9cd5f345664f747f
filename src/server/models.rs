//! The background job that looks after models: it trains what is due, and looks again at what was trained.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::app::App;

/// How often. Schedules name minutes.
const EVERY: Duration = Duration::from_secs(60);

/// Looks after the models of all workspaces now and then, until the job is aborted.
pub(super) fn start(app: App) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            // The first look comes a minute after the start, when the clock of the machine has been set.
            tokio::time::sleep(EVERY).await;
            if let Err(error) = app.train_what_is_due().await {
                tracing::warn!(error = %crate::app::chain(&error), "a training that is due did not begin; it is tried again");
            }
            if let Err(error) = app.follow_up_models().await {
                tracing::warn!(error = %crate::app::chain(&error), "models were not followed up; it is tried again");
            }
        }
    })
}
