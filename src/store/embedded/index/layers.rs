//! The index as readers and the committer see it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, RwLock};

use super::disk::{Bytes, Disk, Torn};
use super::keys::EventHash;
use super::meta::Meta;
use super::signal::Signal;
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::store::embedded::journal::EventRef;
use crate::store::embedded::locks;
use crate::store::embedded::seen::Runs;
use crate::store::embedded::status::Status;
use crate::store::{Error, Result};

/// Entries from which a layer is flushed at once.
const FLUSH_ENTRIES: usize = 1_000;
/// Entries and bytes from which commits wait for the flusher.
const LAYER_ENTRIES: usize = 32_000;
const LAYER_BYTES: usize = 64 << 20;
/// How often a value that is replaced while it is read is read again.
const ATTEMPTS: usize = 5;

/// Somewhere to read entries of the index from.
pub(in crate::store::embedded) trait Source {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// Where the event that was last accepted under a hash lies, if any is remembered.
    fn seen(&self, hash: &EventHash) -> Result<Option<EventRef>>;
}

/// What one or more commits change in the index.
#[derive(Debug, Default)]
pub(in crate::store::embedded) struct Change {
    /// In the order in which they take effect.
    pub(in crate::store::embedded) entries: Vec<(Bytes, Bytes)>,
    pub(in crate::store::embedded) seen: HashMap<EventHash, EventRef>,
    /// The last commit.
    pub(in crate::store::embedded) applied: Revision,
    /// The latest time of a commit, and of the receipt of an event.
    pub(in crate::store::embedded) time: Option<Timestamp>,
}

/// Changes that are not in sled yet.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) entries: BTreeMap<Bytes, Bytes>,
    pub(super) seen: HashMap<EventHash, EventRef>,
    bytes: usize,
}

#[derive(Debug)]
struct Layers {
    active: Layer,
    frozen: Option<Arc<Layer>>,
    /// Describes everything up to the active layer.
    meta: Meta,
    runs: Arc<Runs>,
    /// The last commit whose effects are in sled.
    flushed: Revision,
}

/// The index of an open store.
pub(in crate::store::embedded) struct Index {
    layers: RwLock<Layers>,
    pub(super) disk: Disk,
    pub(super) signal: Signal,
    pub(super) status: Arc<Status>,
}

impl Index {
    pub(in crate::store::embedded) fn new(disk: Disk, meta: Meta, runs: Runs, status: Arc<Status>) -> Self {
        let layers =
            Layers { active: Layer::default(), frozen: None, meta, runs: Arc::new(runs), flushed: meta.applied };
        Self { layers: RwLock::new(layers), disk, signal: Signal::default(), status }
    }

    /// How far the index has come, layers in memory included.
    pub(in crate::store::embedded) fn meta(&self) -> Meta {
        locks::read(&self.layers).meta
    }

    /// Makes changes visible to every read that begins afterwards, all at once.
    pub(in crate::store::embedded) fn publish(&self, change: Change) {
        let mut guard = locks::write(&self.layers);
        let layers = &mut *guard;
        layers.meta.applied = change.applied;
        layers.meta.time = layers.meta.time.max(change.time.unwrap_or(Timestamp::MIN));
        layers.active.add(change);
        let urgent = layers.active.len() >= FLUSH_ENTRIES;
        drop(guard);
        if urgent { self.signal.urgent() } else { self.signal.dirty() }
    }

    /// Fails once the layers in memory cannot be brought to disk any more.
    pub(in crate::store::embedded) fn check(&self) -> Result<()> {
        self.status.check()
    }

    /// Tells the flusher that nothing more will come.
    pub(in crate::store::embedded) fn stop(&self) {
        self.signal.stop();
    }

    /// Waits until the layers in memory have room, as long as the store can still make some and `patient` says so.
    pub(in crate::store::embedded) fn wait_for_room(&self, patient: impl Fn() -> bool) {
        self.signal.wait_for_room(|| self.is_full() && self.status.check().is_ok() && patient());
    }

    /// Whether commits have to wait for the flusher.
    pub(in crate::store::embedded) fn is_full(&self) -> bool {
        locks::read(&self.layers).active.is_full()
    }

    /// Bytes that wait to be flushed.
    pub(in crate::store::embedded) fn bytes(&self) -> u64 {
        locks::read(&self.layers).active.bytes as u64
    }

