//! Brings commits to the journal: many of them at once, and the next ones while the last ones are on their way.
//!
//! A group of commits passes three stations, one after the other: it is *gathered* (each commit is checked, and placed
//! behind the others), *written* (one write, one sync) and *published* (made visible, and its callers answered). Each
//! station has one group at a time, so that nobody overtakes. A few equal threads do whatever can be done: one that comes
//! back from the disk goes there again with the next group at once, and another one publishes the last. So the disk is not
//! idle while commits wait, and a caller that is alone waits for one thread only.

mod convoy;
mod gathering;
mod parts;
mod schedule;
#[cfg(test)]
mod tests;
mod threads;

pub(super) use parts::Parts;
pub(super) use schedule::{Request, Schedule};
pub(super) use threads::start;
