//! A batch of entries as bytes, and what stands before all of them in a file.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::Last;
use crate::domain::audit::{AuditEntry, AuditedCall};
use crate::domain::id::{ProfileId, WorkspaceId};
use crate::domain::time::Timestamp;
use crate::store::embedded::files::damaged;
use crate::store::embedded::manifest::StoreId;
use crate::store::embedded::{codec, files};
use crate::store::{Error, NumberedEntry, Result};

const MAGIC: [u8; 4] = *b"RPAU";
const FORMAT: u32 = 1;
/// Bytes before the first batch: magic, format and checksum, the store, the hash before.
pub(super) const HEAD_BYTES: usize = 12 + 16 + HASH_BYTES;
/// Bytes before the content of a batch: its length and its checksum.
const FRAME_BYTES: usize = 8;
const HASH_BYTES: usize = 32;

/// What stands for a batch and everything before it. There is nothing before the first one, and zeroes stand for that.
pub(in crate::store::embedded) type Hash = [u8; HASH_BYTES];

/// What a file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::embedded) struct Head {
    pub(in crate::store::embedded) store: StoreId,
    /// The hash of the last batch in the file before.
    pub(in crate::store::embedded) previous: Hash,
}

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store::embedded) struct Batch {
    /// The hash of the batch before.
    pub(in crate::store::embedded) previous: Hash,
    /// The number of the first entry.
    pub(in crate::store::embedded) first: u64,
    /// What the entries name by its place here: most of them have few names in common.
    names: Vec<SmolStr>,
    entries: Vec<Stored>,
}

/// An entry, with places among the names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    time: Timestamp,
    workspace: u32,
    principal: u32,
    method: u32,
    subject: Option<ProfileId>,
    purpose: u32,
    status: u8,
    count: u64,
}

impl Head {
    pub(super) fn encode(&self) -> Vec<u8> {
        codec::seal_file(MAGIC, FORMAT, &[self.store.as_slice(), &self.previous].concat())
    }

    /// What a file begins with.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Format`].
    pub(in crate::store::embedded) fn read(path: &Path, file: &[u8]) -> Result<Self> {
        let head = file.get(..HEAD_BYTES).ok_or_else(|| damaged(path, 0, "the file is cut off"))?;
        let (found, content) = codec::open_file(MAGIC, head).map_err(|what| damaged(path, 0, what))?;
        if found != FORMAT {
            return Err(Error::Format { file: path.display().to_string(), found, supported: FORMAT });
        }
        let parts = content.split_first_chunk().and_then(|(store, rest)| Some((store, rest.first_chunk()?)));
        let (store, previous) = parts.ok_or_else(|| damaged(path, 0, "the file is cut off"))?;
        Ok(Self { store: *store, previous: *previous })
    }
}

impl Batch {
    pub(super) fn new(previous: Hash, first: u64, entries: Vec<AuditEntry>) -> Self {
        let mut names = Names::default();
        let stored = |AuditEntry { time, call, count }| Stored {
            time,
            workspace: names.place(call.workspace.as_str().into()),
            principal: names.place(call.principal),
            method: names.place(call.method),
            subject: call.subject,
            purpose: names.place(call.purpose),
            status: call.status,
            count,
        };
        let entries = entries.into_iter().map(stored).collect();
        Self { previous, first, names: names.names, entries }
    }

    /// The batch as it stands in a file, and its hash.
    pub(super) fn encode(&self) -> Result<(Vec<u8>, Hash)> {
        let mut frame = codec::encode_after(vec![0; FRAME_BYTES], self)?;
        let content = &frame[FRAME_BYTES..];
        let bytes = u32::try_from(content.len())
            .map_err(|_| Error::TooLarge { bytes: content.len(), limit: u32::MAX as usize })?;
        let (checksum, hash) = (crc32c::crc32c(content), *blake3::hash(content).as_bytes());
        frame[..4].copy_from_slice(&bytes.to_le_bytes());
        frame[4..FRAME_BYTES].copy_from_slice(&checksum.to_le_bytes());
        Ok((frame, hash))
    }

    /// The number of the last entry.
    pub(in crate::store::embedded) fn last(&self) -> u64 {
        (self.first + self.entries.len() as u64).saturating_sub(1)
    }

    /// The entries of a workspace, in their order. One that names something that is not there is left out.
    pub(super) fn entries_of<'a>(&'a self, workspace: &'a WorkspaceId) -> impl Iterator<Item = NumberedEntry> + 'a {
        let place = self.names.iter().position(|name| name == workspace.as_str());
        let is_of = move |stored: &Stored| place.is_some() && usize::try_from(stored.workspace).ok() == place;
        let entries = (self.first..).zip(&self.entries).filter(move |(_, stored)| is_of(stored));
        entries.filter_map(move |(number, stored)| {
            let call = AuditedCall {
                workspace: workspace.clone(),
                principal: self.name(stored.principal)?,
                method: self.name(stored.method)?,
                subject: stored.subject,
                purpose: self.name(stored.purpose)?,
                status: stored.status,
            };
            Some(NumberedEntry { number, entry: AuditEntry { time: stored.time, call, count: stored.count } })
        })
    }

    fn name(&self, place: u32) -> Option<SmolStr> {
        self.names.get(usize::try_from(place).ok()?).cloned()
    }
}

/// Names, each once.
#[derive(Default)]
struct Names {
    names: Vec<SmolStr>,
    places: HashMap<SmolStr, u32>,
}

impl Names {
    fn place(&mut self, name: SmolStr) -> u32 {
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        *self.places.entry(name).or_insert_with_key(|name| {
            self.names.push(name.clone());
            next
        })
    }
}

/// The batches of a file, one after another, up to its end or to the first that is none.
pub(in crate::store::embedded) struct Frames<'a> {
    file: &'a [u8],
    offset: usize,
}

