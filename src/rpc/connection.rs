//! A connection: bytes both ways, with an end to everything that a client could make last for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use prost::bytes::{Buf as _, BytesMut};
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
/// From how many bytes on they are written at once, whatever else is about to be said.
const OUTGOING_BYTES: usize = 32 << 10;

/// A connection with its places for requests, which ends when `close` says so or a limit is reached.
///
/// Answers that become ready one after the other would be written one by one, and a write takes a fifth of what a read of a
/// profile takes in all. So what is flushed is not written at once, but when the connection has its next turn, which is
/// behind the requests that are ready to be answered now.
pub(super) struct Connection<IO: AsyncWrite + Unpin> {
    io: IO,
    /// What was said and is not written yet.
    outgoing: BytesMut,
    /// Whether the client has what was said, as far as we can tell: behind TLS, what is written may still wait.
    is_flushed: bool,
    /// Whether what is not flushed was said in an earlier turn than this one.
    is_due: bool,
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

impl<IO: AsyncWrite + Unpin> Connection<IO> {
    /// A connection within the own process: nobody there is a stranger.
    pub(super) fn trusted(io: IO, peer: PeerState, close: watch::Receiver<bool>) -> Self {
        Self::with(io, peer, close, None, None)
    }

    pub(super) fn new(
        io: IO,
        peer: PeerState,
        close: watch::Receiver<bool>,
        limits: &ConnectionLimits,
        seat: Seat,
    ) -> Self {
        Self::with(io, peer, close, Some(Patience::new(limits)), Some(seat))
    }

    fn with(
        io: IO,
        peer: PeerState,
        close: watch::Receiver<bool>,
        patience: Option<Patience>,
        seat: Option<Seat>,
    ) -> Self {
        let close = WatchStream::from_changes(close);
        Self { io, outgoing: BytesMut::new(), is_flushed: true, is_due: false, peer, close, patience, _seat: seat }
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

    /// Writes everything that waits for it.
    fn write_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let written = Pin::new(&mut self.io).poll_write(context, &self.outgoing);
            self.note_write(&written);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.outgoing.advance(written),
            }
        }
        // A connection without work keeps no memory for it.
        self.outgoing = BytesMut::new();
        ready!(Pin::new(&mut self.io).poll_flush(context))?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }

    /// Waits until there is room for more to be said.
    fn make_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.outgoing.len() < OUTGOING_BYTES {
            return Poll::Ready(Ok(()));
        }
        // While nothing can be written nothing is read either, so that the ticks are looked at here too.
        match self.watch(context) {
            Ok(()) | Err(End::Idle) => self.write_out(context),
            Err(end) => Poll::Ready(Err(end.into_error())),
        }
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

impl<IO: AsyncWrite + Unpin> Connected for Connection<IO> {
    type ConnectInfo = PeerState;

    fn connect_info(&self) -> PeerState {
        self.peer.clone()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<IO> {
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
        // A turn reads what there is, then says what there is to say and flushes that; one that only waits does not flush.
        if read.is_pending() {
            if self.is_due
                && let Poll::Ready(Err(error)) = self.write_out(context)
            {
                return Poll::Ready(Err(error));
            }
            self.is_due = !self.is_flushed;
        }
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
        ready!(self.make_room(context))?;
        self.outgoing.extend_from_slice(bytes);
        self.is_flushed = false;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.make_room(context))?;
        if self.is_due {
            self.is_due = false;
            if let Poll::Ready(Err(error)) = self.write_out(context) {
                return Poll::Ready(Err(error));
            }
        } else if !self.is_flushed {
            // Whoever wakes itself while it has its turn gets the next one behind all others that are ready.
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_out(context))?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

impl<IO: AsyncWrite + Unpin> Drop for Connection<IO> {
    /// What was flushed reaches a client that takes it, though the connection does not get another turn.
    fn drop(&mut self) {
        if !self.is_flushed {
            let _nobody_waits = self.write_out(&mut Context::from_waker(Waker::noop()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// A wire that keeps what was written to it, write by write, as long as there is room.
    #[derive(Default)]
    struct Wire {
        writes: Vec<Vec<u8>>,
        room: usize,
    }

    impl AsyncRead for &mut Wire {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for &mut Wire {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            if taken == 0 {
                return Poll::Pending;
            }
            self.writes.push(bytes[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Lets a connection have turns, with what is said in each; says how often it asked for another one.
    fn turns(wire: &mut Wire, said: &[&[&[u8]]]) -> (usize, Vec<Poll<usize>>) {
        let wakes = Arc::new(Wakes::default());
        let waker = Arc::clone(&wakes).into();
        let mut context = Context::from_waker(&waker);
        let (_close, closed) = watch::channel(false);
        let mut connection = Connection::trusted(wire, PeerState::new(1, None), closed);
        let mut taken = Vec::new();
        for words in said {
            let mut nothing = [0; 1];
            assert!(Pin::new(&mut connection).poll_read(&mut context, &mut ReadBuf::new(&mut nothing)).is_pending());
            for bytes in *words {
                let written = Pin::new(&mut connection).poll_write(&mut context, bytes);
                taken.push(written.map(|written| written.expect("a sound wire")));
            }
            if !words.is_empty() {
                let _may_be_put_off = Pin::new(&mut connection).poll_flush(&mut context);
            }
        }
        // The end of a connection would write what is left.
        connection.is_flushed = true;
        (wakes.0.load(Ordering::SeqCst), taken)
    }

    fn wire(room: usize) -> Wire {
        Wire { writes: Vec::new(), room }
    }

    #[test]
    fn what_is_said_in_two_turns_is_one_write_and_what_is_said_once_waits_for_one_turn() {
        let mut together = wire(100);
        assert_eq!(turns(&mut together, &[&[b"a", b"b"]]).0, 1);
        assert!(together.writes.is_empty());
        turns(&mut together, &[&[b"a", b"b"], &[b"c"]]);
        assert_eq!(together.writes, [b"abc"]);
        let mut silent = wire(100);
        turns(&mut silent, &[&[b"a"], &[], &[]]);
        assert_eq!(silent.writes, [b"a"]);
    }

    #[test]
    fn what_finds_no_room_is_written_later_and_no_more_is_taken_meanwhile() {
        let mut full = wire(1);
        let long = vec![7; OUTGOING_BYTES];
        let (_, taken) = turns(&mut full, &[&[&long], &[b"x"], &[b"y"]]);
        assert_eq!(taken, [Poll::Ready(OUTGOING_BYTES), Poll::Ready(1), Poll::Pending]);
        assert_eq!(full.writes, [[7]]);
    }

    #[test]
    fn what_was_flushed_is_written_before_the_connection_goes() {
        let mut left = wire(100);
        let (_close, closed) = watch::channel(false);
        let mut connection = Connection::trusted(&mut left, PeerState::new(1, None), closed);
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut connection).poll_write(&mut context, b"bye").is_ready());
        assert!(Pin::new(&mut connection).poll_flush(&mut context).is_ready());
        drop(connection);
        assert_eq!(left.writes, [b"bye"]);
    }
}
