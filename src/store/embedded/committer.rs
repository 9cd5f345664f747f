//! The one thread that writes to the journal.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::changes::{Placed, changes};
use super::index::Index;
use super::journal::{Group, Segments, Trail, Writer};
use super::preconditions::{self, Memory};
use super::prepare::Prepared;
use super::recent::Recent;
use super::space::Space;
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
    pub(super) trail: Arc<Trail>,
    pub(super) space: Arc<Space>,
    pub(super) status: Arc<Status>,
    pub(super) window: Duration,
    pub(super) recent: Recent,
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
            let begun = self.begin();
            let requests = self.gather(first);
            match begun {
                Ok(group) => self.commit(group, requests),
                Err(error) => refuse(requests, &error),
            }
        }
    }

    /// Begins a group once there is room for it, in memory and on disk.
    fn begin(&mut self) -> Result<Group> {
        self.index.wait_for_room(|| self.space.check_with(&self.index).is_ok());
        self.status.check()?;
        self.space.check_with(&self.index)?;
        self.writer.begin().map_err(|error| self.judge(error))
    }

    /// What callers are told of a write that failed. Unless it was for lack of room, it is the last one that was tried.
    fn judge(&self, error: Error) -> Error {
        if matches!(error, Error::DiskFull(_)) {
            return error;
        }
        self.status.poison(error.to_string());
        Error::Poisoned(error.to_string())
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
            let error = self.judge(error);
            waiting.into_iter().for_each(|caller| drop(caller.answer.send(Err(same(&error)))));
            return;
        }
        self.status.count_group(group.bytes());
        // Durable: now it may be seen, and only then acknowledged.
        index.publish(stage.into_change());
        self.trail.note(&group);
        self.status.set_revision(last);
        waiting.into_iter().for_each(|caller| drop(caller.answer.send(Ok(caller.revision))));
    }

    /// Adds one commit to the group, or refuses it alone.
    fn admit(&mut self, commit: Prepared, stage: &mut Stage<'_>, group: &mut Group) -> Result<Revision> {
        let now = self.index.meta().time.max(commit.time);
        let memory = Memory { segments: &self.segments, window: self.window, now };
        for condition in &commit.preconditions {
            let is_unchanged = |since| self.recent.is_unchanged(since, &commit.workspace, condition);
            if commit.read_at.is_some_and(is_unchanged) {
                continue;
            }
            if !preconditions::holds(stage, memory, &commit.workspace, condition)? {
                return Err(Error::Conflict);
            }
        }
        let placed = Placed { revision: group.next(), places: group.places(&commit.records) };
        let change = changes((stage, &self.segments), commit.effects, &placed)?;
        group.push(&commit.payload)?;
        self.recent.add(&change);
        stage.add(change);
        Ok(placed.revision)
    }
}

fn refuse(requests: Vec<Request>, error: &Error) {
    requests.into_iter().for_each(|request| drop(request.answer.send(Err(same(error)))));
}

/// An error for one more caller.
fn same(error: &Error) -> Error {
    match error {
        Error::DiskFull(what) => Error::DiskFull(what.clone()),
        Error::Poisoned(what) => Error::Poisoned(what.clone()),
        other => Error::Poisoned(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;
    use crate::domain::fact::{Document, DocumentKey, Fact};
    use crate::domain::id::WorkspaceId;
    use crate::domain::projection::Projection;
    use crate::domain::settings::Settings;
    use crate::domain::time::Timestamp;
    use crate::store::Commit;
    use crate::store::embedded::index::{Opened, Source, keys};
    use crate::store::embedded::journal::{self, tests::Fails};
    use crate::store::embedded::manifest::Manifest;
    use crate::store::embedded::options::DiskLimits;

    fn commit() -> Prepared {
        let facts = vec![Fact::Document(Document::Settings(Settings::default()))];
        let (workspace, time) = (WorkspaceId::default_workspace(), Timestamp::from_micros(0));
        let (preconditions, projection) = (Vec::new(), Projection::default());
        let read_at = None;
        Prepared::new(Commit { workspace, time, preconditions, read_at, facts, projection }).expect("encodable")
    }

    /// A committer at work on a disk that fails.
    struct Fixture {
        sender: mpsc::Sender<Request>,
        thread: std::thread::JoinHandle<()>,
        index: Arc<Index>,
        status: Arc<Status>,
        _directory: tempfile::TempDir,
    }

    impl Fixture {
        fn start(fails: Fails, disk: DiskLimits) -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let journal = journal::open(directory.path(), &Manifest::new([3; 16])).expect("a journal");
            let status = Arc::new(Status::default());
            let index = Arc::new(Index::new(Opened::temporary([3; 16]), Arc::clone(&status)));
            let (sender, queue) = mpsc::channel(1);
            let committer = Committer {
                queue,
                writer: journal::tests::failing_writer(fails),
                index: Arc::clone(&index),
                segments: journal.segments(),
                trail: Arc::new(journal.trail()),
                space: Arc::new(Space::new(directory.path(), disk)),
                status: Arc::clone(&status),
                window: Duration::from_secs(1),
                recent: Recent::default(),
            };
            let thread = std::thread::spawn(|| committer.run());
            Self { sender, thread, index, status, _directory: directory }
        }

        fn commit(&self) -> Result<Revision> {
            let (answer, answered) = oneshot::channel();
            let share = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("free");
            let sent = self.sender.blocking_send(Request { commit: commit(), answer, _memory: share });
            assert!(sent.is_ok(), "the committer listens");
            answered.blocking_recv().expect("answered")
        }

        /// The last durable commit, once the committer has ended, and whether reads see it.
        fn end(self) -> (Revision, bool) {
            drop(self.sender);
            self.thread.join().expect("ends");
            let key = keys::document(&WorkspaceId::default_workspace(), &DocumentKey::settings());
            (self.status.revision(), self.index.get(&key).expect("readable").is_some())
        }
    }

    #[test]
    fn a_commit_whose_write_or_sync_failed_is_neither_acknowledged_nor_seen_and_no_later_one_is_taken() {
        for fails in [Fails::AtWrite, Fails::AtSync, Fails::ForLackOfRoomAndAtCut] {
            let fixture = Fixture::start(fails, DiskLimits::default());
            for attempt in 0..2 {
                let answer = fixture.commit();
                assert!(matches!(answer, Err(Error::Poisoned(_))), "{fails:?}, attempt {attempt}: {answer:?}");
                assert!(fixture.status.check().is_err(), "{fails:?}, attempt {attempt}");
            }
            assert_eq!(fixture.end(), (Revision(0), false), "{fails:?}: what may not be durable must not be seen");
        }
    }

    #[test]
    fn a_commit_that_found_no_room_is_refused_and_the_next_one_is_taken_without_a_restart() {
        let fixture = Fixture::start(Fails::OnceForLackOfRoom, DiskLimits::default());
        let refused = fixture.commit();
        assert!(matches!(refused, Err(Error::DiskFull(_))), "{refused:?}");
        assert!(fixture.status.check().is_ok(), "nothing is in doubt");
        assert_eq!(fixture.commit().expect("taken"), Revision(1));
        assert_eq!(fixture.end(), (Revision(1), true));
    }

    #[test]
    fn no_commit_is_tried_while_less_is_free_than_is_to_stay_free() {
        let disk = DiskLimits { min_free_bytes: u64::MAX, min_free_ratio: 1.0, reserve_bytes: 0 };
        let fixture = Fixture::start(Fails::Never, disk);
        assert!(matches!(fixture.commit(), Err(Error::DiskFull(_))));
        assert_eq!(fixture.end(), (Revision(0), false));
    }
}
