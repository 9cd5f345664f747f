//! What callers are told, on disks that fail or wait.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::{Parts, Request, Schedule, start};
use crate::domain::fact::{Document, DocumentKey, Fact};
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::projection::Projection;
use crate::domain::settings::Settings;
use crate::domain::time::Timestamp;
use crate::store::embedded::index::{Index, Opened, Source, keys};
use crate::store::embedded::journal::{self, Writer, tests::Fails, tests::Gate};
use crate::store::embedded::manifest::Manifest;
use crate::store::embedded::options::DiskLimits;
use crate::store::embedded::prepare::Prepared;
use crate::store::embedded::space::Space;
use crate::store::embedded::status::Status;
use crate::store::embedded::vault::Vault;
use crate::store::{Commit, Error, Precondition, Result};

fn commit(index: &Index) -> Prepared {
    commit_where(index, Vec::new())
}

fn commit_where(index: &Index, preconditions: Vec<Precondition>) -> Prepared {
    let facts = vec![Fact::Document(Document::Settings(Settings::default()))];
    let (workspace, time) = (WorkspaceId::default_workspace(), Timestamp::from_micros(0));
    let (projection, read_at) = (Projection::default(), None);
    Prepared::new(Commit { workspace, time, preconditions, read_at, facts, projection }, index).expect("encodable")
}

/// A committer at work on a disk that fails.
struct Fixture {
    schedule: Arc<Schedule>,
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
        let journal =
            journal::open(directory.path(), &Manifest::new([3; 16]), Vault::bare().expect("no files are no damage"))
                .expect("a journal");
        let status = Arc::new(Status::default());
        let index = Arc::new(Index::new(
            Opened::temporary([3; 16]),
            Arc::clone(&status),
            Vault::bare().expect("no files are no damage"),
        ));
        let schedule = Arc::new(Schedule::new(writer));
        let parts = Parts {
            index: Arc::clone(&index),
            segments: journal.segments(),
            trail: Arc::new(journal.trail()),
            space: Arc::new(Space::new(directory.path(), disk)),
            status: Arc::clone(&status),
            window: Duration::from_secs(1),
        };
        let threads = start(&schedule, parts).expect("threads");
        Self { schedule, threads, index, status, _directory: directory }
    }

    fn send(&self, commit: Prepared) -> oneshot::Receiver<Result<Revision>> {
        let (answer, answered) = oneshot::channel();
        let share = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("free");
        self.schedule.send(Request { commit, answer, _memory: share }).expect("the committer listens");
        answered
    }

    fn commit(&self) -> Result<Revision> {
        self.send(commit(&self.index)).blocking_recv().expect("answered")
    }

    /// The last durable commit, once the committer has ended, and whether reads see it.
    fn end(self) -> (Revision, bool) {
        self.schedule.close();
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
    let first = fixture.send(commit_where(&fixture.index, settings_of(None)));
    gate.reached();
    (fixture, gate, first)
}

#[test]
fn commits_are_checked_against_the_group_on_its_way_and_answered_after_it() {
    let (fixture, gate, first) = busy();
    let mut stale = fixture.send(commit_where(&fixture.index, settings_of(None)));
    let next = fixture.send(commit_where(&fixture.index, settings_of(Some(Revision(1)))));
    while !fixture.schedule.is_gathered() {
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
    let behind = fixture.send(commit_where(&fixture.index, settings_of(Some(Revision(1)))));
    while !fixture.schedule.is_gathered() {
        std::thread::yield_now();
    }
    gate.fail();
    for refused in [first, behind] {
        let refused = refused.blocking_recv().expect("answered");
        assert!(matches!(refused, Err(Error::DiskFull(_))), "{refused:?}");
    }
    for revision in [1, 2] {
        let expected = Some(Revision(revision - 1)).filter(|before| before.0 > 0);
        let again = fixture.send(commit_where(&fixture.index, settings_of(expected)));
        gate.reached();
        gate.pass();
        assert_eq!(again.blocking_recv().expect("answered").expect("durable"), Revision(revision));
    }
    assert_eq!(fixture.end(), (Revision(2), true));
}
