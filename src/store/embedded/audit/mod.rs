//! The audit log as files: a chain of batches that is only ever added to.
//!
//! ```text
//! audit/00000000000000000001.audit    named by the number of the first entry in it
//!   head    what it is, its format, a checksum; the store, and the hash of the batch before the file
//!   batch   length, checksum; the hash of the batch before, the number of its first entry, the entries
//!   batch   …
//! audit/LAST                          the last entry that is durable, and the hash of its batch
//! ```
//!
//! The hash of a batch is that of its bytes, which begin with the hash before: whoever changes, removes or inserts one
//! has to write anew everything behind it, `LAST` included. `LAST` is what a batch that was acknowledged and is missing is
//! told by; it is written behind each batch, so that it may be late and is never early.

mod batch;
mod end;
mod log;
mod names;

pub(super) use batch::{Fault, Framed, Frames, Head};
pub(super) use end::Last;
pub(super) use log::Log;
pub(super) use names::{extents, first, last, list};

/// Where the files lie in a data directory.
pub(super) const DIRECTORY: &str = "audit";
