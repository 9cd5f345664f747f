//! The one place where values become stored bytes and stored bytes become values.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::fact::Fact;
use crate::store::{Error, Result};

/// Bytes before each record of a frame: its length and its checksum.
pub(super) const RECORD_HEADER_BYTES: usize = 8;
/// Most values take less, so that the buffer of one need not grow.
const USUAL_BYTES: usize = 512;
/// Bytes before the content of a framed file: magic, format version, checksum.
const FILE_HEADER_BYTES: usize = 12;

/// Where a record lies within the payload of its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Of the record's header.
    pub(super) offset: u32,
    /// Without its header.
    pub(super) bytes: u32,
}

/// Encodes a value.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    encode_after(Vec::with_capacity(USUAL_BYTES), value)
}

/// Encodes a value behind what is already there.
pub(super) fn encode_after<T: Serialize + ?Sized>(buffer: Vec<u8>, value: &T) -> Result<Vec<u8>> {
    postcard::to_extend(value, buffer).map_err(|error| Error::Index(format!("a value cannot be encoded: {error}")))
}

/// Decodes a value of the index, which must fill the bytes.
pub(super) fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T> {
    match decode_first(what, bytes)? {
        (value, []) => Ok(value),
        (_, rest) => Err(Error::Index(format!("{what} has {} bytes too many", rest.len()))),
    }
}

/// Decodes a value of the index and returns what follows it.
pub(super) fn decode_first<'a, T: DeserializeOwned>(what: &'static str, bytes: &'a [u8]) -> Result<(T, &'a [u8])> {
    // postcard's errors name a kind of fault, never content.
    postcard::take_from_bytes(bytes).map_err(|error| Error::Index(format!("{what} cannot be decoded: {error}")))
}

/// Appends what `append` appends as a record that can be read back alone.
pub(super) fn append_record(
    mut buffer: Vec<u8>,
    append: impl FnOnce(Vec<u8>) -> Result<Vec<u8>>,
) -> Result<(Vec<u8>, Record)> {
    let start = buffer.len();
    buffer.extend([0; RECORD_HEADER_BYTES]);
    let mut buffer = append(buffer)?;
    let content = &buffer[start + RECORD_HEADER_BYTES..];
    let (bytes, checksum) = (length(content.len())?, crc32c::crc32c(content));
    buffer[start..start + 4].copy_from_slice(&bytes.to_le_bytes());
    buffer[start + 4..start + RECORD_HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Ok((buffer, Record { offset: length(start)?, bytes }))
}

/// The content of a record, or what is wrong with it.
pub(super) fn read_record(record: &[u8]) -> std::result::Result<&[u8], &'static str> {
    let (header, content) = record.split_at_checked(RECORD_HEADER_BYTES).ok_or("a record is cut off")?;
    if usize::try_from(u32_at(header, 0)) != Ok(content.len()) {
        return Err("a record has another length than its index entry says");
    }
    if u32_at(header, 4) != crc32c::crc32c(content) {
        return Err("a record does not match its checksum");
    }
    Ok(content)
}

/// The fact that a record says.
pub(super) fn decode_fact(content: &[u8]) -> std::result::Result<Fact, &'static str> {
    match postcard::take_from_bytes(content) {
        Ok((fact, [])) => Ok(fact),
        Ok(_) => Err("a record is longer than its content"),
        Err(_) => Err("a record is of a form that this release does not know"),
    }
}

/// The length of the record that begins here, with its header; `None` where it is cut off.
pub(super) fn record_bytes(bytes: &[u8]) -> Option<usize> {
    let content = usize::try_from(u32_at(bytes.get(..4)?, 0)).ok()?;
    let whole = content.checked_add(RECORD_HEADER_BYTES)?;
    (whole <= bytes.len()).then_some(whole)
}

/// The content of a small file with what tells whether it is whole.
pub(super) fn seal_file(magic: [u8; 4], version: u32, content: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(FILE_HEADER_BYTES + content.len());
    file.extend(magic);
    file.extend(version.to_le_bytes());
    file.extend(crc32c::crc32c(content).to_le_bytes());
    file.extend(content);
    file
}

/// The format version and the content of a sealed file, or what is wrong with it.
pub(super) fn open_file(magic: [u8; 4], file: &[u8]) -> std::result::Result<(u32, &[u8]), &'static str> {
    let (header, content) = file.split_at_checked(FILE_HEADER_BYTES).ok_or("the file is cut off")?;
    if header[..4] != magic {
        return Err("the file is of another kind");
    }
    if u32_at(header, 8) != crc32c::crc32c(content) {
        return Err("the content does not match its checksum");
    }
    Ok((u32_at(header, 4), content))
}

/// A little-endian number at a place that the caller knows to exist.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// A little-endian number at a place that the caller knows to exist.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

fn length(bytes: usize) -> Result<u32> {
    u32::try_from(bytes).map_err(|_| Error::TooLarge { bytes, limit: super::journal::FRAME_BYTES_MAX })
}
