//! The embedded adapter: an append-only journal that is the truth, and an index over it that can be thrown away.
//!
//! One way through a commit, and one file for each step of it:
//!
//! ```text
//! commit ─► prepare (caller's thread: encode) ─► committer (check, place, group, ONE write, ONE fdatasync)
//!                                                   │
//!             reads ◄── index: layers in memory ◄───┘   then the callers are answered
//!                              │  flusher (one thread: a table of many commits, then ONE atomic sled batch)
//!                              ▼
//!                            tables and sled, which may be deleted: recovery replays the journal
//! ```
//!
//! - `space`: from when on a disk is full, and what is kept back for then.
//! - `journal`: segments, frames, and where a torn write ends and damage begins.
//! - `checkpoints`: the index as it was after one commit, from which a lost one is made again.
//! - `index`: what can be rebuilt; layers in memory over tables. The only place that names sled.
//! - `tables`: sorted tables in files of their own, which are merged as they become many. sled says which there are.
//! - `retention`: letting go of the oldest segments, once two checkpoints have taken their place.
//! - `audit`: the chained log of who did what, which nothing rebuilds.
//! - `backup`: copies of the journal and of what stands beside it, made while the store is open.
//! - `vault`: the keys that records and values are sealed with. `seals` says which customers' keys those are.
//! - `erase`: forgetting a customer, in an order that no crash leaves half done.
//! - `files`: the one place that changes the store's own files, each step told to `steps`.
//! - `effects` and `changes`: what a commit does to the index; live commits and replay go through the same function.

mod artifacts;
mod audit;
mod backup;
mod changes;
mod checkpoints;
mod codec;
mod committer;
mod effects;
mod entry;
mod erase;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod journal;
mod keep;
mod locks;
mod manifest;
mod memos;
mod meter;
mod options;
mod preconditions;
mod prepare;
mod reader;
mod reads;
mod recent;
mod recovery;
mod retention;
mod seals;
mod sheaf;
mod space;
mod stage;
mod status;
mod steps;
mod store;
mod tables;
#[cfg(test)]
mod tests;
mod timeline;
mod vault;
mod verify;
mod writes;

pub use backup::{Restored, restore};
pub use options::{DiskLimits, OnReplay, Options};
pub use status::Statistics;
pub use store::EmbeddedStore;
pub use vault::{MasterKeys, take_over_erasures};
pub use verify::{Finding, Mode, Remedy, Verified, verify};
