//! Bytes from one file to another, with their digest on the way.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::record::Digest;
use crate::store::Result;
use crate::store::embedded::files::{damaged, failed};
use crate::store::embedded::meter::Meter;

/// Bytes that are in memory at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes at each end of a file by which two of them are told apart without being read as a whole.
const END_BYTES: u64 = 4 << 10;

/// A file that is being read, with the digest of what was read so far.
pub(super) struct Reader<'a> {
    path: &'a Path,
    file: File,
    hasher: blake3::Hasher,
    offset: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(failed("opening", path))?;
        Ok(Self { path, file, hasher: blake3::Hasher::new(), offset: 0 })
    }

    /// Goes on at `offset`, behind what `before` has read of an equal file.
    pub(super) fn after(self, before: Reader<'_>) -> Result<Self> {
        let mut file = self.file;
        file.seek(SeekFrom::Start(before.offset)).map_err(failed("reading", self.path))?;
        Ok(Self { path: self.path, file, hasher: before.hasher, offset: before.offset })
    }

    /// Reads up to `end`, gives everything to `sink`, and counts it with `meter`.
    pub(super) fn read_to(&mut self, end: u64, sink: &mut dyn Write, meter: &mut Meter<'_>) -> Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        while self.offset < end {
            let room = usize::try_from(end - self.offset).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            let read = self.file.read(&mut chunk[..room]).map_err(failed("reading", self.path))?;
            if read == 0 {
                return Err(damaged(self.path, self.offset, "the file ends here and should go on"));
            }
            self.hasher.update(&chunk[..read]);
            sink.write_all(&chunk[..read]).map_err(failed("writing a copy of", self.path))?;
            self.offset += read as u64;
            meter.add(read as u64)?;
        }
        Ok(())
    }

    /// The digest of everything that was read.
    pub(super) fn digest(&self) -> Digest {
        *self.hasher.finalize().as_bytes()
    }
}

/// The digest of the first `bytes` of a file.
pub(super) fn digest(path: &Path, bytes: u64) -> Result<Digest> {
    let mut reader = Reader::open(path)?;
    reader.read_to(
        bytes,
        &mut std::io::sink(),
        &mut Meter::new(bytes, &mut |_| std::ops::ControlFlow::Continue(())),
    )?;
    Ok(reader.digest())
}

/// Whether the first `bytes` of two files begin and end alike. Everything of ours has a checksum of the whole at its
/// beginning, or, in a segment, one of each frame, so that contents that differ anywhere differ there.
pub(super) fn have_equal_ends(one: &Path, other: &Path, bytes: u64) -> Result<bool> {
    let length = bytes.min(END_BYTES);
    for offset in [0, bytes - length] {
        if chunk(one, offset, length)? != chunk(other, offset, length)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn chunk(path: &Path, offset: u64, bytes: u64) -> Result<Vec<u8>> {
    let mut chunk = vec![0; usize::try_from(bytes).unwrap_or_default()];
    let file = File::open(path).map_err(failed("opening", path))?;
    file.read_exact_at(&mut chunk, offset).map_err(failed("reading", path))?;
    Ok(chunk)
}
