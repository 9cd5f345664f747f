//! What the index has on disk: sled, and the directory of the tables that it names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::store::embedded::files;
use crate::store::{Error, Result};

/// What sled may use for its cache: it holds little more than which tables there are.
const SLED_CACHE_BYTES: u64 = 1 << 20;

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
}

/// The part of the index that is on disk.
pub(in crate::store::embedded) struct Disk {
    tree: sled::Db,
    tables: PathBuf,
}

impl Disk {
    /// sled in the directory of an index, in which the tables have a directory of their own.
    pub(in crate::store::embedded) fn open(path: &Path) -> Result<Self> {
        let tables = path.join("tables");
        files::make_directory(&tables)?;
        let config = sled::Config::new().path(path).cache_capacity(SLED_CACHE_BYTES).use_compression(false);
        Ok(Self { tree: config.flush_every_ms(Some(1_000)).open().map_err(failed)?, tables })
    }

    /// Where the tables are.
    pub(in crate::store::embedded) fn tables(&self) -> &Path {
        &self.tables
    }

    /// The value of a key.
    pub(in crate::store::embedded) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.tree.get(key).map_err(failed)
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

fn failed(error: sled::Error) -> Error {
    // sled's messages name files and offsets, never keys or values.
    Error::Index(error.to_string())
}
