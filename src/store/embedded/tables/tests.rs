//! Tables against a plain map.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::tables::TABLES_PER_TIER;
use super::{Addition, AtOnce, Garbage, Merge, Step, Tables, load, remove_leftovers};
use crate::domain::time::Timestamp;
use crate::store::embedded::index::keys::Family;
use crate::store::embedded::index::{Batch, Bytes, Disk};
use crate::store::{Error, Result};

/// Tables of one tier, and entries of each that is so large that their merge takes several steps.
const TABLES: u32 = TABLES_PER_TIER as u32;
const LARGE: u32 = 10_000;

/// Keys of different lengths, in no order of their numbers.
fn key(number: u32) -> Bytes {
    let digest = blake3::hash(&number.to_le_bytes());
    Bytes::from(&digest.as_bytes()[..8 + number as usize % 20])
}

/// A value that tells which writing it is from.
fn value(writing: u32, bytes: usize) -> Bytes {
    writing.to_le_bytes().iter().copied().cycle().take(bytes.max(4)).collect::<Vec<_>>().into()
}

/// Everything that the tables of a family say.
pub(in crate::store::embedded) type Entries = BTreeMap<Bytes, Bytes>;

/// Changes what the tables in the directory of an index say.
pub(in crate::store::embedded) fn forge(directory: &Path, change: impl FnOnce(&mut Entries)) {
    let disk = Disk::open(directory).expect("opens");
    let tables = load(&disk, Family::Entries).expect("loadable");
    let mut entries: Entries = page(&tables, (&[], &[]), usize::MAX).expect("readable").into_iter().collect();
    change(&mut entries);
    let entries: Vec<_> = entries.iter().map(|(key, value)| (&key[..], &value[..])).collect();
    let addition = Addition { id: tables.next_id(), newest: Timestamp::MIN, entries: &entries, merge: None };
    let empty = Tables::empty(Family::Entries);
    let forged = empty.with_added(disk.tables(), addition, &mut Garbage::default()).expect("writable");
    put_list(&disk, &forged);
    disk.flush().expect("writable");
}

fn put_list(disk: &Disk, tables: &Tables) {
    let mut batch = Batch::default();
    tables.put_list(&mut batch).expect("writable");
    disk.apply(batch).expect("writable");
}

/// The tables as the flusher keeps them.
struct Kept {
    _directory: TempDir,
    disk: Disk,
    tables: Tables,
    garbage: Garbage,
    next_id: u64,
    merge: Option<Box<Merge>>,
}

impl Kept {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (disk, tables) = (Disk::open(directory.path()).expect("opens"), Tables::empty(Family::Entries));
        Self { _directory: directory, disk, tables, garbage: Garbage::default(), next_id: 0, merge: None }
    }

    /// Whose merge takes several steps.
    fn with_large_tables_to_merge() -> Self {
        let mut kept = Self::new();
        for flush in 0..TABLES {
            let numbers = flush * LARGE..(flush + 1) * LARGE;
            kept.flush(numbers.map(|number| (key(number), value(flush, 100))), Timestamp::MIN);
        }
        kept
    }

    fn flush(&mut self, entries: impl IntoIterator<Item = (Bytes, Bytes)>, now: Timestamp) {
        let entries: Entries = entries.into_iter().collect();
        let entries: Vec<_> = entries.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        let addition = Addition { id: self.next_id, newest: now, entries: &entries, merge: self.merge.as_deref() };
        self.next_id += 1;
        self.tables = self.tables.with_added(self.disk.tables(), addition, &mut self.garbage).expect("writable");
        self.put_list();
    }

    fn put_list(&mut self) {
        put_list(&self.disk, &self.tables);
        self.garbage.remove(&self.disk).expect("removable");
    }

    fn plan(&self) -> Option<Box<Merge>> {
        self.tables.plan_merge(self.disk.tables(), self.next_id, |_| true).expect("readable")
    }

    /// Does one step of a merge; false where there is none to do.
    fn merge_a_little(&mut self) -> bool {
        let Some(merge) = self.merge.take().or_else(|| self.plan()) else { return false };
        self.next_id += 1;
        match merge.step().expect("readable") {
            Step::Unfinished(merge) => self.merge = Some(merge),
            Step::Finished(merged) => {
                self.tables = self.tables.with_merged(merged, &mut self.garbage);
                self.put_list();
            }
        }
        true
    }

    fn find(&self, number: u32) -> Option<Bytes> {
        let found = self.tables.find(&key(number)).expect("readable");
        let at_once = self.tables.find_at_once(&key(number)).expect("readable");
        assert!(at_once == AtOnce::Found(found.clone()) || at_once == AtOnce::OnDisk, "{found:?} {at_once:?}");
        found
    }

    fn agrees_with(&self, model: &Entries, numbers: u32) {
        for number in 0..numbers {
            assert_eq!(self.find(number), model.get(&key(number)).cloned(), "entry {number}");
        }
        let mut pages = Vec::new();
        let mut after = Bytes::default();
        loop {
            let page = page(&self.tables, (&[], &after), 700).expect("readable");
            let Some((last, _)) = page.last() else { break };
            after = last.clone();
            pages.extend(page);
        }
        assert_eq!(pages, model.clone().into_iter().collect::<Vec<_>>());
    }

    /// Takes up what is on disk, as a start does.
    fn start_again(&mut self) {
        self.merge = None;
        self.tables = load(&self.disk, Family::Entries).expect("loadable");
        remove_leftovers(self.disk.tables(), [&self.tables, &Tables::empty(Family::Seen)]).expect("removable");
    }

    fn files(&self) -> usize {
        fs::read_dir(self.disk.tables()).expect("readable").count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn tables_have_the_latest_of_each_key_whatever_was_merged(
        flushes in prop::collection::vec((1_u32..1_500, 0_u32..3_000, 4_usize..900, any::<bool>()), 1..24),
    ) {
        let (mut kept, mut model) = (Kept::new(), BTreeMap::new());
        for (writing, (count, first, bytes, merges)) in (0..).zip(flushes) {
            let entries: BTreeMap<_, _> =
                (first..first + count).map(|number| (key(number), value(writing, bytes))).collect();
            model.extend(entries.clone());
            kept.flush(entries, Timestamp::MIN);
            if merges {
                kept.merge_a_little();
            }
        }
        kept.agrees_with(&model, 4_600);
        kept.start_again();
        kept.agrees_with(&model, 4_600);
    }
}

