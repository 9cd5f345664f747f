use std::path::PathBuf;
use std::time::Duration;

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
    /// What sled may use for its cache. Its real memory is several times that.
    pub index_cache_bytes: u64,
    /// For how long an accepted `(source, event_id)` is remembered, by the time of receipt.
    pub idempotency_window: Duration,
    /// Reads that may be on disk at the same time; more of them wait.
    pub concurrent_reads: usize,
}

impl Options {
    /// The defaults for a directory.
    pub fn new(directory: impl Into<PathBuf>, new_store_id: [u8; 16]) -> Self {
        Self {
            directory: directory.into(),
            new_store_id,
            segment_bytes: 64 << 20,
            index_cache_bytes: 64 << 20,
            idempotency_window: limits::IDEMPOTENCY_WINDOW,
            concurrent_reads: 8,
        }
    }
}
