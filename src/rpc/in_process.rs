//! Serving to the own process, without a port.

use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use super::connection::Connection;
use super::layers::{Door, PeerState};
use super::options::RpcOptions;
use super::router::router;
use super::stopping::stopping;
use crate::app::App;

/// Bytes on their way in each direction.
const BUFFER_BYTES: usize = 256 << 10;

/// Serves to the channel that it gives back, over memory instead of a socket, until the channel and its clones are
/// dropped. The caller is inside a runtime. Nobody is asked for a credential: whoever can open the data could read them
/// without us.
///
/// # Errors
/// When the server cannot be set up.
pub fn in_process(app: App, options: RpcOptions) -> anyhow::Result<Channel> {
    let (stop, stopped) = stopping();
    let (close, closed) = watch::channel(false);
    let (connect, connections) = mpsc::channel::<DuplexStream>(1);
    let router = router(app, Door::Open, &options, stopped)?;
    let places = options.connections.requests;
    let trusted = move |io| Connection::trusted(io, PeerState::new(places, None), closed.clone());
    let incoming = ReceiverStream::new(connections).map(move |io| Ok::<_, std::io::Error>(trusted(io)));
    tokio::spawn(async move {
        let served = router.serve_with_incoming(incoming).await;
        if let Err(error) = served {
            tracing::error!(%error, "serving to the own process failed");
        }
        drop((stop, close));
    });
    let connector = tower::service_fn(move |_uri| {
        let connect = connect.clone();
        async move {
            let (near, far) = tokio::io::duplex(BUFFER_BYTES);
            let gone = |_| std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            connect.send(far).await.map(|()| TokioIo::new(near)).map_err(gone)
        }
    });
    Ok(Endpoint::from_static("http://in-process").connect_with_connector_lazy(connector))
}