/// At most `limit` entries whose keys begin with `prefix`, after `after`.
fn page(tables: &Tables, (prefix, after): (&[u8], &[u8]), limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
    let (mut scan, mut page) = (tables.after(after)?, Vec::new());
    while page.len() < limit {
        let Some((key, value)) = scan.entry()?.filter(|(key, _)| key.starts_with(prefix)) else { break };
        page.push((key.into(), value.into()));
        scan.advance()?;
    }
    Ok(page)
}

#[test]
fn a_value_of_any_size_is_read_as_it_was_written() {
    let (mut kept, mut model) = (Kept::new(), BTreeMap::new());
    for (number, bytes) in (0..).zip([0, 1, 16 << 10, 47 << 10, 48 << 10, 96 << 10, 500_000, 3 << 20]) {
        model.insert(key(number), value(number, bytes));
    }
    kept.flush(model.clone(), Timestamp::MIN);
    kept.agrees_with(&model, 20);
    kept.start_again();
    kept.agrees_with(&model, 20);
}

#[test]
fn a_page_begins_after_its_key_and_ends_with_its_prefix() {
    let mut kept = Kept::new();
    let entry = |key: &str| (Bytes::from(key.as_bytes()), Bytes::default());
    kept.flush(["a1", "b1", "b3", "c1"].map(entry), Timestamp::MIN);
    kept.flush(["b2", "b4", "d1"].map(entry), Timestamp::MIN);
    let page = |after: &str, limit| -> Vec<String> {
        let page = page(&kept.tables, (b"b", after.as_bytes()), limit).expect("readable");
        page.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect()
    };
    assert_eq!(page("b", 10), ["b1", "b2", "b3", "b4"]);
    assert_eq!(page("b", 3), ["b1", "b2", "b3"]);
    assert_eq!(page("b2", 10), ["b3", "b4"]);
    assert_eq!(page("b25", 1), ["b3"]);
    assert!(page("b4", 10).is_empty());
}

#[test]
fn many_flushes_leave_few_tables_and_no_leftovers() {
    let mut kept = Kept::new();
    for flush in 0..200_u32 {
        let numbers = flush * 500..(flush + 1) * 500;
        kept.flush(numbers.map(|number| (key(number), value(flush, 200))), Timestamp::MIN);
        while kept.merge_a_little() {}
    }
    assert!(kept.tables.list.len() <= 20, "{} tables", kept.tables.list.len());
    assert_eq!(
        (kept.find(0), kept.find(99_999), kept.find(100_000)),
        (Some(value(0, 200)), Some(value(199, 200)), None)
    );
    assert_eq!(kept.files(), kept.tables.list.len(), "every file is a table");
}

