//! What can be done next, and by whom.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::thread::{self, Thread};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::convoy::Convoy;
use super::gathering::Gathering;
use crate::domain::id::Revision;
use crate::store::embedded::journal::Writer;
use crate::store::embedded::locks;
use crate::store::embedded::prepare::Prepared;
use crate::store::{Error, Result};

/// Commits that are checked in one go. The disk may wait for them, and other callers wait for their answers.
const AT_ONCE: usize = 64;

/// A commit with its waiting caller.
pub(in crate::store::embedded) struct Request {
    pub(in crate::store::embedded) commit: Prepared,
    pub(in crate::store::embedded) answer: oneshot::Sender<Result<Revision>>,
    /// Its share of the memory that waiting commits may take, which is what bounds them.
    pub(in crate::store::embedded) _memory: OwnedSemaphorePermit,
}

/// Commits in the order in which they came, and the stations that they pass.
pub(in crate::store::embedded) struct Schedule(Mutex<State>);

struct State {
    requests: VecDeque<Request>,
    /// Away while somebody gathers.
    gathering: Option<Gathering>,
    /// Away while somebody writes.
    writer: Option<Writer>,
    /// Groups that come from the disk, in their order.
    written: VecDeque<Convoy>,
    is_publishing: bool,
    /// Why the last group was not written, until what was gathered behind it is gone too.
    failure: Option<Error>,
    is_closed: bool,
    is_broken: bool,
    /// Threads that wait for something to do. The one that came last is called first: where commits come one at a time
    /// it is always the same, which the system keeps near its data.
    idle: Vec<Thread>,
    /// Whether one of them was called and has not come yet.
    is_called: bool,
}

/// Something to do.
pub(super) enum Task {
    Gather(Gathering, Vec<Request>),
    Write(Writer, Convoy),
    Publish(VecDeque<Convoy>),
}

/// Something that was done.
pub(super) enum Done {
    Nothing,
    Gathered(Gathering),
    Written(Writer, Convoy, Result<()>),
    Published,
}

impl Schedule {
    /// The stations of a store whose journal goes on with `writer`.
    pub(in crate::store::embedded) fn new(writer: Writer) -> Self {
        let state = State {
            requests: VecDeque::new(),
            gathering: Some(Gathering::new(writer.course())),
            writer: Some(writer),
            written: VecDeque::new(),
            is_publishing: false,
            failure: None,
            is_closed: false,
            is_broken: false,
            idle: Vec::new(),
            is_called: false,
        };
        Self(Mutex::new(state))
    }

    /// Adds a commit.
    ///
    /// # Errors
    /// [`Error::Closed`] once the store is being closed; whatever was added before is still answered.
    /// [`Error::Poisoned`] once the committer has ended for another reason.
    pub(in crate::store::embedded) fn send(&self, request: Request) -> Result<()> {
        let mut state = locks::lock(&self.0);
        if state.is_broken {
            return Err(Error::Poisoned("the committer ended".to_owned()));
        }
        if state.is_closed {
            return Err(Error::Closed);
        }
        state.requests.push_back(request);
        self.call(state);
        Ok(())
    }

    /// Takes no more commits.
    pub(in crate::store::embedded) fn close(&self) {
        let mut state = locks::lock(&self.0);
        state.is_closed = true;
        state.call_everyone();
    }

    /// Gives everything up: nobody knows what became of the commits on their way, and their callers are told so.
    pub(super) fn break_off(&self) {
        let mut state = locks::lock(&self.0);
        state.is_broken = true;
        state.call_everyone();
        let given_up =
            (std::mem::take(&mut state.requests), std::mem::take(&mut state.written), state.gathering.take());
        drop(state);
        drop(given_up);
    }

    /// Takes back what was done, and waits for something to do. `None` once there will be nothing any more.
    pub(super) fn exchange(&self, done: Done) -> Option<Task> {
        let mut state = locks::lock(&self.0);
        state.take_back(done);
        loop {
            if state.is_broken {
                return None;
            }
            if let Some(task) = state.pick() {
                self.call(state);
                return Some(task);
            }
            if state.is_closed && state.requests.is_empty() {
                // Whoever found commits waiting, and nothing to do with them yet, may end now too.
                state.call_everyone();
                return None;
            }
            state = self.wait(state);
            state.is_called = false;
        }
    }

    /// Waits until this thread is called.
    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let own = thread::current();
        state.idle.push(own.clone());
        loop {
            drop(state);
            thread::park();
            state = locks::lock(&self.0);
            // A thread may wake up without having been called.
            if !state.idle.iter().any(|idle| idle.id() == own.id()) {
                return state;
            }
        }
    }

    /// Wakes a thread where there is something to do for one that sleeps. Whoever is awake looks by itself.
    fn call(&self, mut state: MutexGuard<'_, State>) {
        if state.is_called || !state.has_task() {
            return;
        }
        if let Some(thread) = state.idle.pop() {
            state.is_called = true;
            drop(state);
            thread.unpark();
        }
    }
}

impl State {
    fn call_everyone(&mut self) {
        self.idle.drain(..).for_each(|thread| thread.unpark());
    }

    fn take_back(&mut self, done: Done) {
        match done {
            Done::Nothing => {}
            Done::Published => self.is_publishing = false,
            Done::Gathered(gathering) => self.gathering = Some(gathering).filter(|_| !self.is_broken),
            Done::Written(writer, convoy, written) => {
                self.failure = self.failure.take().or(written.err());
                self.writer = Some(writer);
                if !self.is_broken {
                    self.written.push_back(convoy);
                }
            }
        }
        self.return_to_course();
    }

    /// After a failure, what was gathered behind the group that failed is refused with it.
    fn return_to_course(&mut self) {
        if let (Some(gathering), Some(writer)) = (&mut self.gathering, &self.writer)
            && let Some(failure) = self.failure.take()
        {
            self.written.extend(gathering.return_to(writer.course(), &failure));
        }
    }

    fn can_write(&self) -> bool {
        self.writer.is_some() && self.gathering.as_ref().is_some_and(Gathering::is_begun)
    }

    fn can_publish(&self) -> bool {
        !self.is_publishing && !self.written.is_empty()
    }

    fn can_gather(&self) -> bool {
        !self.requests.is_empty() && self.gathering.as_ref().is_some_and(Gathering::has_room)
    }

    fn has_task(&self) -> bool {
        self.can_write() || self.can_publish() || self.can_gather()
    }

    /// The most urgent task: what keeps the disk busy, then what callers wait for.
    fn pick(&mut self) -> Option<Task> {
        if self.can_write() {
            let convoy = self.gathering.as_mut().and_then(Gathering::close)?;
            return Some(Task::Write(self.writer.take()?, convoy));
        }
        if self.can_publish() {
            self.is_publishing = true;
            return Some(Task::Publish(std::mem::take(&mut self.written)));
        }
        if self.can_gather() {
            let some = self.requests.len().min(AT_ONCE);
            return Some(Task::Gather(self.gathering.take()?, self.requests.drain(..some).collect()));
        }
        None
    }
}

#[cfg(test)]
impl Schedule {
    /// Whether every commit that came was checked, and waits behind a group on its way.
    pub(super) fn is_gathered(&self) -> bool {
        let state = locks::lock(&self.0);
        state.requests.is_empty() && state.gathering.as_ref().is_some_and(Gathering::is_begun)
    }
}
