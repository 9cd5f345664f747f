//! Following the journal: its commits in order, from any of them on, while the writer goes on behind the end.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::frames::{Frame, Frames};
use super::open::check_sequence;
use super::segment;
use super::writer::{Group, Place};
use crate::domain::id::{Revision, WorkspaceId};
use crate::store::embedded::files::damaged;
use crate::store::embedded::locks;
use crate::store::embedded::vault::Vault;
use crate::store::{AcceptedCommit, Error, Followed, Result};

/// Bytes of frames after which a read ends, so that its memory is bounded; one frame is read however large it is.
const READ_BYTES: usize = 1 << 20;
/// Bytes of the journal between two places of groups that are remembered.
const STRIDE_BYTES: u64 = 1 << 20;
/// Places of groups that are remembered. Before them, a read finds its way from the beginning of a segment.
const PLACES: usize = 4_096;
/// Ends of reads that are remembered, each for the read that goes on there.
const ENDS: usize = 1_024;

/// The way through the journal's commits.
///
/// Frames have no index: what is remembered are some places at which groups began, and the places at which the latest
/// reads ended. Whoever follows goes on where they ended; whoever comes back after a long time looks through one
/// segment at most.
#[derive(Debug)]
pub(in crate::store::embedded) struct Trail {
    directory: PathBuf,
    vault: Arc<Vault>,
    oldest: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// In the order of their revisions.
    groups: VecDeque<Place>,
    /// In the order of their making.
    ends: VecDeque<Place>,
}

/// Which commits a read is about.
#[derive(Debug, Clone, Copy)]
pub(in crate::store::embedded) struct Wanted {
    /// Those behind this one,
    pub(in crate::store::embedded) after: Revision,
    /// up to this one, which is the last that is durable and that reads see.
    pub(in crate::store::embedded) visible: Revision,
    /// How many of them at most.
    pub(in crate::store::embedded) limit: usize,
}

impl Trail {
    pub(super) fn new(directory: &Path, oldest: Revision, vault: Arc<Vault>) -> Self {
        Self { directory: directory.to_owned(), vault, oldest: AtomicU64::new(oldest.0), known: Mutex::default() }
    }

    /// The first commit of the journal.
    pub(in crate::store::embedded) fn oldest(&self) -> Revision {
        Revision(self.oldest.load(Ordering::Acquire))
    }

    /// Whether the journal still has its first commit.
    pub(in crate::store::embedded) fn is_whole(&self) -> bool {
        self.oldest() <= Revision(1)
    }

    /// The journal begins later now. Called before what was in front is removed.
    pub(in crate::store::embedded) fn begin_with(&self, oldest: Revision) {
        self.oldest.store(oldest.0, Ordering::Release);
    }

    /// Remembers where a group that was made durable begins.
    pub(in crate::store::embedded) fn note(&self, group: &Group) {
        let (place, mut known) = (group.start(), locks::lock(&self.known));
        let near = |last: &Place| last.segment == place.segment && place.offset < last.offset + STRIDE_BYTES;
        if known.groups.back().is_some_and(near) {
            return;
        }
        if known.groups.len() == PLACES {
            known.groups.pop_front();
        }
        known.groups.push_back(place);
    }

    /// Commits of a workspace.
    pub(in crate::store::embedded) fn follow(&self, workspace: &WorkspaceId, wanted: Wanted) -> Result<Followed> {
        let is_forgotten = |oldest: Revision| wanted.after.0 + 1 < oldest.0;
        if is_forgotten(self.oldest()) {
            return Err(Error::Forgotten { oldest: self.oldest() });
        }
        match self.read(workspace, wanted) {
            // What was being read may have been let go of meanwhile.
            Err(_) if is_forgotten(self.oldest()) => Err(Error::Forgotten { oldest: self.oldest() }),
            followed => followed,
        }
    }

    fn read(&self, workspace: &WorkspaceId, wanted: Wanted) -> Result<Followed> {
        let Wanted { after, visible, limit } = wanted;
        let (mut commits, mut bytes) = (Vec::new(), 0);
        if after >= visible || limit == 0 {
            return Ok(Followed { commits, up_to: after });
        }
        let Place { segment, offset, mut next } = self.before(Revision(after.0 + 1))?;
        let mut frames = Frames::open(&self.directory, segment)?;
        frames.offset = offset;
        while next <= visible && commits.len() < limit && bytes < READ_BYTES {
            let Some(frame) = frames.next()? else {
                if frames.header.first == next {
                    return Err(damaged(&frames.path, frames.bytes, "commits are missing at the end of the segment"));
                }
                // A segment is named by its first commit.
                frames = Frames::open(&self.directory, next)?;
                continue;
            };
            let raw = frame.map_err(|what| damaged(&frames.path, frames.offset, what))?;
            check_sequence(&frames.path, raw.offset, next, raw.header.revision)?;
            next.0 += 1;
            if raw.header.revision > after {
                bytes += raw.bytes();
                if raw.is_of(workspace) {
                    commits.push(accepted(frames.decode(&raw, &self.vault)?));
                }
            }
        }
        self.note_end(Place { segment: frames.header.first, offset: frames.offset, next });
        Ok(Followed { commits, up_to: Revision(next.0 - 1) })
    }

    /// A place at or before the frame of a commit, as near as one is known.
    fn before(&self, revision: Revision) -> Result<Place> {
        let known = locks::lock(&self.known);
        if let Some(end) = known.ends.iter().rev().find(|end| end.next == revision) {
            return Ok(*end);
        }
        let group = known.groups.iter().rev().find(|group| group.next <= revision).copied();
        drop(known);
        let first = segment::holding(&self.directory, revision)?;
        let first = first.ok_or_else(|| damaged(&self.directory, 0, "the segment of a commit is missing"))?;
        let start = Place { segment: first, offset: segment::HEADER_BYTES as u64, next: first };
        Ok(group.filter(|group| group.segment == first).unwrap_or(start))
    }

    fn note_end(&self, end: Place) {
        let mut known = locks::lock(&self.known);
        if known.ends.iter().any(|known| known.next == end.next) {
            return;
        }
        if known.ends.len() == ENDS {
            known.ends.pop_front();
        }
        known.ends.push_back(end);
    }
}

fn accepted(frame: Frame) -> AcceptedCommit {
    AcceptedCommit { revision: frame.revision, time: frame.time, facts: frame.facts }
}
