//! Serving on a socket, from the first connection to the last answer.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::layers::Door;
use super::listen::Incoming;
use super::options::RpcOptions;
use super::router::router;
use super::stopping::stopping;
use crate::app::App;

/// How long connections have to notice that they are closed.
const CLOSING: Duration = Duration::from_secs(1);

/// Serves until `shutdown` is there; then nothing new is accepted, and what is at work may finish for as long as the
/// options say before its connections are closed.
///
/// # Errors
/// When the server cannot be set up or fails as a whole; a failing connection does not end it.
pub async fn serve(
    app: App,
    options: RpcOptions,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (stop, mut stopped) = stopping();
    let (close, closed) = watch::channel(false);
    let router = router(app, Door::Guarded(options.credentials.clone()), &options, stopped.clone())?;
    let shutdown = async move {
        shutdown.await;
        stop.begin();
    };
    let serving = router.serve_with_incoming_shutdown(Incoming::new(listener, &options, closed), shutdown);
    tokio::pin!(serving);
    let patience = async {
        stopped.begun().await;
        tokio::time::sleep(options.drain_timeout).await;
    };
    tokio::select! {
        served = &mut serving => return Ok(served?),
        () = patience => tracing::warn!("requests did not finish in time; their connections are closed"),
    }
    close.send_replace(true);
    match tokio::time::timeout(CLOSING, serving).await {
        Ok(served) => Ok(served?),
        Err(_) => Ok(()),
    }
}
