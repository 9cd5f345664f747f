//! The power goes between any two steps of the audit log.

use super::cases;
use super::disk::{self, Disk};
use super::recorder::{Entry, Recorder};
use crate::domain::id::Revision;
use crate::store::embedded::tests::audit::{entry, numbers, open_log};

/// Starts of a history, each with two batches: together they fill more than one file.
const SESSIONS: u64 = 8;
/// What may be left at each moment is drawn so often. Each draw takes some syncs of the disk.
const DRAWS: u64 = 1;

#[test]
fn no_acknowledged_entry_of_the_audit_log_is_lost_by_a_power_cut() {
    let home = tempfile::tempdir().expect("a directory");
    let recorder = Recorder::start(home.path());
    let mut next = 1;
    for session in 0..SESSIONS {
        // A new start now and then, which finds the end anew.
        let log = open_log(home.path());
        for entries in [session % 3 + 1, 1] {
            log.append((next..next + entries).map(entry).collect()).expect("appended");
            next += entries;
            recorder.note(Entry::Acknowledged(Revision(next - 1)));
        }
    }
    let entries = recorder.entries();
    let (mut before, mut promised) = (Disk::default(), 0);
    let mut torn = 0;
    for (position, happened) in entries.iter().enumerate() {
        match happened {
            Entry::Change(change) => before.apply(change),
            Entry::Acknowledged(revision) => promised = revision.0,
            Entry::ArtifactBegins(..) | Entry::ArtifactEnds(..) => {}
        }
        for draw in 0..DRAWS {
            let seed = cases::first_seed() + position as u64 * DRAWS + draw;
            let image = before.after_power_cut(&mut cases::random(seed));
            let left = tempfile::tempdir().expect("a directory");
            disk::write_image(&image, left.path()).expect("writable");
            let log = open_log(left.path());
            let found = numbers(&log);
            let last = found.len() as u64;
            assert_eq!(found, (1..=last).collect::<Vec<_>>(), "seed {seed}: something is missing between");
            assert!(last >= promised, "seed {seed}: entry {promised} was acknowledged, and the last one is {last}");
            torn += u64::from(last > promised);
            log.append(vec![entry(last + 1)]).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            drop(log);
            assert_eq!(numbers(&open_log(left.path())).len() as u64, last + 1, "seed {seed}: it does not go on");
        }
    }
    assert!(torn > 0, "no cut fell between a write and its acknowledgement");
}
