//! What a backup is asked for with, and what came of it.

use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::domain::id::Revision;
use crate::domain::time::Timestamp;

/// How far long work has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are done.
    pub bytes_done: u64,
    /// Bytes in all.
    pub bytes_total: u64,
}

/// Is told how far the work has come, from the thread that works. Who breaks ends the work, as if it had failed there.
pub type Observer = Box<dyn FnMut(Progress) -> ControlFlow<()> + Send>;

/// Asks for a backup.
pub struct BackupRequest {
    /// Where it goes: a directory on the machine of the store, missing, empty, or with an earlier backup of this store.
    pub directory: PathBuf,
    /// When it was asked for.
    pub time: Timestamp,
    /// Who follows it.
    pub observer: Observer,
}

/// A backup that is complete, durable and read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackedUp {
    /// The last commit that it holds; it holds all before.
    pub revision: Revision,
    /// When it was asked for.
    pub time: Timestamp,
    /// Files that belong to it.
    pub files: u64,
    /// Bytes that were copied.
    pub bytes_copied: u64,
    /// Bytes that an earlier backup had brought there already.
    pub bytes_reused: u64,
}
