//! A file of lines in pieces of whole lines.

use std::io::{self, BufRead, Read as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context as _;

use super::source::{BYTE_ORDER_MARK, Opened};

/// A piece ends with the line that makes it as large as this.
pub const CHUNK_BYTES: usize = 128 << 10;
/// The longest line that is read; a longer one is a fault, and no memory is spent on what follows of it.
pub const LINE_BYTES: usize = 4 << 20;

/// Some lines that follow one another.
pub struct Chunk {
    bytes: Vec<u8>,
    /// Where each line ends in the bytes, and its number.
    ends: Vec<(usize, u64)>,
    /// How many bytes of the file were read for it.
    pub read_bytes: u64,
}

/// The pieces of a file. Nothing comes after a failure.
pub struct Chunks {
    file: Arc<str>,
    opened: Option<Opened>,
    line: u64,
}

impl Chunk {
    /// The lines with their numbers in the file, without their ends and without blank ones. One that is longer than [`LINE_BYTES`] is cut off a
    /// byte later.
    pub fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts.zip(&self.ends).map(|(start, (end, line))| {
            let bytes = &self.bytes[start..*end];
            (*line, bytes.strip_suffix(b"\n").unwrap_or(bytes))
        })
    }
}

impl Chunks {
    /// The pieces of an opened file.
    pub fn new(file: Arc<str>, opened: Opened) -> Self {
        Self { file, opened: Some(opened), line: 0 }
    }

    fn read(&mut self, opened: &mut Opened) -> io::Result<Chunk> {
        let mut chunk = Chunk { bytes: Vec::with_capacity(CHUNK_BYTES), ends: Vec::new(), read_bytes: 0 };
        while chunk.bytes.len() < CHUNK_BYTES {
            let start = chunk.bytes.len();
            if !read_line(&mut *opened.reader, &mut chunk.bytes)? {
                break;
            }
            self.line += 1;
            if self.line == 1 && chunk.bytes.starts_with(BYTE_ORDER_MARK) {
                chunk.bytes.drain(..BYTE_ORDER_MARK.len());
            }
            if chunk.bytes[start..].trim_ascii().is_empty() {
                chunk.bytes.truncate(start);
            } else {
                chunk.ends.push((chunk.bytes.len(), self.line));
            }
        }
        chunk.read_bytes = opened.read_bytes.swap(0, Ordering::Relaxed);
        Ok(chunk)
    }
}

impl Iterator for Chunks {
    type Item = anyhow::Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut opened = self.opened.take()?;
        let before = self.line;
        let chunk =
            self.read(&mut opened).with_context(|| format!("{} cannot be read after line {}", self.file, self.line));
        if chunk.is_ok() {
            self.opened = Some(opened);
        }
        let is_end = chunk.is_ok() && self.line == before;
        (!is_end).then_some(chunk)
    }
}

/// Adds the next line with its end to the bytes; false where there is none. What a line has beyond its limit is skipped.
fn read_line(reader: &mut dyn BufRead, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let read = reader.take(LINE_BYTES as u64 + 1).read_until(b'\n', bytes)?;
    if read > LINE_BYTES && !bytes.ends_with(b"\n") {
        reader.skip_until(b'\n')?;
    }
    Ok(read > 0)
}
