//! Brings commits to the journal: many of them at once, and the next ones while the last ones are on their way.
//!
//! A group of commits passes three stations, one after the other: it is *gathered* (each commit is checked, and placed
//! behind the others), *written* (one write, one sync) and *published* (made visible, and its callers answered). A few
//! equal threads lead one group each through all of them. Nobody overtakes: a station is a lock, and whoever holds one
//! lets go of it only once the next one is theirs. So the disk is never idle while commits wait, and a caller that is
//! alone waits for one thread only, whichever is at the first station.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use super::changes::{Placed, changes};
use super::index::Index;
use super::journal::{Course, Group, Segments, Trail, Writer};
use super::locks;
use super::preconditions::{self, Memory};
use super::prepare::Prepared;
use super::queue::{Queue, Request};
use super::recent::Recent;
use super::space::Space;
use super::stage::{Stage, Staged};
use super::status::Status;
use crate::domain::id::Revision;
use crate::store::{Error, Result};

/// Threads: one for each station.
const THREADS: usize = 3;
/// Bytes from which a group takes no further commit: enough to keep a disk busy, and little enough that readers do not
/// wait long while the group becomes visible.
const GROUP_BYTES: usize = 2 << 20;
/// Commits of one group.
const GROUP_COMMITS: usize = 1_024;

/// Takes commits as they come, makes all that wait durable at once, and answers them.
pub(super) struct Committer {
    queue: Arc<Queue>,
    parts: Parts,
    gathering: Mutex<Gathering>,
    writing: Mutex<Writing>,
    publishing: Mutex<Publishing>,
    /// Whether a group failed at the second station, for the first one, which cannot wait for the second to ask.
    is_off_course: AtomicBool,
}

/// What a committer works with.
pub(super) struct Parts {
    pub(super) index: Arc<Index>,
    pub(super) segments: Arc<Segments>,
    pub(super) trail: Arc<Trail>,
    pub(super) space: Arc<Space>,
    pub(super) status: Arc<Status>,
    pub(super) window: Duration,
}

/// The first station.
struct Gathering {
    /// Where the next group will lie.
    course: Course,
    /// Groups ahead that may not be visible yet, oldest first.
    ahead: Vec<Arc<Staged>>,
    recent: Recent,
}

/// The second station.
struct Writing {
    writer: Writer,
    /// Why a group was not written, until what was gathered behind it is gone too.
    failure: Option<Error>,
}

/// The third station.
struct Publishing {
    /// The last commit that was published. Those behind it follow without a gap, or not at all.
    last: Revision,
}

/// A group on its way.
struct Convoy {
    group: Group,
    staged: Arc<Staged>,
    waiting: Vec<Waiting>,
}

/// A caller who is answered at the last station, where everything that the answer rests on can be read: who collided
/// with a commit of a group ahead finds it when they look again.
struct Waiting {
    answer: oneshot::Sender<Result<Revision>>,
    outcome: Result<Revision>,
}

/// Puts a committer to work. The threads end once its queue is closed and empty.
pub(super) fn start(committer: Committer) -> Result<Vec<JoinHandle<()>>> {
    let committer = Arc::new(committer);
    let thread = |number| {
        let committer = Arc::clone(&committer);
        let thread = thread::Builder::new().name(format!("committer-{number}")).spawn(move || committer.run());
        thread.map_err(|cause| Error::Io { action: "starting a thread".to_owned(), cause })
    };
    let threads: Result<Vec<_>> = (1..=THREADS).map(thread).collect();
    if threads.is_err() {
        committer.queue.close();
    }
    threads
}

impl Committer {
    pub(super) fn new(queue: Arc<Queue>, writer: Writer, parts: Parts) -> Self {
        let (course, last) = (writer.course(), parts.status.revision());
        Self {
            queue,
            parts,
            gathering: Mutex::new(Gathering { course, ahead: Vec::new(), recent: Recent::default() }),
            writing: Mutex::new(Writing { writer, failure: None }),
            publishing: Mutex::new(Publishing { last }),
            is_off_course: AtomicBool::new(false),
        }
    }

    /// Leads one group after the other, until no commit can come any more. Each of the threads runs this.
    fn run(&self) {
        // Whoever waits for a group whose thread panicked learns that nobody knows what became of it.
        while catch_unwind(AssertUnwindSafe(|| self.lead())).unwrap_or_else(|_| {
            self.parts.status.poison("the committer panicked".to_owned());
            self.queue.set_disk_busy(false);
            true
        }) {}
    }

    /// Leads one group through the stations. False where there is none any more.
    fn lead(&self) -> bool {
        let mut gathering = locks::lock(&self.gathering);
        let Some(first) = self.queue.first() else { return false };
        let mut convoy = self.gather(&mut gathering, first);
        let mut writing = locks::lock(&self.writing);
        self.queue.set_disk_busy(true);
        if let Some(failure) = writing.failure.take() {
            convoy.fail(&failure);
            self.return_to_course(&mut gathering, &mut writing);
        }
        drop(gathering);
        self.write(&mut writing, &mut convoy);
        let publishing = locks::lock(&self.publishing);
        drop(writing);
        self.queue.set_disk_busy(false);
        self.publish(publishing, convoy);
        true
    }

