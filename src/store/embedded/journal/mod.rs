//! The journal: every accepted commit, in order, durable before it is answered. Everything else follows from it.
//!
//! ```text
//! journal/00000000000000000001.journal      named by the first revision in it
//!   segment header   magic, format, store id, first revision, name and length of the segment before, checksum
//!   frame            one commit: header (length, version, flags, key id, revision, group, checksum), payload
//!   frame …          payload = workspace, time, records; a record = length, checksum, one fact, sealed
//! ```
//!
//! Commits that wait at the same time become one *group*: one write and one fdatasync. Each frame says where its group
//! begins, which is how far the segment was durable when the frame was written. So a fault can be told from a torn
//! write: where a frame of a *later* group follows, the bytes were durable once and have been damaged since; where
//! none follows, the write was never acknowledged and is cut off.

mod begun;
mod extent;
mod frame;
mod frames;
mod inspect;
mod open;
mod record;
mod segment;
mod segments;
#[cfg(test)]
pub(super) mod tests;
mod trail;
mod writer;

pub(super) use begun::{Begun, begin_behind};
pub(super) use extent::extents;
pub(super) use frame::{FRAME_BYTES_MAX, PayloadBuilder, read_all as read_frames};
pub(super) use frames::Frame;
pub(super) use inspect::{Fault, Inspected, inspect};
pub(super) use open::{Journal, bytes_after, look, open};
pub(super) use segments::{EventRef, Segments};
pub(super) use trail::{Trail, Wanted};
pub(super) use writer::{Course, Group, Writer};
