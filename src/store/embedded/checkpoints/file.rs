//! The file of one checkpoint.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::shelf;
use crate::domain::id::Revision;
use crate::store::embedded::codec::{u32_at, u64_at};
use crate::store::embedded::files::{Unfinished, damaged, failed};
use crate::store::embedded::manifest::StoreId;
use crate::store::{Error, Result};

const MAGIC: [u8; 8] = *b"RAPPCKPT";
const FORMAT: u32 = 2;
const HEADER_BYTES: usize = 40;
const CHECKSUM_AT: usize = 36;
/// Before each block: its length and its checksum.
const BLOCK_HEADER_BYTES: usize = 8;
/// Before each entry: its kind, and the lengths of its key and of its value.
const ENTRY_HEADER_BYTES: usize = 9;
/// Bytes from which a block is full.
const BLOCK_BYTES: usize = 256 << 10;
/// Bytes after which what was written is brought to disk, so that a commit's own sync never waits for all of it.
const SYNC_BYTES: usize = 8 << 20;

/// A checkpoint that is being written. Dropped before it is finished, it leaves nothing behind.
pub(in crate::store::embedded) struct Writer {
    file: Unfinished,
    block: Vec<u8>,
    entries: u64,
    bytes: u64,
    unsynced: usize,
}

impl Writer {
    /// Begins the checkpoint of a commit at its path.
    pub(in crate::store::embedded) fn begin(path: &Path, store: StoreId, revision: Revision) -> Result<Self> {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        header[12..28].copy_from_slice(&store);
        header[28..36].copy_from_slice(&revision.0.to_le_bytes());
        let checksum = crc32c::crc32c(&header[..CHECKSUM_AT]);
        header[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        let (file, block) = (Unfinished::begin(path)?, Vec::with_capacity(BLOCK_BYTES));
        let mut writer = Self { file, block, entries: 0, bytes: 0, unsynced: 0 };
        writer.write(&header)?;
        Ok(writer)
    }

    /// Adds an entry. What its kind means is up to whoever reads it.
    pub(in crate::store::embedded) fn put(&mut self, kind: u8, key: &[u8], value: &[u8]) -> Result<()> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.block.push(kind);
        self.block.extend(length(key));
        self.block.extend(length(value));
        self.block.extend(key);
        self.block.extend(value);
        self.entries += 1;
        if self.block.len() >= BLOCK_BYTES { self.put_block() } else { Ok(()) }
    }

    /// Makes the checkpoint durable, and gives it its name. Returns its size.
    pub(in crate::store::embedded) fn finish(mut self) -> Result<u64> {
        self.put_block()?;
        self.block.extend(self.entries.to_le_bytes());
        let checksum = crc32c::crc32c(&self.block);
        let end = [&0_u32.to_le_bytes()[..], &checksum.to_le_bytes(), &self.block].concat();
        self.write(&end)?;
        self.file.finish()?;
        Ok(self.bytes)
    }

    fn put_block(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let length = u32::try_from(self.block.len()).unwrap_or(u32::MAX);
        let mut header = [0; BLOCK_HEADER_BYTES];
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4..].copy_from_slice(&crc32c::crc32c(&self.block).to_le_bytes());
        self.write(&header)?;
        let block = std::mem::take(&mut self.block);
        self.write(&block)?;
        self.block = block;
        self.block.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write(bytes)?;
        self.bytes += bytes.len() as u64;
        self.unsynced += bytes.len();
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.sync()?;
        }
        Ok(())
    }
}

/// A checkpoint that is being read, block by block.
pub(in crate::store::embedded) struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    /// How far the reading has come.
    pub(in crate::store::embedded) offset: u64,
    entries: u64,
    /// Whose state it is.
    pub(in crate::store::embedded) revision: Revision,
    /// Its size.
    pub(in crate::store::embedded) bytes: u64,
}

/// Entries of one block.
pub(in crate::store::embedded) struct Block(Vec<u8>);

