//! What all threads of a store know about its condition.

use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::domain::id::Revision;
use crate::store::{Error, Result};

/// The condition of an open store.
#[derive(Debug, Default)]
pub(super) struct Status {
    poison: OnceLock<String>,
    revision: AtomicU64,
    news: watch::Sender<News>,
    groups: AtomicU64,
    bytes: AtomicU64,
}

/// What the journal has taken since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Groups of commits, each written and synced at once.
    pub groups: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

/// What those who wait for commits wait for.
#[derive(Debug, Clone, Copy, Default)]
struct News {
    revision: Revision,
    closed: bool,
}

impl Status {
    /// Ends the taking of commits, for the first reason that anyone gives.
    pub(super) fn poison(&self, reason: String) {
        tracing::error!(reason, "the store takes no more writes");
        let _ = self.poison.set(reason);
    }

    /// Fails once the store is poisoned.
    pub(super) fn check(&self) -> Result<()> {
        match self.poison.get() {
            None => Ok(()),
            Some(reason) => Err(Error::Poisoned(reason.clone())),
        }
    }

    /// The last durable commit.
    pub(super) fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    /// Publishes the last durable commit. Called after its effects can be read.
    pub(super) fn set_revision(&self, revision: Revision) {
        self.revision.store(revision.0, Ordering::Release);
        self.news.send_modify(|news| news.revision = revision);
    }

    /// Waits until a commit after `after` can be read.
    pub(super) async fn committed_after(&self, after: Revision) -> Result<()> {
        let mut news = self.news.subscribe();
        match news.wait_for(|news| news.closed || news.revision > after).await.as_deref() {
            Ok(News { closed: false, .. }) => Ok(()),
            Ok(_) | Err(_) => Err(Error::Closed),
        }
    }

    /// Whether long work should go on: not once the store is being closed.
    pub(super) fn patience(&self) -> ControlFlow<()> {
        if self.news.borrow().closed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Tells those who wait that nothing more will come.
    pub(super) fn close(&self) {
        self.news.send_modify(|news| news.closed = true);
    }

    pub(super) fn count_group(&self, bytes: usize) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn statistics(&self) -> Statistics {
        Statistics { groups: self.groups.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}
