use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::vault::MasterKeys;
use crate::domain::limits;

/// How an [`EmbeddedStore`](super::EmbeddedStore) is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory; made where it is missing.
    pub directory: PathBuf,
    /// Names the store for ever when the directory is new, ignored when it is not. It should be random: it is what
    /// tells an index or a segment of this store from one of another.
    pub new_store_id: [u8; 16],
    /// Size from which a journal segment is full and the next one begins; at most 1 GiB.
    pub segment_bytes: u64,
    /// Bytes of the journal after which the next checkpoint is made; a checkpoint that is larger than that is followed by
    /// the next one after as many bytes as it has.
    pub checkpoint_bytes: u64,
    /// Bytes of memory for profiles that were read or written lately, memos of them and identifiers that were read; what
    /// does not fit is read from disk. What the tables' filters, sled and the allocator take comes on top.
    pub index_cache_bytes: u64,
    /// For how long an accepted `(source, event_id)` is remembered, by the time of receipt.
    pub idempotency_window: Duration,
    /// Told how far the index was brought up while the store is opened, so that a long wait can be shown.
    pub on_replay: OnReplay,
    /// When the disk counts as full.
    pub disk: DiskLimits,
    /// Reads that may be on disk at the same time; more of them wait.
    pub concurrent_reads: usize,
    /// What the key is sealed with under which everything is; none leaves it bare in the data directory.
    pub master_keys: MasterKeys,
    /// Seals nothing, so that a bench can say what sealing costs. A store that was written so opens only so.
    #[doc(hidden)]
    pub unsealed: bool,
}

/// Who is told how much of a checkpoint was loaded, in bytes, and then how many commits were applied to the index again.
#[derive(Clone, Default)]
pub struct OnReplay(Option<Arc<dyn Fn(u64, u64) + Send + Sync>>);

impl OnReplay {
    /// Calls `tell` with how much is done of how much; where both are equal, a piece of work is done.
    pub fn new(tell: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(super) fn tell(&self, done: u64, of: u64) {
        if let Some(tell) = &self.0 {
            tell(done, of);
        }
    }
}

impl fmt::Debug for OnReplay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OnReplay")
    }
}

/// When the disk counts as full. The smaller of the two limits counts.
#[derive(Debug, Clone, Copy)]
pub struct DiskLimits {
    /// Bytes that stay free.
    pub min_free_bytes: u64,
    /// Share of the disk that stays free, from 0 to 1.
    pub min_free_ratio: f64,
    /// Bytes that are kept back, for what must be written although the disk is full; at most a sixteenth of the disk.
    pub reserve_bytes: u64,
}

impl Default for DiskLimits {
    fn default() -> Self {
        Self { min_free_bytes: 1 << 30, min_free_ratio: 0.05, reserve_bytes: 64 << 20 }
    }
}

impl Options {
    /// The defaults for a directory.
    pub fn new(directory: impl Into<PathBuf>, new_store_id: [u8; 16]) -> Self {
        Self {
            directory: directory.into(),
            new_store_id,
            segment_bytes: 64 << 20,
            checkpoint_bytes: 256 << 20,
            index_cache_bytes: 1 << 30,
            idempotency_window: limits::IDEMPOTENCY_WINDOW,
            on_replay: OnReplay::default(),
            disk: DiskLimits::default(),
            concurrent_reads: 8,
            master_keys: MasterKeys::default(),
            unsealed: false,
        }
    }
}
