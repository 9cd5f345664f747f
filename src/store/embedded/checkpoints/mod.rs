//! Checkpoints: the whole index as it was after one commit, in one file, so that an index that is lost need not be made
//! of the journal from its beginning.
//!
//! ```text
//! checkpoints/00000000000000001234.checkpoint    named by the commit whose state it is
//!   header   magic, format, store id, commit, checksum
//!   block …  length, checksum, entries; an entry = length of the key, length of the value, key, value
//!   end      a block of length 0, the number of entries, checksum
//! ```
//!
//! A checkpoint is written beside the work of the store, gets its name once it is whole and durable, and never changes
//! then. The two latest are kept: where one is damaged, the other one leads to the same state. It holds the entries as
//! the index has them, in no order that matters.

mod check;
mod file;
mod shelf;

pub(super) use check::check;
pub(super) use file::{Reader, Writer};
pub(super) use shelf::{DIRECTORY, KEPT, Shelf, list, revision};
