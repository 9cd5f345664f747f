//! Opening the journal: what is whole, what was torn, what is damaged.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;

use super::frames::{Frame, Frames};
use super::segment;
use super::segments::Segments;
use super::trail::Trail;
use super::writer::Writer;
use crate::domain::id::Revision;
use crate::store::embedded::files::{self, damaged, failed};
use crate::store::embedded::manifest::{Begin, Manifest, StoreId};
use crate::store::embedded::vault::Vault;
use crate::store::{Error, Result};

/// Commits that are decoded before their turn; the largest may take some megabytes each.
const READ_AHEAD: usize = 16;

/// A journal whose end is known, and that was not changed yet.
#[derive(Debug)]
pub(in crate::store::embedded) struct Journal {
    directory: PathBuf,
    vault: Arc<Vault>,
    store: StoreId,
    /// Where it begins.
    pub(in crate::store::embedded) begin: Begin,
    segments: Vec<Revision>,
    /// The last whole commit.
    pub(in crate::store::embedded) last: Revision,
    /// Where the last segment's last whole frame ends.
    end: u64,
    /// What stands behind that end.
    pub(in crate::store::embedded) torn: Option<Torn>,
}

/// A write that did not reach the disk as a whole, as it seems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::embedded) struct Torn {
    pub(in crate::store::embedded) path: PathBuf,
    pub(in crate::store::embedded) offset: u64,
    pub(in crate::store::embedded) what: &'static str,
}

/// Finds the end of the journal in `directory`, which is made where it is missing. A torn tail is only reported:
/// whether it was acknowledged can be known from the index. What was let go of and is still there is removed.
pub(in crate::store::embedded) fn open(directory: &Path, manifest: &Manifest, vault: Arc<Vault>) -> Result<Journal> {
    files::make_directory(directory)?;
    let mut segments = segment::list(directory)?;
    let Begin { first, .. } = manifest.begin;
    if segments.is_empty() && !manifest.begin.is_late() {
        segment::create(directory, &segment::Header { store: manifest.store, first, ..segment::Header::FIRST })?;
        segments.push(first);
    }
    for dropped in segments.extract_if(.., |segment| *segment < first) {
        files::remove(&segment::path(directory, dropped))?;
    }
    // The name of the newest one may be as young as the death of the process that gave it.
    files::sync_directory(directory)?;
    load(directory, manifest, segments, vault)
}

/// Finds the end of a journal that is there, and changes nothing.
pub(in crate::store::embedded) fn look(directory: &Path, manifest: &Manifest, vault: Arc<Vault>) -> Result<Journal> {
    let mut segments = segment::names(directory)?;
    segments.retain(|first| *first >= manifest.begin.first);
    load(directory, manifest, segments, vault)
}

fn load(directory: &Path, manifest: &Manifest, segments: Vec<Revision>, vault: Arc<Vault>) -> Result<Journal> {
    let Manifest { store, begin } = *manifest;
    check_chain(directory, manifest, &segments)?;
    let newest = segments.last().copied().unwrap_or(begin.first);
    let (last, end, torn) = find_end(&mut Frames::open(directory, newest)?)?;
    Ok(Journal { directory: directory.to_owned(), vault, store, begin, segments, last, end, torn })
}

impl Journal {
    /// Where the last whole frame ends.
    pub(in crate::store::embedded) fn end(&self) -> (PathBuf, u64) {
        (segment::path(&self.directory, self.segments.last().copied().unwrap_or_default()), self.end)
    }

    /// Cuts off what was torn, and makes the rest durable: a process that was killed between its write and its sync
    /// leaves whole frames that only the system has. They are about to be seen, and a repeat of their events to be
    /// answered as a duplicate. Older segments were synced before the next one was begun.
    pub(in crate::store::embedded) fn cut(&mut self) -> Result<()> {
        let Some(torn) = self.torn.take() else { return files::sync(&self.end().0) };
        tracing::warn!(file = %torn.path.display(), offset = torn.offset, torn.what, "cutting off an unfinished write");
        files::cut(&torn.path, torn.offset)
    }

    /// Gives every commit after `applied` to `apply`, in order. They are read and decoded ahead by a thread of their own,
    /// which shows each to `foresee` long before its turn.
    pub(in crate::store::embedded) fn replay(
        &self,
        applied: Revision,
        foresee: impl Fn(&Frame) + Send,
        apply: impl FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        let (ahead, frames) = mpsc::sync_channel(READ_AHEAD);
        thread::scope(|scope| {
            // Whoever fails to apply one takes no more, which ends the reading and is not its fault.
            let reading = scope.spawn(move || {
                self.read(applied, |frame| {
                    foresee(&frame);
                    ahead.send(frame).map_err(|_| Error::Closed)
                })
            });
            frames.into_iter().try_for_each(apply)?;
            reading.join().unwrap_or_else(|_| Err(Error::Index("reading the journal ended in a panic".to_owned())))
        })
    }