/// A batch in its place.
#[derive(Debug)]
pub(in crate::store::embedded) struct Framed {
    pub(in crate::store::embedded) offset: u64,
    /// Where it ends.
    pub(in crate::store::embedded) end: u64,
    pub(in crate::store::embedded) hash: Hash,
    pub(in crate::store::embedded) batch: Batch,
}

/// Where batches end before the file does.
#[derive(Debug)]
pub(in crate::store::embedded) struct Fault {
    pub(in crate::store::embedded) offset: u64,
    pub(in crate::store::embedded) what: &'static str,
    /// Whether nothing is behind it, as where a write was not finished.
    is_at_end: bool,
}

impl Fault {
    /// Whether it is what a write that was never acknowledged has left, where the batches before it end with the entry
    /// `last` and the log was told to reach up to `told`. Of a write that a power cut has ended, any part may be there.
    pub(in crate::store::embedded) fn is_unfinished(&self, last: u64, told: Option<Last>) -> bool {
        let told = told.unwrap_or_default().number;
        told == last || (self.is_at_end && told < last)
    }
}

impl<'a> Frames<'a> {
    /// The batches of a whole file, whose head was read.
    pub(in crate::store::embedded) fn of(file: &'a [u8]) -> Self {
        Self { file, offset: HEAD_BYTES }
    }

    fn fault(&mut self, what: &'static str, is_at_end: bool) -> Fault {
        let offset = self.offset as u64;
        self.offset = self.file.len();
        Fault { offset, what, is_at_end }
    }
}

impl Iterator for Frames<'_> {
    type Item = std::result::Result<Framed, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.file.get(self.offset..).filter(|rest| !rest.is_empty())?;
        let Some((header, rest)) = rest.split_at_checked(FRAME_BYTES) else {
            return Some(Err(self.fault("a batch is cut off", true)));
        };
        let bytes = usize::try_from(codec::u32_at(header, 0)).unwrap_or(usize::MAX);
        let Some(content) = rest.get(..bytes) else { return Some(Err(self.fault("a batch is cut off", true))) };
        if bytes == 0 || codec::u32_at(header, 4) != crc32c::crc32c(content) {
            // A file may have become longer by zeroes before what was written got there.
            let is_at_end = if bytes == 0 { rest.iter().all(|byte| *byte == 0) } else { bytes == rest.len() };
            return Some(Err(self.fault("a batch does not match its checksum", is_at_end)));
        }
        let Ok(batch) = codec::decode::<Batch>("a batch of the audit log", content) else {
            return Some(Err(self.fault("a batch is of a form that this release does not know", false)));
        };
        let offset = self.offset as u64;
        self.offset += FRAME_BYTES + bytes;
        Some(Ok(Framed { offset, end: self.offset as u64, hash: *blake3::hash(content).as_bytes(), batch }))
    }
}

/// Reads a file of the log.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    files::read(path)?.ok_or_else(|| damaged(path, 0, "the file is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64, subject: Option<u8>) -> AuditEntry {
        let call = AuditedCall {
            workspace: "acme".parse().expect("a workspace"),
            principal: "key:k1".into(),
            method: "rapport.v1.ProfileService/GetProfile".into(),
            subject: subject.map(|byte| ProfileId::from_bytes([byte; 16])),
            purpose: "service".into(),
            status: 7,
        };
        AuditEntry { time: Timestamp::from_micros(second * 1_000_000), call, count: 3 }
    }

    /// What format 1 is. A change of it needs a new number, and this stays as it is and readable.
    #[test]
    fn the_format_is_what_it_was() {
        let batch = Batch::new([9; 32], 5, vec![entry(1, Some(2)), entry(2, None)]);
        let (frame, hash) = batch.encode().expect("encodable");
        let hex: String = frame[40..].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((frame.len(), &frame[8..40], hex.as_str()), (138, [9_u8; 32].as_slice(), FRAME));
        assert_eq!(hash, *blake3::hash(&frame[8..]).as_bytes());
        let file = [Head { store: [7; 16], previous: [9; 32] }.encode(), frame].concat();
        let path = Path::new("1.audit");
        assert_eq!(Head::read(path, &file).expect("whole"), Head { store: [7; 16], previous: [9; 32] });
        let framed = Frames::of(&file).next().expect("one").expect("whole");
        assert_eq!((framed.batch.last(), framed.hash, framed.end), (6, hash, file.len() as u64));
        let (acme, other) = ("acme".parse().expect("a name"), "other".parse().expect("a name"));
        let entries: Vec<_> = framed.batch.entries_of(&acme).collect();
        let numbered = |number, entry| NumberedEntry { number, entry };
        assert_eq!(entries, [numbered(5, entry(1, Some(2))), numbered(6, entry(2, None))]);
        assert_eq!(framed.batch.entries_of(&other).count(), 0);
    }

    const FRAME: &str = concat!(
        "05040461636d65066b65793a6b3124726170706f72742e76312e50726f66696c65536572766963652f47657450726f66",
        "696c6507736572766963650280897a0001020110020202020202020202020202020202020307038092f4010001020003",
        "0703",
    );

    #[test]
    fn no_flipped_bit_of_a_file_goes_unnoticed() {
        let (frame, _) = Batch::new([9; 32], 5, vec![entry(1, Some(2))]).encode().expect("encodable");
        let whole = [Head { store: [7; 16], previous: [9; 32] }.encode(), frame].concat();
        for position in 0..whole.len() {
            let mut file = whole.clone();
            file[position] ^= 1;
            let is_whole =
                Head::read(Path::new("1.audit"), &file).is_ok() && Frames::of(&file).all(|frame| frame.is_ok());
            assert!(!is_whole, "byte {position}");
        }
    }
}
