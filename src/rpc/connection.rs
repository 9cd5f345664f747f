//! A connection: bytes both ways, with an end to everything that a client could make last for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tonic::transport::server::Connected;

use super::layers::{PeerState, TICKS};
use super::options::ConnectionLimits;
use super::peers::Seat;

/// The shortest tick: a limit below four of them is as good as one of four.
const TICK_MIN: Duration = Duration::from_millis(5);

/// A connection with its places for requests, which ends when `close` says so or a limit is reached.
pub(super) struct Connection<IO> {
    io: IO,
    peer: PeerState,
    close: WatchStream<bool>,
    patience: Option<Patience>,
    _seat: Option<Seat>,
}

/// How long a connection may wait for its client, counted in ticks.
struct Patience {
    ticks: Interval,
    /// Ticks until a client must have sent a byte.
    first_byte: Option<u32>,
    /// Ticks without a request, and how many there may be.
    idle: (u32, u32),
    /// Requests that had begun when the last tick came.
    begun: u64,
    /// Ticks for which the client has not taken a byte that waits for it, and how many there may be.
    unsent: (u32, u32),
    /// Ticks since answers that are not taken were looked at, and how many are between two looks.
    answers: (u32, u32),
    /// Ticks that are left of the connection's life.
    life: u32,
    is_sending: bool,
}

impl<IO> Connection<IO> {
    /// A connection within the own process: nobody there is a stranger.
    pub(super) fn trusted(io: IO, peer: PeerState, close: watch::Receiver<bool>) -> Self {
        Self { io, peer, close: WatchStream::from_changes(close), patience: None, _seat: None }
    }

    pub(super) fn new(
        io: IO,
        peer: PeerState,
        close: watch::Receiver<bool>,
        limits: &ConnectionLimits,
        seat: Seat,
    ) -> Self {
        let patience = Some(Patience::new(limits));
        Self { io, peer, close: WatchStream::from_changes(close), patience, _seat: Some(seat) }
    }

    /// Looks whether the connection has come to its end.
    fn watch(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        if let Poll::Ready(Some(true)) = Pin::new(&mut self.close).poll_next(context) {
            return Err(End::Stopped);
        }
        let Some(patience) = &mut self.patience else { return Ok(()) };
        while patience.ticks.poll_tick(context).is_ready() {
            patience.tick(&self.peer)?;
        }
        Ok(())
    }

    fn note_write(&mut self, written: &Poll<io::Result<usize>>) {
        let Some(patience) = &mut self.patience else { return };
        patience.is_sending = written.is_pending();
        if !patience.is_sending {
            patience.unsent.0 = 0;
        }
    }
}

/// Why a connection ends before its client ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    /// Nothing is under way, so that it can end in order.
    Idle,
    NoFirstByte,
    Stalled,
    TooOld,
}

impl End {
    fn into_error(self) -> io::Error {
        tracing::debug!(reason = ?self, "a connection is ended");
        io::ErrorKind::ConnectionAborted.into()
    }
}

impl Patience {
    fn new(limits: &ConnectionLimits) -> Self {
        let shortest = limits.first_byte_timeout.min(limits.idle_timeout).min(limits.stalled_timeout);
        let tick = (shortest / u32::try_from(TICKS).unwrap_or(1)).max(TICK_MIN);
        let ticks_of = |time: Duration| u32::try_from(time.as_nanos() / tick.as_nanos()).unwrap_or(u32::MAX).max(1);
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick of an interval is due at once.
        ticks.reset();
        Self {
            ticks,
            first_byte: Some(ticks_of(limits.first_byte_timeout)),
            idle: (0, ticks_of(limits.idle_timeout)),
            begun: 0,
            unsent: (0, ticks_of(limits.stalled_timeout)),
            answers: (0, ticks_of(limits.stalled_timeout / u32::try_from(TICKS).unwrap_or(1))),
            life: ticks_of(limits.age.saturating_add(limits.age_grace)),
            is_sending: false,
        }
    }

    fn tick(&mut self, peer: &PeerState) -> Result<(), End> {
        if let Some(left) = &mut self.first_byte {
            *left -= 1;
            if *left == 0 {
                return Err(End::NoFirstByte);
            }
        }
        self.life -= 1;
        if self.life == 0 {
            return Err(End::TooOld);
        }
        let mut is_stalled = count(&mut self.unsent, self.is_sending);
        if count(&mut self.answers, true) {
            self.answers.0 = 0;
            is_stalled |= peer.traffic().turn();
        }
        if is_stalled {
            return Err(End::Stalled);
        }
        let (open, begun) = peer.traffic().requests();
        let is_idle = open == 0 && begun == self.begun;
        self.begun = begun;
        if count(&mut self.idle, is_idle) { Err(End::Idle) } else { Ok(()) }
    }
}

/// Counts a tick in which something lasts, and says whether it has lasted for too many.
fn count((ticks, limit): &mut (u32, u32), lasts: bool) -> bool {
    *ticks = if lasts { *ticks + 1 } else { 0 };
    *ticks >= *limit
}

impl<IO> Connected for Connection<IO> {
    type ConnectInfo = PeerState;

    fn connect_info(&self) -> PeerState {
        self.peer.clone()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.watch(context) {
            Ok(()) => {}
            // As if the client had hung up.
            Err(End::Idle) => return Poll::Ready(Ok(())),
            Err(end) => return Poll::Ready(Err(end.into_error())),
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before
            && let Some(patience) = &mut self.patience
        {
            patience.first_byte = None;
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Connection<IO> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // While nothing can be written nothing is read either, so that the ticks are looked at here too.
        match self.watch(context) {
            Ok(()) | Err(End::Idle) => {}
            Err(end) => return Poll::Ready(Err(end.into_error())),
        }
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.note_write(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.watch(context) {
            Ok(()) | Err(End::Idle) => {}
            Err(end) => return Poll::Ready(Err(end.into_error())),
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.note_write(&written);
        written
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
