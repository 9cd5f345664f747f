//! The index as readers and the committer see it.

use std::cmp;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use super::cache::{Cache, Place};
use super::checkpoint_request::CheckpointRequest;
use super::disk::{Bytes, Disk};
use super::keys::{EventHash, Family};
use super::meta::Meta;
use super::place::Opened;
use super::signal::Signal;
use super::table_set::TableSet;
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::store::embedded::journal::EventRef;
use crate::store::embedded::locks;
use crate::store::embedded::status::Status;
use crate::store::embedded::tables::{AtOnce, Tables};
use crate::store::embedded::vault::Vault;
use crate::store::{Error, Memo, Result};

/// Entries and bytes from which a layer is flushed at once. The larger a flush, the less is merged later.
const FLUSH_ENTRIES: usize = 16_000;
const FLUSH_BYTES: usize = 8 << 20;
/// Entries and bytes from which commits wait for the flusher.
const LAYER_ENTRIES: usize = 32_000;
const LAYER_BYTES: usize = 64 << 20;

/// Somewhere to read entries of the index from.
pub(in crate::store::embedded) trait Source {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// Where the event that was last accepted under a hash lies, if any is remembered.
    fn seen(&self, hash: &EventHash) -> Result<Option<EventRef>>;

    /// What opens values.
    fn vault(&self) -> &Vault;
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

/// Changes that are not in tables yet.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// In no order: most look for one key, which a tree would find by comparing a dozen others from all over memory.
    pub(super) entries: HashMap<Bytes, Bytes>,
    pub(super) seen: HashMap<EventHash, EventRef>,
    bytes: usize,
}

#[derive(Debug)]
struct Layers {
    active: Layer,
    frozen: Option<Arc<Layer>>,
    /// Describes everything up to the active layer.
    meta: Meta,
    stored: TableSet,
    /// Describes what is in the tables.
    flushed: Meta,
    /// How many layers were flushed.
    flushes: u64,
}

/// The index of an open store.
pub(in crate::store::embedded) struct Index {
    layers: RwLock<Layers>,
    /// Never holds a value that is not the newest of those in tables.
    cache: Cache,
    pub(super) disk: Disk,
    pub(super) signal: Signal,
    pub(super) checkpoint_request: CheckpointRequest,
    pub(super) status: Arc<Status>,
    vault: Arc<Vault>,
    is_damaged: AtomicBool,
}

impl Index {
    pub(in crate::store::embedded) fn new(opened: Opened, status: Arc<Status>, vault: Arc<Vault>) -> Self {
        let Opened { disk, meta, stored, cache } = opened;
        let layers = Layers { active: Layer::default(), frozen: None, meta, stored, flushed: meta, flushes: 0 };
        Self {
            layers: RwLock::new(layers),
            cache,
            disk,
            signal: Signal::default(),
            checkpoint_request: CheckpointRequest::default(),
            status,
            vault,
            is_damaged: AtomicBool::new(false),
        }
    }

    /// What opens values, for whoever opens them later.
    pub(in crate::store::embedded) fn shared_vault(&self) -> Arc<Vault> {
        Arc::clone(&self.vault)
    }

    /// Whether something of it could not be read.
    pub(in crate::store::embedded) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    /// Passes on what came of reading tables or writing them. Where they are damaged, no more commits are taken, so that
    /// somebody restarts the process, and the next start builds the index anew.
    pub(super) fn judged<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(Error::Index(what)) = &result
            && !self.is_damaged.swap(true, Ordering::Relaxed)
        {
            self.status.poison(format!("the index is damaged, and the next start builds it anew: {what}"));
        }
        result
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
        let urgent = layers.active.is_worth_a_flush();
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

    /// Lets a checkpoint be made of what is there now, and waits for it as long as `patient` says so. There may be none in
    /// the end: because there is one already, or no room. False once there will never be one.
    pub(in crate::store::embedded) fn make_checkpoint(&self, patient: impl Fn() -> bool) -> bool {
        let goes_on = || self.status.check().is_ok() && patient();
        self.checkpoint_request.ask();
        self.signal.urgent();
        self.checkpoint_request.wait(goes_on);
        goes_on()
    }

    /// Waits until the layers in memory have room, as long as the store can still make some and `patient` says so.
    pub(in crate::store::embedded) fn wait_for_room(&self, patient: impl Fn() -> bool) {
        self.signal.wait_for_room(|| self.is_full() && self.status.check().is_ok() && patient());
    }

