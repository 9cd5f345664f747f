//! A store that is open: its threads, its order of closing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task;

use super::artifacts::Artifacts;
use super::audit::Log;
use super::backup::Turn;
use super::committer::{self, Schedule};
use super::index::{Index, Source as _};
use super::journal::{self, Segments, Trail};
use super::keep::Keep;
use super::manifest::{self, StoreId};
use super::options::Options;
use super::recovery::{Recovery, Served};
use super::space::Space;
use super::status::{Statistics, Status};
use super::vault::Vault;
use super::{erase, files, locks};
use crate::domain::id::Revision;
use crate::store::{Error, Result};

/// Memory that commits may take which wait for the committer, in KiB, each of them at least one; further callers wait.
const WAITING_KIB: u32 = 64 << 10;

/// The embedded store: a journal, and an index over it.
pub struct EmbeddedStore {
    open: RwLock<Option<Arc<Open>>>,
    reads: Arc<Semaphore>,
    concurrent_reads: u32,
    status: Arc<Status>,
    backups: Turn,
    /// Whose turn it is to forget a customer.
    erasing: tokio::sync::Mutex<()>,
    /// Shared, because it is asked for also once the store is closed.
    trail: Arc<Trail>,
}

/// Everything that ends with the store. The fields are dropped in this order.
pub(super) struct Open {
    directory: PathBuf,
    store: StoreId,
    schedule: Arc<Schedule>,
    committers: Vec<JoinHandle<()>>,
    served: Served,
    space: Arc<Space>,
    segments: Arc<Segments>,
    trail: Arc<Trail>,
    artifacts: Artifacts,
    audit: Log,
    window: Duration,
    memory: WaitingMemory,
    keep: Keep,
    /// Held until everything else is gone.
    _lock: File,
}

/// The memory that waiting commits may take.
#[derive(Clone)]
pub(super) struct WaitingMemory(Arc<Semaphore>);

impl EmbeddedStore {
    /// Opens or makes the store in a directory. Blocks while the index is brought to the end of the journal.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it open. [`Error::Damaged`] and [`Error::Format`] when what was
    /// acknowledged cannot be read; nothing is changed then.
    pub fn open(options: Options) -> Result<Self> {
        let concurrent_reads = u32::try_from(options.concurrent_reads.max(1)).unwrap_or(u32::MAX);
        let reads = Arc::new(Semaphore::new(options.concurrent_reads.max(1)));
        let status = Arc::new(Status::default());
        let open = Open::new(&options, &status)?;
        let trail = Arc::clone(&open.trail);
        let (open, backups) = (RwLock::new(Some(Arc::new(open))), Turn::default());
        Ok(Self { open, reads, concurrent_reads, status, backups, erasing: tokio::sync::Mutex::default(), trail })
    }

    /// What the journal has taken since the store was opened.
    pub fn statistics(&self) -> Statistics {
        self.status.statistics()
    }

    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    /// The status, for work that goes on beside the caller's.
    pub(super) fn shared_status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Whose turn it is to make a backup.
    pub(super) fn backups(&self) -> &Turn {
        &self.backups
    }

    /// Whose turn it is to forget a customer.
    pub(super) fn erasing(&self) -> &tokio::sync::Mutex<()> {
        &self.erasing
    }

    /// The open store. Whoever holds it beyond a read must let go of it when the store closes.
    pub(super) fn opened(&self) -> Result<Arc<Open>> {
        locks::read(&self.open).as_ref().map(Arc::clone).ok_or(Error::Closed)
    }

    pub(super) fn oldest(&self) -> Revision {
        self.trail.oldest()
    }

    /// Whether commits are taken.
    pub(super) fn takes_writes(&self) -> bool {
        let open = locks::read(&self.open).as_ref().map(Arc::clone);
        self.status.check().is_ok() && open.is_some_and(|open| open.space.check_with(open.index()).is_ok())
    }

    /// Where commits go.
    pub(super) fn schedule(&self) -> Result<(Arc<Schedule>, WaitingMemory)> {
        let open = locks::read(&self.open);
        let open = open.as_ref().ok_or(Error::Closed)?;
        Ok((Arc::clone(&open.schedule), open.memory.clone()))
    }

    /// The open store, behind the lock that closing it takes.
    pub(super) fn lock(&self) -> &RwLock<Option<Arc<Open>>> {
        &self.open
    }

