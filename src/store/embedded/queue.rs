//! Where commits wait for the committer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::locks;
use super::prepare::Prepared;
use crate::domain::id::Revision;
use crate::store::{Error, Result};

/// A commit with its waiting caller.
pub(super) struct Request {
    pub(super) commit: Prepared,
    pub(super) answer: oneshot::Sender<Result<Revision>>,
    /// Its share of the memory that waiting commits may take, which is what bounds the queue.
    pub(super) _memory: OwnedSemaphorePermit,
}

/// Commits in the order in which they came. Whoever gathers a group, one thread at a time, waits here for more of them, or
/// for the disk.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    is_disk_busy: bool,
    is_closed: bool,
}

impl Queue {
    /// Adds a commit.
    ///
    /// # Errors
    /// [`Error::Closed`] once the store is being closed; whatever was added before is still answered.
    pub(super) fn send(&self, request: Request) -> Result<()> {
        let mut state = locks::lock(&self.state);
        if state.is_closed {
            return Err(Error::Closed);
        }
        state.requests.push_back(request);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes no more commits.
    pub(super) fn close(&self) {
        locks::lock(&self.state).is_closed = true;
        self.changed.notify_one();
    }

    /// Waits for the first commit of a group; `None` once there will be none.
    pub(super) fn first(&self) -> Option<Request> {
        let idle = |state: &mut State| state.requests.is_empty() && !state.is_closed;
        self.take_after(idle)
    }

    /// A further commit for a group: one that waits, or that comes while a group before is on its way to the disk.
    pub(super) fn next(&self) -> Option<Request> {
        let early = |state: &mut State| state.requests.is_empty() && state.is_disk_busy && !state.is_closed;
        self.take_after(early)
    }

    /// Whether nobody waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        locks::lock(&self.state).requests.is_empty()
    }

    /// Says whether a group is on its way to the disk.
    pub(super) fn set_disk_busy(&self, is_busy: bool) {
        locks::lock(&self.state).is_disk_busy = is_busy;
        if !is_busy {
            self.changed.notify_one();
        }
    }

    fn take_after(&self, waits: impl FnMut(&mut State) -> bool) -> Option<Request> {
        let state = self.changed.wait_while(locks::lock(&self.state), waits);
        state.unwrap_or_else(std::sync::PoisonError::into_inner).requests.pop_front()
    }
}
