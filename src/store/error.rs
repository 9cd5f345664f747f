//! What a store may fail with. Rich for the operator's log, never shown to a caller as it is.

use std::io;

use crate::domain::id::Revision;

/// The result of a store's method.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a store did not do what it was asked.
///
/// No variant carries an identifier's value, a trait or any other personal data.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that the decision read has changed since: read again and decide again. Nothing was written.
    #[error("something that the commit depends on has changed")]
    Conflict,
    /// The commit is larger than one durable unit may be. Nothing was written.
    #[error("the commit has {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// Size of the commit.
        bytes: usize,
        /// Largest size.
        limit: usize,
    },
    /// What was asked for is older than everything that is kept.
    #[error("commits before {oldest} are not kept any more")]
    Forgotten {
        /// The first commit that is kept.
        oldest: Revision,
    },
    /// The store takes no writes now; whether the last one is durable is unknown. Reads go on.
    #[error("the store takes no writes since a write to disk failed: {0}")]
    Poisoned(String),
    /// The disk is full, so that the store takes no writes. Nothing was written; once there is room again, they are taken.
    #[error("the disk of the data directory is full: {0}")]
    DiskFull(String),
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
    /// Another process has the data directory open.
    #[error("the data directory {directory} is in use by another process; stop it first, or choose another directory")]
    InUse {
        /// Which directory.
        directory: String,
    },
    /// Stored bytes are not what was written.
    #[error("{file} is damaged at byte {offset}: {what}")]
    Damaged {
        /// Which file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong, without any of the content.
        what: String,
    },
    /// Stored bytes are of a format that this release does not read.
    #[error("{file} has format {found}; this release reads format {supported}")]
    Format {
        /// Which file.
        file: String,
        /// The format found.
        found: u32,
        /// The format that this release reads.
        supported: u32,
    },
    /// What was asked for cannot be done as it was asked; the sentence says what would be right. Nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// A backup of this store is being made already.
    #[error("a backup is being made already; wait until it is done")]
    BackupRunning,
    /// This adapter cannot do it.
    #[error("{0}")]
    Unsupported(&'static str),
    /// Nobody waits for the work any more.
    #[error("the work was given up before it was done")]
    Abandoned,
    /// The operating system refused.
    #[error("{action}: {cause}")]
    Io {
        /// What was tried.
        action: String,
        /// Why it failed. It is part of the sentence and therefore no source: a chain of sources would say it twice.
        cause: io::Error,
    },
    /// The index refused.
    #[error("index: {0}")]
    Index(String),
}

impl Error {
    /// Whether it is the lack of room on the disk that it tells of.
    pub(super) fn is_lack_of_room(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Io { cause, .. } if full.contains(&cause.kind()))
    }
}
