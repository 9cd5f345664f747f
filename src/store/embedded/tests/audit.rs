//! The audit log on disk: its chain, what of it a fall may take, and how what is missing is noticed.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::fixture::{acme, belongs, commit, copy, event, id, open, options};
use crate::domain::audit::{AuditEntry, AuditedCall};
use crate::domain::time::Timestamp;
use crate::store::embedded::audit::Log;
use crate::store::embedded::{Mode, Remedy, restore, verify};
use crate::store::{AuditLog, AuditQuery, BackupRequest, Backups, Store};

/// Small, so that few batches fill a file.
const FILE_BYTES: u64 = 1_500;

pub(super) fn entry(number: u64) -> AuditEntry {
    let call = AuditedCall {
        workspace: acme(),
        principal: "key:k1".into(),
        method: "rapport.v1.ProfileService/GetProfile".into(),
        subject: Some(id(u8::try_from(number % 200).expect("small"))),
        purpose: "service".into(),
        status: 0,
    };
    AuditEntry { time: Timestamp::from_micros(number.cast_signed()), call, count: number }
}

pub(super) fn open_log(directory: &Path) -> Log {
    Log::open_with(directory, [7; 16], FILE_BYTES).expect("opens")
}

/// Adds the entries of these numbers, as many batches.
fn append(log: &Log, numbers: std::ops::RangeInclusive<u64>) {
    numbers.for_each(|number| log.append(vec![entry(number)]).expect("appended"));
}

/// The numbers of all entries, each of which must be what was written under it.
pub(super) fn numbers(log: &Log) -> Vec<u64> {
    let (mut numbers, mut before) = (Vec::new(), None);
    loop {
        let query =
            AuditQuery { workspace: acme(), subjects: Vec::new(), start: None, end: None, before, limit: 1_000 };
        let page = log.read(&query).expect("read");
        for found in page.entries {
            assert_eq!(found.entry, entry(found.number));
            numbers.push(found.number);
        }
        match page.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    numbers.reverse();
    numbers
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("audit")).expect("readable").map(|entry| entry.expect("readable").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "audit")).collect();
    files.sort();
    files
}

/// A closed store whose log has forty batches in several files.
async fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a directory");
    let store = open(home.path());
    commit(&store, vec![belongs(1, event(1))]).await.expect("commits");
    store.close().await.expect("closes");
    append(&open_log(home.path()), 1..=40);
    assert!(files(home.path()).len() > 3, "{:?}", files(home.path()));
    home
}

/// What is found in a directory: file, offset and remedy.
fn findings(directory: &Path, mode: Mode) -> Vec<(PathBuf, Option<u64>, Remedy)> {
    let verified = verify(&options(directory), mode, &mut |_| ControlFlow::Continue(())).expect("verified");
    verified.findings.into_iter().map(|found| (found.file, found.offset, found.remedy)).collect()
}

#[tokio::test]
async fn the_chain_goes_on_over_restarts_and_files() {
    let home = home().await;
    append(&open_log(home.path()), 41..=45);
    // Also through the store itself, whose files are larger.
    let store = open(home.path());
    store.append_audit((46..=50).map(entry).collect()).await.expect("appended");
    store.close().await.expect("closes");
    assert_eq!(numbers(&open_log(home.path())), (1..=50).collect::<Vec<_>>());
    assert_eq!(findings(home.path(), Mode::Look), []);
}

#[tokio::test]
async fn a_batch_that_was_not_finished_is_cut_off_and_told_by_a_verification() {
    let home = home().await;
    let newest = files(home.path()).pop().expect("a file");
    let whole = fs::read(&newest).expect("readable");
    let batch = whole[60..].to_vec();
    for torn in [&batch[..5], &batch[..50], &[0; 300], &[&[0; 20], &batch[..40]].concat()] {
        fs::write(&newest, [&whole, torn].concat()).expect("written");
        let cut = (newest.clone(), Some(whole.len() as u64), Remedy::CutTail);
        assert_eq!(findings(home.path(), Mode::Look), std::slice::from_ref(&cut));
        assert_eq!(findings(home.path(), Mode::Repair), [cut]);
        assert_eq!(fs::read(&newest).expect("readable"), whole);
        fs::write(&newest, [&whole, torn].concat()).expect("written");
        assert_eq!(numbers(&open_log(home.path())), (1..=40).collect::<Vec<_>>());
        assert_eq!(fs::read(&newest).expect("readable"), whole);
    }
    append(&open_log(home.path()), 41..=41);
    assert_eq!(numbers(&open_log(home.path())), (1..=41).collect::<Vec<_>>());
    assert_eq!(findings(home.path(), Mode::Look), []);
}

