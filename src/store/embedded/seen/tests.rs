//! Runs against a plain map.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{Garbage, Merge, Runs, Step, load};
use crate::domain::time::Timestamp;
use crate::store::embedded::index::keys::EventHash;
use crate::store::embedded::index::{Batch, Disk};
use crate::store::embedded::journal::EventRef;

fn disk() -> Disk {
    Disk::temporary()
}

fn hash(number: u32) -> EventHash {
    let mut hash = [0; 16];
    hash.copy_from_slice(&blake3::hash(&number.to_le_bytes()).as_bytes()[..16]);
    hash
}

fn at(position: u32) -> EventRef {
    EventRef { segment: 1, offset: position, bytes: 7 }
}

/// The runs as the flusher keeps them.
struct Kept {
    disk: Disk,
    runs: Runs,
    garbage: Garbage,
    next_run: u64,
    merge: Option<Merge>,
}

impl Kept {
    fn new() -> Self {
        Self { disk: disk(), runs: Runs::default(), garbage: Garbage::default(), next_run: 0, merge: None }
    }

    fn flush(&mut self, mut seen: HashMap<EventHash, EventRef>, now: Timestamp) {
        let mut batch = Batch::default();
        self.garbage.remove(&self.disk, &mut batch).expect("removable");
        let mut runs = self.runs.clone();
        if self.merge.is_none() {
            runs = runs.without_small(&self.disk, &mut seen, &mut self.garbage).expect("readable");
        }
        runs = runs.with_added(self.next_run, now, &seen, &mut batch).expect("writable");
        self.next_run += 1;
        runs.put_list(&mut batch).expect("writable");
        self.disk.apply(batch).expect("writable");
        self.runs = runs;
    }

    fn merge_a_little(&mut self) {
        let plan = || self.runs.plan_merge(self.next_run);
        let Some(merge) = self.merge.take().or_else(plan) else { return };
        self.next_run += 1;
        match merge.step(&self.disk).expect("readable") {
            Step::Unfinished(merge) => self.merge = Some(merge),
            Step::Finished(merged) => {
                self.runs = self.runs.with_merged(merged, &mut self.garbage);
                let mut batch = Batch::default();
                self.runs.put_list(&mut batch).expect("writable");
                self.disk.apply(batch).expect("writable");
            }
        }
    }

    fn find(&self, number: u32) -> Option<EventRef> {
        self.runs.find(&self.disk, &hash(number)).expect("readable").expect("the list is up to date")
    }

    fn agrees_with(&self, model: &HashMap<u32, EventRef>, numbers: u32) {
        for number in 0..numbers {
            assert_eq!(self.find(number), model.get(&number).copied(), "event {number}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn runs_find_the_latest_of_each_event_whatever_was_merged(
        flushes in prop::collection::vec((1_u32..1_500, 0_u32..3_000, any::<bool>()), 1..24),
    ) {
        let (mut kept, mut model, mut position) = (Kept::new(), HashMap::new(), 0);
        for (count, first, merges) in flushes {
            let mut seen = HashMap::new();
            for number in first..first + count {
                position += 1;
                seen.insert(hash(number), at(position));
                model.insert(number, at(position));
            }
            kept.flush(seen, Timestamp::from_micros(0));
            if merges {
                kept.merge_a_little();
            }
        }
        kept.agrees_with(&model, 4_600);
        kept.runs = load(&kept.disk).expect("loadable");
        kept.agrees_with(&model, 4_600);
    }
}

#[test]
fn many_flushes_leave_few_runs() {
    let mut kept = Kept::new();
    for flush in 0..300_u32 {
        let numbers = flush * 500..(flush + 1) * 500;
        kept.flush(numbers.map(|number| (hash(number), at(number))).collect(), Timestamp::from_micros(0));
        while kept.merge.is_some() || kept.runs.plan_merge(u64::MAX).is_some() {
            kept.merge_a_little();
        }
    }
    assert!(kept.runs.0.len() <= 20, "{} runs", kept.runs.0.len());
    assert_eq!(kept.runs.0.iter().map(|run| run.label.entries).sum::<u64>(), 150_000);
    assert_eq!((kept.find(0), kept.find(149_999), kept.find(150_000)), (Some(at(0)), Some(at(149_999)), None));
}

#[test]
fn a_trickle_of_events_is_one_run() {
    let mut kept = Kept::new();
    for number in 0..100 {
        kept.flush(HashMap::from([(hash(number), at(number))]), Timestamp::from_micros(0));
    }
    assert_eq!(kept.runs.0.len(), 1);
    assert_eq!(kept.find(0), Some(at(0)));
}

#[test]
fn runs_leave_the_window_as_a_whole() {
    let mut kept = Kept::new();
    for minute in 0..10 {
        let seen = (minute * 300..(minute + 1) * 300).map(|number| (hash(number), at(number)));
        kept.flush(seen.collect(), Timestamp::from_micros(i64::from(minute)));
    }
    kept.runs = kept.runs.without_older_than(Timestamp::from_micros(4), &mut kept.garbage);
    assert_eq!((kept.find(3 * 300), kept.find(4 * 300)), (None, Some(at(4 * 300))));
}

#[test]
fn what_an_unfinished_merge_left_is_removed_at_the_next_start() {
    let mut kept = Kept::new();
    for flush in 0..4_u32 {
        let numbers = flush * 20_000..(flush + 1) * 20_000;
        kept.flush(numbers.map(|number| (hash(number), at(number))).collect(), Timestamp::from_micros(0));
    }
    let before = kept.disk.raw_from(&[]).count();
    kept.merge_a_little();
    assert!(kept.merge.take().is_some(), "the merge takes several steps");
    assert!(kept.disk.raw_from(&[]).count() > before);
    kept.runs = load(&kept.disk).expect("loadable");
    assert_eq!(kept.disk.raw_from(&[]).count(), before);
    assert_eq!(kept.find(79_999), Some(at(79_999)));
}
