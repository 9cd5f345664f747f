//! Reading single records, by many threads at once.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use serde::{Deserialize, Serialize};

use super::segment;
use crate::domain::event::Event;
use crate::domain::fact::{EventFact, Fact};
use crate::domain::id::Revision;
use crate::store::Result;
use crate::store::embedded::codec::{self, RECORD_HEADER_BYTES, Record};
use crate::store::embedded::files::{damaged, failed};
use crate::store::embedded::locks;

/// Segments that are kept open for reading.
const OPEN_FILES: usize = 128;

/// Where the record of an accepted event lies. A later event has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(in crate::store::embedded) struct EventRef {
    /// The segment's first revision.
    pub(in crate::store::embedded) segment: u64,
    /// Where in the segment the record's header begins.
    pub(in crate::store::embedded) offset: u32,
    /// The record without its header.
    pub(in crate::store::embedded) bytes: u32,
}

impl EventRef {
    /// The place of a record of a frame whose payload begins at `payload` of `segment`.
    pub(super) fn new(segment: Revision, payload: u32, record: Record) -> Self {
        Self { segment: segment.0, offset: payload + record.offset, bytes: record.bytes }
    }
}

/// The journal's files, for reading.
#[derive(Debug)]
pub(in crate::store::embedded) struct Segments {
    directory: PathBuf,
    open: RwLock<HashMap<u64, Arc<File>>>,
}

impl Segments {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), open: RwLock::default() }
    }

    /// Reads an event with what was decided about it.
    pub(in crate::store::embedded) fn event(&self, at: EventRef) -> Result<EventFact> {
        let fault = |what| damaged(&self.path(at), u64::from(at.offset), what);
        let mut record = vec![0; RECORD_HEADER_BYTES + at.bytes as usize];
        match self.file(at)?.read_exact_at(&mut record, u64::from(at.offset)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(fault("the file ends before a record does"));
            }
            Err(error) => return Err(failed("reading", &self.path(at))(error)),
        }
        match codec::read_record(&record).map_err(fault)? {
            Fact::Event(fact) => Ok(fact),
            _ => Err(fault("the index takes another fact for an event")),
        }
    }

    /// Reads many events, in the order in which they lie on disk.
    pub(in crate::store::embedded) fn events(&self, mut places: Vec<EventRef>) -> Result<Vec<Event>> {
        places.sort_unstable();
        places.into_iter().map(|at| Ok(self.event(at)?.event)).collect()
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
