//! Reading single records, by many threads at once.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use serde::{Deserialize, Serialize};

use super::{record, segment};
use crate::domain::event::Event;
use crate::domain::fact::{EventFact, Fact};
use crate::domain::id::{Revision, WorkspaceId};
use crate::store::embedded::codec::{self, RECORD_HEADER_BYTES, Record, u32_at, u64_at};
use crate::store::embedded::files::{damaged, failed};
use crate::store::embedded::locks;
use crate::store::embedded::vault::Vault;
use crate::store::{Error, Result};

/// Segments that are kept open for reading.
const OPEN_FILES: usize = 128;

/// Bytes that are read at once, and bytes between two records that cost less to read than another call.
const SPAN_BYTES: u64 = 256 << 10;
const GAP_BYTES: u64 = 4 << 10;

/// Where the record of an accepted event lies. A later event has a higher one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(in crate::store::embedded) struct EventRef {
    /// The segment's first revision.
    pub(in crate::store::embedded) segment: u64,
    /// Where in the segment the record's header begins.
    pub(in crate::store::embedded) offset: u32,
    /// The record without its header.
    pub(in crate::store::embedded) bytes: u32,
}

impl EventRef {
    /// Sixteen bytes.
    pub(in crate::store::embedded) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.segment.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.offset.to_le_bytes());
        bytes[12..].copy_from_slice(&self.bytes.to_le_bytes());
        bytes
    }

    /// The place that [`EventRef::to_bytes`] wrote.
    pub(in crate::store::embedded) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        match bytes.len() {
            16 => Ok(Self { segment: u64_at(bytes, 0), offset: u32_at(bytes, 8), bytes: u32_at(bytes, 12) }),
            _ => Err(Error::Index("the place of an event has another length".to_owned())),
        }
    }

    /// The place of a record of a frame whose payload begins at `payload` of `segment`.
    pub(super) fn new(segment: Revision, payload: u32, record: Record) -> Self {
        Self { segment: segment.0, offset: payload + record.offset, bytes: record.bytes }
    }

    fn record_bytes(self) -> usize {
        RECORD_HEADER_BYTES + self.bytes as usize
    }

    /// Where in the segment the record ends.
    fn end(self) -> u64 {
        u64::from(self.offset) + self.record_bytes() as u64
    }
}

/// How many of some places in order, from the first on, are read at once.
fn together(places: &[EventRef]) -> usize {
    let is_near = |pair: &[EventRef]| {
        let (at, next, first) = (pair[0], pair[1], places[0]);
        next.segment == first.segment
            && u64::from(next.offset) <= at.end() + GAP_BYTES
            && next.end() <= u64::from(first.offset) + SPAN_BYTES
    };
    1 + places.windows(2).take_while(|pair| is_near(pair)).count()
}

/// The journal's files, for reading.
#[derive(Debug)]
pub(in crate::store::embedded) struct Segments {
    directory: PathBuf,
    vault: Arc<Vault>,
    /// The first of them; what was in front was let go of.
    first: AtomicU64,
    open: RwLock<HashMap<u64, Arc<File>>>,
}

impl Segments {
    pub(super) fn new(directory: &Path, first: Revision, vault: Arc<Vault>) -> Self {
        Self { directory: directory.to_owned(), vault, first: AtomicU64::new(first.0), open: RwLock::default() }
    }

    /// The journal begins later now. Called before what was in front is removed, so that none of it stays open.
    pub(in crate::store::embedded) fn begin_with(&self, first: Revision) {
        self.first.store(first.0, Ordering::Release);
        locks::write(&self.open).retain(|segment, _| *segment >= first.0);
    }

    /// Whether an event lies in what is kept of the journal.
    pub(in crate::store::embedded) fn has(&self, at: EventRef) -> bool {
        at.segment >= self.first.load(Ordering::Acquire)
    }

