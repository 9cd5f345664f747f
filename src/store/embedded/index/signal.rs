//! How committer and flusher wait for each other.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::store::embedded::locks;

/// How long changes may wait for more of them to come: the shorter, the more is merged later, and the longer, the more
/// is replayed after a kill.
const LINGER: Duration = Duration::from_secs(1);
/// How often whoever waits for room looks whether it still should. Callers are to hear within 100 ms of a full disk.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What one thread tells another.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    dirty: bool,
    urgent: bool,
    stopping: bool,
}

impl Signal {
    /// There is something to flush.
    pub(super) fn dirty(&self) {
        self.set(|state| !std::mem::replace(&mut state.dirty, true));
    }

    /// There is so much to flush that waiting for more makes no sense.
    pub(super) fn urgent(&self) {
        self.set(|state| {
            let is_news = !(state.dirty && state.urgent);
            (state.dirty, state.urgent) = (true, true);
            is_news
        });
    }

    /// Nothing more will come.
    pub(super) fn stop(&self) {
        self.set(|state| !std::mem::replace(&mut state.stopping, true));
    }

    /// Something was flushed.
    pub(super) fn flushed(&self) {
        self.set(|_| true);
    }

    /// Waits until there is something to flush and time to do it. False when nothing more will come.
    pub(super) fn wait_for_work(&self) -> bool {
        let state = locks::lock(&self.state);
        let idle = |state: &mut State| !state.dirty && !state.stopping;
        let state = self.changed.wait_while(state, idle).unwrap_or_else(std::sync::PoisonError::into_inner);
        let patient = |state: &mut State| !state.urgent && !state.stopping;
        let waited = self.changed.wait_timeout_while(state, LINGER, patient);
        let (mut state, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        (state.dirty, state.urgent) = (false, false);
        !state.stopping
    }

    /// Waits as long as `full` says so.
    pub(super) fn wait_for_room(&self, full: impl Fn() -> bool) {
        let mut state = locks::lock(&self.state);
        while full() {
            let waited = self.changed.wait_timeout(state, LOOK_EVERY);
            state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Wakes whoever waits where the change says that there is news: a thread that is woken by every commit would cost
    /// each of them as much as the rest of it.
    fn set(&self, change: impl FnOnce(&mut State) -> bool) {
        if change(&mut locks::lock(&self.state)) {
            self.changed.notify_all();
        }
    }
}
