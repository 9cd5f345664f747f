//! Looking at every frame of a journal that nobody has open, without changing anything.

use std::path::{Path, PathBuf};

use super::frames::Frames;
use super::open::{self, Link, Torn};
use super::segment;
use crate::domain::id::Revision;
use crate::store::embedded::files::damaged;
use crate::store::embedded::manifest::{Begin, Manifest, StoreId};
use crate::store::embedded::meter::Meter;
use crate::store::{Error, Result};

/// What a journal is like.
#[derive(Debug)]
pub(in crate::store::embedded) struct Inspected {
    /// Whose journal it is, by its first readable segment.
    pub(in crate::store::embedded) store: Option<StoreId>,
    /// Its segments.
    pub(in crate::store::embedded) segments: u64,
    /// Commits that are whole.
    pub(in crate::store::embedded) commits: u64,
    /// Where it begins.
    pub(in crate::store::embedded) begin: Begin,
    /// Segments that were let go of, and are still there.
    pub(in crate::store::embedded) leftovers: Vec<PathBuf>,
    /// The last of them.
    pub(in crate::store::embedded) last: Revision,
    /// Damage, in the order of the segments; of each segment the first.
    pub(in crate::store::embedded) faults: Vec<Fault>,
    /// What a crash left unfinished behind the last commit.
    pub(in crate::store::embedded) torn: Option<Torn>,
}

impl Default for Inspected {
    fn default() -> Self {
        Self {
            store: None,
            segments: 0,
            commits: 0,
            begin: Begin::FIRST,
            leftovers: Vec::new(),
            last: Revision::default(),
            faults: Vec::new(),
            torn: None,
        }
    }
}

/// Damage at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::embedded) struct Fault {
    pub(in crate::store::embedded) file: PathBuf,
    pub(in crate::store::embedded) offset: u64,
    pub(in crate::store::embedded) what: String,
}

/// Reads every frame of the journal in `directory`, of which `manifest` says whose it is and where it begins, if it says
/// anything.
///
/// # Errors
/// When the directory cannot be read, or a segment has a format that this release does not know. Damage is no error
/// but part of the answer.
pub(in crate::store::embedded) fn inspect(
    directory: &Path,
    manifest: Option<&Manifest>,
    meter: &mut Meter<'_>,
) -> Result<Inspected> {
    let mut segments = segment::names(directory)?;
    let begin = match manifest {
        Some(manifest) => manifest.begin,
        None => said_to_begin(directory, segments.first().copied())?,
    };
    let path = |first: Revision| segment::path(directory, first);
    let leftovers = segments.extract_if(.., |first| *first < begin.first).map(path).collect();
    let (store, segment_count) = (manifest.map(|manifest| manifest.store), segments.len() as u64);
    let mut inspected = Inspected { segments: segment_count, store, begin, leftovers, ..Inspected::default() };
    let mut before = Link::before(begin);
    for (position, first) in segments.iter().enumerate() {
        let Some(mut frames) = inspected.keep(Frames::open(directory, *first))? else {
            let path = segment::path(directory, *first);
            before = Link { first: *first, bytes: path.metadata().map_or(0, |data| data.len()) };
            continue;
        };
        let store = *inspected.store.get_or_insert(frames.header.store);
        inspected.keep(open::check_link(&frames, store, before))?;
        before = Link { first: *first, bytes: frames.bytes };
        let walked = inspected.walk(&mut frames, segments.get(position + 1).copied(), meter);
        inspected.keep(walked)?;
    }
    Ok(inspected)
}

/// Where a journal begins by its own first segment, for want of a manifest. Whether that is right, a checkpoint shows.
fn said_to_begin(directory: &Path, first: Option<Revision>) -> Result<Begin> {
    let header = match first.map(|first| Frames::open(directory, first)) {
        Some(Ok(frames)) => frames.header,
        None | Some(Err(Error::Damaged { .. })) => return Ok(Begin::FIRST),
        Some(Err(error)) => return Err(error),
    };
    let (previous_first, previous_bytes) = (header.previous_first, header.previous_bytes);
    Ok(Begin { first: header.first, previous_first, previous_bytes, ..Begin::FIRST })
}

impl Inspected {
    /// Takes note of damage, and passes on what is none.
    fn keep<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::Damaged { file, offset, what }) => {
                self.faults.push(Fault { file: file.into(), offset, what });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a segment to its end, or to the first fault.
    fn walk(&mut self, frames: &mut Frames, next: Option<Revision>, meter: &mut Meter<'_>) -> Result<()> {
        let mut last = Revision(frames.header.first.0.saturating_sub(1));
        while let Some(frame) = frames.next()? {
            let raw = match frame {
                Ok(raw) => raw,
                Err(what) if next.is_some() => return Err(damaged(&frames.path, frames.offset, what)),
                Err(what) => {
                    self.torn = Some(open::judge(frames, last, what)?);
                    break;
                }
            };
            open::check_sequence(&frames.path, raw.offset, Revision(last.0 + 1), raw.header.revision)?;
            last = raw.header.revision;
            frames.check(&raw)?;
            (self.commits, self.last) = (self.commits + 1, last);
            meter.add(raw.bytes() as u64)?;
        }
        match next {
            Some(next) if next.0 != last.0 + 1 => {
                Err(damaged(&frames.path, frames.bytes, "commits are missing at the end of the segment"))
            }
            _ => Ok(()),
        }
    }
}
