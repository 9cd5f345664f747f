//! What goes on in one connection: how many requests, and whether its client takes their answers.
//!
//! Time is counted in ticks of the connection. A body that has handed a message to the wire and is not asked for the
//! next one has a client that does not take the first: it stands in the slot of the tick in which that happened, and
//! when the ticks come back to the slot it has stood there for a whole round.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Ticks of a round, and the one that is under way.
const SLOTS: usize = TICKS + 1;
/// Ticks after which something has lasted for the time that it may last.
pub(in crate::rpc) const TICKS: usize = 4;

/// What goes on in one connection.
#[derive(Debug, Default)]
pub(in crate::rpc) struct Traffic {
    open: AtomicUsize,
    begun: AtomicU64,
    tick: AtomicUsize,
    standing: [AtomicUsize; SLOTS],
}

/// A request that is at work on the connection.
#[derive(Debug)]
pub(super) struct Passage {
    traffic: Arc<Traffic>,
    slot: Option<usize>,
}

impl Traffic {
    /// Requests that are at work, and requests that ever began.
    pub(in crate::rpc) fn requests(&self) -> (usize, u64) {
        (self.open.load(Ordering::Relaxed), self.begun.load(Ordering::Relaxed))
    }

    /// Goes on to the next tick, and says whether an answer has not been taken for a whole round.
    pub(in crate::rpc) fn turn(&self) -> bool {
        let next = (self.tick.load(Ordering::Relaxed) + 1) % SLOTS;
        let stalled = self.standing[next].load(Ordering::Relaxed) > 0;
        self.tick.store(next, Ordering::Relaxed);
        stalled
    }
}

impl Passage {
    pub(super) fn begin(traffic: &Arc<Traffic>) -> Self {
        traffic.open.fetch_add(1, Ordering::Relaxed);
        traffic.begun.fetch_add(1, Ordering::Relaxed);
        Self { traffic: Arc::clone(traffic), slot: None }
    }

    /// The wire asks for what is next, so that it has taken what was before.
    pub(super) fn taken(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.traffic.standing[slot].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Something was handed to the wire.
    pub(super) fn handed(&mut self) {
        self.taken();
        let slot = self.traffic.tick.load(Ordering::Relaxed);
        self.traffic.standing[slot].fetch_add(1, Ordering::Relaxed);
        self.slot = Some(slot);
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.taken();
        self.traffic.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_for_a_round_is_noticed_and_what_is_taken_is_not() {
        let traffic = Arc::new(Traffic::default());
        let mut answer = Passage::begin(&traffic);
        answer.handed();
        assert!((0..TICKS).all(|_| !traffic.turn()), "too early");
        assert!(traffic.turn());
        for _ in 0..20 {
            answer.handed();
            answer.taken();
            assert!(!traffic.turn(), "it waits for us and not for its client");
        }
        answer.handed();
        assert_eq!(traffic.requests(), (1, 1));
        drop(answer);
        assert!((0..20).all(|_| !traffic.turn()));
        assert_eq!(traffic.requests(), (0, 1));
    }
}
