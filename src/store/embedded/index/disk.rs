//! sled.

use std::collections::BTreeMap;

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

/// The part of the index that is on disk.
pub(in crate::store::embedded) struct Disk {
    tree: sled::Db,
}

impl Disk {
    pub(in crate::store::embedded) fn new(tree: sled::Db) -> Self {
        Self { tree }
    }

    /// One that ends with the test that made it.
    #[cfg(test)]
    pub(in crate::store::embedded) fn temporary() -> Self {
        Self::new(sled::Config::new().temporary(true).open().expect("a temporary index"))
    }

    /// The value of a key.
    pub(in crate::store::embedded) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.tree.get(key).map_err(failed)
    }

    /// Keys and values from a key on.
    pub(in crate::store::embedded) fn from<'a>(
        &'a self,
        key: &[u8],
    ) -> impl Iterator<Item = Result<(Bytes, Bytes)>> + use<'a> {
        self.tree.range(key..).map(|item| item.map_err(failed))
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
    pub(in crate::store::embedded) fn flush(&self) -> Result<()> {
        self.tree.flush().map(|_| ()).map_err(failed)
    }
}

pub(super) fn failed(error: sled::Error) -> Error {
    // sled's messages name files and offsets, never keys or values.
    Error::Index(error.to_string())
}