#[test]
fn a_trickle_is_one_table_also_while_others_are_merged() {
    let mut kept = Kept::with_large_tables_to_merge();
    kept.merge_a_little();
    assert!(kept.merge.is_some(), "the merge takes several steps");
    for number in 1_000_000..1_000_100 {
        kept.flush([(key(number), value(number, 100))], Timestamp::MIN);
    }
    assert_eq!(kept.tables.list.len(), 1 + TABLES_PER_TIER);
    while kept.merge_a_little() {}
    assert_eq!(kept.find(1_000_000), Some(value(1_000_000, 100)));
    assert_eq!(kept.find(TABLES * LARGE - 1), Some(value(TABLES - 1, 100)));
}

#[test]
fn tables_leave_the_window_as_a_whole() {
    let mut kept = Kept::new();
    for minute in 0..10_u32 {
        let numbers = minute * 300..(minute + 1) * 300;
        let newest = Timestamp::from_micros(i64::from(minute));
        kept.flush(numbers.map(|number| (key(number), value(minute, 500))), newest);
    }
    kept.tables = kept.tables.without_older_than(Timestamp::from_micros(4), None, &mut kept.garbage);
    assert_eq!((kept.find(3 * 300), kept.find(4 * 300)), (None, Some(value(4, 500))));
}

#[test]
fn values_that_were_replaced_take_no_more_than_those_that_count() {
    let mut kept = Kept::new();
    let bytes = |kept: &Kept| kept.tables.list.iter().map(|table| table.label.bytes).sum::<u64>();
    kept.flush((0..LARGE).map(|number| (key(number), value(0, 300))), Timestamp::MIN);
    let live = bytes(&kept);
    for writing in 1..40_u32 {
        let numbers = (0..LARGE / 10).map(|number| (writing * 7_919 + number * 13) % LARGE);
        kept.flush(numbers.map(|number| (key(number), value(writing, 300))), Timestamp::MIN);
        while kept.merge_a_little() {}
        assert!(bytes(&kept) <= 21 * live / 10, "{} where {live} count", bytes(&kept));
    }
}

#[test]
fn whoever_reads_a_table_goes_on_when_another_has_taken_its_place() {
    let mut kept = Kept::with_large_tables_to_merge();
    let before = kept.tables.clone();
    while kept.merge_a_little() {}
    assert_eq!(kept.files(), 1, "the others are gone");
    assert_eq!(before.find(&key(0)).expect("readable"), Some(value(0, 100)));
    assert_eq!(page(&before, (&[], &[]), usize::MAX).expect("readable").len(), (TABLES * LARGE) as usize);
}

#[test]
fn a_killed_process_leaves_no_file_that_no_list_names_and_none_is_missing() {
    let mut kept = Kept::with_large_tables_to_merge();
    let tables = kept.files();
    kept.merge_a_little();
    std::mem::forget(kept.merge.take().expect("the merge takes several steps"));
    assert_eq!(kept.files(), tables + 1);
    kept.start_again();
    assert_eq!(kept.files(), tables);
    assert_eq!(kept.find(TABLES * LARGE - 1), Some(value(TABLES - 1, 100)));
    kept.merge_a_little();
    drop(kept.merge.take().expect("the merge takes several steps"));
    assert_eq!(kept.files(), tables, "what is given up leaves nothing behind");
}

#[test]
fn a_table_that_is_damaged_or_another_one_is_never_read() {
    let mut kept = Kept::new();
    kept.flush((0..200).map(|number| (key(number), value(number, 400))), Timestamp::MIN);
    let path = kept.tables.list[0].path().to_owned();
    let whole = fs::read(&path).expect("readable");
    for position in (0..whole.len()).step_by(97) {
        let mut file = whole.clone();
        file[position] ^= 1 << (position % 8);
        fs::write(&path, &file).expect("writable");
        let read = load(&kept.disk, Family::Entries).and_then(|tables| page(&tables, (&[], &[]), 300));
        assert!(matches!(read, Err(Error::Index(_))), "byte {position}");
    }
    for length in (0..whole.len()).step_by(997) {
        fs::write(&path, &whole[..length]).expect("writable");
        assert!(matches!(load(&kept.disk, Family::Entries), Err(Error::Index(_))), "cut at {length}");
    }
    fs::remove_file(&path).expect("removable");
    assert!(matches!(load(&kept.disk, Family::Entries), Err(Error::Index(_))), "missing");
    kept.flush([(key(1), value(1, 5))], Timestamp::MIN);
    fs::rename(kept.tables.list[1].path(), &path).expect("renamed");
    assert!(matches!(load(&kept.disk, Family::Entries), Err(Error::Index(_))), "another one");
}