    /// Checks commits as they come, until the disk is free or the group is full.
    fn gather(&self, gathering: &mut Gathering, first: Request) -> Convoy {
        let possible = self.begin(gathering);
        let mut group = gathering.course.begin();
        let mut waiting = Vec::new();
        let mut next = Some(first);
        let mut stage = Stage::new(&self.parts.index, &gathering.ahead);
        while let Some(Request { commit, answer, _memory }) = next {
            let outcome = match &possible {
                Ok(()) => self.parts.admit(commit, &mut stage, (&mut group, &mut gathering.recent)),
                Err(error) => Err(same(error)),
            };
            waiting.push(Waiting { answer, outcome });
            let has_room = group.bytes() < GROUP_BYTES && waiting.len() < GROUP_COMMITS;
            next = if has_room { self.queue.next() } else { None };
        }
        let staged = Arc::new(stage.into_staged());
        gathering.course.pass(&group);
        gathering.ahead.push(Arc::clone(&staged));
        Convoy { group, staged, waiting }
    }

    /// Waits until there is room for a group, in memory and on disk.
    fn begin(&self, gathering: &mut Gathering) -> Result<()> {
        let Parts { index, space, status, .. } = &self.parts;
        if self.is_off_course.load(Ordering::Acquire) {
            self.return_to_course(gathering, &mut locks::lock(&self.writing));
        }
        let visible = index.meta().applied;
        gathering.ahead.retain(|staged| staged.applied() > visible);
        index.wait_for_room(|| space.check_with(index).is_ok());
        status.check()?;
        space.check_with(index)
    }

    /// Goes on behind what is durable: what was gathered behind a group that failed is void.
    fn return_to_course(&self, gathering: &mut Gathering, writing: &mut Writing) {
        gathering.course = writing.writer.course();
        gathering.ahead.retain(|staged| staged.applied() < gathering.course.next());
        writing.failure = None;
        self.is_off_course.store(false, Ordering::Release);
    }

    fn write(&self, writing: &mut Writing, convoy: &mut Convoy) {
        if convoy.group.last().is_none() {
            return;
        }
        match writing.writer.append(&convoy.group) {
            Ok(()) => self.parts.status.count_group(convoy.group.bytes()),
            Err(error) => {
                let error = self.parts.judge(error);
                convoy.fail(&error);
                writing.failure = Some(error);
                self.is_off_course.store(true, Ordering::Release);
            }
        }
    }

    /// Durable: now it may be seen, and only then acknowledged.
    fn publish(&self, mut publishing: MutexGuard<'_, Publishing>, mut convoy: Convoy) {
        let Convoy { group, staged, .. } = &convoy;
        if let Some(last) = group.last() {
            if publishing.last == group.before() {
                self.parts.index.publish(staged.change());
                self.parts.trail.note(group);
                self.parts.status.set_revision(last);
                publishing.last = last;
            } else {
                // The thread of a group before this one panicked behind the disk.
                convoy.fail(&Error::Poisoned("a group before this one was not published".to_owned()));
            }
        }
        // A caller that left needs no answer.
        convoy.waiting.into_iter().for_each(|caller| drop(caller.answer.send(caller.outcome)));
    }
}

impl Parts {
    /// Adds one commit to the group, or refuses it alone.
    fn admit(
        &self,
        commit: Prepared,
        stage: &mut Stage<'_>,
        (group, recent): (&mut Group, &mut Recent),
    ) -> Result<Revision> {
        let now = self.index.meta().time.max(commit.time);
        let memory = Memory { segments: &self.segments, window: self.window, now };
        for condition in &commit.preconditions {
            let is_unchanged = |since| recent.is_unchanged(since, &commit.workspace, condition);
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
        recent.add(&change);
        stage.add(change);
        Ok(placed.revision)
    }

    /// What callers are told of a write that failed. Unless it was for lack of room, it is the last one that was tried.
    fn judge(&self, error: Error) -> Error {
        if matches!(error, Error::DiskFull(_)) {
            return error;
        }
        self.status.poison(error.to_string());
        Error::Poisoned(error.to_string())
    }
}

impl Convoy {
    /// Nothing of the group is accepted.
    fn fail(&mut self, error: &Error) {
        self.group.clear();
        for caller in self.waiting.iter_mut().filter(|caller| caller.outcome.is_ok()) {
            caller.outcome = Err(same(error));
        }
    }
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
    use crate::store::embedded::index::{Opened, Source, keys};
    use crate::store::embedded::journal::{
        self,
        tests::{Fails, Gate},
    };
    use crate::store::embedded::manifest::Manifest;
    use crate::store::embedded::options::DiskLimits;
    use crate::store::{Commit, Precondition};