    /// Runs something that touches the disk where it may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Open) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(|_| Error::Closed)?;
        let open = self.opened()?;
        let done = task::spawn_blocking(move || {
            let result = work(&open);
            // Closing waits for the permit, and must find the store without other users then.
            drop(open);
            drop(permit);
            result
        });
        done.await.unwrap_or_else(|_| Err(Error::Index("a read ended in a panic".to_owned())))
    }

    /// Closes in order: no new commits, then all that wait, then the index, then the lock.
    pub(super) async fn shut_down(&self) -> Result<()> {
        // A backup is given up, so that nobody has to wait for it; the one before stays valid.
        self.backups.end();
        let open = locks::write(&self.open).take().ok_or(Error::Closed)?;
        self.status.close();
        self.backups.ended().await;
        // Whoever reads now may finish.
        let all = self.reads.acquire_many(self.concurrent_reads).await;
        drop(all);
        self.reads.close();
        let closed = task::spawn_blocking(move || match Arc::into_inner(open) {
            Some(mut open) => open.finish(),
            None => Ok(()),
        });
        closed.await.unwrap_or_else(|_| Err(Error::Index("closing ended in a panic".to_owned())))
    }
}

impl Open {
    fn new(options: &Options, status: &Arc<Status>) -> Result<Self> {
        files::make_directory(&options.directory)?;
        let lock = files::lock_directory(&options.directory)?;
        let manifest = manifest::open(&options.directory, options.new_store_id)?;
        let vault = Arc::new(Vault::open(&options.directory, &options.master_keys)?.sealing(!options.unsealed));
        let mut journal = journal::open(&options.directory.join("journal"), &manifest, Arc::clone(&vault))?;
        let artifacts = Artifacts::new(&options.directory);
        artifacts.sweep()?;
        let audit = Log::open(&options.directory, manifest.store)?;
        let (space, keep) = (Arc::new(Space::new(&options.directory, options.disk)), Keep::default());
        let served = Recovery { options, manifest, vault, status, space: &space, keep: &keep }.recover(&mut journal)?;
        erase::end_what_was_begun(served.index.vault(), &served.index)?;
        status.set_revision(journal.last);
        let segments = journal.segments();
        let trail = Arc::new(journal.trail());
        let parts = committer::Parts {
            index: Arc::clone(&served.index),
            segments: Arc::clone(&segments),
            trail: Arc::clone(&trail),
            space: Arc::clone(&space),
            status: Arc::clone(status),
            window: options.idempotency_window,
        };
        let schedule = Arc::new(Schedule::new(journal.writer(options.segment_bytes)?));
        let committers = committer::start(&schedule, parts)?;
        Ok(Self {
            directory: options.directory.clone(),
            store: manifest.store,
            schedule,
            committers,
            served,
            space,
            segments,
            trail,
            artifacts,
            audit,
            window: options.idempotency_window,
            memory: WaitingMemory(Arc::new(Semaphore::new(WAITING_KIB as usize))),
            keep,
            _lock: lock,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn store(&self) -> StoreId {
        self.store
    }

    /// What whoever removes something holds, so that no backup copies it.
    pub(super) fn keep(&self) -> &Keep {
        &self.keep
    }

    pub(super) fn index(&self) -> &Index {
        &self.served.index
    }

    pub(super) fn space(&self) -> &Space {
        &self.space
    }

    pub(super) fn segments(&self) -> &Segments {
        &self.segments
    }

    pub(super) fn trail(&self) -> &Trail {
        &self.trail
    }

    pub(super) fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }

    pub(super) fn audit(&self) -> &Log {
        &self.audit
    }

    pub(super) fn window(&self) -> Duration {
        self.window
    }

    fn finish(&mut self) -> Result<()> {
        self.schedule.close();
        for committer in self.committers.drain(..) {
            committer.join().map_err(|_| Error::Index("the committer panicked".to_owned()))?;
        }
        self.served.finish()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::warn!(%error, "the store did not close in order; nothing is lost");
        }
    }
}

impl WaitingMemory {
    /// Waits until there is memory for a commit.
    pub(super) async fn acquire(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(WAITING_KIB).min(WAITING_KIB);
        Arc::clone(&self.0).acquire_many_owned(kib).await.map_err(|_| Error::Closed)
    }
}
