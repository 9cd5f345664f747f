//! The bytes of one commit.

use std::str::FromStr;

use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::time::Timestamp;
use crate::store::embedded::codec::{self, Record, u32_at, u64_at};
use crate::store::{Error, Result};

/// The largest frame: what one commit may be.
pub(in crate::store::embedded) const FRAME_BYTES_MAX: usize = 16 << 20;
/// Bytes before a frame's payload.
pub(super) const HEADER_BYTES: usize = 32;

/// Its first byte never occurs in UTF-8, so that no caller's text can look like a frame to a search behind a fault.
pub(super) const MAGIC: [u8; 4] = [0xf5, b'R', b'J', b'F'];
const VERSION: u8 = 1;
const CHECKSUM_AT: usize = 28;

/// What stands before a payload.
///
/// ```text
/// 0 magic · 4 version u8 · 5 flags u8 · 6 zero u16 · 8 key id u32 · 12 payload length u32 · 16 revision u64
/// 24 offset of the group u32 · 28 checksum u32 of everything before and the payload
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) revision: Revision,
    /// Where in the segment the frame's group begins.
    pub(super) group: u32,
    pub(super) payload_bytes: u32,
    checksum: u32,
}

/// Why bytes are no frame.
pub(super) type Fault = &'static str;

/// Appends a frame.
pub(super) fn append(buffer: &mut Vec<u8>, revision: Revision, group: u32, payload: &[u8]) -> Result<()> {
    let payload_bytes = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= FRAME_BYTES_MAX - HEADER_BYTES);
    let Some(payload_bytes) = payload_bytes else {
        return Err(Error::TooLarge { bytes: payload.len() + HEADER_BYTES, limit: FRAME_BYTES_MAX });
    };
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4] = VERSION;
    header[12..16].copy_from_slice(&payload_bytes.to_le_bytes());
    header[16..24].copy_from_slice(&revision.0.to_le_bytes());
    header[24..28].copy_from_slice(&group.to_le_bytes());
    let checksum = checksum(&header, payload);
    header[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    buffer.extend(header);
    buffer.extend(payload);
    Ok(())
}

impl Header {
    /// Reads a header; its checksum can only be judged with the payload.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> std::result::Result<Self, Fault> {
        if bytes[..4] != MAGIC {
            return Err("no frame begins here");
        }
        let payload_bytes = u32_at(bytes, 12);
        if payload_bytes as usize > FRAME_BYTES_MAX - HEADER_BYTES {
            return Err("a frame claims to be larger than any may be");
        }
        let (revision, group) = (Revision(u64_at(bytes, 16)), u32_at(bytes, 24));
        Ok(Self { revision, group, payload_bytes, checksum: u32_at(bytes, CHECKSUM_AT) })
    }

    /// Judges the frame as a whole.
    pub(super) fn check(&self, bytes: &[u8; HEADER_BYTES], payload: &[u8]) -> std::result::Result<(), Fault> {
        if self.checksum != checksum(bytes, payload) {
            return Err("a frame does not match its checksum");
        }
        // Only now is it sure that the version, the flags and the key are what was written.
        if bytes[4] != VERSION {
            return Err("a frame is of a version that this release does not know");
        }
        if bytes[5..12] != [0; 7] {
            return Err("a frame has flags or a key that this release does not know");
        }
        Ok(())
    }
}

fn checksum(header: &[u8; HEADER_BYTES], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..CHECKSUM_AT]), payload)
}

/// Builds the payload of a frame, before the frame's place in the journal is known.
#[derive(Debug)]
pub(in crate::store::embedded) struct PayloadBuilder {
    bytes: Vec<u8>,
    records: Vec<Record>,
}

impl PayloadBuilder {
    pub(in crate::store::embedded) fn new(workspace: &WorkspaceId, time: Timestamp) -> Self {
        let name = workspace.as_str().as_bytes();
        let mut bytes = Vec::with_capacity(1_024);
        // A workspace's name has at most 63 bytes.
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.extend(name);
        bytes.extend(time.as_micros().to_le_bytes());
        Self { bytes, records: Vec::new() }
    }

    /// Adds a record with what `append` appends.
    pub(in crate::store::embedded) fn add(mut self, append: impl FnOnce(Vec<u8>) -> Result<Vec<u8>>) -> Result<Self> {
        let (bytes, record) = codec::append_record(self.bytes, append)?;
        if bytes.len() > FRAME_BYTES_MAX - HEADER_BYTES {
            return Err(Error::TooLarge { bytes: bytes.len() + HEADER_BYTES, limit: FRAME_BYTES_MAX });
        }
        self.records.push(record);
        Ok(Self { bytes, records: self.records })
    }

