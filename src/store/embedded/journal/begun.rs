//! How much of a journal's beginning is not needed any more.

use std::path::{Path, PathBuf};

use super::frames::Frames;
use super::segment;
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::store::Result;
use crate::store::embedded::files::damaged;

/// Where a journal could begin, as its first segment says it, and what would go.
#[derive(Debug)]
pub(in crate::store::embedded) struct Begun {
    pub(in crate::store::embedded) first: Revision,
    pub(in crate::store::embedded) previous_first: Revision,
    pub(in crate::store::embedded) previous_bytes: u64,
    /// The files of the segments before, the oldest first.
    pub(in crate::store::embedded) dropped: Vec<PathBuf>,
}

/// The beginning behind those segments of a journal, which begins with `oldest`, that hold only commits up to `last`,
/// all accepted before a time; `None` where there is no such segment. The newest segment always stays.
pub(in crate::store::embedded) fn begin_behind(
    directory: &Path,
    oldest: Revision,
    (last, before): (Revision, Timestamp),
) -> Result<Option<Begun>> {
    let mut segments = segment::names(directory)?;
    segments.retain(|first| *first >= oldest);
    let (mut next, mut dropped) = (None, Vec::new());
    for pair in segments.windows(2) {
        // A segment is named by its first commit.
        if pair[1].0 > last.0 + 1 || !is_older(directory, pair[0], before)? {
            break;
        }
        dropped.push(segment::path(directory, pair[0]));
        next = Some(pair[1]);
    }
    let Some(first) = next else { return Ok(None) };
    let header = Frames::open(directory, first)?.header;
    let (previous_first, previous_bytes) = (header.previous_first, header.previous_bytes);
    Ok(Some(Begun { first, previous_first, previous_bytes, dropped }))
}

/// Whether all commits of a segment were accepted before a time.
fn is_older(directory: &Path, first: Revision, before: Timestamp) -> Result<bool> {
    let mut frames = Frames::open(directory, first)?;
    while let Some(frame) = frames.next()? {
        let raw = frame.map_err(|what| damaged(&frames.path, frames.offset, what))?;
        if raw.time().is_none_or(|time| time >= before) {
            return Ok(false);
        }
    }
    Ok(true)
}
