//! Connections: how they are accepted, and how they are closed when the server does not wait any longer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Sleep;
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tonic::transport::server::Connected;

use super::layers::ConnectionSlots;

/// Requests of one connection that are at work at the same time.
const REQUESTS_PER_CONNECTION: usize = 64;
/// How long nothing is accepted after an error, such as having no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections for ever: an error is logged, waited out and never passed on.
pub(super) struct Incoming {
    listener: TcpListener,
    pause: Option<Pin<Box<Sleep>>>,
    close: watch::Receiver<bool>,
}

/// A connection with its places for requests, which ends when `close` says so.
pub(super) struct Connection<IO> {
    io: IO,
    slots: ConnectionSlots,
    close: WatchStream<bool>,
}

impl Incoming {
    pub(super) fn new(listener: TcpListener, close: watch::Receiver<bool>) -> Self {
        Self { listener, pause: None, close }
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection<TcpStream>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(context)) {
                Ok((stream, _peer)) => {
                    // Without this small messages wait for each other's acknowledgement: 45 times less throughput.
                    let _works_without = stream.set_nodelay(true);
                    return Poll::Ready(Some(Ok(Connection::new(stream, self.close.clone()))));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted; trying again");
                    self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
                }
            }
        }
    }
}

impl<IO> Connection<IO> {
    pub(super) fn new(io: IO, close: watch::Receiver<bool>) -> Self {
        Self { io, slots: ConnectionSlots::new(REQUESTS_PER_CONNECTION), close: WatchStream::from_changes(close) }
    }
}

impl<IO> Connected for Connection<IO> {
    type ConnectInfo = ConnectionSlots;

    fn connect_info(&self) -> ConnectionSlots {
        self.slots.clone()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(Some(true)) = Pin::new(&mut self.close).poll_next(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Connection<IO> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
