//! The index: everything that can be rebuilt from the journal. The only place that names sled.
//!
//! Three layers, newest first: what commits wrote lately (`active`), what is being written to sled (`frozen`), and
//! sled, with a cache before it. A layer goes to sled as one atomic batch together with the revision that it brings the
//! index to, so that sled always holds the state after some commit, whenever the process dies.

mod cache;
mod checkpoint_request;
mod compactor;
mod compare;
mod disk;
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
