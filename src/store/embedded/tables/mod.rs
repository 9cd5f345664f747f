//! What the index has on disk, as sorted tables.
//!
//! One entry in sled for each profile, identifier and event would cost more than everything else together: sled copies
//! the neighbours of what is inserted, in a store of a million profiles it has to read them first, and its files are
//! twice as large as what they hold. So what a flush brings is written as one sorted *table* of blocks, a file that
//! never changes, and sled only holds which tables there are. In memory a table has the first key of each block and a
//! small filter of all keys, so that a table that does not have a key is hardly ever read for it. Tables of similar size
//! are merged, so that there are few of them. This is a log-structured merge tree (O'Neil et al. 1996) with size tiers.
//!
//! There are two families of tables: the entries that readers ask for, and the events that were accepted within the
//! idempotency window. Of the latter, a table whose newest event left the window is dropped as a whole.

mod block;
mod filter;
mod guide;
mod load;
mod merge;
mod scan;
mod table;
#[expect(clippy::module_inception, reason = "all tables of a family")]
mod tables;
#[cfg(test)]
pub(super) mod tests;
mod writer;

pub(super) use load::{load, remove_leftovers};
pub(super) use merge::{Merge, STEP_BYTES, Step};
pub(super) use scan::Scan;
pub(super) use table::AtOnce;
pub(super) use tables::{Addition, Garbage, Tables};
pub(super) use writer::Writer;