/// Where the batches of a file begin, and where the last one ends.
fn offsets(file: &[u8]) -> Vec<usize> {
    let mut offsets = vec![60];
    while let Some(header) = file.get(offsets[offsets.len() - 1]..).filter(|rest| !rest.is_empty()) {
        let bytes = u32::from_le_bytes(header[..4].try_into().expect("four bytes"));
        offsets.push(offsets[offsets.len() - 1] + 8 + usize::try_from(bytes).expect("small"));
    }
    offsets
}

#[tokio::test]
async fn what_is_changed_removed_or_missing_is_found_with_its_place_and_left_as_it_is() {
    type Harm = fn(&[PathBuf]) -> PathBuf;
    let harms: [(&str, Harm); 9] = [
        ("a flipped bit in the middle", |files| flip(&files[1], 100)),
        ("a flipped bit in the last file", |files| flip(&files[files.len() - 1], 100)),
        ("a flipped bit in a head", |files| flip(&files[1], 20)),
        ("a removed batch in the middle", |files| without_batch(&files[1], 1)),
        ("a removed first batch", |files| without_batch(&files[0], 0)),
        ("a removed last batch", |files| {
            let last = &files[files.len() - 1];
            let file = fs::read(last).expect("readable");
            without_batch(last, offsets(&file).len() - 2);
            last.parent().expect("a folder").to_owned()
        }),
        ("a removed file in the middle", |files| {
            fs::remove_file(&files[1]).expect("removed");
            files[2].clone()
        }),
        ("a removed first file", |files| {
            fs::remove_file(&files[0]).expect("removed");
            files[1].clone()
        }),
        ("a removed last file", |files| {
            fs::remove_file(&files[files.len() - 1]).expect("removed");
            files[0].parent().expect("a folder").to_owned()
        }),
    ];
    let whole = home().await;
    for (what, harm) in harms {
        let home = tempfile::tempdir().expect("a directory");
        copy(whole.path(), home.path()).expect("copied");
        let place = harm(&files(home.path()));
        for mode in [Mode::Look, Mode::Repair] {
            let found = findings(home.path(), mode);
            assert!(!found.is_empty(), "{what}: not noticed");
            assert_eq!((&found[0].0, found[0].2), (&place, Remedy::RestoreBackup), "{what}: {found:?}");
        }
        // A server starts all the same, and what it writes neither hides the damage nor is lost with it.
        let before = fs::read_dir(home.path().join("audit")).expect("readable").count();
        let log = open_log(home.path());
        log.append(vec![entry(41)]).expect("appended");
        drop(log);
        let query =
            AuditQuery { workspace: acme(), subjects: Vec::new(), start: None, end: None, before: None, limit: 1 };
        let last = open_log(home.path()).read(&query).expect("read").entries.remove(0);
        assert_eq!((last.entry.count, last.number), (41, 41), "{what}");
        assert!(fs::read_dir(home.path().join("audit")).expect("readable").count() >= before, "{what}");
        assert!(!findings(home.path(), Mode::Look).is_empty(), "{what}: hidden");
    }
}

fn flip(path: &Path, at: usize) -> PathBuf {
    let mut file = fs::read(path).expect("readable");
    file[at] ^= 1;
    fs::write(path, file).expect("written");
    path.to_owned()
}

fn without_batch(path: &Path, number: usize) -> PathBuf {
    let mut file = fs::read(path).expect("readable");
    let offsets = offsets(&file);
    file.drain(offsets[number]..offsets[number + 1]);
    fs::write(path, file).expect("written");
    path.to_owned()
}

#[tokio::test]
async fn a_backup_has_the_log_a_later_one_what_is_new_and_a_restored_one_goes_on() {
    let home = home().await;
    let backups = tempfile::tempdir().expect("a directory");
    let [backup, restored] = ["backup", "restored"].map(|name| backups.path().join(name));
    let store = open(home.path());
    for batch in [41..=41, 42..=43] {
        store.append_audit(batch.map(entry).collect()).await.expect("appended");
        let observer = Box::new(|_| ControlFlow::Continue(()));
        let request = BackupRequest { directory: backup.clone(), time: Timestamp::from_micros(7), observer };
        store.back_up(request).await.expect("backed up");
    }
    store.append_audit(vec![entry(44)]).await.expect("appended");
    restore(&backup, &restored, &mut |_| ControlFlow::Continue(())).expect("restored");
    // The first start builds the index.
    open(&restored).close().await.expect("closes");
    assert_eq!(findings(&restored, Mode::Look), []);
    append(&open_log(&restored), 44..=45);
    assert_eq!(numbers(&open_log(&restored)), (1..=45).collect::<Vec<_>>());
    assert_eq!(findings(&restored, Mode::Look), []);
}
