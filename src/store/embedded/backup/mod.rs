//! Backups: copies of everything that the journal cannot rebuild, made while the store is open, and brought back.
//!
//! ```text
//! BACKUP            what belongs to the backup: each file with its length and digest; written last
//! UNFINISHED        instead of it, while the first backup into a directory is under way
//! MANIFEST, journal/…, artifacts/…, audit/…, checkpoints/…    as in a data directory; the index is never among them
//! ```
//!
//! A segment only ever grows, and what is longer than `BACKUP` says is still good for it. So a later backup into the
//! same directory appends to the last segment and adds further files, and the earlier backup stays valid until the new
//! `BACKUP` takes its place.

mod contents;
mod copy;
mod create;
mod online;
mod place;
mod record;
mod restore;
mod turn;

pub(super) use record::decode as decode_record;
pub use restore::{Restored, restore};
pub(super) use turn::Turn;
