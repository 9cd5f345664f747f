//! The background job that writes down when API keys were used.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::app::App;

/// How often it looks. Each key is written at most once an hour.
const EVERY: Duration = Duration::from_secs(600);

/// Notes the uses of keys now and then, until the job is aborted.
pub(super) fn start(app: App) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = app.note_key_uses().await {
                tracing::warn!(error = %crate::app::chain(&error), "uses of keys were not written down; it is tried again");
            }
        }
    })
}
