//! Which events were accepted within the idempotency window.
//!
//! One index entry per event would cost more than everything else together, so what a flush brings is written as one
//! sorted *run* of blocks. In memory a run has the first hash and a small filter of each block: an event that is new,
//! as almost all are, is known to be new without reading anything. Runs of similar size are merged, so that there are
//! few of them, and a run whose newest event left the window is dropped as a whole.
//!
//! A hit only says where an event with this hash lies; whoever asks reads the event there and compares.

mod filter;
mod load;
mod merge;
mod run;
mod runs;
#[cfg(test)]
mod tests;

pub(super) use load::load;
pub(super) use merge::{Merge, Step};
pub(super) use runs::{Garbage, Runs};
