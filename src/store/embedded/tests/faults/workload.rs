//! A history with every kind of write, while somebody listens.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::cases::Random;
use super::disk::{self, Disk, Image};
use super::recorder::{Entry, Recorder};
use crate::domain::fact::Fact;
use crate::domain::id::Revision;
use crate::domain::model::ModelVersion;
use crate::domain::time::Timestamp;
use crate::store::embedded::tests::fixture::{
    acme, at, belongs, commit, copy, decide, event, expire, history, options,
};
use crate::store::embedded::{DiskLimits, EmbeddedStore, Options};
use crate::store::{ArtifactStore, CommitStore, Forgotten, Retention, Store};

/// From this event on, customers are left who have nothing to do with each other, so that many can write at once.
const QUIET_FROM: i64 = 62;
/// Those customers.
const QUIET_OWNERS: std::ops::Range<u8> = 6..12;
/// Events of a commit that takes several writes of the disk.
const LARGE_EVENTS: i64 = 120;
/// Sizes from which a segment is full: one for each commit, a few, one for all.
const SEGMENT_BYTES: [u64; 4] = [1, 2_000, 60_000, u64::MAX];
/// Bytes of the journal after which a checkpoint is due: at once, after a few commits, never.
const CHECKPOINT_BYTES: [u64; 4] = [1, 1, 4_000, u64::MAX];
/// For how long event keys are remembered, so that history can expire beside them: twenty of the events.
pub(super) const WINDOW: Duration = Duration::from_secs(20 * 60);
/// Events that do not expire.
const KEPT_EVENTS: i64 = 25;
/// What is kept back for a full disk, so that its file is among those that come and go.
const RESERVE_BYTES: u64 = 4 << 10;

/// Names of artifacts that come and go.
pub(super) const ARTIFACTS: usize = 3;
/// What each artifact may hold: nothing, or so many bytes of one value.
pub(super) type Artifacts = [BTreeSet<Option<u8>>; ARTIFACTS];
const ARTIFACT_BYTES: usize = 3_000;

/// What there is before a history goes on.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// The store's own files, and what of them is durable.
    pub(super) disk: Disk,
    /// The index, if there is one.
    pub(super) index: Option<PathBuf>,
    /// The facts of every commit that may be there, in their order.
    pub(super) truth: Vec<Vec<Fact>>,
    pub(super) artifacts: Artifacts,
    /// How many commits the last caller was promised.
    pub(super) promised: Revision,
}

/// A history that was listened to.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) start: Start,
    pub(super) entries: Vec<Entry>,
    /// The facts of every commit, in their order.
    pub(super) truth: Vec<Vec<Fact>>,
    /// Indexes as they were at some moments.
    pub(super) indexes: Vec<IndexCopy>,
    /// Where the copies are.
    _copies: TempDir,
}

/// An index at some moment.
#[derive(Debug)]
pub(super) struct IndexCopy {
    /// How much had happened when the copy was finished.
    pub(super) position: usize,
    pub(super) path: PathBuf,
    /// Whether its store had been closed in order.
    pub(super) closed: bool,
}

/// How long a history is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Length {
    pub(super) sessions: usize,
    pub(super) steps: usize,
}

impl Default for Start {
    fn default() -> Self {
        let artifacts = [(); ARTIFACTS].map(|()| BTreeSet::from([None]));
        let (disk, index, truth, promised) = Default::default();
        Self { disk, index, truth, artifacts, promised }
    }
}

/// The options of a store below `root`. Two names deep, so that a directory with a new parent is among the writes.
pub(super) fn options_below(root: &Path, random: &mut Random) -> Options {
    let segment_bytes = SEGMENT_BYTES[random.gen_range(0..SEGMENT_BYTES.len())];
    let checkpoint_bytes = CHECKPOINT_BYTES[random.gen_range(0..CHECKPOINT_BYTES.len())];
    let defaults = options(&root.join(HOME));
    let disk = DiskLimits { reserve_bytes: RESERVE_BYTES, ..defaults.disk };
    Options { segment_bytes, checkpoint_bytes, disk, idempotency_window: WINDOW, ..defaults }
}

/// The store's directory below the one that is listened to.
pub(super) const HOME: &str = "deep/home";

/// Puts the files of an image and an index where a store is to find them.
pub(super) fn lay_out(image: &Image, index: Option<&Path>, root: &Path) {
    disk::write_image(image, root).expect("writable");
    if let Some(index) = index.filter(|_| image.contains_key(&Path::new(HOME).join("index"))) {
        // The mark is among the store's own files, as they are after the cut.
        let target = root.join(HOME).join("index");
        for generation in std::fs::read_dir(index).expect("readable") {
            let generation = generation.expect("readable");
            if generation.path().is_dir() {
                copy(&generation.path(), &target.join(generation.file_name())).expect("copied");
            }
        }
    }
}

/// Plays a history that goes on from `start`.
pub(super) async fn play(start: Start, length: Length, random: &mut Random) -> Recording {
    let (home, copies) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    lay_out(&start.disk.after_kill(), start.index.as_deref(), home.path());
    let recorder = Arc::new(Recorder::start(home.path()));
    let (truth, indexes) = (start.truth.clone(), Vec::new());
    let mut player =
        Player { root: home.path(), copies: copies.path(), recorder, random, truth, indexes, forgotten: None };
    for _ in 0..length.sessions {
        player.session(length.steps).await;
    }
    let Player { recorder, truth, indexes, .. } = player;
    Recording { start, entries: recorder.entries(), truth, indexes, _copies: copies }
}