    /// Reads an event of a workspace with what was decided about it; `None` where its customer is forgotten.
    pub(in crate::store::embedded) fn event(&self, workspace: &WorkspaceId, at: EventRef) -> Result<Option<EventFact>> {
        let mut record = Vec::new();
        self.read(at, at.end(), &mut record)?;
        self.parse(workspace, at, &record)
    }

    /// Reads many events, in the order in which they lie on disk. What lies close together is read at once: the events
    /// of one customer often came in one batch.
    pub(in crate::store::embedded) fn events(
        &self,
        workspace: &WorkspaceId,
        mut places: Vec<EventRef>,
    ) -> Result<Vec<Event>> {
        places.sort_unstable();
        let (mut events, mut bytes, mut rest) = (Vec::with_capacity(places.len()), Vec::new(), places.as_slice());
        while let Some(first) = rest.first() {
            let (span, after) = rest.split_at(together(rest));
            self.read(*first, span.last().map_or(first.end(), |last| last.end()), &mut bytes)?;
            for at in span {
                let start = (at.offset - first.offset) as usize;
                events.extend(
                    self.parse(workspace, *at, &bytes[start..start + at.record_bytes()])?.map(|fact| fact.event),
                );
            }
            rest = after;
        }
        Ok(events)
    }

    /// Reads from a place to an offset in the same segment.
    fn read(&self, from: EventRef, end: u64, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.resize((end - u64::from(from.offset)) as usize, 0);
        match self.file(from)?.read_exact_at(bytes, u64::from(from.offset)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(damaged(&self.path(from), u64::from(from.offset), "the file ends before a record does"))
            }
            Err(error) => Err(failed("reading", &self.path(from))(error)),
        }
    }

    fn parse(&self, workspace: &WorkspaceId, at: EventRef, bytes: &[u8]) -> Result<Option<EventFact>> {
        let fault = |what| damaged(&self.path(at), u64::from(at.offset), what);
        let content = codec::read_record(bytes).map_err(fault)?;
        match record::open(&self.vault, workspace, content).map_err(fault)?.fact {
            Fact::Event(fact) => Ok(Some(fact)),
            Fact::Forgotten(_) => Ok(None),
            _ => Err(fault("the index takes another fact for an event")),
        }
    }

    fn file(&self, at: EventRef) -> Result<Arc<File>> {
        if let Some(file) = locks::read(&self.open).get(&at.segment) {
            return Ok(Arc::clone(file));
        }
        let path = self.path(at);
        let file = Arc::new(File::open(&path).map_err(failed("opening", &path))?);
        let mut open = locks::write(&self.open);
        if open.len() >= OPEN_FILES {
            // Whoever still reads from one of them holds it by its own count.
            open.clear();
        }
        open.insert(at.segment, Arc::clone(&file));
        Ok(file)
    }

    fn path(&self, at: EventRef) -> PathBuf {
        segment::path(&self.directory, Revision(at.segment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_close_together_is_read_at_once_and_nothing_else() {
        let at = |segment: u64, offset: u64| EventRef { segment, offset: offset as u32, bytes: 100 };
        let lengths = |mut places: &[EventRef]| {
            let mut lengths = Vec::new();
            while !places.is_empty() {
                let length = together(places);
                lengths.push(length);
                places = &places[length..];
            }
            lengths
        };
        assert_eq!(lengths(&[at(1, 0), at(1, 200), at(1, 200 + GAP_BYTES)]), [3]);
        assert_eq!(lengths(&[at(1, 0), at(1, 109 + GAP_BYTES)]), [1, 1], "far apart");
        assert_eq!(lengths(&[at(1, 0), at(2, 0), at(2, 108)]), [1, 2], "in another segment");
        let dense: Vec<_> = (0..SPAN_BYTES / 64).map(|number| at(1, number * 108)).collect();
        assert!(lengths(&dense).iter().all(|length| *length as u64 * 108 <= SPAN_BYTES), "bounded in all");
    }
}
