//! Writing behind the journal's end. One thread owns the writer.

use std::io::{self, Write};
use std::path::PathBuf;

use super::frame;
use super::segment;
use super::segments::EventRef;
use crate::domain::id::Revision;
use crate::store::embedded::codec::Record;
use crate::store::embedded::files::{Appender, failed};
use crate::store::embedded::manifest::StoreId;
use crate::store::{Error, Result};

/// Largest size from which a segment is full, so that places in it are an u32.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Where frames go. A trait, so that a test can let writing and syncing fail.
pub(super) trait Sink: Write + Send {
    /// Makes everything written durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts off everything behind so many bytes, durably.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
}

impl Sink for Appender {
    fn sync(&mut self) -> io::Result<()> {
        Appender::sync(self)
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        Appender::cut(self, bytes)
    }
}

/// Where the journal lives.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) directory: PathBuf,
    pub(super) store: StoreId,
    pub(super) segment_bytes: u64,
}

/// Where the next frame goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) segment: Revision,
    pub(super) offset: u64,
    pub(super) next: Revision,
}

/// Where groups will lie, one behind the other, before any of them is written.
#[derive(Debug, Clone, Copy)]
pub(in crate::store::embedded) struct Course {
    segment_bytes: u64,
    place: Place,
}

/// The end of the journal.
pub(in crate::store::embedded) struct Writer {
    home: Home,
    place: Place,
    sink: Box<dyn Sink>,
}

/// Frames that become durable together.
#[derive(Debug)]
pub(in crate::store::embedded) struct Group {
    start: Place,
    next: Revision,
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new(home: Home, place: Place, sink: impl Sink + 'static) -> Self {
        Self { home, place, sink: Box::new(sink) }
    }

    /// Where the next group will lie.
    pub(in crate::store::embedded) fn course(&self) -> Course {
        Course { segment_bytes: self.home.segment_bytes.min(SEGMENT_BYTES_MAX), place: self.place }
    }

    /// Makes a group durable, in a new segment where it begins one. It must have been begun where the last one ended.
    ///
    /// # Errors
    /// [`Error::DiskFull`]: nothing of the group is on disk, and another one may be tried in its place. After any other
    /// error nobody knows what is on disk: nothing more may be written.
    pub(in crate::store::embedded) fn append(&mut self, group: &Group) -> Result<()> {
        if group.start.segment != self.place.segment {
            self.roll().map_err(|error| match error.is_lack_of_room() {
                true => Error::DiskFull(error.to_string()),
                false => error,
            })?;
        }
        if let Err(error) = self.write(group) {
            return Err(self.take_back(error));
        }
        self.place.offset += group.bytes.len() as u64;
        self.place.next = group.next;
        Ok(())
    }

    fn write(&mut self, group: &Group) -> Result<()> {
        let path = || segment::path(&self.home.directory, self.place.segment);
        self.sink.write_all(&group.bytes).map_err(|error| failed("writing", &path())(error))?;
        self.sink.sync().map_err(|error| failed("syncing", &path())(error))
    }

    /// A lack of room says nothing against what is on disk already: where the group can be cut off again, it is as if it
    /// had never been tried. Any other failure leaves doubts that no further write may build on.
    fn take_back(&mut self, error: Error) -> Error {
        if error.is_lack_of_room() && self.sink.cut(self.place.offset).is_ok() {
            return Error::DiskFull(error.to_string());
        }
        error
    }

    fn roll(&mut self) -> Result<()> {
        let header = segment::Header {
            store: self.home.store,
            first: self.place.next,
            previous_first: self.place.segment,
            previous_bytes: self.place.offset,
        };
        self.sink = Box::new(segment::create(&self.home.directory, &header)?);
        self.place.segment = self.place.next;
        self.place.offset = segment::HEADER_BYTES as u64;
        Ok(())
    }
}

impl Course {
    /// Begins a group, in a new segment where the present one is full.
    pub(in crate::store::embedded) fn begin(&self) -> Group {
        let Place { segment, offset, next } = self.place;
        let is_full = offset >= self.segment_bytes && next > segment;
        let new = Place { segment: next, offset: segment::HEADER_BYTES as u64, next };
        Group { start: if is_full { new } else { self.place }, next, bytes: Vec::new() }
    }

    /// The commit that comes next.
    pub(in crate::store::embedded) fn next(&self) -> Revision {
        self.place.next
    }

    /// Goes on behind a group that was begun here.
    pub(in crate::store::embedded) fn pass(&mut self, group: &Group) {
        if group.last().is_some() {
            let offset = group.start.offset + group.bytes.len() as u64;
            self.place = Place { segment: group.start.segment, offset, next: group.next };
        }
    }
}

impl Group {
    /// The revision of the next frame.
    pub(in crate::store::embedded) fn next(&self) -> Revision {
        self.next
    }

    /// Where the records of the next frame will lie.
    pub(in crate::store::embedded) fn places(&self, records: &[Record]) -> Vec<EventRef> {
        let payload = self.start.offset + (self.bytes.len() + frame::HEADER_BYTES) as u64;
        // A segment is full at 1 GiB at the latest and a group has a bounded size, so that this is an u32.
        records.iter().map(|record| EventRef::new(self.start.segment, payload as u32, *record)).collect()
    }

    /// Adds a frame.
    pub(in crate::store::embedded) fn push(&mut self, payload: &[u8]) -> Result<()> {
        frame::append(&mut self.bytes, self.next, self.start.offset as u32, payload)?;
        self.next.0 += 1;
        Ok(())
    }

    /// Where the group begins: the segment, the offset in it and the first revision.
    pub(super) fn start(&self) -> Place {
        self.start
    }

    /// The last commit of the group; `None` where it has none.
    pub(in crate::store::embedded) fn last(&self) -> Option<Revision> {
        (self.next > self.start.next).then(|| Revision(self.next.0 - 1))
    }

    /// Lets go of the frames: nothing of the group is written.
    pub(in crate::store::embedded) fn clear(&mut self) {
        (self.next, self.bytes) = (self.start.next, Vec::new());
    }

    /// Bytes to be written.
    pub(in crate::store::embedded) fn bytes(&self) -> usize {
        self.bytes.len()
    }
}
