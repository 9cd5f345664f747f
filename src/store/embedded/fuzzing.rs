//! Ways in for whoever throws bytes at what reads the store's files. Nothing else calls them.
//!
//! Checksums keep random bytes from everything behind them, so each way goes in twice: by the bytes as they are, and by
//! what a right checksum would let through.

use std::path::Path;

use super::audit::{Frames, Head};
use super::backup::decode_record;
use super::codec;
use super::entry::{Entry, decode_profile};
use super::index::Bytes;
use super::journal::read_frames;
use super::vault::{Place, Vault, parse_erasures, parse_slots};
use crate::domain::fact::Fact;
use crate::domain::id::WorkspaceId;

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

/// Reads the bytes as something sealed, as secrets of customers, as the ledger of erasures, and as a file of the audit log.
///
/// # Panics
/// Where something that nobody has sealed is opened.
pub fn vault(bytes: &[u8]) {
    let (path, workspace) = (Path::new("fuzzed"), WorkspaceId::default_workspace());
    let place = Place { workspace: &workspace, label: b"fuzzed" };
    let vault = Vault::bare().expect("no files are no damage");
    assert!(vault.open_sealed(place, bytes).is_err(), "it was sealed by nobody");
    let (one, other) = bytes.split_at(bytes.len() / 2);
    if let Ok(secrets) = parse_slots(path, [one, other]) {
        assert!(secrets.len() <= bytes.len());
    }
    if let Ok((entries, end)) = parse_erasures(path, bytes) {
        assert!(end <= bytes.len() && entries.len() <= end);
    }
    let _or_damaged = Head::read(path, bytes);
    let (mut batches, mut end) = (Frames::of(bytes), 0);
    // After a fault there is nothing more, and no batch lies over another one.
    while let Some(Ok(batch)) = batches.next() {
        assert!(batch.offset >= end && batch.end > batch.offset);
        end = batch.end;
    }
}