    /// Whether commits have to wait for the flusher.
    pub(in crate::store::embedded) fn is_full(&self) -> bool {
        locks::read(&self.layers).active.is_full()
    }

    /// Whether there is as much as both layers together may have.
    pub(in crate::store::embedded) fn is_full_twice(&self) -> bool {
        let layers = locks::read(&self.layers);
        layers.active.len() >= 2 * LAYER_ENTRIES || layers.active.bytes >= 2 * LAYER_BYTES
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
        let mut page = Vec::new();
        self.each((prefix, after), limit, |key, value| {
            page.push((key.into(), value.into()));
            Ok(())
        })?;
        Ok(page)
    }

    /// Shows `see` the same entries one after the other, where they lie, and tells how many there were.
    pub(in crate::store::embedded) fn each(
        &self,
        (prefix, after): (&[u8], Option<&[u8]>),
        limit: usize,
        mut see: impl FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<usize> {
        // No key is its own prefix, so that everything lies after the prefix.
        let after = after.unwrap_or(prefix);
        let mut newest = BTreeMap::new();
        let tables = {
            let layers = locks::read(&self.layers);
            for layer in layers.frozen.as_deref().into_iter().chain([&layers.active]) {
                newest.extend(layer.page(prefix, after, limit));
            }
            Arc::clone(layers.stored.of(Family::Entries))
        };
        let mut stored = self.judged(tables.after(after))?;
        let mut newest = newest.iter().peekable();
        for seen in 0..limit {
            let found = self.judged(stored.entry())?.filter(|(key, _)| key.starts_with(prefix));
            let order = match (newest.peek(), found) {
                (None, None) => return Ok(seen),
                (Some((newer, _)), Some((key, _))) => (***newer).cmp(key),
                (Some(_), None) => cmp::Ordering::Less,
                (None, Some(_)) => cmp::Ordering::Greater,
            };
            match (order, found) {
                (cmp::Ordering::Greater, Some((key, value))) => see(key, value)?,
                _ => newest.next().map_or(Ok(()), |(key, value)| see(key, value))?,
            }
            // What is in a layer takes the place of what the tables say.
            if order.is_ge() {
                self.judged(stored.advance())?;
            }
        }
        Ok(limit)
    }

    /// Whether so much waits to be flushed that it should not wait for more.
    pub(super) fn is_worth_a_flush(&self) -> bool {
        locks::read(&self.layers).active.is_worth_a_flush()
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

    /// The tables that readers read, and what they hold.
    pub(super) fn flushed(&self) -> (Meta, TableSet) {
        let layers = locks::read(&self.layers);
        (layers.flushed, layers.stored.clone())
    }

    /// Lets go of the frozen layer, which is in tables now, as `flushed` says.
    pub(super) fn thaw(&self, frozen: &Layer, stored: TableSet, flushed: Meta) {
        // Until the layer is gone nobody looks into the cache for what it has.
        for (key, value) in &frozen.entries {
            self.cache.write(Place::of(key), value.clone());
        }
        let mut layers = locks::write(&self.layers);
        layers.flushed = flushed;
        layers.flushes += 1;
        layers.stored = stored;
        layers.frozen = None;
        drop(layers);
        self.signal.flushed();
    }

    /// The tables that readers read.
    pub(super) fn stored(&self) -> TableSet {
        locks::read(&self.layers).stored.clone()
    }

    /// Replaces the tables by others that say the same.
    pub(super) fn set_stored(&self, stored: TableSet) {
        locks::write(&self.layers).stored = stored;
    }

    /// The value of a key, as far as it can be told without waiting for a disk.
    pub(in crate::store::embedded) fn get_at_once(&self, key: &[u8]) -> Result<AtOnce<Option<Bytes>>> {
        if let Some(value) = self.recent(key) {
            return Ok(AtOnce::Found(Some(value)));
        }
        let (tables, flushes) = self.entries();
        let found = self.judged(tables.find_at_once(key))?;
        if let AtOnce::Found(Some(value)) = &found {
            self.remember(key, value, flushes);
        }
        Ok(found)
    }

    /// Whether an event is remembered under a hash, as far as it can be told without waiting for a disk.
    pub(in crate::store::embedded) fn is_seen_at_once(&self, hash: &EventHash) -> Result<AtOnce<bool>> {
        let tables = {
            let layers = locks::read(&self.layers);
            if layers.seen(hash).is_some() {
                return Ok(AtOnce::Found(true));
            }
            Arc::clone(layers.stored.of(Family::Seen))
        };
        Ok(match self.judged(tables.find_at_once(hash))? {
            AtOnce::Found(at) => AtOnce::Found(at.is_some()),
            AtOnce::OnDisk => AtOnce::OnDisk,
        })
    }

    /// What was written or read lately.
    fn recent(&self, key: &[u8]) -> Option<Bytes> {
        if let Some(value) = locks::read(&self.layers).get(key) {
            return Some(value.clone());
        }
        self.cache.get(Place::of(key))
    }

    /// The tables of entries, and how many layers had been flushed when they were that.
    fn entries(&self) -> (Arc<Tables>, u64) {
        let layers = locks::read(&self.layers);
        (Arc::clone(layers.stored.of(Family::Entries)), layers.flushes)
    }

    /// Reads from the tables, and remembers it.
    fn get_stored(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let (tables, flushes) = self.entries();
        let value = self.judged(tables.find(key))?;
        if let Some(value) = &value {
            self.remember(key, value, flushes);
        }
        Ok(value)
    }

    /// Puts a value into the cache that was read when so many layers had been flushed, unless a newer one was written
    /// meanwhile: that is in a layer, or was flushed after the read.
    fn remember(&self, key: &[u8], value: &Bytes, flushes: u64) {
        let layers = locks::read(&self.layers);
        if layers.flushes == flushes && layers.get(key).is_none() {
            self.cache.put(Place::of(key), value.clone());
        }
    }

    /// What was made of the value of a key, where this still has the revision that `revision_of` says of it. Both are
    /// looked for under one lock: a value that is in no layer any more has taken its place in the cache before.
    pub(in crate::store::embedded) fn recall(
        &self,
        key: &[u8],
        revision_of: impl Fn(&[u8]) -> Option<Revision>,
    ) -> Option<Memo> {
        let place = Place::of(key);
        let layers = locks::read(&self.layers);
        let (made_of, memo) = self.cache.memo(place)?;
        let is_current = layers.get(key).is_none_or(|value| revision_of(value) == Some(made_of));
        is_current.then_some(memo)
    }

    /// Remembers what was made of the value of a key, if memory says that it has this revision still.
    pub(in crate::store::embedded) fn remember_memo(
        &self,
        key: &[u8],
        (revision, memo): (Revision, Memo),
        revision_of: impl Fn(&[u8]) -> Option<Revision>,
    ) {
        let place = Place::of(key);
        let layers = locks::read(&self.layers);
        // Without a layer that has the key, the cache is never behind: neither a value in it nor a memo.
        let newest = match layers.get(key).cloned().or_else(|| self.cache.get(place)) {
            Some(value) => revision_of(&value),
            None => self.cache.memo(place).map(|(made_of, _)| made_of),
        };
        if newest == Some(revision) {
            self.cache.put_memo(place, revision, memo);
            // Who reads by the memo does not read the value, which would take as much room again.
            self.cache.forget(place);
        }
    }

    /// Forgets what was made of the value of a key.
    pub(in crate::store::embedded) fn forget_memo(&self, key: &[u8]) {
        self.cache.forget_memo(Place::of(key));
    }
}

impl Source for Index {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.recent(key) {
            Some(value) => Ok(Some(value)),
            None => self.get_stored(key),
        }
    }

    fn seen(&self, hash: &EventHash) -> Result<Option<EventRef>> {
        let tables = {
            let layers = locks::read(&self.layers);
            if let Some(at) = layers.seen(hash) {
                return Ok(Some(at));
            }
            Arc::clone(layers.stored.of(Family::Seen))
        };
        self.judged(tables.find(hash))?.map(|at| EventRef::from_bytes(&at)).transpose()
    }

    fn vault(&self) -> &Vault {
        &self.vault
    }
}

impl Layers {
    fn get(&self, key: &[u8]) -> Option<&Bytes> {
        let frozen = || self.frozen.as_ref().and_then(|frozen| frozen.entries.get(key));
        self.active.entries.get(key).or_else(frozen)
    }

