//! The index's directory, and the guarded opening of sled in it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::cache::Cache;
use super::disk::{Batch, Disk};
use super::filling::Filling;
use super::keys;
use super::meta::Meta;
use super::table_set::TableSet;
use crate::store::embedded::checkpoints::Reader;
use crate::store::embedded::files::failed;
use crate::store::embedded::manifest::StoreId;
use crate::store::embedded::options::OnReplay;
use crate::store::{Error, Result};

/// How long sled may take to open before its files are taken for damaged.
const DEADLINE: Duration = Duration::from_secs(10);

/// An index as it was found or made.
pub(in crate::store::embedded) struct Opened {
    pub(in crate::store::embedded) disk: Disk,
    pub(in crate::store::embedded) meta: Meta,
    pub(in crate::store::embedded) stored: TableSet,
    pub(super) cache: Cache,
}

/// What there is where an index belongs.
pub(in crate::store::embedded) enum Found {
    /// None.
    Nothing,
    /// One of another release or for another store.
    Foreign,
    /// One that sled or we cannot read.
    Unusable(Error),
    /// One to go on with.
    Usable(Opened),
}

/// Opens the index in `directory`; `None` where there is none that this release can use for this store.
///
/// Each index lives in a numbered directory of its own: an opening that hangs cannot be ended, and must not share
/// files with its successor.
pub(in crate::store::embedded) fn find(directory: &Path, store: StoreId, cache_bytes: u64) -> Result<Option<Opened>> {
    match look(directory, store, cache_bytes)? {
        Found::Usable(opened) => return Ok(Some(opened)),
        Found::Nothing => {}
        Found::Foreign => tracing::info!("the index was made by another release or for another store; it is rebuilt"),
        Found::Unusable(error) => tracing::warn!(%error, "the index cannot be used; it is rebuilt from the journal"),
    }
    Ok(None)
}

/// Opens the newest index in `directory`, or says why that cannot be done.
pub(in crate::store::embedded) fn look(directory: &Path, store: StoreId, cache_bytes: u64) -> Result<Found> {
    let Some(newest) = newest(directory)? else { return Ok(Found::Nothing) };
    Ok(match open_guarded(newest, cache_bytes, None) {
        Ok(opened) if opened.meta.is_of(store) => Found::Usable(opened),
        Ok(_) => Found::Foreign,
        Err(error) => Found::Unusable(error),
    })
}

/// The directory of the newest index; `None` where there is none.
pub(in crate::store::embedded) fn newest(directory: &Path) -> Result<Option<PathBuf>> {
    Ok(generations(directory)?.pop().map(|newest| path(directory, newest)))
}

/// Leaves whatever index there is, and begins an empty one.
pub(in crate::store::embedded) fn discard(directory: &Path, store: StoreId, cache_bytes: u64) -> Result<Opened> {
    let older = generations(directory)?;
    let next = older.last().map_or(1, |newest| newest + 1);
    let opened = open_guarded(path(directory, next), cache_bytes, Some(Meta::empty(store)))?;
    for generation in older {
        let path = path(directory, generation);
        fs::remove_dir_all(&path).map_err(failed("removing", &path))?;
    }
    Ok(opened)
}

/// Fills an index that was just begun with the entries of a checkpoint. Until the last of them is there it does not say
/// what it holds, so that one whose loading was cut short is never taken for whole.
pub(in crate::store::embedded) fn load(opened: Opened, reader: &mut Reader, on_replay: &OnReplay) -> Result<Opened> {
    let Opened { disk, meta: empty, cache, .. } = opened;
    let mut batch = Batch::default();
    batch.remove(&keys::META);
    disk.apply(batch)?;
    let foreign = || Error::Index("the checkpoint was made by another release".to_owned());
    let mut filling = None;
    while let Some(block) = reader.next()? {
        for (kind, key, value) in block.entries() {
            match &mut filling {
                None => {
                    let meta = Some(value).filter(|_| [kind] == keys::META).and_then(Meta::decode);
                    let meta = meta.filter(|meta| meta.is_of(empty.store) && meta.applied == reader.revision);
                    filling = Some(Filling::begin(&disk, meta.ok_or_else(foreign)?)?);
                }
                Some(filling) => filling.put(kind, key, value)?,
            }
        }
        on_replay.tell(reader.offset, reader.bytes);
    }
    let (meta, stored) = filling.ok_or_else(foreign)?.finish(&disk)?;
    Ok(Opened { disk, meta, stored, cache })
}

/// Opens sled in a thread of its own, because on damaged files it may panic or hang.
fn open_guarded(path: PathBuf, cache_bytes: u64, new: Option<Meta>) -> Result<Opened> {
    let (answer, opened) = mpsc::channel();
    let open = move || {
        let opened = catch_unwind(AssertUnwindSafe(|| open_here(&path, cache_bytes, new)));
        let opened = opened.unwrap_or_else(|_| Err(Error::Index("sled panicked while it opened".to_owned())));
        // Nobody listens any more after the deadline.
        let _ = answer.send(opened);
    };
    let thread = thread::Builder::new().name("index-open".to_owned()).spawn(open);
    thread.map_err(|cause| Error::Io { action: "starting a thread".to_owned(), cause })?;
    let late = |_| Err(Error::Index(format!("sled did not open within {} s", DEADLINE.as_secs())));
    opened.recv_timeout(DEADLINE).unwrap_or_else(late)
}

fn open_here(path: &Path, cache_bytes: u64, new: Option<Meta>) -> Result<Opened> {
    let disk = Disk::open(path)?;
    if let Some(meta) = new {
        let mut batch = Batch::default();
        batch.insert(&keys::META, meta.encode()?);
        disk.apply(batch)?;
    }
    let meta = disk.get(&keys::META)?.as_deref().and_then(Meta::decode);
    let meta = meta.ok_or_else(|| Error::Index("the index does not say what it holds".to_owned()))?;
    let stored = TableSet::load(&disk)?;
    Ok(Opened { disk, meta, stored, cache: Cache::new(cache_bytes) })
}

fn path(directory: &Path, generation: u64) -> PathBuf {
    directory.join(generation.to_string())
}

fn generations(directory: &Path) -> Result<Vec<u64>> {
    let mut generations = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed("listing", directory))? {
        let name = entry.map_err(failed("listing", directory))?.file_name();
        generations.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    generations.sort_unstable();
    Ok(generations)
}

#[cfg(test)]
impl Opened {
    /// An empty one that ends with the test that made it.
    pub(in crate::store::embedded) fn temporary(store: StoreId) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = Disk::open(directory.path()).expect("opens");
        let (meta, stored) = (Meta::empty(store), TableSet::empty());
        Self { disk, meta, stored, cache: Cache::new(1 << 20) }
    }
}
