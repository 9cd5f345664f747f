//! The embedded adapter: an append-only journal that is the truth, and an index over it that can be thrown away.
//!
//! One way through a commit, and one file for each step of it:
//!
//! ```text
//! commit ─► prepare (caller's thread: encode) ─► committer (one thread: check, place, group, ONE write, ONE fdatasync)
//!                                                   │
//!             reads ◄── index: layers in memory ◄───┘   then the callers are answered
//!                              │  flusher (one thread: ONE atomic sled batch for many commits)
//!                              ▼
//!                            sled, which may be deleted: recovery replays the journal
//! ```
//!
//! - `journal`: segments, frames, and where a torn write ends and damage begins.
//! - `index`: what can be rebuilt; layers in memory over sled. The only place that names sled.
//! - `seen`: which events were accepted within the idempotency window, in sorted runs.
//! - `files`: the one place that changes the store's own files, each step told to `steps`.
//! - `effects` and `changes`: what a commit does to the index; live commits and replay go through the same function.

mod artifacts;
mod changes;
mod codec;
mod committer;
mod effects;
mod entry;
mod files;
mod index;
mod journal;
mod locks;
mod manifest;
mod options;
mod preconditions;
mod prepare;
mod reads;
mod recovery;
mod seen;
mod stage;
mod status;
mod steps;
mod store;
#[cfg(test)]
mod tests;
mod timeline;
mod writes;

pub use options::Options;
pub use status::Statistics;
pub use store::EmbeddedStore;
