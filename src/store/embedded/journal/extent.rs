//! How much of each segment the commits up to one take.

use std::fs;
use std::path::Path;

use super::frames::Frames;
use super::segment;
use crate::domain::id::Revision;
use crate::store::Result;
use crate::store::embedded::files::{damaged, failed};

/// The beginning of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::embedded) struct Extent {
    /// The name of the segment's file.
    pub(in crate::store::embedded) name: String,
    /// Up to here it holds nothing but commits that were asked for.
    pub(in crate::store::embedded) bytes: u64,
}

/// What a journal of the commits up to `last` consists of. `last` is durable; the writer may go on behind it.
pub(in crate::store::embedded) fn extents(directory: &Path, last: Revision) -> Result<Vec<Extent>> {
    let mut segments = segment::names(directory)?;
    // The first segment belongs to a journal that holds no commit yet as well.
    segments.retain(|first| *first <= last.max(Revision(1)));
    let newest = segments.last().copied();
    let extent = |first: Revision| {
        // A segment is full, and changes no more, once there is one behind it.
        let bytes = if Some(first) == newest { end_of(directory, first, last)? } else { length(directory, first)? };
        Ok(Extent { name: segment::file_name(first), bytes })
    };
    segments.into_iter().map(extent).collect()
}

fn length(directory: &Path, first: Revision) -> Result<u64> {
    let path = segment::path(directory, first);
    Ok(fs::metadata(&path).map_err(failed("reading", &path))?.len())
}

/// Where in the segment that begins with `first` the frame of `last` ends.
fn end_of(directory: &Path, first: Revision, last: Revision) -> Result<u64> {
    let mut frames = Frames::open(directory, first)?;
    let mut next = first;
    while next <= last {
        let Some(frame) = frames.next()? else {
            return Err(damaged(&frames.path, frames.bytes, "commits are missing at the end of the segment"));
        };
        let raw = frame.map_err(|what| damaged(&frames.path, frames.offset, what))?;
        super::open::check_sequence(&frames.path, raw.offset, next, raw.header.revision)?;
        next.0 += 1;
    }
    Ok(frames.offset)
}
