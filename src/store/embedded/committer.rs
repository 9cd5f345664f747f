//! The one thread that writes to the journal.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::changes::{Placed, changes};
use super::index::Index;
use super::journal::{Group, Segments, Writer};
use super::preconditions::{self, Memory};
use super::prepare::Prepared;
use super::stage::Stage;
use super::status::Status;
use crate::domain::id::Revision;
use crate::store::{Error, Result};

/// Bytes from which a group takes no further commit: enough to keep a disk busy, and little enough that readers do not
/// wait long while the group becomes visible.
const GROUP_BYTES: usize = 2 << 20;
/// Commits of one group.
const GROUP_COMMITS: usize = 1_024;

/// A commit with its waiting caller.
pub(super) struct Request {
    pub(super) commit: Prepared,
    pub(super) answer: oneshot::Sender<Result<Revision>>,
    /// Its share of the memory that waiting commits may take.
    pub(super) _memory: OwnedSemaphorePermit,
}

/// Takes commits as they come, makes all that wait durable at once, and answers them.
pub(super) struct Committer {
    pub(super) queue: mpsc::Receiver<Request>,
    pub(super) writer: Writer,
    pub(super) index: Arc<Index>,
    pub(super) segments: Arc<Segments>,
    pub(super) status: Arc<Status>,
    pub(super) window: Duration,
}

/// A caller whose commit becomes durable with the group.
struct Waiting {
    answer: oneshot::Sender<Result<Revision>>,
    revision: Revision,
}

impl Committer {
    /// Works until nobody can send any more.
    pub(super) fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            self.index.wait_for_room();
            let requests = self.gather(first);
            if let Err(error) = self.status.check() {
                refuse(requests, &error);
                continue;
            }
            match self.writer.begin() {
                Ok(group) => self.commit(group, requests),
                Err(error) => {
                    self.status.poison(error.to_string());
                    refuse(requests, &error);
                }
            }
        }
    }

    /// The first request with those that wait behind it.
    fn gather(&mut self, first: Request) -> Vec<Request> {
        let mut bytes = first.commit.payload.len();
        let mut requests = vec![first];
        while bytes < GROUP_BYTES && requests.len() < GROUP_COMMITS {
            let Ok(request) = self.queue.try_recv() else { break };
            bytes += request.commit.payload.len();
            requests.push(request);
        }
        requests
    }

    fn commit(&mut self, mut group: Group, requests: Vec<Request>) {
        let mut waiting = Vec::with_capacity(requests.len());
        let index = Arc::clone(&self.index);
        let mut stage = Stage::new(&index);
        for request in requests {
            match self.admit(request.commit, &mut stage, &mut group) {
                Ok(revision) => waiting.push(Waiting { answer: request.answer, revision }),
                // A caller that left needs no answer.
                Err(error) => drop(request.answer.send(Err(error))),
            }
        }
        let Some(last) = waiting.last().map(|waiting| waiting.revision) else { return };
        if let Err(error) = self.writer.append(&group) {
            self.status.poison(error.to_string());
            let reason = error.to_string();
            waiting.into_iter().for_each(|caller| drop(caller.answer.send(Err(Error::Poisoned(reason.clone())))));
            return;
        }
        self.status.count_group(group.bytes());
        // Durable: now it may be seen, and only then acknowledged.
        index.publish(stage.into_change());
        self.status.set_revision(last);
        waiting.into_iter().for_each(|caller| drop(caller.answer.send(Ok(caller.revision))));
    }

    /// Adds one commit to the group, or refuses it alone.
    fn admit(&self, commit: Prepared, stage: &mut Stage<'_>, group: &mut Group) -> Result<Revision> {
        let now = self.index.meta().time.max(commit.time);
        let memory = Memory { segments: &self.segments, window: self.window, now };
        for condition in &commit.preconditions {
            if !preconditions::holds(stage, memory, &commit.workspace, condition)? {
                return Err(Error::Conflict);
            }
        }
        let placed = Placed { revision: group.next(), places: group.places(&commit.records) };
        let change = changes(stage, commit.effects, &placed)?;
        group.push(&commit.payload)?;
        stage.add(change);
        Ok(placed.revision)
    }
}

fn refuse(requests: Vec<Request>, error: &Error) {
    for request in requests {
        drop(request.answer.send(Err(Error::Poisoned(error.to_string()))));
    }
}