    fn commit() -> Prepared {
        commit_where(Vec::new())
    }

    fn commit_where(preconditions: Vec<Precondition>) -> Prepared {
        let facts = vec![Fact::Document(Document::Settings(Settings::default()))];
        let (workspace, time) = (WorkspaceId::default_workspace(), Timestamp::from_micros(0));
        let (projection, read_at) = (Projection::default(), None);
        Prepared::new(Commit { workspace, time, preconditions, read_at, facts, projection }).expect("encodable")
    }

    /// A committer at work on a disk that fails.
    struct Fixture {
        queue: Arc<Queue>,
        threads: Vec<JoinHandle<()>>,
        index: Arc<Index>,
        status: Arc<Status>,
        _directory: tempfile::TempDir,
    }

    impl Fixture {
        fn start(fails: Fails, disk: DiskLimits) -> Self {
            Self::start_with(journal::tests::failing_writer(fails), disk)
        }

        fn start_with(writer: Writer, disk: DiskLimits) -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let journal = journal::open(directory.path(), &Manifest::new([3; 16])).expect("a journal");
            let status = Arc::new(Status::default());
            let index = Arc::new(Index::new(Opened::temporary([3; 16]), Arc::clone(&status)));
            let queue = Arc::new(Queue::default());
            let parts = Parts {
                index: Arc::clone(&index),
                segments: journal.segments(),
                trail: Arc::new(journal.trail()),
                space: Arc::new(Space::new(directory.path(), disk)),
                status: Arc::clone(&status),
                window: Duration::from_secs(1),
            };
            let threads = start(Committer::new(Arc::clone(&queue), writer, parts)).expect("threads");
            Self { queue, threads, index, status, _directory: directory }
        }

        fn send(&self, commit: Prepared) -> oneshot::Receiver<Result<Revision>> {
            let (answer, answered) = oneshot::channel();
            let share = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("free");
            self.queue.send(Request { commit, answer, _memory: share }).expect("the committer listens");
            answered
        }

        fn commit(&self) -> Result<Revision> {
            self.send(commit()).blocking_recv().expect("answered")
        }

        /// The last durable commit, once the committer has ended, and whether reads see it.
        fn end(self) -> (Revision, bool) {
            self.queue.close();
            self.threads.into_iter().for_each(|thread| thread.join().expect("ends"));
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

    /// The precondition that the settings were last changed by this commit.
    fn settings_of(revision: Option<Revision>) -> Vec<Precondition> {
        vec![Precondition::Document(DocumentKey::settings(), revision)]
    }

    /// A committer whose first group is on its way to the disk, and what answers its caller.
    fn busy() -> (Fixture, Gate, oneshot::Receiver<Result<Revision>>) {
        let (writer, gate) = journal::tests::gated_writer();
        let fixture = Fixture::start_with(writer, DiskLimits::default());
        let first = fixture.send(commit_where(settings_of(None)));
        gate.reached();
        (fixture, gate, first)
    }

    #[test]
    fn commits_are_checked_against_the_group_on_its_way_and_answered_after_it() {
        let (fixture, gate, first) = busy();
        let mut stale = fixture.send(commit_where(settings_of(None)));
        let next = fixture.send(commit_where(settings_of(Some(Revision(1)))));
        while !fixture.queue.is_empty() {
            std::thread::yield_now();
        }
        assert!(stale.try_recv().is_err(), "what it collided with cannot be read yet");
        gate.pass();
        assert_eq!(first.blocking_recv().expect("answered").expect("durable"), Revision(1));
        gate.reached();
        gate.pass();
        assert!(matches!(stale.blocking_recv().expect("answered"), Err(Error::Conflict)));
        assert_eq!(next.blocking_recv().expect("answered").expect("durable"), Revision(2));
        assert_eq!(fixture.end(), (Revision(2), true));
    }

    #[test]
    fn what_was_gathered_behind_a_group_that_found_no_room_is_refused_with_it() {
        let (fixture, gate, first) = busy();
        let behind = fixture.send(commit_where(settings_of(Some(Revision(1)))));
        while !fixture.queue.is_empty() {
            std::thread::yield_now();
        }
        gate.fail();
        for refused in [first, behind] {
            let refused = refused.blocking_recv().expect("answered");
            assert!(matches!(refused, Err(Error::DiskFull(_))), "{refused:?}");
        }
        for revision in [1, 2] {
            let expected = Some(Revision(revision - 1)).filter(|before| before.0 > 0);
            let again = fixture.send(commit_where(settings_of(expected)));
            gate.reached();
            gate.pass();
            assert_eq!(again.blocking_recv().expect("answered").expect("durable"), Revision(revision));
        }
        assert_eq!(fixture.end(), (Revision(2), true));
    }
}
