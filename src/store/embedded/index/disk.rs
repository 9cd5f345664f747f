//! sled, with values of any size.

use std::collections::BTreeMap;

use super::keys;
use crate::store::{Error, Result};

/// Bytes that many may hold.
pub(in crate::store::embedded) type Bytes = sled::IVec;
/// Changes that take effect together; the last one of a key counts.
#[derive(Debug, Default)]
pub(in crate::store::embedded) struct Batch(BTreeMap<Bytes, Option<Bytes>>);

impl Batch {
    pub(in crate::store::embedded) fn insert(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.insert(key.into(), Some(value.into()));
    }

    pub(in crate::store::embedded) fn remove(&mut self, key: impl Into<Bytes>) {
        self.0.insert(key.into(), None);
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.0.keys()
    }
}

/// sled leaks a file for ever for each value of 200 kB and more; a value stays well below.
const PART_BYTES: usize = 48 << 10;
/// A value begins with one of these: it stands here, or in parts.
const WHOLE: u8 = 0;
const IN_PARTS: u8 = 1;

/// The part of the index that is on disk.
pub(in crate::store::embedded) struct Disk {
    tree: sled::Db,
}

/// Adds a value to a batch, in parts where it is large. Parts of an older, longer value stay behind unused.
pub(super) fn put(batch: &mut Batch, key: &[u8], value: &[u8]) -> Result<()> {
    if value.len() <= PART_BYTES {
        batch.insert(key, [&[WHOLE], value].concat());
        return Ok(());
    }
    let parts = value.chunks(PART_BYTES);
    let count = u16::try_from(parts.len()).map_err(|_| Error::Index("a value is too large".to_owned()))?;
    let mut head = vec![IN_PARTS];
    head.extend(count.to_le_bytes());
    head.extend(crc32c::crc32c(value).to_le_bytes());
    batch.insert(key, head);
    for (number, part) in (0..count).zip(parts) {
        batch.insert(keys::part(key, number), part);
    }
    Ok(())
}

impl Disk {
    pub(super) fn new(tree: sled::Db) -> Self {
        Self { tree }
    }

    /// One that ends with the test that made it.
    #[cfg(test)]
    pub(in crate::store::embedded) fn temporary() -> Self {
        Self::new(sled::Config::new().temporary(true).open().expect("a temporary index"))
    }

    /// A value as it is, for those that are small by their nature.
    pub(in crate::store::embedded) fn raw(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.tree.get(key).map_err(failed)
    }

    /// Keys and values as they are, from `from` on.
    pub(in crate::store::embedded) fn raw_from<'a>(
        &'a self,
        from: &[u8],
    ) -> impl Iterator<Item = Result<(Bytes, Bytes)>> + use<'a> {
        self.tree.range(from..).map(|item| item.map_err(failed))
    }

    /// The value that was [`put`] under the key.
    ///
    /// # Errors
    /// [`Torn::Parts`] when the value was replaced between the reading of its parts.
    pub(super) fn get(&self, key: &[u8]) -> std::result::Result<Option<Bytes>, Torn> {
        match self.tree.get(key).map_err(failed)? {
            None => Ok(None),
            Some(stored) => self.whole(key, &stored).map(Some),
        }
    }

    /// At most `limit` keys that begin with `prefix`, after `after`, with their stored values.
    pub(super) fn page(&self, prefix: &[u8], after: &[u8], limit: usize) -> Result<BTreeMap<Bytes, Bytes>> {
        let range = self.raw_from(after).take_while(|item| match item {
            Ok((key, _)) => key.starts_with(prefix),
            Err(_) => true,
        });
        range.filter(|item| !matches!(item, Ok((key, _)) if key == after)).take(limit).collect()
    }

    /// The value of what is stored under a key.
    pub(super) fn whole(&self, key: &[u8], stored: &Bytes) -> std::result::Result<Bytes, Torn> {
        match stored.split_first() {
            Some((&WHOLE, _)) => Ok(stored.subslice(1, stored.len() - 1)),
            Some((&IN_PARTS, head)) if head.len() == 6 => {
                let count = u16::from_le_bytes([head[0], head[1]]);
                let mut value = Vec::with_capacity(usize::from(count) * PART_BYTES);
                for number in 0..count {
                    let part = self.tree.get(keys::part(key, number)).map_err(failed)?;
                    value.extend_from_slice(&part.ok_or(Torn::Parts)?);
                }
                if crc32c::crc32c(&value) != crate::store::embedded::codec::u32_at(head, 2) {
                    return Err(Torn::Parts);
                }
                Ok(value.into())
            }
            _ => Err(Torn::Failed(Error::Index("a value has an unknown form".to_owned()))),
        }
    }

    /// Applies changes atomically.
    pub(in crate::store::embedded) fn apply(&self, changes: Batch) -> Result<()> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes.0 {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.tree.apply_batch(batch).map_err(failed)
    }

    /// Hands everything to the operating system.
    pub(super) fn flush(&self) -> Result<()> {
        self.tree.flush().map(|_| ()).map_err(failed)
    }
}

/// Why a value in parts could not be read.
#[derive(Debug)]
pub(super) enum Torn {
    /// It was replaced meanwhile; reading again helps.
    Parts,
    /// Anything else.
    Failed(Error),
}

impl From<Error> for Torn {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

pub(super) fn failed(error: sled::Error) -> Error {
    // sled's messages name files and offsets, never keys or values.
    Error::Index(error.to_string())
}