    fn read(&self, applied: Revision, mut give: impl FnMut(Frame) -> Result<()>) -> Result<()> {
        let start = self.segments.partition_point(|first| first.0 <= applied.0 + 1).saturating_sub(1);
        for (position, first) in self.segments.iter().enumerate().skip(start) {
            let mut frames = Frames::open(&self.directory, *first)?;
            if position + 1 == self.segments.len() {
                // What was torn may still be there, for somebody who only looks.
                frames.bytes = self.end;
            }
            let mut expected = *first;
            while let Some(frame) = frames.next()? {
                let offset = frames.offset;
                let raw = frame.map_err(|what| damaged(&frames.path, offset, what))?;
                check_sequence(&frames.path, raw.offset, expected, raw.header.revision)?;
                expected.0 += 1;
                if raw.header.revision > applied {
                    give(frames.decode(&raw, &self.vault)?)?;
                }
            }
            let next = self.segments.get(position + 1).copied().unwrap_or(Revision(self.last.0 + 1));
            if expected != next {
                return Err(damaged(&frames.path, frames.bytes, "commits are missing at the end of the segment"));
            }
        }
        Ok(())
    }

    /// For reading single records.
    pub(in crate::store::embedded) fn segments(&self) -> Arc<Segments> {
        Arc::new(Segments::new(&self.directory, self.begin.first, Arc::clone(&self.vault)))
    }

    /// What opens its records.
    pub(in crate::store::embedded) fn vault(&self) -> Arc<Vault> {
        Arc::clone(&self.vault)
    }

    /// For following what is written.
    pub(in crate::store::embedded) fn trail(&self) -> Trail {
        Trail::new(&self.directory, self.begin.first, Arc::clone(&self.vault))
    }

    /// For writing behind the end.
    pub(in crate::store::embedded) fn writer(self, segment_bytes: u64) -> Result<Writer> {
        let segment = self.segments.last().copied().unwrap_or_default();
        let file = segment::open_for_append(&self.directory, segment)?;
        let place = super::writer::Place { segment, offset: self.end, next: Revision(self.last.0 + 1) };
        Ok(Writer::new(
            super::writer::Home { directory: self.directory, store: self.store, segment_bytes },
            place,
            file,
        ))
    }
}

/// Bytes of the segments that hold commits after one, or of all of them.
pub(in crate::store::embedded) fn bytes_after(directory: &Path, revision: Option<Revision>) -> Result<u64> {
    let segments = segment::list(directory)?;
    let held = revision.map_or(0, |revision| segments.partition_point(|first| *first <= revision));
    let mut bytes = 0;
    for first in &segments[held..] {
        let path = segment::path(directory, *first);
        bytes += std::fs::metadata(&path).map_err(failed("reading", &path))?.len();
    }
    Ok(bytes)
}

/// Each segment must be of this store and follow the one that it names, at the length that it names.
fn check_chain(directory: &Path, manifest: &Manifest, segments: &[Revision]) -> Result<()> {
    let mut before = Link::before(manifest.begin);
    for first in segments {
        let frames = Frames::open(directory, *first)?;
        check_link(&frames, manifest.store, before)?;
        before = Link { first: *first, bytes: frames.bytes };
    }
    Ok(())
}

/// The segment before another one; all zero where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Link {
    pub(super) first: Revision,
    pub(super) bytes: u64,
}

impl Link {
    /// What the first segment of a journal that begins there has before it.
    pub(super) fn before(begin: Begin) -> Self {
        Self { first: begin.previous_first, bytes: begin.previous_bytes }
    }
}

/// Whether a segment is of this store and follows the one before.
pub(super) fn check_link(frames: &Frames, store: StoreId, before: Link) -> Result<()> {
    if frames.header.store != store {
        return Err(damaged(&frames.path, 0, "the segment belongs to another store"));
    }
    if frames.header.previous_first != before.first {
        return Err(damaged(&frames.path, 0, "the segment before this one is missing"));
    }
    if frames.header.previous_bytes != before.bytes {
        let path = frames.path.with_file_name(segment::file_name(before.first));
        return Err(damaged(&path, before.bytes, "the segment has another length than when it was full"));
    }
    Ok(())
}

/// Reads the newest segment to its last whole frame.
fn find_end(frames: &mut Frames) -> Result<(Revision, u64, Option<Torn>)> {
    let mut last = Revision(frames.header.first.0.saturating_sub(1));
    while let Some(frame) = frames.next()? {
        match frame {
            Ok(raw) => {
                check_sequence(&frames.path, raw.offset, Revision(last.0 + 1), raw.header.revision)?;
                last = raw.header.revision;
            }
            Err(what) => {
                let torn = judge(frames, last, what)?;
                return Ok((last, frames.offset, Some(torn)));
            }
        }
    }
    Ok((last, frames.offset, None))
}

/// Tells a torn write from damage: a whole frame of a later group proves that these bytes were durable once.
pub(super) fn judge(frames: &Frames, last: Revision, what: &'static str) -> Result<Torn> {
    let offset = frames.offset;
    let mut from = offset;
    while let Some(raw) = frames.find_after(from)? {
        // Anything else is a leftover or a caller's bytes that happen to look like a frame.
        let follows = raw.header.revision > last && u64::from(raw.header.group) <= raw.offset;
        if follows && u64::from(raw.header.group) > offset {
            return Err(damaged(&frames.path, offset, format!("{what}, and whole frames follow")));
        }
        from = raw.offset;
    }
    Ok(Torn { path: frames.path.clone(), offset, what })
}

pub(super) fn check_sequence(path: &Path, offset: u64, expected: Revision, found: Revision) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(damaged(path, offset, format!("commit {found} stands where commit {expected} belongs")))
}

impl segment::Header {
    /// The header of a store's first segment, but for the store.
    const FIRST: Self = Self { store: [0; 16], first: Revision(1), previous_first: Revision(0), previous_bytes: 0 };
}
