//! Ways in for whoever throws bytes at what reads the store's files. Nothing else calls them.
//!
//! Checksums keep random bytes from everything behind them, so each way goes in twice: by the bytes as they are, and by
//! what a right checksum would let through.

use super::backup::decode_record;
use super::codec;
use super::entry::{Entry, decode_profile};
use super::index::Bytes;
use super::journal::read_frames;
use crate::domain::fact::Fact;

/// Reads the bytes as frames of the journal, and as one fact of a frame. A fact that is read must be written as what is
/// read as the same again.
///
/// # Panics
/// Where it is not.
pub fn journal(bytes: &[u8]) {
    read_frames(bytes);
    if let Ok(fact) = codec::decode::<Fact>("a fact", bytes) {
        let written = codec::encode(&fact).expect("what was read can be written");
        let again: Fact = codec::decode("a fact", &written).expect("what was written can be read");
        // Compared as bytes: not a number is not equal to itself.
        assert_eq!(codec::encode(&again).expect("writable"), written);
    }
}

/// Reads the bytes as the list of a backup, and as an entry of the index.
pub fn backup(bytes: &[u8]) {
    decode_record(bytes);
    if let Ok(entry) = Entry::decode(&Bytes::from(bytes)) {
        let _or_damaged = decode_profile(entry.sealed_profile());
    }
}
