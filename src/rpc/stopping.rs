//! The end of the server, as long-lived answers hear of it.

use tokio::sync::watch;

/// Tells everyone who listens that the server stops.
pub(super) struct Stop(watch::Sender<bool>);

/// Hears that the server stops.
#[derive(Debug, Clone)]
pub(super) struct Stopping(watch::Receiver<bool>);

/// A server that runs, and the means to stop it.
pub(super) fn stopping() -> (Stop, Stopping) {
    let (sender, receiver) = watch::channel(false);
    (Stop(sender), Stopping(receiver))
}

impl Stop {
    pub(super) fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Stopping {
    /// Whether the server stops.
    pub(super) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the server stops; one whose end nobody can tell any more never does.
    pub(super) async fn begun(&mut self) {
        if self.0.wait_for(|stopping| *stopping).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