    fn seen(&self, hash: &EventHash) -> Option<EventRef> {
        let frozen = || self.frozen.as_ref().and_then(|frozen| frozen.seen.get(hash));
        self.active.seen.get(hash).or_else(frozen).copied()
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
        self.bytes += change.seen.len() * (size_of::<EventHash>() + size_of::<EventRef>());
        self.seen.extend(change.seen);
    }

    fn len(&self) -> usize {
        self.entries.len() + self.seen.len()
    }

    fn is_worth_a_flush(&self) -> bool {
        self.len() >= FLUSH_ENTRIES || self.bytes >= FLUSH_BYTES
    }

    fn is_full(&self) -> bool {
        self.len() >= LAYER_ENTRIES || self.bytes >= LAYER_BYTES
    }

    fn page(&self, prefix: &[u8], after: &[u8], limit: usize) -> impl Iterator<Item = (Bytes, Bytes)> {
        let is_within = |key: &Bytes| key.starts_with(prefix) && **key > *after;
        let mut within: Vec<_> = self.entries.iter().filter(|(key, _)| is_within(key)).collect();
        within.sort_unstable_by_key(|(key, _)| *key);
        within.into_iter().take(limit).map(|(key, value)| (key.clone(), value.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"key";

    /// What a reader has that read the value in the tables just before a commit replaced it.
    struct Reader {
        index: Index,
        old: Bytes,
        flushes: u64,
    }

    impl Reader {
        fn new() -> Self {
            let index =
                Index::new(Opened::temporary([3; 16]), Arc::default(), Vault::bare().expect("no files are no damage"));
            Self { index, old: Bytes::from(b"old"), flushes: 0 }
        }

        fn replace(&self) {
            let entries = vec![(KEY.into(), Bytes::from(b"new"))];
            self.index.publish(Change { entries, applied: Revision(1), ..Change::default() });
        }

        /// Flushes the layer, as far as readers of the cache can tell.
        fn flush(&self) {
            let (layer, meta) = self.index.freeze().expect("a layer");
            self.index.thaw(&layer, self.index.stored(), meta);
        }

        fn remember(&self) {
            self.index.remember(KEY, &self.old, self.flushes);
        }

        fn recall(&self) -> Option<&'static str> {
            let memo = self.index.recall(KEY, revision_of)?;
            Some(*memo.value.downcast::<&'static str>().expect("what was remembered"))
        }

        /// What the cache has: the tables are empty here.
        fn sees(&self) -> Option<Bytes> {
            self.index.get(KEY).expect("readable")
        }
    }

    /// The values of these tests stand for profiles of these revisions.
    fn revision_of(value: &[u8]) -> Option<Revision> {
        Some(Revision(if value == b"old" { 0 } else { 1 }))
    }

    #[test]
    fn a_memo_of_what_was_replaced_is_never_recalled_and_of_what_is_there_always() {
        let memo = |text: &'static str| Memo { value: Arc::new(text), bytes: text.len() };
        let reader = Reader::new();
        let remember = |revision, text| reader.index.remember_memo(KEY, (Revision(revision), memo(text)), revision_of);
        remember(0, "unknown");
        assert_eq!(reader.recall(), None, "memory does not know whether that is so");
        reader.remember();
        remember(0, "of old");
        assert_eq!(reader.recall(), Some("of old"));
        remember(0, "more of old");
        assert_eq!(reader.recall(), Some("more of old"), "the memo before says what is there");
        reader.replace();
        assert_eq!(reader.recall(), None, "the new one is in a layer");
        reader.flush();
        assert_eq!(reader.recall(), None, "it is in the tables");
        remember(0, "of old");
        assert_eq!(reader.recall(), None);

        let reader = Reader::new();
        reader.replace();
        reader.index.remember_memo(KEY, (Revision(1), memo("of new")), revision_of);
        assert_eq!(reader.recall(), Some("of new"), "of what is not flushed yet");
        reader.index.forget_memo(KEY);
        assert_eq!(reader.recall(), None);
    }

    #[test]
    fn a_reader_that_was_overtaken_by_a_commit_or_its_flush_leaves_nothing_old_in_the_cache() {
        let orders: [&[fn(&Reader)]; 3] = [
            &[Reader::remember, Reader::replace, Reader::flush],
            &[Reader::replace, Reader::remember, Reader::flush],
            &[Reader::replace, Reader::flush, Reader::remember],
        ];
        for (number, order) in orders.into_iter().enumerate() {
            let reader = Reader::new();
            order.iter().for_each(|step| step(&reader));
            assert!(reader.sees().is_none_or(|seen| seen == b"new"), "order {number}");
        }
        let undisturbed = Reader::new();
        undisturbed.remember();
        assert_eq!(undisturbed.sees(), Some(undisturbed.old.clone()));
    }
}
