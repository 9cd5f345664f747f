//! The bytes of a block.
//!
//! ```text
//! per entry   length of the key (u16) · key · value
//! at the end  where each entry begins (u32 each) · number of entries (u32)
//! ```

use std::cmp::Ordering;

use crate::store::embedded::codec::u32_at;
use crate::store::{Error, Result};

const KEY_LENGTH_BYTES: usize = size_of::<u16>();
const OFFSET_BYTES: usize = size_of::<u32>();

/// A block that is being filled, in the order of its keys.
#[derive(Debug, Default)]
pub(super) struct Builder {
    entries: Vec<u8>,
    offsets: Vec<u32>,
}

impl Builder {
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let too_large = |_| Error::Index("an entry is too large".to_owned());
        let length = u16::try_from(key.len()).map_err(too_large)?;
        self.offsets.push(u32::try_from(self.entries.len()).map_err(too_large)?);
        self.entries.extend(length.to_le_bytes());
        self.entries.extend(key);
        self.entries.extend(value);
        Ok(())
    }

    /// Bytes of the entries so far.
    pub(super) fn bytes(&self) -> usize {
        self.entries.len()
    }

    /// The bytes of the block. The builder is empty again.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.entries);
        bytes.reserve_exact((self.offsets.len() + 1) * OFFSET_BYTES);
        for offset in &self.offsets {
            bytes.extend(offset.to_le_bytes());
        }
        bytes.extend((self.offsets.len() as u32).to_le_bytes());
        self.offsets.clear();
        bytes
    }
}

/// A block as it was read.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    /// Where the offsets begin, and so where the entries end.
    end: usize,
    pub(super) len: usize,
}

impl Block {
    pub(super) fn new(bytes: Vec<u8>) -> Result<Self> {
        let count_at = bytes.len().checked_sub(OFFSET_BYTES).ok_or_else(cut_off)?;
        let len = u32_at(&bytes, count_at) as usize;
        let end =
            len.checked_mul(OFFSET_BYTES).and_then(|offsets| count_at.checked_sub(offsets)).ok_or_else(cut_off)?;
        Ok(Self { bytes, end, len })
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Where the key is, or else where it would be.
    pub(super) fn search(&self, key: &[u8]) -> Result<std::result::Result<usize, usize>> {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            let (start, value, _) = self.bounds(middle)?;
            match self.bytes[start..value].cmp(key) {
                Ordering::Equal => return Ok(Ok(middle)),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Ok(Err(low))
    }

    /// The key and the value of an entry.
    pub(super) fn entry(&self, position: usize) -> Result<(&[u8], &[u8])> {
        let (start, value, end) = self.bounds(position)?;
        Ok((&self.bytes[start..value], &self.bytes[value..end]))
    }

    /// Where the key of an entry begins, where its value begins, and where that ends.
    fn bounds(&self, position: usize) -> Result<(usize, usize, usize)> {
        let offset = |position: usize| u32_at(&self.bytes, self.end + position * OFFSET_BYTES) as usize;
        let entry = offset(position);
        let end = if position + 1 < self.len { offset(position + 1) } else { self.end };
        let start = entry + KEY_LENGTH_BYTES;
        let length = self.bytes.get(entry..start).ok_or_else(cut_off)?;
        let value = start + usize::from(u16::from_le_bytes([length[0], length[1]]));
        if value > end || end > self.end {
            return Err(cut_off());
        }
        Ok((start, value, end))
    }
}

fn cut_off() -> Error {
    Error::Index("a block of the index is cut off".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_finds_what_was_put_and_where_the_rest_would_be() {
        let mut builder = Builder::default();
        for number in 0..100_u8 {
            builder.push(&[2 * number], &vec![number; usize::from(number)]).expect("small");
        }
        let block = Block::new(builder.finish()).expect("whole");
        assert_eq!(builder.bytes(), 0, "empty again");
        for number in 0..100_u8 {
            let position = usize::from(number);
            assert_eq!(block.search(&[2 * number]).expect("readable"), Ok(position));
            assert_eq!(block.search(&[2 * number + 1]).expect("readable"), Err(position + 1));
            let (key, value) = block.entry(position).expect("readable");
            assert_eq!((key, value), (&[2 * number][..], &vec![number; position][..]));
        }
    }

    #[test]
    fn whatever_the_bytes_are_nothing_panics() {
        let mut builder = Builder::default();
        for number in 0..5_u8 {
            builder.push(&[number; 3], &[number; 7]).expect("small");
        }
        let whole = builder.finish();
        for length in 0..whole.len() {
            try_all(&whole[..length]);
        }
        for position in 0..whole.len() {
            for value in [0, 1, 127, 255] {
                let mut bytes = whole.clone();
                bytes[position] = value;
                try_all(&bytes);
            }
        }
    }

    fn try_all(bytes: &[u8]) {
        let Ok(block) = Block::new(bytes.to_vec()) else { return };
        let _ = block.search(&[2; 3]);
        for position in 0..block.len.min(10) {
            let _ = block.entry(position);
        }
    }
}
