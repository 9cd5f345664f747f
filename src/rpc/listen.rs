//! How connections are accepted, and how they come to speak TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;

use super::connection::Connection;
use super::credentials::Credentials;
use super::layers::PeerState;
use super::options::{ConnectionLimits, RpcOptions};
use super::peers::{Peers, Seat};

/// How long nothing is accepted after an error, such as having no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);
/// Handshakes that are under way at the same time; further clients wait in the queue of the operating system.
const HANDSHAKES: usize = 256;

/// Accepts connections for ever: an error is logged, waited out and never passed on.
pub(super) struct Incoming {
    listener: TcpListener,
    pause: Option<Pin<Box<Sleep>>>,
    close: watch::Receiver<bool>,
    peers: Peers,
    limits: ConnectionLimits,
    tls: Option<Tls>,
    handshakes: JoinSet<Option<Connection<Wire>>>,
}

/// What a handshake needs.
struct Tls {
    config: watch::Receiver<Arc<rustls::ServerConfig>>,
    credentials: Credentials,
}

/// What connections run over.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Incoming {
    pub(super) fn new(listener: TcpListener, options: &RpcOptions, close: watch::Receiver<bool>) -> Self {
        let tls = options.tls.clone().map(|config| Tls { config, credentials: options.credentials.clone() });
        let limits = options.connections.clone();
        Self { listener, pause: None, close, peers: Peers::default(), limits, tls, handshakes: JoinSet::new() }
    }

    /// The next connection that a client has opened, with its place among those of its address.
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<(TcpStream, Seat)> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(context)) {
                Ok((stream, peer)) => match self.seat(peer) {
                    Some(seat) => return Poll::Ready((stream, seat)),
                    // Dropped, and so closed: an answer would cost more than the connection.
                    None => tracing::debug!("an address has as many connections as it may"),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted; trying again");
                    self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
                }
            }
        }
    }

    fn seat(&self, peer: SocketAddr) -> Option<Seat> {
        self.peers.seat(peer.ip(), self.limits.per_peer)
    }

    fn plain(&self, stream: TcpStream, seat: Seat) -> Connection<Wire> {
        let peer = PeerState::new(self.limits.requests, None);
        Connection::new(Wire::Plain(stream), peer, self.close.clone(), &self.limits, seat)
    }

    /// Lets a client shake hands beside the others: one that is slow keeps nobody waiting.
    fn shake_hands(&mut self, stream: TcpStream, seat: Seat) {
        let Some(tls) = &self.tls else { return };
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.config.borrow()));
        let (credentials, limits, close) = (tls.credentials.clone(), self.limits.clone(), self.close.clone());
        self.handshakes.spawn(async move {
            let stream = match timeout(limits.handshake_timeout, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a client did not come to speak TLS");
                    return None;
                }
                Err(_overdue) => return None,
            };
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let principal = shown.and_then(|certificate| credentials.of_certificate(certificate));
            let peer = PeerState::new(limits.requests, principal);
            Some(Connection::new(Wire::Tls(Box::new(stream)), peer, close, &limits, seat))
        });
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection<Wire>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match this.handshakes.poll_join_next(context) {
                Poll::Ready(Some(Ok(Some(connection)))) => return Poll::Ready(Some(Ok(connection))),
                // One that came to nothing.
                Poll::Ready(Some(_)) => continue,
                Poll::Pending if this.handshakes.len() >= HANDSHAKES => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => {}
            }
            let (stream, seat) = ready!(this.poll_accept(context));
            // Without this small messages wait for each other's acknowledgement: 45 times less throughput.
            let _works_without = stream.set_nodelay(true);
            if this.tls.is_none() {
                return Poll::Ready(Some(Ok(this.plain(stream, seat))));
            }
            this.shake_hands(stream, seat);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