struct Player<'a> {
    root: &'a Path,
    copies: &'a Path,
    recorder: Arc<Recorder>,
    random: &'a mut Random,
    truth: Vec<Vec<Fact>>,
    indexes: Vec<IndexCopy>,
    /// What expired last.
    forgotten: Option<Forgotten>,
}

impl Player<'_> {
    async fn session(&mut self, steps: usize) {
        let store = Arc::new(EmbeddedStore::open(options_below(self.root, self.random)).expect("opens"));
        // What is there after a start may be answered as a duplicate, which is as good as an acknowledgement.
        let found = store.revision();
        self.truth.truncate(usize::try_from(found.0).expect("small"));
        self.recorder.note(Entry::Acknowledged(found));
        for _ in 0..steps {
            self.step(&store).await;
        }
        self.copy_index(Moment::Open);
        // A store that is only dropped is closed in order as well.
        if self.random.r#gen() {
            store.close().await.expect("closes");
        }
        drop(store);
        self.copy_index(Moment::Closed);
    }

    async fn step(&mut self, store: &Arc<EmbeddedStore>) {
        let next = self.next();
        match self.random.gen_range(0..20) {
            0 if next >= QUIET_FROM => {
                self.commit(store, (next..next + LARGE_EVENTS).map(|n| belongs(1, event(n)))).await
            }
            0..=3 if next >= QUIET_FROM => self.commit_many_at_once(store).await,
            4 | 5 => self.change_artifact(store).await,
            6 => self.copy_index(Moment::Open),
            7..=9 if next > KEPT_EVENTS => self.expire(store, at(next - KEPT_EVENTS)).await,
            _ => self.commit(store, history(next)).await,
        }
    }

    /// The number of the next event.
    fn next(&self) -> i64 {
        let events = self.truth.iter().flatten().filter(|fact| matches!(fact, Fact::Event(_)));
        i64::try_from(events.count()).expect("small")
    }

    async fn commit(&mut self, store: &EmbeddedStore, facts: impl IntoIterator<Item = Fact>) {
        let facts: Vec<Fact> = facts.into_iter().collect();
        self.truth.push(facts.clone());
        let revision = commit(store, facts).await.expect("commits");
        self.recorder.note(Entry::Acknowledged(revision));
        assert_eq!(usize::try_from(revision.0), Ok(self.truth.len()), "commits follow each other");
    }

    /// Lets history expire, or the store let go of what has, for which it has to make a checkpoint at each of two times.
    async fn expire(&mut self, store: &EmbeddedStore, before: Timestamp) {
        let forgotten = match self.forgotten.filter(|_| self.random.gen_bool(0.7)) {
            Some(forgotten) => forgotten,
            None => {
                let facts = expire(store, before).await;
                self.commit(store, facts).await;
                Forgotten { before, by: store.revision() }
            }
        };
        store.forget_commits(forgotten).await.expect("let go");
        self.forgotten = Some(forgotten);
    }

    async fn commit_many_at_once(&mut self, store: &Arc<EmbeddedStore>) {
        let first = self.next();
        let mut commits = JoinSet::new();
        for (number, owner) in (first..).zip(QUIET_OWNERS) {
            let facts = vec![belongs(owner, event(number))];
            let decided = decide(&**store, facts.clone()).await.expect("decided");
            let (store, recorder) = (Arc::clone(store), Arc::clone(&self.recorder));
            commits.spawn(async move {
                let revision = store.commit(decided).await.expect("commits");
                recorder.note(Entry::Acknowledged(revision));
                (revision, facts)
            });
        }
        let mut accepted = commits.join_all().await;
        accepted.sort_by_key(|(revision, _)| *revision);
        self.truth.extend(accepted.into_iter().map(|(_, facts)| facts));
    }

    async fn change_artifact(&mut self, store: &EmbeddedStore) {
        let (number, content) = (self.random.gen_range(0..ARTIFACTS), self.random.r#gen::<Option<u8>>());
        self.recorder.note(Entry::ArtifactBegins(number, content));
        match content {
            Some(value) => store.put_artifact(&acme(), &version(number), vec![value; ARTIFACT_BYTES]).await,
            None => store.remove_artifact(&acme(), &version(number)).await,
        }
        .expect("kept");
        self.recorder.note(Entry::ArtifactEnds(number, content));
    }

    fn copy_index(&mut self, moment: Moment) {
        let path = self.copies.join(self.indexes.len().to_string());
        // Files that sled removes while they are copied are missing from the copy, as they may be after a cut.
        if copy(&self.root.join(HOME).join("index"), &path).is_ok() {
            let closed = matches!(moment, Moment::Closed);
            self.indexes.push(IndexCopy { position: self.recorder.position(), path, closed });
        }
    }
}

/// When an index is copied.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Open,
    Closed,
}

pub(super) fn version(number: usize) -> ModelVersion {
    format!("churn-{}", number + 1).parse().expect("a version")
}

/// What an artifact holds; an error where it is neither nothing nor whole.
pub(super) async fn artifact(store: &EmbeddedStore, number: usize) -> Result<Option<u8>, String> {
    let bytes = store.artifact(&acme(), &version(number)).await.map_err(|error| error.to_string())?;
    let Some(bytes) = bytes else { return Ok(None) };
    let value = bytes.first().copied().unwrap_or_default();
    if bytes == vec![value; ARTIFACT_BYTES] { Ok(Some(value)) } else { Err("an artifact is not whole".to_owned()) }
}
