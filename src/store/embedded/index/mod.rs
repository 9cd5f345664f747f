//! The index: everything that can be rebuilt from the journal. The only place that names sled.
//!
//! Three layers, newest first: what commits wrote lately (`active`), what is being flushed (`frozen`), and tables, with a
//! cache before them. A layer becomes a table, and sled is told of it in one atomic batch together with the revision that
//! it brings the index to, so that sled always names the state after some commit, whenever the process dies.

mod cache;
mod checkpoint_request;
mod compactor;
mod compare;
mod disk;
mod filling;
mod flusher;
pub(super) mod keys;
mod layers;
mod mark;
mod meta;
mod place;
mod signal;
mod sweep;
mod table_set;

pub(super) use compare::difference;
pub(super) use disk::{Batch, Bytes, Disk};
pub(super) use flusher::{Duties, Flusher};
pub(super) use layers::{Change, Index, Source};
pub(super) use mark::{Mark, Trust};
pub(super) use place::{Found, Opened, discard, find, load, look, newest};
