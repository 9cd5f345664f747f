//! Reading a segment frame by frame.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::frame::{self, Fault, Header, Payload};
use super::record::{self, Recorded};
use super::segment;
use super::segments::EventRef;
use crate::domain::fact::Fact;
use crate::domain::id::{ProfileId, Revision, WorkspaceId};
use crate::domain::time::Timestamp;
use crate::store::Result;
use crate::store::embedded::files::{damaged, failed};
use crate::store::embedded::vault::{Slot, Vault};

/// A commit, read back.
#[derive(Debug)]
pub(in crate::store::embedded) struct Frame {
    pub(in crate::store::embedded) revision: Revision,
    pub(in crate::store::embedded) workspace: WorkspaceId,
    pub(in crate::store::embedded) time: Timestamp,
    pub(in crate::store::embedded) facts: Vec<Fact>,
    /// Where each fact lies.
    pub(in crate::store::embedded) places: Vec<EventRef>,
    /// What the events of parts are sealed with.
    pub(in crate::store::embedded) slots: Vec<(ProfileId, Slot)>,
}

/// A segment that is being read.
#[derive(Debug)]
pub(super) struct Frames {
    pub(super) path: PathBuf,
    pub(super) header: segment::Header,
    file: File,
    /// The segment's length.
    pub(super) bytes: u64,
    /// Where the next frame begins.
    pub(super) offset: u64,
}

/// A frame that is known to be whole, but not decoded.
pub(super) struct Raw {
    pub(super) header: Header,
    pub(super) offset: u64,
    payload: Vec<u8>,
}

impl Raw {
    /// Its size on disk.
    pub(super) fn bytes(&self) -> usize {
        frame::HEADER_BYTES + self.payload.len()
    }

    /// When it was accepted; `None` where it does not say.
    pub(super) fn time(&self) -> Option<Timestamp> {
        frame::time_of(&self.payload)
    }

    /// Whether it is a commit of the workspace; told without decoding the rest.
    pub(super) fn is_of(&self, workspace: &WorkspaceId) -> bool {
        frame::is_of(&self.payload, workspace)
    }
}

impl Frames {
    pub(super) fn open(directory: &Path, first: Revision) -> Result<Self> {
        let path = segment::path(directory, first);
        let file = File::open(&path).map_err(failed("opening", &path))?;
        let header = segment::Header::read(&file, &path)?;
        if header.first != first {
            return Err(damaged(&path, 0, "the segment was written under another name"));
        }
        let bytes = file.metadata().map_err(failed("reading", &path))?.len();
        Ok(Self { path, header, file, bytes, offset: segment::HEADER_BYTES as u64 })
    }

    /// The next frame; `None` at the end; an inner error where there is something else than a frame.
    pub(super) fn next(&mut self) -> Result<Option<std::result::Result<Raw, Fault>>> {
        if self.offset == self.bytes {
            return Ok(None);
        }
        let frame = self.at(self.offset)?;
        if let Ok(raw) = &frame {
            self.offset += raw.bytes() as u64;
        }
        Ok(Some(frame))
    }

    /// The frame that begins at `offset`.
    pub(super) fn at(&self, offset: u64) -> Result<std::result::Result<Raw, Fault>> {
        const CUT_OFF: Fault = "a frame is cut off";
        let left = self.bytes.saturating_sub(offset);
        if left < frame::HEADER_BYTES as u64 {
            return Ok(Err(CUT_OFF));
        }
        let mut bytes = [0; frame::HEADER_BYTES];
        self.read(&mut bytes, offset)?;
        let header = match Header::parse(&bytes) {
            Ok(header) => header,
            Err(fault) => return Ok(Err(fault)),
        };
        if left < frame::HEADER_BYTES as u64 + u64::from(header.payload_bytes) {
            return Ok(Err(CUT_OFF));
        }
        let mut payload = vec![0; header.payload_bytes as usize];
        self.read(&mut payload, offset + frame::HEADER_BYTES as u64)?;
        Ok(header.check(&bytes, &payload).map(|()| Raw { header, offset, payload }))
    }

    /// The first frame behind `offset` that is whole, wherever it begins.
    pub(super) fn find_after(&self, offset: u64) -> Result<Option<Raw>> {
        const WINDOW: u64 = 1 << 20;
        let mut start = offset + 1;
        let mut window = Vec::new();
        while start + frame::HEADER_BYTES as u64 <= self.bytes {
            window.resize(WINDOW.min(self.bytes - start) as usize, 0);
            self.read(&mut window, start)?;
            let starts = window.windows(4).enumerate().filter(|(_, bytes)| **bytes == frame::MAGIC);
            for (position, _) in starts {
                if let Ok(raw) = self.at(start + position as u64)? {
                    return Ok(Some(raw));
                }
            }
            // Three bytes again, in which a magic number may have begun.
            start += (window.len() as u64).saturating_sub(3).max(1);
        }
        Ok(None)
    }

    /// Decodes a frame.
    pub(super) fn decode(&self, raw: &Raw, vault: &Vault) -> Result<Frame> {
        let fault = |what| damaged(&self.path, raw.offset, what);
        let Payload { workspace, time, records } = self.payload(raw)?;
        // A segment has at most 1 GiB and a frame, so that every place in it is an u32.
        let start = (raw.offset + frame::HEADER_BYTES as u64) as u32;
        let (mut facts, mut places, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        for (record, content) in records {
            let Recorded { fact, slots: sealed_with } = record::open(vault, &workspace, content).map_err(fault)?;
            if let (Fact::Event(event), [slot]) = (&fact, &sealed_with[..]) {
                slots.push((event.part, *slot));
            }
            facts.push(fact);
            places.push(EventRef::new(self.header.first, start, record));
        }
        Ok(Frame { revision: raw.header.revision, workspace, time, facts, places, slots })
    }

    /// Whether a frame has the form of one. What its records say is sealed.
    pub(super) fn check(&self, raw: &Raw) -> Result<()> {
        self.payload(raw).map(drop)
    }

    fn payload<'a>(&self, raw: &'a Raw) -> Result<Payload<'a>> {
        Payload::parse(&raw.payload).map_err(|what| damaged(&self.path, raw.offset, what))
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(failed("reading", &self.path))
    }
}
