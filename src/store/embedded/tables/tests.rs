//! Tables against a plain map.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::tables::TABLES_PER_TIER;
use super::{Addition, Garbage, Merge, Step, Tables, load};
use crate::domain::time::Timestamp;
use crate::store::embedded::index::keys::Family;
use crate::store::embedded::index::{Batch, Bytes, Disk};

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

/// Changes what the tables in a directory of sled say.
pub(in crate::store::embedded) fn forge(directory: &Path, change: impl FnOnce(&mut Entries)) {
    let disk = Disk::new(sled::open(directory).expect("opens"));
    let tables = load(&disk, Family::Entries).expect("loadable");
    let mut entries = tables.page(&disk, (&[], &[]), usize::MAX).expect("readable").into_iter().collect();
    change(&mut entries);
    let (mut batch, mut garbage) = (Batch::default(), Garbage::default());
    let addition = Addition { id: tables.next_id(), newest: Timestamp::MIN, entries, merge: None };
    let empty = Tables::empty(Family::Entries);
    let tables = empty.with_added(&disk, addition, &mut garbage, &mut batch).expect("writable");
    tables.put_list(&mut batch).expect("writable");
    disk.apply(batch).expect("writable");
    disk.flush().expect("writable");
}

/// The tables as the flusher keeps them.
struct Kept {
    disk: Disk,
    tables: Tables,
    garbage: Garbage,
    next_id: u64,
    merge: Option<Merge>,
}

impl Kept {
    fn new() -> Self {
        let (disk, tables) = (Disk::temporary(), Tables::empty(Family::Entries));
        Self { disk, tables, garbage: Garbage::default(), next_id: 0, merge: None }
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
        let mut batch = Batch::default();
        self.garbage.remove(&mut batch);
        let (entries, merge) = (entries.into_iter().collect(), self.merge.as_ref());
        let addition = Addition { id: self.next_id, newest: now, entries, merge };
        self.next_id += 1;
        let tables = self.tables.with_added(&self.disk, addition, &mut self.garbage, &mut batch).expect("writable");
        tables.put_list(&mut batch).expect("writable");
        self.disk.apply(batch).expect("writable");
        self.tables = tables;
    }

    fn plan(&self) -> Option<Merge> {
        self.tables.plan_merge(&self.disk, self.next_id, |_| true).expect("readable")
    }

    /// Does one step of a merge; false where there is none to do.
    fn merge_a_little(&mut self) -> bool {
        let Some(merge) = self.merge.take().or_else(|| self.plan()) else { return false };
        self.next_id += 1;
        match merge.step(&self.disk).expect("readable") {
            Step::Unfinished(merge) => self.merge = Some(merge),
            Step::Finished(merged) => {
                self.tables = self.tables.with_merged(merged, &mut self.garbage);
                let mut batch = Batch::default();
                self.tables.put_list(&mut batch).expect("writable");
                self.disk.apply(batch).expect("writable");
            }
        }
        true
    }

    fn find(&self, number: u32) -> Option<Bytes> {
        self.tables.find(&self.disk, &key(number)).expect("the list is up to date")
    }

    fn agrees_with(&self, model: &BTreeMap<Bytes, Bytes>, numbers: u32) {
        for number in 0..numbers {
            assert_eq!(self.find(number), model.get(&key(number)).cloned(), "entry {number}");
        }
        let mut pages = Vec::new();
        let mut after = Bytes::default();
        loop {
            let page = self.tables.page(&self.disk, (&[], &after), 700).expect("the list is up to date");
            let Some((last, _)) = page.last() else { break };
            after = last.clone();
            pages.extend(page);
        }
        assert_eq!(pages, model.clone().into_iter().collect::<Vec<_>>());
    }

    fn entries_on_disk(&self) -> usize {
        self.disk.from(&[]).count()
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
        kept.tables = load(&kept.disk, Family::Entries).expect("loadable");
        kept.merge = None;
        kept.agrees_with(&model, 4_600);
    }
}

#[test]
fn a_value_of_any_size_is_read_as_it_was_written() {
    let (mut kept, mut model) = (Kept::new(), BTreeMap::new());
    for (number, bytes) in (0..).zip([0, 1, 16 << 10, 47 << 10, 48 << 10, 96 << 10, 500_000, 3 << 20]) {
        model.insert(key(number), value(number, bytes));
    }
    kept.flush(model.clone(), Timestamp::MIN);
    kept.agrees_with(&model, 20);
    kept.tables = load(&kept.disk, Family::Entries).expect("loadable");
    kept.agrees_with(&model, 20);
}

#[test]
fn a_page_begins_after_its_key_and_ends_with_its_prefix() {
    let mut kept = Kept::new();
    let entry = |key: &str| (Bytes::from(key.as_bytes()), Bytes::default());
    kept.flush(["a1", "b1", "b3", "c1"].map(entry), Timestamp::MIN);
    kept.flush(["b2", "b4", "d1"].map(entry), Timestamp::MIN);
    let page = |after: &str, limit| -> Vec<String> {
        let page = kept.tables.page(&kept.disk, (b"b", after.as_bytes()), limit).expect("readable");
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
    kept.flush([], Timestamp::MIN);
    let loaded = load(&kept.disk, Family::Entries).expect("loadable");
    assert!(loaded.leftovers.is_empty(), "everything on disk belongs to a table");
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
fn what_an_unfinished_merge_left_is_found_by_the_next_start_and_removed_when_there_is_room() {
    let mut kept = Kept::with_large_tables_to_merge();
    let before = kept.entries_on_disk();
    kept.merge_a_little();
    assert!(kept.merge.take().is_some(), "the merge takes several steps");
    assert!(kept.entries_on_disk() > before);
    kept.tables = load(&kept.disk, Family::Entries).expect("loadable");
    assert!(kept.entries_on_disk() > before, "a start writes nothing");
    assert_eq!(
        (kept.tables.leftovers.len(), kept.tables.next_id()),
        (1, u64::from(TABLES) + 1),
        "no other table may take its id"
    );
    kept.tables = kept.tables.without_leftover(&kept.disk).expect("removable").expect("something was left");
    assert_eq!(kept.entries_on_disk(), before);
    assert!(kept.tables.without_leftover(&kept.disk).expect("readable").is_none());
    assert_eq!(kept.find(TABLES * LARGE - 1), Some(value(TABLES - 1, 100)));
}
