//! What is done to files, step by step, for tests that cut the power between any two steps.
//!
//! A change is told before it is begun and a sync after it has returned: whoever stops listening in between has heard
//! of every change that may be on disk, and of no sync that may not have been. In a server nobody listens.

use std::path::Path;

/// A change of a file or of its name, or the end of a sync.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "only tests look at what is told"))]
pub(super) enum Step<'a> {
    /// A directory gets its name.
    MakeDirectory(&'a Path),
    /// A file gets its name, or loses its content where it has it already.
    Create(&'a Path),
    Write {
        path: &'a Path,
        offset: u64,
        bytes: &'a [u8],
    },
    SetLength {
        path: &'a Path,
        bytes: u64,
    },
    Rename {
        from: &'a Path,
        to: &'a Path,
    },
    Remove(&'a Path),
    /// The content of a file is durable.
    Sync(&'a Path),
    /// The names in a directory are durable.
    SyncDirectory(&'a Path),
}

#[cfg(test)]
pub(super) use super::tests::faults::recorder::tell;

/// Tells nobody.
#[cfg(not(test))]
pub(super) fn tell(_: &Step<'_>) {}