impl Reader {
    /// Opens the checkpoint of a store.
    pub(in crate::store::embedded) fn open(path: &Path, store: StoreId) -> Result<Self> {
        let mut file = File::open(path).map_err(failed("opening", path))?;
        let bytes = file.metadata().map_err(failed("reading", path))?.len();
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header).map_err(|_| damaged(path, 0, "the checkpoint's header is cut off"))?;
        if header[..8] != MAGIC {
            return Err(damaged(path, 0, "the file is no checkpoint"));
        }
        if u32_at(&header, CHECKSUM_AT) != crc32c::crc32c(&header[..CHECKSUM_AT]) {
            return Err(damaged(path, 0, "the checkpoint's header does not match its checksum"));
        }
        let found = u32_at(&header, 8);
        if found != FORMAT {
            return Err(Error::Format { file: path.display().to_string(), found, supported: FORMAT });
        }
        if header[12..28] != store {
            return Err(damaged(path, 0, "the checkpoint belongs to another store"));
        }
        let (revision, offset) = (Revision(u64_at(&header, 28)), HEADER_BYTES as u64);
        // What it holds is held against the journal by its name, before anybody has read it.
        if shelf::revision(path) != Some(revision) {
            return Err(damaged(path, 0, format!("the file is the checkpoint of commit {revision}")));
        }
        Ok(Self { path: path.to_owned(), file: BufReader::new(file), offset, entries: 0, revision, bytes })
    }

    /// The next block; `None` at the end of a checkpoint that is whole.
    pub(in crate::store::embedded) fn next(&mut self) -> Result<Option<Block>> {
        let mut header = [0; BLOCK_HEADER_BYTES];
        self.read(&mut header)?;
        let (length, checksum) = (u32_at(&header, 0) as usize, u32_at(&header, 4));
        if length as u64 > self.bytes.saturating_sub(self.offset) {
            return Err(self.fault("a block claims to be larger than the checkpoint"));
        }
        let is_end = length == 0;
        let mut block = vec![0; if is_end { size_of::<u64>() } else { length }];
        self.read(&mut block)?;
        if crc32c::crc32c(&block) != checksum {
            return Err(self.fault("a block does not match its checksum"));
        }
        if !is_end {
            self.offset += (BLOCK_HEADER_BYTES + length) as u64;
            let block = Block(block);
            self.entries += block.entries().count() as u64;
            return Ok(Some(block));
        }
        if u64_at(&block, 0) != self.entries {
            return Err(self.fault("the checkpoint has another number of entries than it should"));
        }
        self.offset += (BLOCK_HEADER_BYTES + size_of::<u64>()) as u64;
        if self.offset != self.bytes {
            return Err(self.fault("something follows the end of the checkpoint"));
        }
        Ok(None)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        match self.file.read_exact(buffer) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.fault("the checkpoint is cut off")),
            Err(error) => Err(failed("reading", &self.path)(error)),
        }
    }

    fn fault(&self, what: &'static str) -> Error {
        damaged(&self.path, self.offset, what)
    }
}

impl Block {
    /// Kinds, keys and values. What a checksum holds together was written by us, so that nothing of it is cut off.
    pub(in crate::store::embedded) fn entries(&self) -> impl Iterator<Item = (u8, &[u8], &[u8])> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (header, content) = rest.split_at_checked(ENTRY_HEADER_BYTES)?;
            let (key, content) = content.split_at_checked(u32_at(header, 1) as usize)?;
            let (value, after) = content.split_at_checked(u32_at(header, 5) as usize)?;
            rest = after;
            Some((header[0], key, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const STORE: StoreId = [3; 16];

    fn write(path: &Path, entries: u32) -> u64 {
        let mut writer = Writer::begin(path, STORE, Revision(7)).expect("begun");
        for number in 0..entries {
            writer
                .put(number as u8, &number.to_be_bytes(), &vec![number as u8; number as usize % 700])
                .expect("written");
        }
        writer.finish().expect("finished")
    }

    fn read(path: &Path) -> Result<u32> {
        let mut reader = Reader::open(path, STORE)?;
        let mut number = 0_u32;
        while let Some(block) = reader.next()? {
            for (kind, key, value) in block.entries() {
                assert_eq!((kind, key), (number as u8, &number.to_be_bytes()[..]));
                assert_eq!(value, vec![number as u8; number as usize % 700]);
                number += 1;
            }
        }
        assert_eq!((reader.revision, reader.offset), (Revision(7), reader.bytes));
        Ok(number)
    }

    #[test]
    fn what_was_put_is_read_over_many_blocks_and_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("7.checkpoint");
        for entries in [0, 1, 5_000] {
            let bytes = write(&path, entries);
            assert_eq!(fs::metadata(&path).expect("there").len(), bytes);
            assert_eq!(read(&path).expect("whole"), entries);
        }
        assert!(Reader::open(&path, [4; 16]).is_err(), "of another store");
    }

    #[test]
    fn no_damage_goes_unnoticed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("7.checkpoint");
        write(&path, 60);
        let whole = fs::read(&path).expect("readable");
        for position in 0..whole.len() {
            let mut file = whole.clone();
            file[position] ^= 1 << (position % 8);
            fs::write(&path, &file).expect("writable");
            assert!(read(&path).is_err(), "byte {position}");
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).expect("writable");
            assert!(read(&path).is_err(), "cut at {length}");
        }
        fs::write(&path, [&whole[..], b"x"].concat()).expect("writable");
        assert!(read(&path).is_err(), "longer");
    }

    #[test]
    fn a_checkpoint_under_the_name_of_another_is_not_taken_for_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, other) = (directory.path().join("7.checkpoint"), directory.path().join("6.checkpoint"));
        write(&path, 60);
        fs::copy(&path, &other).expect("copied");
        assert!(matches!(Reader::open(&other, STORE), Err(Error::Damaged { .. })));
        assert!(Reader::open(&path, STORE).is_ok());
    }

    #[test]
    fn what_is_not_finished_leaves_nothing_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let writer = Writer::begin(&directory.path().join("7.checkpoint"), STORE, Revision(7)).expect("begun");
        drop(writer);
        assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 0);
    }
}