    /// The payload, and where in it each fact lies.
    pub(in crate::store::embedded) fn finish(self) -> (Vec<u8>, Vec<Record>) {
        (self.bytes, self.records)
    }
}

/// Reads frame after frame as far as they are whole, and the bytes as a payload.
pub(in crate::store::embedded) fn read_all(bytes: &[u8]) {
    let _or_fault = Payload::parse(bytes);
    let mut rest = bytes;
    while let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>()
        && let Ok(parsed) = Header::parse(header)
        && let Some((payload, next)) = behind.split_at_checked(parsed.payload_bytes as usize)
    {
        if parsed.check(header, payload).is_ok() {
            let _or_fault = Payload::parse(payload);
        }
        rest = next;
    }
}

/// Whether a payload is a commit of the workspace.
pub(super) fn is_of(payload: &[u8], workspace: &WorkspaceId) -> bool {
    let name = payload.split_first().and_then(|(bytes, rest)| rest.get(..usize::from(*bytes)));
    name == Some(workspace.as_str().as_bytes())
}

/// When the commit of a payload was accepted; `None` where it is cut off.
pub(super) fn time_of(payload: &[u8]) -> Option<Timestamp> {
    let (name_bytes, rest) = payload.split_first()?;
    let time = rest.get(usize::from(*name_bytes)..)?.first_chunk()?;
    Some(Timestamp::from_micros(i64::from_le_bytes(*time)))
}

/// A payload, read back.
#[derive(Debug)]
pub(super) struct Payload<'a> {
    pub(super) workspace: WorkspaceId,
    pub(super) time: Timestamp,
    /// Where each record lies, and its content, which is sealed.
    pub(super) records: Vec<(Record, &'a [u8])>,
}

impl<'a> Payload<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> std::result::Result<Self, Fault> {
        const CUT_OFF: Fault = "a payload is cut off";
        let (&name_bytes, rest) = bytes.split_first().ok_or(CUT_OFF)?;
        let (name, rest) = rest.split_at_checked(usize::from(name_bytes)).ok_or(CUT_OFF)?;
        let name = std::str::from_utf8(name).ok().and_then(|name| WorkspaceId::from_str(name).ok());
        let workspace = name.ok_or("a payload names no workspace")?;
        let (time, mut rest) = rest.split_at_checked(8).ok_or(CUT_OFF)?;
        let time = Timestamp::from_micros(u64_at(time, 0).cast_signed());
        let mut records = Vec::new();
        while !rest.is_empty() {
            let offset = bytes.len() - rest.len();
            let (record, after) = rest.split_at(codec::record_bytes(rest).ok_or(CUT_OFF)?);
            let content = codec::read_record(record)?;
            // A frame has at most 16 MiB, so that every place in it is an u32.
            records.push((Record { offset: offset as u32, bytes: content.len() as u32 }, content));
            rest = after;
        }
        Ok(Self { workspace, time, records })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fact::{Document, Fact};
    use crate::domain::settings::Settings;

    fn payload() -> (Vec<u8>, Vec<Record>) {
        let fact = |buffer| codec::encode_after(buffer, &Fact::Document(Document::Settings(Settings::default())));
        let builder = PayloadBuilder::new(&WorkspaceId::default_workspace(), Timestamp::from_micros(-7));
        builder.add(fact).and_then(|builder| builder.add(fact)).expect("encodable").finish()
    }

    fn parse(frame: &[u8]) -> std::result::Result<(Header, Payload<'_>), Fault> {
        let (header, payload) = frame.split_first_chunk().ok_or("too short")?;
        let parsed = Header::parse(header)?;
        parsed.check(header, payload)?;
        Ok((parsed, Payload::parse(payload)?))
    }

    #[test]
    fn a_frame_survives_a_round_trip() {
        let (payload, records) = payload();
        let mut frame = Vec::new();
        append(&mut frame, Revision(7), 56, &payload).expect("small");
        let (header, read) = parse(&frame).expect("whole");
        assert_eq!((header.revision, header.group), (Revision(7), 56));
        assert_eq!((read.workspace, read.time), (WorkspaceId::default_workspace(), Timestamp::from_micros(-7)));
        assert_eq!(read.records.iter().map(|(record, _)| *record).collect::<Vec<_>>(), records);
        assert!(read.records.iter().all(|(_, content)| codec::decode_fact(content).is_ok()));
    }

    #[test]
    fn no_flipped_bit_of_a_frame_goes_unnoticed() {
        let mut frame = Vec::new();
        append(&mut frame, Revision(7), 56, &payload().0).expect("small");
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused_before_it_is_made() {
        let mut buffer = Vec::new();
        let refused = append(&mut buffer, Revision(1), 0, &vec![0; FRAME_BYTES_MAX]);
        assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
        assert!(buffer.is_empty());
    }
}