    /// At most `limit` keys that begin with `prefix`, after `after`, with their values.
    pub(in crate::store::embedded) fn page(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>> {
        // No key is its own prefix, so that everything lies after the prefix.
        let after = after.unwrap_or(prefix);
        // First memory, then sled: an entry moves in this direction, so that none is missed.
        let mut newest = BTreeMap::new();
        {
            let layers = locks::read(&self.layers);
            for layer in layers.frozen.as_deref().into_iter().chain([&layers.active]) {
                newest.extend(layer.page(prefix, after, limit));
            }
        }
        let mut stored = self.disk.page(prefix, after, limit)?;
        stored.retain(|key, _| !newest.contains_key(key));
        for (key, stored) in stored {
            let value = match self.disk.whole(&key, &stored) {
                Ok(value) => Some(value),
                Err(Torn::Parts) => self.get(&key)?,
                Err(Torn::Failed(error)) => return Err(error),
            };
            newest.extend(value.map(|value| (key, value)));
        }
        Ok(newest.into_iter().take(limit).collect())
    }

    /// Sets the active layer aside to be flushed; `None` where it is empty.
    pub(super) fn freeze(&self) -> Option<(Arc<Layer>, Meta)> {
        let mut layers = locks::write(&self.layers);
        if layers.active.len() == 0 {
            return None;
        }
        let frozen = Arc::new(std::mem::take(&mut layers.active));
        layers.frozen = Some(Arc::clone(&frozen));
        Some((frozen, layers.meta))
    }

    /// The last commit whose effects are in sled.
    pub(super) fn flushed(&self) -> Revision {
        locks::read(&self.layers).flushed
    }

    /// Lets go of the frozen layer, which is in sled now, as are all commits up to `flushed`.
    pub(super) fn thaw(&self, runs: Runs, flushed: Revision) {
        let mut layers = locks::write(&self.layers);
        layers.flushed = flushed;
        layers.runs = Arc::new(runs);
        layers.frozen = None;
        drop(layers);
        self.signal.flushed();
    }

    /// Replaces the list of runs by one that says the same.
    pub(super) fn set_runs(&self, runs: Runs) {
        locks::write(&self.layers).runs = Arc::new(runs);
    }

    pub(super) fn runs(&self) -> Arc<Runs> {
        Arc::clone(&locks::read(&self.layers).runs)
    }

    fn in_memory(&self, key: &[u8]) -> Option<Bytes> {
        let layers = locks::read(&self.layers);
        let frozen = || layers.frozen.as_ref().and_then(|frozen| frozen.entries.get(key));
        layers.active.entries.get(key).or_else(frozen).cloned()
    }

    fn seen_in_memory(&self, hash: &EventHash) -> std::result::Result<EventRef, Arc<Runs>> {
        let layers = locks::read(&self.layers);
        let frozen = || layers.frozen.as_ref().and_then(|frozen| frozen.seen.get(hash));
        layers.active.seen.get(hash).or_else(frozen).copied().ok_or_else(|| Arc::clone(&layers.runs))
    }
}

impl Source for Index {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        for _ in 0..ATTEMPTS {
            if let Some(value) = self.in_memory(key) {
                return Ok(Some(value));
            }
            match self.disk.get(key) {
                Ok(value) => return Ok(value),
                Err(Torn::Parts) => {}
                Err(Torn::Failed(error)) => return Err(error),
            }
        }
        Err(Error::Index("a value does not match its checksum".to_owned()))
    }

    fn seen(&self, hash: &EventHash) -> Result<Option<EventRef>> {
        for _ in 0..ATTEMPTS {
            match self.seen_in_memory(hash) {
                Ok(at) => return Ok(Some(at)),
                // A block may be gone because its run was merged into another since we took the list.
                Err(runs) => match runs.find(&self.disk, hash)? {
                    Some(found) => return Ok(found),
                    None => continue,
                },
            }
        }
        Err(Error::Index("a block of seen events is missing".to_owned()))
    }
}

impl Layer {
    fn add(&mut self, change: Change) {
        for (key, value) in change.entries {
            self.bytes += key.len() + value.len();
            if let Some(replaced) = self.entries.insert(key, value) {
                self.bytes = self.bytes.saturating_sub(replaced.len());
            }
        }
        self.seen.extend(change.seen);
    }

    fn len(&self) -> usize {
        self.entries.len() + self.seen.len()
    }

    fn is_full(&self) -> bool {
        self.len() >= LAYER_ENTRIES || self.bytes >= LAYER_BYTES
    }

    fn page(&self, prefix: &[u8], after: &[u8], limit: usize) -> impl Iterator<Item = (Bytes, Bytes)> {
        let range = self.entries.range::<[u8], _>((Bound::Excluded(after), Bound::Unbounded));
        let within = range.take_while(move |(key, _)| key.starts_with(prefix)).take(limit);
        within.map(|(key, value)| (key.clone(), value.clone()))
    }
}
