//! Where everything is kept: the port that `app` writes against, and its adapters.
//!
//! The port assumes no single writer: a [`Commit`] names everything that its decision read, and is refused with
//! [`Error::Conflict`] when any of it has changed since. An adapter over a shared SQL database can keep that promise
//! with one transaction per commit, as the embedded one keeps it with one committer, which checks commits in turn.

mod backup;
pub mod embedded;
mod error;
pub mod memory;
mod port;

pub use backup::{BackedUp, BackupRequest, Observer, Progress};
pub use error::{Error, Result};
pub use port::{
    AcceptedCommit, ArtifactStore, AuditLog, AuditPage, AuditQuery, Backups, Commit, CommitReader, CommitStore,
    DocumentReader, Erasures, EventReader, Followed, Forgotten, Memo, Memos, Named, NumberedEntry, Outstanding,
    Precondition, ProfilePage, ProfileReader, Retention, Store, StoredEvent, Versioned,
};
